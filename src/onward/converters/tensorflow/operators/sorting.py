"""Order: the greatest elements, sorting, unique values."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from onward.converters.tensorflow.emitter import Emitter, Tensor
from onward.converters.tensorflow.registry import operator
from onward.ir import Value


@operator("TopKV2", "TopK")
def top_k(c: Emitter, op: Any, x: Tensor, count: Tensor | None = None) -> list[Value]:
    number = c.sizes([count]) if count is not None else c.sizes([int(op["k"])])
    values, places = c.op("TopK", x, number, axis=-1, largest=1, sorted=1, outputs=2)
    return [values, places if op.outputs[1].dtype == tf.int64 else c.cast(places, op.outputs[1].dtype)]


@operator("NthElement")
def nth_element(c: Emitter, op: Any, x: Tensor, place: Tensor) -> Value:
    number = c.op("Add", c.sizes([place]), np.array([1]))
    values, _ = c.op("TopK", x, number, axis=-1, largest=int(op["reverse"]), sorted=1, outputs=2)
    return c.op("Gather", values, c.squeeze(c.sizes([place]), 0), axis=-1)


@operator("InTopK", "InTopKV2")
def in_top_k(c: Emitter, op: Any, predictions: Tensor, targets: Tensor, count: Tensor | None = None) -> Value:
    """Whether fewer than k are greater than the target's; nothing is in a row whose target is not finite."""
    number = c.cast(count, tf.int64) if count is not None else c.number(int(op["k"]), tf.int64)
    chosen = c.op("GatherElements", predictions, c.unsqueeze(c.cast(targets, tf.int64), 1), axis=1)
    above = c.op("ReduceSum", c.cast(c.op("Greater", predictions, chosen), tf.int64), [1], keepdims=0)
    finite = c.op("Not", c.op("Or", c.op("IsInf", chosen), c.op("IsNaN", chosen)))
    return c.op("And", c.op("Less", above, number), c.squeeze(finite, 1))


@operator("Unique", "UniqueWithCounts", "UniqueV2", "UniqueWithCountsV2")
def unique(c: Emitter, op: Any, x: Tensor, axis: Tensor | None = None) -> list[Value]:
    where = None
    if axis is not None and c.known(axis, "the axis").size:
        where = int(c.known(axis, "the axis").reshape(-1)[0])
    values, _, inverse, counts = c.op("Unique", x, sorted=0, axis=where, outputs=4)
    made = [values, *[item if op.outputs[1].dtype == tf.int64 else c.cast(item, op.outputs[1].dtype) for item in (inverse, counts)]]
    return made[: len(op.outputs)]


@operator("ListDiff")
def list_diff(c: Emitter, op: Any, x: Tensor, y: Tensor) -> list[Value]:
    """Elements of x that y lacks, and their places."""
    same = c.op("Cast", c.op("Equal", c.unsqueeze(x, 1), c.unsqueeze(y, 0)), to=6)
    with_y = c.op("ReduceSum", same, [1], keepdims=0)
    keep = c.op("Equal", with_y, np.array(0, np.int32))
    places = c.reshape(c.op("NonZero", keep), [-1])
    return [c.op("Gather", x, places), places if op.outputs[1].dtype == tf.int64 else c.cast(places, op.outputs[1].dtype)]


@operator("LowerBound", "UpperBound", "Bucketize")
def bound(c: Emitter, op: Any, x: Tensor, values: Tensor | None = None) -> Value:
    """How many are smaller (or not greater); x is sorted."""
    if values is None:
        test = c.op("GreaterOrEqual", c.unsqueeze(x, -1), c.cast(c.array(np.array(op["boundaries"], np.float32)), x.dtype))
        return c.op("Cast", c.op("ReduceSum", c.op("Cast", test, to=7), [-1], keepdims=0), to=6)
    onnx = "Less" if op.type == "LowerBound" else "LessOrEqual"
    test = c.op(onnx, c.unsqueeze(x, 1), c.unsqueeze(values, 2))
    made = c.op("ReduceSum", c.op("Cast", test, to=7), [-1], keepdims=0)
    return made if op.dtype == tf.int64 else c.cast(made, op.dtype)
