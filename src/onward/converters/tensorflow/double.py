"""A function of TensorFlow in double precision: its frozen graph with all float32 replaced."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from onward.converters.tensorflow.emitter import as_array

SINGLE, DOUBLE = tf.float32.as_datatype_enum, tf.float64.as_datatype_enum
Exactly = Callable[[Mapping[str, np.ndarray]], Mapping[str, np.ndarray] | None]


def in_double(captured: Any) -> Exactly:
    """The function in double precision, made when first asked; it gives None where an operator has no such form."""
    made: list[Any] = []

    def run(feeds: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray] | None:
        try:
            if not made:
                made.append(_double(captured))
            given = [captured._given(feeds[name], _Like(tensor.dtype)) for name, tensor in zip(captured.names, captured.inputs, strict=True)]
            results = made[0](*given)
            return {label: as_array(item.numpy()) for label, item in zip(captured.labels, tf.nest.flatten(results), strict=True)}
        except Exception:  # an operator that only has single precision, or resources that do not freeze
            return None

    return run


class _Like:
    """The type of an input in double precision."""

    def __init__(self, dtype: tf.DType) -> None:
        self.dtype = tf.float64 if dtype == tf.float32 else dtype


def _double(captured: Any) -> Any:
    frozen = convert_variables_to_constants_v2(captured.concrete, lower_control_flow=False)
    names = [tensor.name for tensor in frozen.inputs], [tensor.name for tensor in frozen.outputs]
    definition = frozen.graph.as_graph_def()
    for node in definition.node:
        _widen(node)
    for function in definition.library.function:
        for argument in (*function.signature.input_arg, *function.signature.output_arg):
            argument.type = DOUBLE if argument.type == SINGLE else argument.type
        for node in function.node_def:
            _widen(node)
    wrapped = tf.compat.v1.wrap_function(lambda: tf.import_graph_def(definition, name=""), [])
    return wrapped.prune(*names)


def _widen(node: Any) -> None:
    for attribute in node.attr.values():
        if attribute.type == SINGLE:
            attribute.type = DOUBLE
        for place, kind in enumerate(attribute.list.type):
            attribute.list.type[place] = DOUBLE if kind == SINGLE else kind
        if attribute.tensor.dtype == SINGLE:
            attribute.tensor.CopyFrom(tf.make_tensor_proto(tf.make_ndarray(attribute.tensor).astype(np.float64)))
