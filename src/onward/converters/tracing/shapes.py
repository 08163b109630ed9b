"""NumPy's functions on shapes as ONNX operators."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from onward.converters.tracing.array import FUNCTIONS, Array, RowCount, as_array, implements, refusal
from onward.converters.tracing.indexing import broadcast_shape, read
from onward.converters.tracing.reductions import NOTHING, sum_, together, trace_of
from onward.converters.tracing.ufuncs import number, where


@implements(np.reshape)
def reshape(a: Array, shape: Any, order: str = "C", **_: Any) -> Any:
    wanted = list(shape) if isinstance(shape, (tuple, list)) else [shape]
    if order == "F":
        return np.transpose(reshape(np.transpose(a), wanted[::-1]))
    known = [extent for extent in a.shape if not isinstance(extent, RowCount)]
    open_sizes = len(known) < a.ndim
    sizes = list(wanted)
    if -1 in [item for item in wanted if isinstance(item, (int, np.integer))]:
        place = next(number for number, item in enumerate(wanted) if isinstance(item, (int, np.integer)) and item == -1)
        others = [item for item in wanted if isinstance(item, (int, np.integer)) and item != -1]
        rest = math.prod(others)
        if not open_sizes or any(isinstance(item, (RowCount, Array)) for item in wanted):
            sizes[place] = math.prod(known) // rest if rest else 0
        else:
            sizes[place] = next(extent for extent in a.shape if isinstance(extent, RowCount))
    made = a.trace.b.op("Reshape", a.value, _reshape_sizes(a, wanted))
    return Array(a.trace, made, a.dtype, tuple(item if isinstance(item, (RowCount, Array)) else int(item) for item in sizes))


def _reshape_sizes(a: Array, wanted: list[Any]) -> Any:
    if any(isinstance(item, (int, np.integer)) and item == -1 for item in wanted):
        return a.trace.sizes(wanted)
    lone = [place for place, item in enumerate(wanted) if isinstance(item, (RowCount, Array))]
    return a.trace.sizes([-1 if len(lone) == 1 and place == lone[0] else item for place, item in enumerate(wanted)])


@implements(np.ravel)
def ravel(a: Array, order: str = "C") -> Any:
    return reshape(a, [-1], order)


@implements(np.transpose)
def transpose(a: Array, axes: Any = None) -> Any:
    order = [int(axis) % a.ndim for axis in axes] if axes is not None else list(range(a.ndim))[::-1]
    if order == list(range(a.ndim)):
        return a
    return a.trace.op("Transpose", a, dtype=a.dtype, shape=[a.shape[axis] for axis in order], perm=order)


@implements(np.swapaxes)
def swapaxes(a: Array, first: int, second: int) -> Any:
    order = list(range(a.ndim))
    order[first], order[second] = order[second], order[first]
    return transpose(a, order)


@implements(np.moveaxis)
def moveaxis(a: Array, source: Any, destination: Any) -> Any:
    source, destination = (([item] if isinstance(item, int) else list(item)) for item in (source, destination))
    source, destination = [item % a.ndim for item in source], [item % a.ndim for item in destination]
    order = [axis for axis in range(a.ndim) if axis not in source]
    for place, axis in sorted(zip(destination, source)):
        order.insert(place, axis)
    return transpose(a, order)


@implements(np.expand_dims)
def expand_dims(a: Array, axis: Any) -> Any:
    axes = [axis] if isinstance(axis, (int, np.integer)) else list(axis)
    rank = a.ndim + len(axes)
    axes = sorted(int(item) % rank for item in axes)
    shape: list[Any] = list(a.shape)
    for place in axes:
        shape.insert(place, 1)
    return a.trace.op("Unsqueeze", a, a.trace.vector(axes), dtype=a.dtype, shape=shape)


@implements(np.squeeze)
def squeeze(a: Array, axis: Any = None) -> Any:
    if axis is None:
        axis = [place for place, extent in enumerate(a.shape) if not isinstance(extent, RowCount) and extent == 1]
    axes = [int(item) % a.ndim for item in (axis if isinstance(axis, (list, tuple)) else [axis])]
    if not axes:
        return a
    shape = [extent for place, extent in enumerate(a.shape) if place not in axes]
    return a.trace.op("Squeeze", a, a.trace.vector(axes), dtype=a.dtype, shape=shape)


@implements(np.atleast_1d)
def atleast_1d(*arrays: Array) -> Any:
    made = [array if array.ndim else reshape(array, [1]) for array in arrays]
    return made[0] if len(made) == 1 else made


@implements(np.atleast_2d)
def atleast_2d(*arrays: Array) -> Any:
    made = [array if array.ndim > 1 else expand_dims(atleast_1d(array), 0) for array in arrays]
    return made[0] if len(made) == 1 else made


@implements(np.broadcast_to)
def broadcast_to(array: Any, shape: Any, subok: bool = False) -> Any:
    shape = tuple(shape) if isinstance(shape, (tuple, list)) else (shape,)
    trace = trace_of([array]) or _row_count(shape).array.trace
    x = as_array(trace, array)
    if x._shape == shape:
        return x
    return Array(x.trace, x.trace.b.op("Expand", x.value, x.trace.sizes(shape)), x.dtype, shape)


def _row_count(shape: Sequence[Any]) -> RowCount:
    return next(extent for extent in shape if isinstance(extent, RowCount))


@implements(np.broadcast_arrays)
def broadcast_arrays(*arrays: Any, subok: bool = False) -> Any:
    trace = trace_of(arrays)
    shape = broadcast_shape(*(as_array(trace, item).shape for item in arrays))
    return [broadcast_to(as_array(trace, item), shape) for item in arrays]


@implements(np.tile)
def tile(a: Any, reps: Any) -> Any:
    repeats = list(reps) if isinstance(reps, (tuple, list)) else [reps]
    trace = trace_of([a]) or _row_count(repeats).array.trace
    x = as_array(trace, a)
    x = reshape(x, [1] * (len(repeats) - x.ndim) + list(x.shape)) if len(repeats) > x.ndim else x
    repeats = [1] * (x.ndim - len(repeats)) + repeats
    shape = [count if extent == 1 else extent * count for extent, count in zip(x.shape, repeats)]
    return Array(trace, trace.b.op("Tile", x.value, trace.sizes(repeats)), x.dtype, tuple(shape))


@implements(np.repeat)
def repeat(a: Array, repeats: int, axis: Any = None) -> Any:
    x, axis = (a.reshape(-1), 0) if axis is None else (a, int(axis) % a.ndim)
    wide = np.broadcast_to(expand_dims(x, axis + 1), (*x.shape[: axis + 1], repeats, *x.shape[axis + 1 :]))
    extent = x.shape[axis]
    return reshape(wide, [*x.shape[:axis], -1 if isinstance(extent, RowCount) else extent * repeats, *x.shape[axis + 1 :]])


@implements(np.concatenate)
def concatenate(arrays: Any, axis: Any = 0, out: Any = None, **_: Any) -> Any:
    parts = together(list(arrays))
    if axis is None:
        parts, axis = [part.reshape(-1) for part in parts], 0
    axis = int(axis) % parts[0].ndim
    extents = [part.shape[axis] for part in parts]
    if any(isinstance(extent, RowCount) for extent in extents) and len(parts) > 1:
        raise refusal("rows are joined to rows")
    shape = [*parts[0].shape]
    for other in range(parts[0].ndim):
        shape[other] = next((part.shape[other] for part in parts if isinstance(part.shape[other], RowCount)), shape[other])
    shape[axis] = extents[0] if len(parts) == 1 else sum(extents)
    if len(parts) == 1:
        return parts[0]
    return parts[0].trace.op("Concat", *parts, dtype=parts[0].dtype, shape=shape, axis=axis)


@implements(np.stack)
def stack(arrays: Any, axis: int = 0, out: Any = None, **_: Any) -> Any:
    parts = broadcast_arrays(*together(list(arrays)))
    axis = axis % (parts[0].ndim + 1)
    return concatenate([expand_dims(part, axis) for part in parts], axis)


@implements(np.hstack)
def hstack(tup: Any, **_: Any) -> Any:
    parts = [atleast_1d(part) for part in together(list(tup))]
    return concatenate(parts, 0 if parts[0].ndim == 1 else 1)


@implements(np.vstack)
def vstack(tup: Any, **_: Any) -> Any:
    parts = together(list(tup))
    if all(part.ndim == 1 for part in parts):
        return stack(parts, 0)
    return concatenate([atleast_2d(part) for part in parts], 0)


@implements(np.column_stack)
def column_stack(tup: Any) -> Any:
    return concatenate([part if part.ndim > 1 else expand_dims(part, 1) for part in together(list(tup))], 1)


@implements(np.append)
def append(arr: Any, values: Any, axis: Any = None) -> Any:
    return concatenate([arr, values], axis)


@implements(np.split)
def split(a: Array, sections: Any, axis: int = 0) -> Any:
    extent = a.shape[axis]
    if isinstance(extent, RowCount):
        raise refusal("rows are parted")
    bounds = [extent // sections * place for place in range(1, sections)] if isinstance(sections, int) else list(sections)
    edges = [0, *bounds, extent]
    return [read(a, (slice(None),) * (axis % a.ndim) + (slice(low, high),)) for low, high in zip(edges, edges[1:])]


FUNCTIONS[np.array_split] = FUNCTIONS[np.split]
FUNCTIONS[np.hsplit] = lambda a, sections: split(a, sections, 1)


@implements(np.flip)
def flip(a: Array, axis: Any = None) -> Any:
    axes = range(a.ndim) if axis is None else [axis % a.ndim]
    return read(a, tuple(slice(None, None, -1) if place in axes else slice(None) for place in range(a.ndim)))


FUNCTIONS[np.fliplr] = lambda a: flip(a, 1)


@implements(np.roll)
def roll(a: Array, shift: int, axis: Any = None) -> Any:
    count = a.shape[axis]
    return np.take(a, (np.arange(count) - shift) % count, axis=axis)


@implements(np.diff)
def diff(a: Array, n: int = 1, axis: int = -1, prepend: Any = NOTHING, append: Any = NOTHING) -> Any:
    given = [item for item in (prepend, a, append) if item is not NOTHING]
    x = concatenate(given, axis) if len(given) > 1 else a
    before = (slice(None),) * (axis % x.ndim)
    for _ in range(n):
        x = read(x, (*before, slice(1, None))) - read(x, (*before, slice(None, -1)))
    return x


@implements(np.diagonal)
def diagonal(a: Array, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    count = a.shape[-1]
    return sum_(where(as_array(a.trace, np.eye(count, k=offset, dtype=bool)), a, number(a, 0)), -1)


@implements(np.pad)
def pad(array: Array, pad_width: Any, mode: str = "constant", constant_values: Any = 0, **_: Any) -> Any:
    if mode not in ("constant", "edge", "reflect", "wrap"):
        raise refusal(f"numpy.pad with mode {mode}")
    widths = np.broadcast_to(np.asarray(pad_width), (array.ndim, 2)).tolist()
    pads = [low for low, _ in widths] + [high for _, high in widths]
    shape = [extent if not low + high else extent + low + high for extent, (low, high) in zip(array.shape, widths)]
    fill = number(array, constant_values) if mode == "constant" else None
    return array.trace.op("Pad", array, array.trace.vector(pads), fill, dtype=array.dtype, shape=shape, mode=mode)
