"""The function itself as the judge of its conversion: data that it accepts, in several sizes, and what it computes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from onward.converters.certificate import Reference
from onward.converters.comparison import tolerances_with
from onward.converters.tensorflow.capture import Captured
from onward.converters.tensorflow.composites import fill
from onward.converters.tensorflow.double import in_double
from onward.converters.tensorflow.emitter import Emitter, data_type
from onward.converters.tensorflow.graph import operators_of
from onward.converters.tensorflow.operators.control_flow import may_not_end
from onward.converters.tensorflow.operators.text import ASCII

TOLERANCES = {np.dtype(np.float32): 1e-5, np.dtype(np.float64): 1e-11, np.dtype(np.float16): 5e-3}

WORDS = ("", "a", "the", "The quick brown fox", "one two  three", "Hello, World!", "x1 y2", "naïve café", "unknown")

TIED = ("large numbers", "zeros", "ones")
"""Data of which scores are often equal, all the more behind a sigmoid."""


def reference_of(captured: Captured, c: Emitter) -> Reference:
    """What the function computes on its example and on generated data."""
    kinds = list(operators_of(captured.graph, captured.outputs))
    random = any("Random" in op.type or op.type in ("Multinomial", "TruncatedNormal") for op in kinds)
    notes = [*captured.notes, *c.notes]
    if random:
        notes.append("the source draws random numbers: only shapes and types were compared")
    words = [word for word in (*WORDS, *c.vocabulary) if word.isascii() or ASCII not in c.notes]
    data = _data(captured, words)
    if any(op.type == "CombinedNonMaxSuppression" for op in kinds):
        notes.append("boxes of equal scores are suppressed in no order that TensorFlow tells: data with many of them were not tried")
        data = {what: feeds for what, feeds in data.items() if what not in TIED}
    if captured.example is not None and any(may_not_end(captured.graph, op) for op in kinds):
        notes.append("a loop's condition decides when it ends: only the example was tried")
        data = {"the example": captured.example}
    for name, tensor in zip(captured.names, captured.inputs, strict=True):
        if tensor.shape.rank and None not in tensor.shape.as_list():
            notes.append(f"input '{name}' has fixed sizes {tensor.shape.as_list()}")

    def outputs(feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray] | None:
        try:
            return captured(feeds)
        except Exception:  # the source does not take this data
            return None

    narrow = (tensor.dtype.as_numpy_dtype for op in kinds for tensor in op.outputs if tensor.dtype in (tf.float16, tf.bfloat16))
    tolerances, narrowness = tolerances_with(map(np.dtype, narrow), TOLERANCES)
    return Reference(f"tensorflow {tf.__version__}", data, outputs, in_double(captured), tolerances, (*notes, *narrowness), random)


def _data(captured: Captured, words: Sequence[str]) -> dict[str, dict[str, np.ndarray]]:
    """Feeds: the example, numbers of several kinds, and open sizes of one and more. Whole numbers, which may be indices, are small
    in some: TensorFlow refuses those that point outside."""
    made: dict[str, dict[str, np.ndarray]] = {}
    if captured.example is not None:
        made["the example"] = captured.example
    random = np.random.default_rng(0)
    inputs = dict(zip(captured.names, captured.inputs, strict=True))
    plans = {
        "random numbers": (3, 1.0, 2), "open sizes of 1": (1, 1.0, 2), "open sizes of 5": (5, 1.0, 10), "large numbers": (2, 30.0, 100),
        "zeros": (2, 0.0, 1), "ones": (2, None, None), "sizes of the example": (0, 1.0, 3),
    }  # fmt: skip
    for what, (size, scale, limit) in plans.items():
        shapes = _shapes(captured, size)
        if shapes is not None:
            feeds = {name: _filled(tensor.dtype, shapes[name], scale, limit, random, words) for name, tensor in inputs.items()}
            for specification, names in captured.composites if size else ():
                fill(specification, names, feeds, size, random)
            made[what] = feeds
    return made


def _shapes(captured: Captured, size: int) -> dict[str, list[int]] | None:
    """The shapes of the inputs with open sizes of `size`, or those of the example for 0."""
    if size == 0:
        return None if captured.example is None or captured.composites else {name: list(array.shape) for name, array in captured.example.items()}
    shapes = {}
    for name, tensor in zip(captured.names, captured.inputs, strict=True):
        own = size + (size > 1 and name in captured.apart)
        shapes[name] = [(size if axis else own) if extent is None else extent for axis, extent in enumerate(tensor.shape.as_list())]
        shapes[name] += [2] * tensor.dtype.is_complex
    return shapes


def _filled(dtype: tf.DType, shape: Any, scale: Any, limit: Any, random: np.random.Generator, words: Any) -> np.ndarray:
    if dtype == tf.string:
        return np.array([words[place] for place in random.integers(0, len(words), int(np.prod(shape)))], object).reshape(shape)
    kind = data_type(dtype).numpy
    if scale is None:
        return np.ones(shape, kind)
    if dtype == tf.bool:
        return random.random(shape) < 0.6
    if dtype.is_floating or dtype.is_complex:
        return np.asarray(random.standard_normal(shape) * scale).astype(kind)
    return np.asarray(random.integers(0, limit, shape)).astype(kind)
