"""Layers that call TensorFlow themselves, on Keras's TensorFlow backend: as TensorFlow's graph of their call, by the translation of its operators."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
from keras.src.backend.common.variables import AutocastScope

from onward.converters.keras.emitter import Emitter, Tensor
from onward.converters.keras.objects.through_jax import call_of, taken_out
from onward.errors import UnsupportedOperator


def translate_layer(c: Emitter, layer: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """What a layer's call gives for tensors, in its structure.

    Raises UnsupportedOperator on other backends, for a call that TensorFlow cannot trace, and for operators without a translation.
    """
    if keras.backend.backend() != "tensorflow":
        raise UnsupportedOperator("TensorFlow is not the backend")
    import tensorflow as tf

    from onward.converters.tensorflow.bridge import write

    how = {"training": False} if layer._call_has_training_arg else {}
    tensors, filled = taken_out(c, args, {**kwargs, **how})

    def called(*arrays: Any) -> Any:
        given, named = filled(arrays)
        with AutocastScope(layer.compute_dtype if layer.autocast else None):
            return call_of(layer)(*given, **named)

    try:
        specifications = [tf.TensorSpec(item.shape, item.dtype) for item in tensors]
        concrete = tf.function(called, autograph=False).get_concrete_function(*specifications)
    except Exception as problem:  # whatever a call does with the tensors of a graph that it cannot do
        line = (str(problem).strip().splitlines() or [""])[-1]
        raise UnsupportedOperator(f"TensorFlow cannot trace it ({type(problem).__name__}: {line[:200]})") from problem
    made = [Tensor(item.value, item.dtype, item.shape) for item in write(c, concrete, [item.value for item in tensors])]
    return keras.tree.pack_sequence_as(concrete.structured_outputs, made)
