"""Shapes: the same elements in other places."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from onward.converters.jax.emitter import Array, Emitter
from onward.converters.jax.registry import complex_primitive, primitive
from onward.converters.jax.sizes import is_static
from onward.ir import Value

KEPT = 64
"""A count of at most so many numbers is a constant."""


def structural(*names: str) -> Any:
    """Registers a translation that holds for arrays of complex numbers too."""

    def register(function: Any) -> Any:
        return complex_primitive(*names)(primitive(*names)(function))

    return register


complex_primitive("copy", "stop_gradient", "device_put", "optimization_barrier", "sharding_constraint", "name", "reshard", "pvary")(
    lambda c, *arguments, **parameters: list(arguments)
)


@structural("broadcast_in_dim")
def broadcast_in_dim(c: Emitter, x: Array, *sizes: Any, shape: Sequence[Any], broadcast_dimensions: Sequence[int], **parameters: Any) -> Value:
    shape = c.result.shape
    added = [axis for axis in range(len(shape)) if axis not in broadcast_dimensions]
    value = _reduction_with_axes(c, x, added) or c.unsqueeze(x, *added)
    before = [x.shape[broadcast_dimensions.index(axis)] if axis in broadcast_dimensions else 1 for axis in range(len(shape))]
    if all(_equal(left, right) for left, right in zip(before, shape, strict=True)):
        return value
    return c.expand(value, [*shape, *x.tail])


def _reduction_with_axes(c: Emitter, x: Array, added: Sequence[int]) -> Value | None:
    """The reduction that `x` is, with the axes that it lost, where these are the ones to be added."""
    node = getattr(x.held, "producer", None)
    if node is None or not node.op_type.startswith("Reduce") or not added or node.graph is not c.graph or node.attribute("keepdims", 1):
        return None
    data, axes = node.inputs
    if axes is None or axes.tensor is None or axes.tensor.numpy().tolist() != list(added):
        return None
    return c.op(node.op_type, data, axes, keepdims=1)  # type: ignore[no-any-return]


def _equal(left: Any, right: Any) -> bool:
    return bool(left == right)


@structural("broadcast_to")
def broadcast_to(c: Emitter, x: Array, **parameters: Any) -> Value:
    return c.expand(x, [*c.result.shape, *x.tail])


@structural("reshape")
def reshape(c: Emitter, x: Array, *sizes: Any, dimensions: Any = None, **parameters: Any) -> Value:
    value = c.value(x)
    if dimensions is not None:
        value = c.transpose(value, [*dimensions, *range(x.rank, x.rank + len(x.tail))])
    return c.reshape(value, [*c.result.shape, *x.tail])


@structural("squeeze")
def squeeze(c: Emitter, x: Array, *, dimensions: Sequence[int]) -> Value:
    return c.squeeze(x, *(axis % x.rank for axis in dimensions))


@structural("expand_dims")
def expand_dims(c: Emitter, x: Array, *, dimensions: Sequence[int]) -> Value:
    return c.unsqueeze(x, *dimensions)


@structural("transpose")
def transpose(c: Emitter, x: Array, *, permutation: Sequence[int]) -> Value:
    return c.transpose(x, [*permutation, *range(x.rank, x.rank + len(x.tail))])


@structural("concatenate")
def concatenate(c: Emitter, *arrays: Array, dimension: int) -> Value:
    return c.op("Concat", *arrays, axis=dimension)


@structural("stack")
def stack(c: Emitter, *arrays: Array, **parameters: Any) -> Value:
    axis = parameters.get("axis", parameters.get("dimension", 0)) % c.result.rank
    return c.op("Concat", *(c.unsqueeze(item, axis) for item in arrays), axis=axis)


@structural("unstack")
def unstack(c: Emitter, x: Array, **parameters: Any) -> list[Value]:
    axis = parameters.get("axis", parameters.get("dimension", 0)) % x.rank
    return [c.op("Gather", x, np.array(place), axis=axis) for place in range(len(c.results))]


@structural("split")
def split(c: Emitter, x: Array, *, sizes: Sequence[int], axis: int) -> list[Value]:
    if len(sizes) == 1:
        return [c.op("Identity", x)]
    return list(c.op("Split", x, list(sizes), axis=axis, outputs=len(sizes)))


@structural("tile")
def tile(c: Emitter, x: Array, *, reps: Sequence[Any]) -> Value:
    return c.op("Tile", x, [*reps, *(1 for _ in x.tail)])


@structural("slice")
def slice_(c: Emitter, x: Array, *, start_indices: Sequence[Any], limit_indices: Sequence[Any], strides: Any) -> Value:
    steps = strides or (1,) * x.rank
    cut = [
        axis for axis in range(x.rank)
        if not (_equal(start_indices[axis], 0) and _equal(limit_indices[axis], x.shape[axis]) and steps[axis] == 1)
    ]  # fmt: skip
    if not cut:
        return c.op("Identity", x)
    pick = [[numbers[axis] for axis in cut] for numbers in (start_indices, limit_indices)]
    return c.op("Slice", x, *pick, cut, [steps[axis] for axis in cut])


@structural("rev")
def rev(c: Emitter, x: Array, *, dimensions: Sequence[int]) -> Value:
    if not dimensions:
        return c.op("Identity", x)
    count = len(dimensions)
    return c.op("Slice", x, [-1] * count, [np.iinfo(np.int64).min] * count, list(dimensions), [-1] * count)


@structural("pad")
def pad(c: Emitter, x: Array, padding: Array, *, padding_config: Sequence[tuple[int, int, int]]) -> Value:
    return padded(c, c.value(x), c.value(padding), padding_config, x.shape, x.tail)


def padded(c: Emitter, value: Any, filler: Any, configuration: Sequence[tuple[Any, Any, int]], shape: Sequence[Any], tail: Sequence[int] = ()) -> Value:
    """Elements put around and between others; negative amounts cut off. A filler of None is zero."""
    rank = len(shape)
    if filler is not None and tail:
        parts = [c.op("Gather", filler, np.array(place), axis=-1) for place in (0, 1)]
        halves = [c.op("Gather", value, np.array(place), axis=rank) for place in (0, 1)]
        made = [c.unsqueeze(padded(c, half, part, configuration, shape), rank) for half, part in zip(halves, parts, strict=True)]
        return c.op("Concat", *made, axis=rank)
    for axis, (_, _, interior) in enumerate(configuration):
        if interior:
            value = _spread(c, value, filler, axis, interior, rank)
    low = [max(0, item) if is_static(item) else item for item, _, _ in configuration]
    high = [max(0, item) if is_static(item) else item for _, item, _ in configuration]
    if not all(map(is_static, (*low, *high))):  # the axes are named, so that the others keep their sizes
        axes = [axis for axis, pair in enumerate(zip(low, high, strict=True)) if not all(map(is_static, pair)) or any(pair)]
        value = c.op("Pad", value, [*(low[axis] for axis in axes), *(high[axis] for axis in axes)], filler, np.array(axes))
    elif any((*low, *high)):
        value = c.op("Pad", value, [*low, *high], filler)
    for axis, (before, after, _) in enumerate(configuration):
        start, end = -min(0, before) if is_static(before) else 0, min(0, after) if is_static(after) else 0
        if start or end:
            value = c.slice(value, axis, start, end or np.iinfo(np.int64).max)
    return value


def _spread(c: Emitter, value: Value, filler: Any, axis: int, interior: int, rank: int) -> Value:
    """Puts `interior` elements between neighbours of one axis."""
    apart = c.unsqueeze(value, axis + 1)
    amounts = [0] * (2 * (rank + 1))
    amounts[rank + 1 + axis + 1] = interior
    apart = c.op("Pad", apart, amounts, filler)
    joined = _merged(c, apart, axis)
    return c.slice(joined, axis, 0, -interior)


def _merged(c: Emitter, value: Value, axis: int) -> Value:
    """Makes one axis of two neighbours."""
    front = c.op("Shape", value, start=0, end=axis)
    back = c.op("Shape", value, start=axis + 2)
    middle = c.op("ReduceProd", c.op("Shape", value, start=axis, end=axis + 2), np.array([0]), keepdims=1)
    return c.op("Reshape", value, c.op("Concat", front, middle, back, axis=0))


@primitive("iota")
def iota(c: Emitter, *sizes: Any, dtype: Any, shape: Sequence[Any], dimension: int, **parameters: Any) -> Value:
    shape = c.result.shape
    value = counted(c, shape[dimension], dtype)
    value = c.unsqueeze(value, *(axis for axis in range(len(shape)) if axis != dimension))
    if all(_equal(extent, 1) for axis, extent in enumerate(shape) if axis != dimension):
        return value
    return c.expand(value, list(shape))


def counted(c: Emitter, extent: Any, dtype: Any) -> Value:
    """0, 1, 2 ... up to an extent."""
    if is_static(extent) and extent <= KEPT:
        return c.array(np.arange(extent).astype(dtype))
    value = c.op("Range", np.array(0), c.size(extent), np.array(1))
    return c.convert(value, dtype)


@primitive("dim_as_value")
def dim_as_value(c: Emitter, *sizes: Any, dim: Any) -> Value:
    return c.convert(c.size(dim), c.result.dtype)


@primitive("dimension_size")
def dimension_size(c: Emitter, x: Array, *, dimension: int) -> Value:
    return c.convert(c.size(x.shape[dimension]), c.result.dtype)
