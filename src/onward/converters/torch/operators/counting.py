"""Counting: histograms, runs of equal elements, repetitions."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from onward.converters.torch.emitter import Emitter, Tensor
from onward.converters.torch.registry import aten
from onward.errors import UnsupportedOperator
from onward.ir import Value


@aten("histc")
def histc(c: Emitter, x: Tensor, bins: int = 100, low: Any = 0, high: Any = 0) -> Value:
    """Of the elements between two bounds, which are those of the data where both are equal."""
    dtype = x.dtype if x.dtype.is_floating_point else torch.float64
    value = c.reshape(c.cast(x, dtype), [-1])
    first, last = c.number(low, dtype), c.number(high, dtype)
    if low == high:
        first, last = (c.op(onnx, value, keepdims=0) for onnx in ("ReduceMin", "ReduceMax"))
    same = c.op("Equal", first, last)
    first = c.op("Where", same, c.op("Sub", first, c.number(1, dtype)), first)
    last = c.op("Where", same, c.op("Add", last, c.number(1, dtype)), last)
    inside = c.op("And", c.op("GreaterOrEqual", value, first), c.op("LessOrEqual", value, last))
    scaled = c.op("Div", c.op("Mul", c.op("Sub", value, first), c.number(bins, dtype)), c.op("Sub", last, first))
    place = c.convert(c.op("Where", inside, scaled, c.number(0, dtype)), torch.int64)
    place = c.op("Min", place, np.array(bins - 1))
    kind = x.dtype
    counts = c.op("Expand", c.number(0, kind), np.array([bins]))
    return c.op("ScatterElements", counts, place, c.convert(inside, kind), axis=0, reduction="add")


@aten("unique_consecutive")
def unique_consecutive(c: Emitter, x: Tensor, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None) -> Any:
    if dim is not None and x.rank != 1:
        raise UnsupportedOperator("unique_consecutive along a dimension")
    flat = c.reshape(x, [-1])
    length = c.op("Shape", flat)
    changed = c.op("Not", c.op("Equal", c.slice(flat, 0, 1, 2**63 - 1), c.slice(flat, 0, 0, -1)))
    first = c.op("Slice", c.op("Expand", np.array(True), c.op("Max", length, np.array([1]))), [0], c.op("Min", length, np.array([1])), [0])
    begins = c.op("Concat", first, changed, axis=0)
    places = c.op("Squeeze", c.op("NonZero", begins), np.array([0]))
    inverse = c.op("Sub", c.op("CumSum", c.convert(begins, torch.int64), np.array(0)), np.array(1))
    ends = c.op("Concat", c.slice(places, 0, 1, 2**63 - 1), length, axis=0)
    ends = c.op("Slice", ends, [0], c.op("Shape", places), [0])
    return [c.op("Compress", flat, begins, axis=0), c.op("Reshape", inverse, c.shape(x), allowzero=1), c.op("Sub", ends, places)]


@aten("repeat_interleave.Tensor")
def repeat_interleave(c: Emitter, repeats: Tensor, output_size: Any = None) -> Value:
    """Every place as often as it is said: for each element the number of places that end before it."""
    ends = c.op("CumSum", c.cast(repeats, torch.int64), np.array(0))
    total = c.op("ReduceSum", c.cast(repeats, torch.int64), keepdims=0)
    along = c.op("Range", np.array(0), total, np.array(1))
    passed = c.op("LessOrEqual", c.unsqueeze(ends, 0), c.unsqueeze(along, 1))
    made = c.op("ReduceSum", c.convert(passed, torch.int64), [1], keepdims=0)
    return made if repeats.dtype is torch.int64 else c.convert(made, repeats.dtype)
