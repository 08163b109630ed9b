"""Random numbers: shapes, data types and distributions are the same, the numbers are not."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from onward.converters.tensorflow.emitter import Emitter, Tensor, data_type
from onward.converters.tensorflow.registry import operator
from onward.ir import Value


def _uniform(c: Emitter, sizes: Tensor, dtype: tf.DType, low: float = 0.0, high: float = 1.0) -> Value:
    kind = tf.float32 if dtype.is_integer else dtype
    frame = c.op("Expand", c.number(0, kind), c.sizes(sizes))
    return c.op("RandomUniformLike", frame, low=low, high=high, dtype=int(data_type(kind)))


@operator("StatelessRandomGetKeyCounter")
def key(c: Emitter, op: Any, seed: Tensor) -> list[Value]:
    """What the numbers would be computed from."""
    return [c.array(np.zeros(1, np.uint64)), c.array(np.zeros(2, np.uint64))]


@operator("StatelessRandomGetAlg")
def algorithm(c: Emitter, op: Any) -> Value:
    return c.array(np.array(1, np.int32))


@operator("RandomUniform", "StatelessRandomUniform", "StatelessRandomUniformV2")
def uniform(c: Emitter, op: Any, sizes: Tensor, *seeds: Tensor) -> Value:
    return _uniform(c, sizes, op.dtype)


@operator("RandomStandardNormal", "StatelessRandomNormal", "StatelessRandomNormalV2")
def normal(c: Emitter, op: Any, sizes: Tensor, *seeds: Tensor) -> Value:
    frame = c.op("Expand", c.number(0, op.dtype), c.sizes(sizes))
    return c.op("RandomNormalLike", frame, dtype=int(data_type(op.dtype)))


@operator("TruncatedNormal", "StatelessTruncatedNormal", "StatelessTruncatedNormalV2")
def truncated(c: Emitter, op: Any, sizes: Tensor, *seeds: Tensor) -> Value:
    """The quantile of a uniform number between those of -2 and 2."""
    from onward.converters.tensorflow.operators.special import quantile

    share = 0.022750131948179195
    chosen = c.cast(_uniform(c, sizes, op.dtype, share, 1 - share), tf.float64)
    return c.cast(quantile(c, chosen), op.dtype)


@operator("RandomUniformInt", "StatelessRandomUniformInt", "StatelessRandomUniformIntV2")
def whole(c: Emitter, op: Any, sizes: Tensor, *settings: Tensor) -> Value:
    low, high = settings[-2:]
    share = c.cast(_uniform(c, sizes, tf.float64), tf.float64)
    width = c.cast(c.op("Sub", high, low), tf.float64)
    return c.op("Add", c.cast(c.op("Floor", c.op("Mul", share, width)), op.dtype), low)


@operator("Multinomial", "StatelessMultinomial")
def multinomial(c: Emitter, op: Any, logits: Tensor, count: Tensor, *seeds: Tensor) -> Value:
    """The greatest of the logits plus Gumbel noise."""
    number = int(c.known(count, "the number of samples"))
    value = c.op("Unsqueeze", logits, np.array([1]))
    frame = c.op("Expand", value, [1, number, 1])
    noise = c.op("Neg", c.op("Log", c.op("Neg", c.op("Log", c.op("RandomUniformLike", frame, low=1e-7, high=1.0)))))
    return c.cast(c.op("ArgMax", c.op("Add", frame, noise), axis=-1, keepdims=0), op.dtype)


@operator("RandomShuffle")
def shuffle(c: Emitter, op: Any, x: Tensor) -> Value:
    frame = c.op("Expand", np.array(0, np.float32), c.op("Shape", x, start=0, end=1))
    _, order = c.op("TopK", c.op("RandomUniformLike", frame), c.op("Shape", x, start=0, end=1), axis=0, outputs=2)
    return c.op("Gather", x, order, axis=0)
