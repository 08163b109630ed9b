"""Sums, means, extrema, running sums, places of extrema."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from onward.converters.tensorflow.emitter import Emitter, Tensor
from onward.converters.tensorflow.registry import operator
from onward.errors import UnsupportedOperator
from onward.ir import Value

REDUCTIONS = {"Sum": "ReduceSum", "Prod": "ReduceProd", "Max": "ReduceMax", "Min": "ReduceMin", "EuclideanNorm": "ReduceL2"}


def axes_of(c: Emitter, axes: Tensor) -> Any:
    """Axes as ONNX takes them."""
    return axes.known.reshape(-1).astype(np.int64) if axes.known is not None else c.sizes(axes)


@operator(*REDUCTIONS)
def reduced(c: Emitter, op: Any, x: Tensor, axes: Tensor) -> Value:
    return c.op(REDUCTIONS[op.type], x, axes_of(c, axes), keepdims=int(op["keep_dims"]), noop_with_empty_axes=1)


@operator("Mean")
def mean(c: Emitter, op: Any, x: Tensor, axes: Tensor) -> Value:
    """That of whole numbers is rounded towards zero, as TensorFlow divides the sum."""
    where, keep = axes_of(c, axes), int(op["keep_dims"])
    if x.dtype.is_floating:
        return c.op("ReduceMean", x, where, keepdims=keep, noop_with_empty_axes=1)
    total = c.op("ReduceSum", x, where, keepdims=keep, noop_with_empty_axes=1)
    count = c.op("ReduceProd", c.op("Gather", c.op("Shape", x), where if not isinstance(where, np.ndarray) else where % x.rank), keepdims=0)
    return c.op("Div", total, c.cast(count, x.dtype))


@operator("All", "Any")
def logical(c: Emitter, op: Any, x: Tensor, axes: Tensor) -> Value:
    number = c.cast(x, tf.int32)
    onnx = "ReduceMin" if op.type == "All" else "ReduceMax"
    made = c.op(onnx, number, axes_of(c, axes), keepdims=int(op["keep_dims"]), noop_with_empty_axes=1)
    return c.op("Greater", made, np.array(0, np.int32))


@operator("ArgMax", "ArgMin")
def place(c: Emitter, op: Any, x: Tensor, axis: Tensor) -> Value:
    where = int(c.known(axis, "the axis"))
    value = c.cast(x, tf.int32) if x.dtype == tf.bool else x.value
    made = c.op(op.type, value, axis=where, keepdims=0)
    return made if op.dtype == tf.int64 else c.cast(made, op.dtype)


@operator("Cumsum")
def cumsum(c: Emitter, op: Any, x: Tensor, axis: Tensor) -> Value:
    return c.op("CumSum", x, c.cast(axis, tf.int64), exclusive=int(op["exclusive"]), reverse=int(op["reverse"]))


@operator("Cumprod", "CumulativeLogsumexp")
def running(c: Emitter, op: Any, x: Tensor, axis: Tensor) -> Value:
    """The product (or sum of exponentials) over a mask of the elements before, for each element."""
    where = int(c.known(axis, "the axis")) % x.rank
    order = [other for other in range(x.rank) if other != where] + [where]
    moved = c.transpose(x, order)
    count = c.op("Squeeze", c.op("Shape", moved, start=-1), np.array([0]))
    places = c.op("Range", np.array(0), count, np.array(1))
    mine, others = c.unsqueeze(places, 1), c.unsqueeze(places, 0)
    test = ("Greater" if op["exclusive"] else "GreaterOrEqual") if not op["reverse"] else ("Less" if op["exclusive"] else "LessOrEqual")
    product = op.type == "Cumprod"
    neutral = c.number(1 if product else -np.inf, x)
    masked = c.op("Where", c.op(test, mine, others), c.unsqueeze(moved, -2), neutral)
    made = c.op("ReduceProd" if product else "ReduceLogSumExp", masked, [-1], keepdims=0)
    return c.transpose(made, list(np.argsort(order)))


@operator("L2Loss")
def l2_loss(c: Emitter, op: Any, x: Tensor) -> Value:
    return c.op("Mul", c.op("ReduceSumSquare", x, keepdims=0), c.number(0.5, x))


def _length(sizes: Tensor) -> int:
    """The number of axes that sizes are of. Raises UnsupportedOperator where it is open."""
    if sizes.shape[0] is None:
        raise UnsupportedOperator("the number of axes is not known")
    return sizes.shape[0]


@operator("BroadcastGradientArgs")
def broadcast_gradient(c: Emitter, op: Any, a: Tensor, b: Tensor) -> list[Value]:
    """The axes of each shape that has one element there, missing ones in front among them: to sum over one that the other shape lacks, too, is no harm."""
    count = max(_length(a), _length(b))
    made = []
    for item in (a, b):
        sizes = c.op("Concat", np.ones(count - _length(item), np.int64), c.cast(item, tf.int64), axis=0)
        axes = c.reshape(c.op("NonZero", c.op("Equal", sizes, np.array(1))), [-1])
        made.append(c.cast(axes, op.dtype))
    return made


@operator("HistogramFixedWidth")
def histogram(c: Emitter, op: Any, x: Tensor, limits: Tensor, count: Tensor) -> Value:
    """How many numbers fall into each of equal parts of a range; those outside belong to the parts at its ends."""
    bins = int(c.known(count, "the number of parts"))
    low, high = (c.op("Cast", c.op("Gather", limits, np.array(place)), to=11) for place in range(2))
    step = c.op("Div", c.op("Sub", high, low), np.array(float(bins)))
    above = c.op("Max", c.op("Sub", c.op("Cast", c.reshape(x, [-1]), to=11), low), np.array(0.0))
    place = c.op("Cast", c.op("Min", c.op("Div", above, step), np.array(bins - 1.0)), to=7)
    ones = c.op("Expand", np.array(1), c.op("Shape", place))
    return c.cast(c.op("ScatterElements", np.zeros(bins, np.int64), place, ones, reduction="add"), op.dtype)
