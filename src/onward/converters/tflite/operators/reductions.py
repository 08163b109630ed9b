"""Reductions, places of extremes, running sums and segments."""

from __future__ import annotations

from typing import Any

import numpy as np

from onward.converters.tflite.emitter import Emitter, First, Node, channels_first
from onward.converters.tflite.registry import operator
from onward.converters.tflite.tensors import Tensor

REDUCTIONS = {"MEAN": "ReduceMean", "SUM": "ReduceSum", "REDUCE_PROD": "ReduceProd", "REDUCE_MAX": "ReduceMax", "REDUCE_MIN": "ReduceMin"}
LOGICAL = {"REDUCE_ANY": "ReduceMax", "REDUCE_ALL": "ReduceMin"}


@operator(*REDUCTIONS, *LOGICAL)
def reduction(c: Emitter, node: Node, x: Tensor, axes: Tensor) -> Any:
    keep = int(node.options.keep_dims)
    logical = node.name in LOGICAL
    name = LOGICAL[node.name] if logical else REDUCTIONS[node.name]
    lead = x.held is not None and x.held.first is not None and x.held.last is None
    if axes.data is None:
        value, chosen = c.value(x), c.long(axes)
        lead = False
    else:
        numbers = sorted({x.axis(axis) for axis in axes.data.reshape(-1)})
        lead = lead and (bool(keep) or set(range(1, x.rank - 1)) <= set(numbers))
        value = c.first(x) if lead else c.value(x)
        order = channels_first(x.rank)
        chosen = c.array([order.index(axis) for axis in numbers] if lead else numbers)
    if logical:
        value = c.cast(value, np.int32)
    result = c.op(name, value, chosen, keepdims=keep, noop_with_empty_axes=1)
    if logical:
        result = c.cast(result, np.bool_)
    return First(result) if lead and keep else result


@operator("ARG_MAX", "ARG_MIN")
def extreme(c: Emitter, node: Node, x: Tensor, axis: Tensor) -> Any:
    place = x.axis(c.known(axis, "the axis").reshape(-1)[0])
    value = c.cast(c.value(x), np.int32) if x.dtype == np.bool_ else c.value(x)
    found = c.op("ArgMax" if node.name == "ARG_MAX" else "ArgMin", value, axis=place, keepdims=0)
    return found if node.outputs[0].type == "INT64" else c.cast(found, node.outputs[0].dtype)


@operator("CUMSUM")
def cumulative_sum(c: Emitter, node: Node, x: Tensor, axis: Tensor) -> Any:
    o = node.options
    return c.op("CumSum", c.value(x), c.long(axis), exclusive=int(o.exclusive), reverse=int(o.reverse))


@operator("TOPK_V2")
def top_k(c: Emitter, node: Node, x: Tensor, k: Tensor) -> Any:
    values, indices = c.op("TopK", c.value(x), c.op("Reshape", c.long(k), [1]), axis=-1, outputs=2)
    return [values, c.cast(indices, node.outputs[1].dtype)]


def _segments(c: Emitter, x: Tensor, numbers: Tensor, count: Any, start: Any, how: str) -> Any:
    """Rows joined by their numbers; rows with negative numbers belong nowhere, and go into a row that is cut off."""
    lead = numbers.rank
    shape = c.op("Shape", c.value(x), start=lead)
    whole = c.op("Concat", c.op("Add", count, [1]), shape, axis=0)
    index = c.long(numbers)
    last = c.op("Squeeze", count, [0])
    index = c.op("Where", c.op("Less", index, np.array(0)), last, index)
    empty = c.op("Expand", c.array(np.array(start, x.dtype)), whole)
    joined = c.op("ScatterND", empty, c.op("Unsqueeze", index, [-1]), c.value(x), reduction=how)
    return c.op("Slice", joined, [0], count, [0])


@operator("SEGMENT_SUM")
def segment_sum(c: Emitter, node: Node, x: Tensor, numbers: Tensor) -> Any:
    count = c.op("Add", c.op("ReduceMax", c.long(numbers), [0], keepdims=1), [1])
    return _segments(c, x, numbers, count, 0, "add")


UNSORTED = {"SUM": "add", "PROD": "mul", "MAX": "max", "MIN": "min"}


@operator(*(f"UNSORTED_SEGMENT_{name}" for name in UNSORTED))
def unsorted_segments(c: Emitter, node: Node, x: Tensor, numbers: Tensor, count: Tensor) -> Any:
    how = node.name.rpartition("_")[2]
    limits = np.finfo(x.dtype) if x.dtype.kind == "f" else np.iinfo(x.dtype)
    start = {"SUM": 0, "PROD": 1, "MAX": limits.min, "MIN": limits.max}[how]
    return _segments(c, x, numbers, c.op("Reshape", c.long(count), [1]), start, UNSORTED[how])
