"""Order: sorting, the largest, positions, distinct values, searching."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from onward.converters.torch.emitter import Emitter, Scalar, Tensor, is_static
from onward.converters.torch.registry import aten
from onward.ir import Value


def _ordered(c: Emitter, x: Tensor, count: Any, dim: int, largest: bool) -> Any:
    if x.rank == 0:
        return [x.value, c.op("Identity", np.array(0))]
    small = x.dtype in (torch.bool, torch.uint8, torch.int8, torch.int16)
    value = c.cast(x, torch.int32) if small else x.value
    values, places = c.op("TopK", value, [count], axis=x.axis(dim), largest=int(largest), sorted=1, outputs=2)
    return [c.convert(values, x.dtype) if small else values, places]


@aten("sort", "sort.stable")
def sort(c: Emitter, x: Tensor, dim: int = -1, descending: bool = False, stable: Any = None) -> Any:
    return _ordered(c, x, c.size(x, dim) if x.rank else 1, dim, descending)


@aten("argsort", "argsort.stable")
def argsort(c: Emitter, x: Tensor, dim: int = -1, descending: bool = False, stable: Any = None) -> Value:
    return _ordered(c, x, c.size(x, dim) if x.rank else 1, dim, descending)[1]


@aten("topk")
def topk(c: Emitter, x: Tensor, k: Any, dim: int = -1, largest: bool = True, sorted_: bool = True, **options: Any) -> Any:
    return _ordered(c, x, k, dim, largest)


@aten("kthvalue")
def kthvalue(c: Emitter, x: Tensor, k: Any, dim: int = -1, keepdim: bool = False) -> Any:
    found = _ordered(c, x, k, dim, False)
    if x.rank == 0:
        return found
    place = np.array(k - 1) if isinstance(k, int) else c.op("Sub", k, np.array(1))
    if keepdim:
        place = c.reshape(place, [1])
    return [c.op("Gather", item, place, axis=x.axis(dim)) for item in found]


def positions(c: Emitter, x: Tensor) -> list[Value]:
    """For each dimension the positions of what is not zero."""
    found = c.op("NonZero", c.cast(x, torch.bool))
    return [c.op("Gather", found, np.array(axis), axis=0) for axis in range(x.rank)]


@aten("nonzero")
def nonzero(c: Emitter, x: Tensor) -> Value:
    if not x.rank:
        return c.op("Compress", c.array(np.zeros((1, 0), np.int64)), c.reshape(c.cast(x, torch.bool), [1]), axis=0)
    return c.op("Transpose", c.op("NonZero", c.cast(x, torch.bool)), perm=[1, 0])


@aten("nonzero_numpy")
def nonzero_numpy(c: Emitter, x: Tensor) -> Any:
    return positions(c, x)


@aten("_unique2", "_unique", "unique_dim")
def unique(c: Emitter, x: Tensor, *arguments: Any, **options: Any) -> Any:
    axis = arguments[0] if c.operator.endswith("unique_dim") else None
    value = x.value
    made = c.op("Unique", value, outputs=4, sorted=1, axis=None if axis is None else x.axis(axis))
    inverse = made[2] if axis is not None else c.op("Reshape", made[2], c.shape(x), allowzero=1)
    return [made[0], inverse, made[3]][: len(c.result)]


@aten("bucketize.Tensor", "searchsorted.Tensor")
def searchsorted(c: Emitter, first: Tensor, second: Tensor, out_int32: bool = False, right: bool = False, **options: Any) -> Value:
    """The number of boundaries below each value, or not above it."""
    bounds, x = (second, first) if "bucketize" in c.operator else (first, second)
    right = right or options.get("side") == "right"
    (limits, values), _ = c.promoted(bounds, x)
    if not x.rank:
        values = c.reshape(values, [1])
    below = c.op("LessOrEqual" if right else "Less", c.unsqueeze(limits, bounds.rank - 1), c.unsqueeze(values, max(x.rank, 1)))
    counted = c.op("ReduceSum", c.convert(below, torch.int64), [-1], keepdims=0)
    if not x.rank:
        counted = c.reshape(counted, [])
    return c.convert(counted, torch.int32) if out_int32 else counted


@aten("bincount")
def bincount(c: Emitter, x: Tensor, weights: Tensor | None = None, minlength: int = 0) -> Value:
    """As long as the largest number, or longer."""
    padded = c.op("Concat", c.cast(x, torch.int64), np.array([max(minlength, 1) - 1]), axis=0)
    length = c.op("Add", c.op("ReduceMax", padded, keepdims=0), np.array(1))
    kind = c.result.dtype
    zeros = c.op("Expand", c.number(0, kind), c.reshape(length, [1]))
    ones = c.cast(weights, kind) if weights is not None else c.op("Expand", c.number(1, kind), c.shape(x))
    return c.op("ScatterElements", zeros, c.cast(x, torch.int64), ones, axis=0, reduction="add")


@aten("median.dim", "nanmedian.dim")
def median_dim(c: Emitter, x: Tensor, dim: int = -1, keepdim: bool = False) -> Any:
    size = c.size(x, dim) if x.rank else 1
    middle = (size + 1) // 2 if isinstance(size, int) else Scalar(c.op("Div", c.op("Add", size, np.array(1)), np.array(2)), torch.int64)
    return kthvalue(c, x, middle, dim, keepdim)


@aten("median", "nanmedian")
def median(c: Emitter, x: Tensor) -> Value:
    """The lower of the middle elements of all."""
    known = all(map(is_static, x.shape))
    flat = Tensor(c.reshape(x, [-1]), x.dtype, (math.prod(x.shape) if known else None,))
    return median_dim(c, flat, 0)[0]
