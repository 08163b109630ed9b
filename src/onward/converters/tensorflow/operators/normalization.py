"""Normalisations."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from onward.converters.tensorflow.emitter import Emitter, Tensor
from onward.converters.tensorflow.operators.convolution import back, channels_first, is_first
from onward.converters.tensorflow.registry import operator
from onward.errors import UnsupportedOperator
from onward.ir import Value


@operator("FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3")
def fused_batch_norm(c: Emitter, op: Any, x: Tensor, scale: Tensor, offset: Tensor, mean: Tensor, variance: Tensor) -> list[Any]:
    rank, epsilon = x.rank, float(op["epsilon"])
    if not op["is_training"]:
        made = c.op("BatchNormalization", channels_first(c, op, x, rank), scale, offset, mean, variance, epsilon=epsilon)
        return [back(c, op, made, rank), mean, variance, mean, variance, None][: len(op.outputs)]
    axes = [axis for axis in range(rank) if axis != (1 if is_first(op) else rank - 1)]
    value = c.cast(x, tf.float32)
    average = c.op("ReduceMean", value, axes, keepdims=1)
    gap = c.op("Sub", value, average)
    spread = c.op("ReduceMean", c.op("Mul", gap, gap), axes, keepdims=1)
    if op.get("exponential_avg_factor", 1.0) != 1.0:
        raise UnsupportedOperator("running averages of training")
    if is_first(op):
        scale, offset = (c.reshape(item, [-1] + [1] * (rank - 2)) for item in (scale, offset))  # type: ignore[assignment]
    root = c.op("Sqrt", c.op("Add", spread, c.number(epsilon, tf.float32)))
    made = c.op("Add", c.op("Mul", c.op("Div", gap, root), scale), offset)
    flat = [c.reshape(item, [-1]) for item in (average, spread)]
    count = c.op("Cast", c.op("ReduceProd", c.op("Gather", c.op("Shape", x), np.array(axes)), keepdims=0), to=1)
    unbiased = c.op("Mul", flat[1], c.op("Div", count, c.op("Max", c.op("Sub", count, np.array(1, np.float32)), np.array(1, np.float32))))
    return [c.cast(made, x.dtype) if x.dtype != tf.float32 else made, flat[0], unbiased, flat[0], flat[1], None][: len(op.outputs)]


@operator("LRN")
def local_response(c: Emitter, op: Any, x: Tensor) -> Value:
    size = 2 * int(op["depth_radius"]) + 1
    made = c.op("LRN", c.transpose(x, [0, 3, 1, 2]), size=size, alpha=float(op["alpha"]) * size, beta=float(op["beta"]), bias=float(op["bias"]))
    return c.transpose(made, [0, 2, 3, 1])


@operator("FakeQuantWithMinMaxVars", "FakeQuantWithMinMaxArgs", "FakeQuantWithMinMaxVarsPerChannel")
def fake_quantized(c: Emitter, op: Any, x: Tensor, low: Tensor | None = None, high: Tensor | None = None) -> Value:
    """Range and step are moved so that zero is a step, then numbers are rounded half up."""
    least, most = (low, high) if low is not None else (op["min"], op["max"])
    number = [c.of(item) if isinstance(item, Tensor) else c.number(item, x) for item in (least, most)]
    first = c.number(1 if op["narrow_range"] else 0, x)
    last = c.number(2 ** op["num_bits"] - 1, x)
    step = c.op("Div", c.op("Sub", number[1], number[0]), c.op("Sub", last, first))
    start = c.op("Sub", first, c.op("Div", number[0], step))
    half = c.number(0.5, x)
    # zero's place is rounded away from zero, and it is not negative
    zero = c.op("Min", c.op("Max", c.op("Floor", c.op("Add", start, half)), first), last)
    bottom, top = c.op("Mul", c.op("Sub", first, zero), step), c.op("Mul", c.op("Sub", last, zero), step)
    inside = c.op("Sub", c.op("Min", c.op("Max", x, bottom), top), bottom)
    steps = c.op("Floor", c.op("Add", c.op("Mul", inside, c.op("Reciprocal", step)), half))
    made = c.op("Add", c.op("Mul", steps, step), bottom)
    both = c.op("And", c.op("Equal", number[0], c.number(0, x)), c.op("Equal", number[1], c.number(0, x)))
    return c.op("Where", both, c.number(0, x), made)


@operator("SoftmaxCrossEntropyWithLogits")
def cross_entropy(c: Emitter, op: Any, logits: Tensor, labels: Tensor) -> list[Value]:
    logarithm = c.op("LogSoftmax", logits, axis=-1)
    loss = c.op("Neg", c.op("ReduceSum", c.op("Mul", logarithm, labels), [-1], keepdims=0))
    return [loss, c.op("Sub", c.op("Softmax", logits, axis=-1), labels)]


@operator("SparseSoftmaxCrossEntropyWithLogits")
def sparse_cross_entropy(c: Emitter, op: Any, logits: Tensor, labels: Tensor) -> list[Value]:
    logarithm = c.op("LogSoftmax", logits, axis=-1)
    places = c.unsqueeze(c.cast(labels, tf.int64), -1)
    loss = c.op("Neg", c.op("GatherElements", logarithm, places, axis=-1))
    classes = c.op("Range", np.array(0), c.squeeze(c.op("Shape", logits, start=-1), 0), np.array(1))
    hot = c.cast(c.op("Equal", places, classes), logits.dtype)
    return [c.squeeze(loss, -1), c.op("Sub", c.op("Softmax", logits, axis=-1), hot)]
