"""Reading and writing by index: gather, scatter, NumPy's advanced indexing, embeddings."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from onward.converters.torch.emitter import Emitter, Tensor, is_static
from onward.converters.torch.operators.unary import falsehood
from onward.converters.torch.registry import aten
from onward.ir import Value

REDUCTIONS = {"sum": "add", "add": "add", "prod": "mul", "multiply": "mul", "amax": "max", "amin": "min"}


def _index(c: Emitter, index: Tensor) -> Value:
    return c.cast(index, torch.int64)


@aten("embedding")
def embedding(c: Emitter, weight: Tensor, index: Tensor, *options: Any, **more: Any) -> Value:
    return c.op("Gather", weight, _index(c, index), axis=0)


@aten("index_select", "index_select_copy")
def index_select(c: Emitter, x: Tensor, dim: int, index: Tensor) -> Value:
    if x.rank == 0:
        return x.value
    index_value = _index(c, index) if index.rank else c.reshape(_index(c, index), [1])
    return c.op("Gather", x, index_value, axis=x.axis(dim))


@aten("gather")
def gather(c: Emitter, x: Tensor, dim: int, index: Tensor, sparse_grad: bool = False) -> Value:
    if x.rank == 0 or index.rank == 0:
        flat = c.reshape(x, [-1])
        return c.op("Gather", flat, _index(c, index), axis=0)
    return c.op("GatherElements", x, _index(c, index), axis=x.axis(dim))


@aten("scatter.src", "scatter.value", "scatter.reduce", "scatter.value_reduce", "scatter_add", "scatter_reduce.two")
def scatter(c: Emitter, x: Tensor, dim: int, index: Tensor, source: Any, reduce: str | None = None, include_self: bool = True) -> Value:
    if c.operator.endswith("scatter_add"):
        reduce = "add"
    axis, places = x.axis(dim), _index(c, index)
    if x.rank == 0 or index.rank == 0:
        flat = Tensor(c.reshape(x, [1]), x.dtype, (1,))
        item = Tensor(c.reshape(source, [1]), source.dtype, (1,)) if isinstance(source, Tensor) else source
        moved = Tensor(c.reshape(places, [1]), torch.int64, (1,))
        return c.reshape(_scattered(c, flat, 0, moved.value, moved, item, reduce, include_self), [])
    return _scattered(c, x, axis, places, index, source, reduce, include_self)


def _scattered(c: Emitter, x: Tensor, axis: int, places: Value, index: Tensor, source: Any, reduce: str | None, include_self: bool) -> Value:
    if isinstance(source, Tensor):
        updates = c.cast(source, x.dtype)
        if any(a is not b and str(a) != str(b) for a, b in zip(source.shape, index.shape)):
            updates = c.op("Slice", updates, [0] * x.rank, c.shape(index), list(range(x.rank)))
    else:
        updates = c.op("Expand", c.number(source, x.dtype), c.shape(index))
    if reduce is None:
        return c.op("ScatterElements", x, places, updates, axis=axis)
    if reduce == "mean":
        return _scattered_mean(c, x, axis, places, updates, include_self)
    base = x.value
    if not include_self:
        neutral = _neutral(c, reduce, x.dtype)
        base = c.op("ScatterElements", x, places, c.op("Expand", neutral, c.op("Shape", places)), axis=axis)
    return c.op("ScatterElements", base, places, updates, axis=axis, reduction=REDUCTIONS[reduce])


def _neutral(c: Emitter, reduce: str, dtype: torch.dtype) -> Value:
    limits = torch.finfo(dtype) if dtype.is_floating_point else torch.iinfo(dtype) if dtype is not torch.bool else None
    infinite = dtype.is_floating_point
    low = float("-inf") if infinite else limits.min if limits else False
    high = float("inf") if infinite else limits.max if limits else True
    return c.number({"sum": 0, "prod": 1, "amax": low, "amin": high}[reduce], dtype)


def _scattered_mean(c: Emitter, x: Tensor, axis: int, places: Value, updates: Value, include_self: bool) -> Value:
    ones = c.op("Expand", c.number(1, x.dtype), c.op("Shape", places))
    start = c.op("Expand", c.number(1 if include_self else 0, x.dtype), c.shape(x))
    counts = c.op("ScatterElements", start, places, ones, axis=axis, reduction="add")
    base = x.value
    if not include_self:
        zeros = c.op("Expand", c.number(0, x.dtype), c.op("Shape", places))
        base = c.op("ScatterElements", x, places, zeros, axis=axis)
    total = c.op("ScatterElements", base, places, updates, axis=axis, reduction="add")
    counts = c.op("Max", counts, c.number(1, x.dtype))
    if x.dtype.is_floating_point:
        return c.op("Div", total, counts)
    return c.op("Div", c.op("Sub", total, c.op("Mod", total, counts)), counts)


class Indexed:
    """The dimensions of a tensor that are indexed, moved to the front, and one vector of places for each element."""

    def __init__(self, c: Emitter, x: Tensor, indices: list[Any]) -> None:
        expanded = self._without_masks(c, indices)
        expanded += [None] * (x.rank - len(expanded))
        self.axes = [axis for axis, item in enumerate(expanded) if item is not None]
        self.rest = [axis for axis in range(x.rank) if axis not in self.axes]
        given = [item for item in expanded if item is not None]
        self.rank = max(item.rank for item in given)
        self.order = [*self.axes, *self.rest]
        together = self.axes == list(range(self.axes[0], self.axes[-1] + 1))
        self.position = len([axis for axis in self.rest if axis < self.axes[0]]) if together else 0
        self.single = given[0] if len(given) == 1 else None
        self.given = given

    @staticmethod
    def _without_masks(c: Emitter, indices: list[Any]) -> list[Any]:
        expanded: list[Any] = []
        for item in indices:
            if item is None or item.dtype not in (torch.bool, torch.uint8):
                expanded.append(None if item is None else Tensor(_index(c, item), torch.int64, item.shape))
                continue
            found = c.op("NonZero", c.cast(item, torch.bool))
            parts = [c.op("Gather", found, np.array(axis), axis=0) for axis in range(item.rank)]
            expanded += [Tensor(part, torch.int64, (None,)) for part in parts]
        return expanded

    def places(self, c: Emitter) -> Value:
        """Places of shape (indices..., number of indexed dimensions)."""
        shape: Value | None = None
        if len(self.given) > 1 and any(item.shape != self.given[0].shape or None in item.shape for item in self.given):
            total = self.given[0].value
            for item in self.given[1:]:
                total = c.op("Add", total, item)
            shape = c.op("Shape", total)
        values = [item.value if shape is None else c.op("Expand", item, shape) for item in self.given]
        parts = [c.unsqueeze(value, self.rank) for value in values]
        return parts[0] if len(parts) == 1 else c.op("Concat", *parts, axis=self.rank)

    def output_order(self) -> list[int]:
        """From (indices..., rest...) to where NumPy puts the dimensions of the indices."""
        indices = list(range(self.rank))
        rest = list(range(self.rank, self.rank + len(self.rest)))
        return [*rest[: self.position], *indices, *rest[self.position :]]


@aten("index.Tensor", "_unsafe_index.Tensor")
def index(c: Emitter, x: Tensor, indices: list[Any]) -> Value:
    if all(item is None for item in indices):
        return x.value
    how = Indexed(c, x, indices)
    if how.single is not None:
        return c.op("Gather", x, how.single, axis=how.axes[0])
    found = c.op("GatherND", c.transpose(x, how.order), how.places(c))
    return c.transpose(found, how.output_order())


@aten("index_put", "_unsafe_index_put", "_index_put_impl")
def index_put(c: Emitter, x: Tensor, indices: list[Any], values: Tensor, accumulate: bool = False, unsafe: bool = False) -> Value:
    chosen = [item for item in indices if item is not None]
    if not chosen:
        return c.op("Expand", c.cast(values, x.dtype), c.shape(x))
    if len(chosen) == 1 and chosen[0].dtype is torch.bool and _one_number(values) and not accumulate:
        return _written_where(c, x, indices, chosen[0], values)
    how = Indexed(c, x, indices)
    places = how.places(c)
    front = c.transpose(x, how.order)
    outer = c.op("Shape", places, start=0, end=how.rank)
    inner = [c.op("Shape", front, start=len(how.axes))] if how.rest else []
    shape = c.op("Concat", outer, *inner, axis=0) if inner else outer
    given = c.cast(values, x.dtype)
    if how.position:
        order = how.output_order()
        wanted = c.op("Gather", shape, np.array(order))
        given = c.transpose(c.op("Expand", given, wanted), [order.index(axis) for axis in range(len(order))])
    else:
        given = c.op("Expand", given, shape)
    written = c.op("ScatterND", front, places, given, reduction="add" if accumulate else "none")
    return c.transpose(written, [how.order.index(axis) for axis in range(x.rank)])


def _one_number(values: Tensor) -> bool:
    return all(is_static(extent) and extent == 1 for extent in values.shape)


def _written_where(c: Emitter, x: Tensor, indices: list[Any], mask: Tensor, values: Tensor) -> Value:
    start = next(place for place, item in enumerate(indices) if item is not None)
    after = x.rank - start - mask.rank
    shaped = c.unsqueeze(mask, *range(mask.rank, mask.rank + after)) if after else mask.value
    number = c.reshape(c.cast(values, x.dtype), []) if values.rank else c.cast(values, x.dtype)
    return c.op("Where", shaped, number, x)


@aten("masked_select")
def masked_select(c: Emitter, x: Tensor, mask: Tensor) -> Value:
    shape = c.op("Shape", c.op("Add", c.cast(mask, torch.int32), c.op("Expand", c.array(np.array(0, np.int32)), c.shape(x))))
    places = c.op("Expand", c.cast(mask, torch.bool), shape)
    return c.op("Compress", c.reshape(c.op("Expand", x, shape), [-1]), c.reshape(places, [-1]), axis=0)


@aten("masked_scatter")
def masked_scatter(c: Emitter, x: Tensor, mask: Tensor, source: Tensor) -> Value:
    """The elements of the source in turn where the mask is true. One element stands before them, since there may be none."""
    shape = c.op("Shape", c.op("Or", c.cast(mask, torch.bool), falsehood(c, x)))
    wide = c.op("Expand", c.cast(mask, torch.bool), shape)
    flat = c.reshape(c.convert(wide, torch.int64), [-1])
    before = c.op("Reshape", c.number(0, source.dtype), [1])
    taken = c.op("Gather", c.op("Concat", before, c.reshape(source, [-1]), axis=0), c.op("CumSum", flat, np.array(0)), axis=0)
    return c.op("Where", wide, c.op("Reshape", taken, shape, allowzero=1), x)


@aten("index_add", "index_copy", "index_reduce")
def index_add(
    c: Emitter, x: Tensor, dim: int, index: Tensor, source: Tensor, reduce: str | None = None, *, alpha: Any = 1,
    include_self: bool = True,
) -> Value:  # fmt: skip
    if x.rank == 0:
        one = Tensor(c.reshape(x, [1]), x.dtype, (1,))
        given = Tensor(c.reshape(source, [1]), source.dtype, (1,))
        return c.reshape(index_add(c, one, 0, index, given, reduce, alpha=alpha, include_self=include_self), [])
    axis = x.axis(dim)
    updates = c.cast(source, x.dtype)
    if alpha != 1:
        updates = c.op("Mul", updates, c.number(alpha, x.dtype))
    if c.operator.endswith("index_reduce"):
        shape = [-1 if other == axis else 1 for other in range(x.rank)]
        places = c.op("Expand", c.reshape(_index(c, index), shape), c.op("Shape", updates))
        named = Tensor(places, torch.int64, source.shape)
        return _scattered(c, x, axis, places, named, Tensor(updates, x.dtype, source.shape), reduce, include_self)
    order = [axis, *[other for other in range(x.rank) if other != axis]]
    back = [order.index(other) for other in range(x.rank)]
    reduction = "add" if c.operator.endswith("index_add") else "none"
    places = c.reshape(_index(c, index), [-1, 1])
    return c.transpose(c.op("ScatterND", c.transpose(x, order), places, c.transpose(updates, order), reduction=reduction), back)


@aten("put")
def put(c: Emitter, x: Tensor, index: Tensor, source: Tensor, accumulate: bool = False) -> Value:
    flat, places, given = (c.reshape(item, [-1]) for item in (x.value, _index(c, index), c.cast(source, x.dtype)))
    written = c.op("ScatterElements", flat, places, given, axis=0, reduction="add" if accumulate else "none")
    return c.op("Reshape", written, c.shape(x), allowzero=1)


@aten("one_hot")
def one_hot(c: Emitter, x: Tensor, classes: int = -1) -> Value:
    if classes < 0:
        depth = c.op("Add", c.op("ReduceMax", x, keepdims=0), np.array(1))
    else:
        depth = c.array(np.array(classes))
    return c.op("OneHot", x, depth, np.array([0, 1]), axis=-1)


@aten("take")
def take(c: Emitter, x: Tensor, index: Tensor) -> Value:
    return c.op("Gather", c.reshape(x, [-1]), _index(c, index))
