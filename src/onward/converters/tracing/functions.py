"""NumPy's functions on arrays as ONNX operators."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from onward.converters.tracing.array import FUNCTIONS, TEXT, Array, RowCount, as_array, assigned, implements, refusal
from onward.converters.tracing.indexing import broadcast_shape, read
from onward.converters.tracing.ufuncs import isnan, number, where

INT64 = np.dtype(np.int64)
BOOL = np.dtype(bool)
NOTHING = np._NoValue


def _trace_of(items: Any) -> Any:
    """The trace of the first traced array among arguments."""
    for item in items:
        if isinstance(item, Array):
            return item.trace
        if isinstance(item, (list, tuple)):
            found = _trace_of(item)
            if found is not None:
                return found
    return None


def _together(items: Sequence[Any]) -> list[Array]:
    """Arrays of one data type, the one that NumPy finds."""
    trace = _trace_of(items)
    arrays = [as_array(trace, item) for item in items]
    if any(array.dtype == TEXT for array in arrays):
        return [array.astype(TEXT, copy=False) for array in arrays]
    dtype = np.result_type(*(array.dtype for array in arrays))
    return [array.astype(dtype, copy=False) for array in arrays]


# -- reductions ------------------------------------------------------------------------------------------------


def _axes(x: Array, axis: Any) -> list[int]:
    if axis is None or axis is NOTHING:
        return list(range(x.ndim))
    axes = axis if isinstance(axis, (tuple, list)) else [axis]
    return [int(item) % x.ndim for item in axes]


def _reduced(name: str, x: Array, axis: Any, keepdims: Any, dtype: Any = None) -> Array:
    axes, keep = _axes(x, axis), bool(keepdims) and keepdims is not NOTHING
    if not axes:
        return x
    shape = tuple(1 if place in axes else extent for place, extent in enumerate(x.shape) if keep or place not in axes)
    return x.trace.op(name, x, x.trace.vector(axes), dtype=dtype or x.dtype, shape=shape, keepdims=int(keep))


def _masked(x: Array, chosen: Any, neutral: float) -> Array:
    return x if chosen is NOTHING or chosen is True or chosen is None else np.where(chosen, x, number(x, neutral))  # type: ignore[return-value]


@implements(np.sum)
def sum_(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False, initial: Any = NOTHING, where: Any = NOTHING) -> Any:
    x = as_array(_trace_of([a, where]), a)
    if dtype is not None:
        x = x.astype(dtype, copy=False)
    elif x.dtype.kind in "bi":
        x = x.astype(np.int64, copy=False)
    result = _reduced("ReduceSum", _masked(x, where, 0), axis, keepdims)
    result = result if initial is NOTHING else result + initial
    return result if out is None else assigned(out, result)


@implements(np.prod)
def prod(a: Array, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False, initial: Any = NOTHING, where: Any = NOTHING) -> Any:
    x = a.astype(np.int64, copy=False) if a.dtype.kind in "bi" else a
    return _reduced("ReduceProd", _masked(x, where, 1), axis, keepdims)


def _count(x: Array, axis: Any) -> Any:
    count: Any = 1
    for place in _axes(x, axis):
        extent = x.shape[place]
        count = extent * count if isinstance(extent, RowCount) else count * extent
    return count


@implements(np.mean)
def mean(a: Array, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False, *, where: Any = NOTHING) -> Any:
    x = a.astype(dtype or (a.dtype if a.dtype.kind == "f" else np.float64), copy=False)
    total = sum_(x, axis, keepdims=keepdims, where=where)
    count = _count(x, axis) if where is NOTHING else sum_(np.broadcast_to(where, x.shape), axis, keepdims=keepdims)
    return (total / count).astype(x.dtype, copy=False)


@implements(np.var)
def var(a: Array, axis: Any = None, dtype: Any = None, out: Any = None, ddof: float = 0, keepdims: Any = False, **_: Any) -> Any:
    x = a.astype(dtype or (a.dtype if a.dtype.kind == "f" else np.float64), copy=False)
    centred = x - mean(x, axis, keepdims=True)
    return (sum_(centred * centred, axis, keepdims=keepdims) / (_count(x, axis) - ddof)).astype(x.dtype, copy=False)


@implements(np.std)
def std(a: Array, axis: Any = None, dtype: Any = None, out: Any = None, ddof: float = 0, keepdims: Any = False, **_: Any) -> Any:
    return np.sqrt(var(a, axis, dtype, out, ddof, keepdims))


def _extreme(name: str, worst: float) -> Any:
    def extreme(a: Array, axis: Any = None, out: Any = None, keepdims: Any = False, initial: Any = NOTHING, where: Any = NOTHING) -> Any:
        x = _masked(a, where, worst)
        if x.dtype == BOOL:
            return _reduced(name, x.astype(np.int32), axis, keepdims).astype(bool)
        result = _reduced(name, x, axis, keepdims)
        if x.dtype.kind == "f":
            some = _reduced("ReduceMax", isnan(x).astype(np.int32), axis, keepdims).astype(bool)
            result = np.where(some, number(x, np.nan), result)  # type: ignore[assignment]
        return result

    return extreme


FUNCTIONS[np.max] = FUNCTIONS[np.amax] = _extreme("ReduceMax", -np.inf)
FUNCTIONS[np.min] = FUNCTIONS[np.amin] = _extreme("ReduceMin", np.inf)


@implements(np.any)
def any_(a: Array, axis: Any = None, out: Any = None, keepdims: Any = False, **_: Any) -> Any:
    return _reduced("ReduceMax", a.astype(bool, copy=False).astype(np.int32), axis, keepdims).astype(bool)


@implements(np.all)
def all_(a: Array, axis: Any = None, out: Any = None, keepdims: Any = False, **_: Any) -> Any:
    return _reduced("ReduceMin", a.astype(bool, copy=False).astype(np.int32), axis, keepdims).astype(bool)


@implements(np.count_nonzero)
def count_nonzero(a: Array, axis: Any = None, *, keepdims: Any = False) -> Any:
    return sum_(a != 0, axis, keepdims=keepdims)


def _place(name: str) -> Any:
    def place(a: Array, axis: Any = None, out: Any = None, *, keepdims: Any = False) -> Any:
        x = a.astype(np.int32) if a.dtype == BOOL else a
        x, axis = (x.reshape(-1), 0) if axis is None else (x, int(axis) % x.ndim)
        keep = bool(keepdims) and keepdims is not NOTHING
        shape = tuple(1 if number == axis else extent for number, extent in enumerate(x.shape) if keep or number != axis)
        return x.trace.op(name, x, dtype=INT64, shape=shape, axis=axis, keepdims=int(keep))

    return place


FUNCTIONS[np.argmax], FUNCTIONS[np.argmin] = _place("ArgMax"), _place("ArgMin")


@implements(np.nansum)
def nansum(a: Array, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False, **_: Any) -> Any:
    return sum_(where(isnan(a), number(a, 0), a), axis, keepdims=keepdims)


@implements(np.nanmean)
def nanmean(a: Array, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False, **_: Any) -> Any:
    return (nansum(a, axis, keepdims=keepdims) / sum_(~isnan(a), axis, keepdims=keepdims)).astype(a.dtype, copy=False)


@implements(np.nanmax)
def nanmax(a: Array, axis: Any = None, **_: Any) -> Any:
    return _reduced("ReduceMax", where(isnan(a), number(a, -np.inf), a), axis, False)


@implements(np.nanmin)
def nanmin(a: Array, axis: Any = None, **_: Any) -> Any:
    return _reduced("ReduceMin", where(isnan(a), number(a, np.inf), a), axis, False)


@implements(np.ptp)
def ptp(a: Array, axis: Any = None, **_: Any) -> Any:
    return np.max(a, axis=axis) - np.min(a, axis=axis)


@implements(np.average)
def average(a: Any, axis: Any = None, weights: Any = None, returned: bool = False, *, keepdims: Any = False) -> Any:
    x = as_array(_trace_of([a, weights]), a)
    if weights is None:
        return mean(x, axis, keepdims=keepdims)
    w = as_array(x.trace, weights)
    if w.ndim != x.ndim:
        w = w.reshape(*(-1 if place == _axes(x, axis)[0] else 1 for place in range(x.ndim)))
    kept = np.broadcast_to(w, x.shape) if w._shape != x._shape else w
    return sum_(x * w, axis, keepdims=keepdims) / sum_(kept, axis, keepdims=keepdims)


@implements(np.cumsum)
def cumsum(a: Array, axis: Any = None, dtype: Any = None, out: Any = None) -> Any:
    x = a.astype(np.int64) if a.dtype.kind in "b" else a
    x, axis = (x.reshape(-1), 0) if axis is None else (x, int(axis) % x.ndim)
    return x.trace.op("CumSum", x, np.array(axis), dtype=x.dtype, shape=x.shape)


@implements(np.median)
def median(a: Array, axis: Any = None, out: Any = None, overwrite_input: bool = False, keepdims: Any = False) -> Any:
    x, axis = (a.reshape(-1), 0) if axis is None else (a, int(axis) % a.ndim)
    ordered, count = np.sort(x, axis=axis), x.shape[axis]
    if isinstance(count, RowCount):
        raise refusal("the median of the rows is taken")
    low, high = (np.take(ordered, place, axis=axis) for place in ((count - 1) // 2, count // 2))
    result = low if count % 2 else (low + high) / 2
    return np.expand_dims(result, axis) if keepdims else result


# -- shapes ----------------------------------------------------------------------------------------------------


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
    trace = _trace_of([array]) or _row_count(shape).array.trace
    x = as_array(trace, array)
    if x._shape == shape:
        return x
    return Array(x.trace, x.trace.b.op("Expand", x.value, x.trace.sizes(shape)), x.dtype, shape)


def _row_count(shape: Sequence[Any]) -> RowCount:
    return next(extent for extent in shape if isinstance(extent, RowCount))


@implements(np.broadcast_arrays)
def broadcast_arrays(*arrays: Any, subok: bool = False) -> Any:
    trace = _trace_of(arrays)
    shape = broadcast_shape(*(as_array(trace, item).shape for item in arrays))
    return [broadcast_to(as_array(trace, item), shape) for item in arrays]


@implements(np.tile)
def tile(a: Any, reps: Any) -> Any:
    repeats = list(reps) if isinstance(reps, (tuple, list)) else [reps]
    trace = _trace_of([a]) or _row_count(repeats).array.trace
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
    parts = _together(list(arrays))
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
    parts = broadcast_arrays(*_together(list(arrays)))
    axis = axis % (parts[0].ndim + 1)
    return concatenate([expand_dims(part, axis) for part in parts], axis)


@implements(np.hstack)
def hstack(tup: Any, **_: Any) -> Any:
    parts = [atleast_1d(part) for part in _together(list(tup))]
    return concatenate(parts, 0 if parts[0].ndim == 1 else 1)


@implements(np.vstack)
def vstack(tup: Any, **_: Any) -> Any:
    parts = _together(list(tup))
    if all(part.ndim == 1 for part in parts):
        return stack(parts, 0)
    return concatenate([atleast_2d(part) for part in parts], 0)


@implements(np.column_stack)
def column_stack(tup: Any) -> Any:
    return concatenate([part if part.ndim > 1 else expand_dims(part, 1) for part in _together(list(tup))], 1)


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


# -- choosing --------------------------------------------------------------------------------------------------


@implements(np.where)
def where_(condition: Any, x: Any = None, y: Any = None) -> Any:
    if x is None:
        return nonzero(condition)
    trace = _trace_of([condition, x, y])
    test = as_array(trace, condition).astype(bool, copy=False)
    given = [type(item) if type(item) in (int, float) else as_array(trace, item).dtype for item in (x, y)]
    text = any(kind == TEXT for kind in given)
    dtype = TEXT if text else np.add.resolve_dtypes((*given, None))[-1] if BOOL not in given else np.result_type(*(as_array(trace, item).dtype for item in (x, y)))  # type: ignore[arg-type]
    left, right = (as_array(trace, item).astype(dtype, copy=False) for item in (x, y))
    return where(test, left, right)


@implements(np.nonzero)
def nonzero(a: Array) -> Any:
    raise refusal("places are found by their values")


@implements(np.clip)
def clip(a: Any, a_min: Any = NOTHING, a_max: Any = NOTHING, out: Any = None, *, min: Any = NOTHING, max: Any = NOTHING, **_: Any) -> Any:
    low, high = (a_min if min is NOTHING else min), (a_max if max is NOTHING else max)
    result = as_array(_trace_of([a, low, high]), a)
    if low is not None and low is not NOTHING:
        result = np.maximum(result, low)
    if high is not None and high is not NOTHING:
        result = np.minimum(result, high)
    return result if out is None else assigned(out, result)


@implements(np.take)
def take(a: Any, indices: Any, axis: Any = None, out: Any = None, mode: str = "raise") -> Any:
    x = as_array(_trace_of([a, indices]), a)
    if axis is None:
        x, axis = x.reshape(-1), 0
    return read(x, (*(slice(None),) * (int(axis) % x.ndim), indices if isinstance(indices, Array) else np.asarray(indices)))


@implements(np.take_along_axis)
def take_along_axis(arr: Array, indices: Any, axis: Any = -1) -> Any:
    index = as_array(arr.trace, indices)
    return arr.trace.op("GatherElements", arr, index.astype(np.int64), dtype=arr.dtype, shape=index.shape, axis=int(axis) % arr.ndim)


@implements(np.select)
def select(condlist: Any, choicelist: Any, default: Any = 0) -> Any:
    result = default
    for condition, choice in zip(reversed(list(condlist)), reversed(list(choicelist))):
        result = np.where(condition, choice, result)
    return result


@implements(np.piecewise)
def piecewise(x: Array, condlist: Any, funclist: Any, *arguments: Any, **options: Any) -> Any:
    pieces = [item(x, *arguments, **options) if callable(item) else item for item in funclist]
    conditions = list(condlist)
    rest = pieces.pop() if len(pieces) > len(conditions) else 0
    return as_array(x.trace, select(conditions, pieces, rest)).astype(x.dtype, copy=False)


@implements(np.choose)
def choose(a: Array, choices: Any, **_: Any) -> Any:
    return select([a == place for place in range(len(choices) - 1)], choices[:-1], choices[-1])


@implements(np.copyto)
def copyto(dst: Any, src: Any, casting: str = "same_kind", where: Any = True) -> None:
    assigned(dst, np.where(where, src, dst))


@implements(np.putmask)
def putmask(a: Any, mask: Any, values: Any) -> None:
    assigned(a, np.where(mask, values, a))


@implements(np.isin)
def isin(element: Array, test_elements: Any, assume_unique: bool = False, invert: bool = False, **_: Any) -> Any:
    known = np.asarray(list(test_elements) if isinstance(test_elements, (set, frozenset)) else test_elements).reshape(-1)
    found = any_(expand_dims(element, -1) == known, -1) if known.size else element != element
    return ~found if invert else found


FUNCTIONS[np.isclose] = lambda a, b, rtol=1e-5, atol=1e-8, equal_nan=False: np.abs(a - b) <= atol + rtol * np.abs(b)


@implements(np.nan_to_num)
def nan_to_num(x: Array, copy: bool = True, nan: Any = 0.0, posinf: Any = None, neginf: Any = None) -> Any:
    limits = np.finfo(x.dtype)
    high, low = (limits.max if posinf is None else posinf), (limits.min if neginf is None else neginf)
    result = np.where(isnan(x), nan, np.where(x == np.inf, high, np.where(x == -np.inf, low, x)))
    return result if copy else assigned(x, result)  # type: ignore[arg-type]


# -- order -----------------------------------------------------------------------------------------------------


@implements(np.sort)
def sort(a: Array, axis: Any = -1, kind: Any = None, order: Any = None, **_: Any) -> Any:
    return _topk(a, axis)[0]


@implements(np.argsort)
def argsort(a: Array, axis: Any = -1, kind: Any = None, order: Any = None, **_: Any) -> Any:
    return _topk(a, axis)[1]


FUNCTIONS[np.partition] = lambda a, kth, axis=-1, **_: _topk(a, axis)[0]
FUNCTIONS[np.argpartition] = lambda a, kth, axis=-1, **_: _topk(a, axis)[1]


def smallest(a: Array, count: int) -> tuple[Array, Array]:
    """The `count` smallest along the last axis, ascending, and their places; equal ones in their order."""
    shape = (*a.shape[:-1], count)
    values, places = a.trace.b.op("TopK", a.value, a.trace.vector([count]), outputs=2, axis=a.ndim - 1, largest=0)
    return Array(a.trace, values, a.dtype, shape), Array(a.trace, places, INT64, shape)


def _topk(a: Array, axis: Any) -> tuple[Array, Array]:
    x, axis = (a.reshape(-1), 0) if axis is None else (a, int(axis) % a.ndim)
    trace = x.trace
    count = trace.sizes([x.shape[axis]])
    values, places = trace.b.op("TopK", x.value, count, outputs=2, axis=axis, largest=0)
    return Array(trace, values, x.dtype, x.shape), Array(trace, places, INT64, x.shape)


@implements(np.searchsorted)
def searchsorted(a: Any, v: Any, side: str = "left", sorter: Any = None) -> Any:
    """How many of the sorted elements lie before each value; NaN lies behind all."""
    if isinstance(a, Array):
        raise refusal("traced data are searched")
    known = np.asarray(a)[sorter] if sorter is not None else np.asarray(a)
    wide = expand_dims(v, -1)
    before = (known < wide) if side == "left" else (known <= wide)
    return sum_(before | isnan(wide), -1) if v.dtype.kind == "f" else sum_(before, -1)


@implements(np.digitize)
def digitize(x: Array, bins: Any, right: bool = False) -> Any:
    bins = np.asarray(bins)
    if bins.size > 1 and bins[0] > bins[-1]:
        return bins.size - searchsorted(bins[::-1], x, "right" if right else "left")
    return searchsorted(bins, x, "left" if right else "right")


@implements(np.interp)
def interp(x: Array, xp: Any, fp: Any, left: Any = None, right: Any = None, period: Any = None) -> Any:
    """Piecewise linear, as NumPy computes it: slope * (x - xp[i]) + fp[i]."""
    xs, ys = np.asarray(xp, np.float64), np.asarray(fp, np.float64)
    x = x.astype(np.float64, copy=False)
    with np.errstate(all="ignore"):
        slopes = np.append(np.diff(ys) / np.diff(xs), 0.0)
    place = np.clip(searchsorted(xs, x, "right") - 1, 0, xs.size - 1)
    start, height, slope = (read(as_array(x.trace, item), place) for item in (xs, ys, slopes))
    inside = slope * (x - start) + height
    inside = np.where(x == start, height, inside)
    result = np.where(x > xs[-1], ys[-1] if right is None else right, np.where(x < xs[0], ys[0] if left is None else left, inside))
    return np.where(isnan(x), x, result)


# -- linear algebra --------------------------------------------------------------------------------------------


@implements(np.dot)
def dot(a: Any, b: Any, out: Any = None) -> Any:
    trace = _trace_of([a, b])
    left, right = as_array(trace, a), as_array(trace, b)
    result = left * right if not left.ndim or not right.ndim else left @ right
    return result if out is None else assigned(out, result)


@implements(np.outer)
def outer(a: Any, b: Any, out: Any = None) -> Any:
    trace = _trace_of([a, b])
    return as_array(trace, a).reshape(-1, 1) * as_array(trace, b).reshape(1, -1)


@implements(np.inner)
def inner(a: Any, b: Any) -> Any:
    trace = _trace_of([a, b])
    return as_array(trace, a) @ transpose(as_array(trace, b))


@implements(np.einsum)
def einsum(subscripts: str, *operands: Any, optimize: Any = False, **_: Any) -> Any:
    arrays = _together(list(operands))
    equation = subscripts.replace(" ", "")
    terms, _, result = equation.partition("->")
    if not _ or "." in equation:
        raise refusal(f"numpy.einsum('{subscripts}')")
    extents: dict[str, Any] = {}
    for term, array in zip(terms.split(","), arrays):
        extents |= dict(zip(term, array.shape))
    return arrays[0].trace.op("Einsum", *arrays, dtype=arrays[0].dtype, shape=[extents[letter] for letter in result], equation=equation)


@implements(np.tensordot)
def tensordot(a: Any, b: Any, axes: Any = 2) -> Any:
    trace = _trace_of([a, b])
    left, right = as_array(trace, a), as_array(trace, b)
    if isinstance(axes, int):
        axes = (list(range(left.ndim - axes, left.ndim)), list(range(axes)))
    ours, theirs = ([item] if isinstance(item, int) else list(item) for item in axes)
    ours, theirs = [item % left.ndim for item in ours], [item % right.ndim for item in theirs]
    letters = "abcdefghijklmnopqrstuvwxyz"
    first = list(letters[: left.ndim])
    second = list(letters[left.ndim : left.ndim + right.ndim])
    for mine, other in zip(ours, theirs):
        second[other] = first[mine]
    result = [item for place, item in enumerate(first) if place not in ours] + [item for place, item in enumerate(second) if place not in theirs]
    return einsum(f"{''.join(first)},{''.join(second)}->{''.join(result)}", left, right)


@implements(np.linalg.norm)
def norm(x: Array, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    if ord in (None, 2, "fro"):
        return np.sqrt(sum_(x * x, axis, keepdims=keepdims))
    if ord == 1:
        return sum_(np.abs(x), axis, keepdims=keepdims)
    if ord == np.inf:
        return np.max(np.abs(x), axis=axis, keepdims=keepdims)
    raise refusal(f"numpy.linalg.norm of order {ord}")


@implements(np.tril)
def tril(m: Array, k: int = 0) -> Any:
    return where(as_array(m.trace, np.tri(*m.shape[-2:], k=k, dtype=bool)), m, number(m, 0))


@implements(np.triu)
def triu(m: Array, k: int = 0) -> Any:
    return where(as_array(m.trace, ~np.tri(*m.shape[-2:], k=k - 1, dtype=bool)), m, number(m, 0))


# -- making and asking -----------------------------------------------------------------------------------------


@implements(np.full_like)
def full_like(a: Any, fill_value: Any, dtype: Any = None, order: str = "K", subok: bool = True, shape: Any = None, **_: Any) -> Any:
    trace = _trace_of([a, fill_value])
    kind = np.dtype(dtype) if dtype is not None else a.dtype
    return broadcast_to(as_array(trace, fill_value).astype(kind, copy=False), a.shape if shape is None else shape)


FUNCTIONS[np.zeros_like] = lambda a, *arguments, **options: full_like(a, 0, *arguments, **options)
FUNCTIONS[np.ones_like] = lambda a, *arguments, **options: full_like(a, 1, *arguments, **options)
FUNCTIONS[np.empty_like] = FUNCTIONS[np.zeros_like]
FUNCTIONS[np.copy] = lambda a, *_, **__: a.copy()
FUNCTIONS[np.shape] = lambda a: a.shape
FUNCTIONS[np.ndim] = lambda a: a.ndim
FUNCTIONS[np.size] = lambda a, axis=None: a.size if axis is None else a.shape[axis]
FUNCTIONS[np.may_share_memory] = FUNCTIONS[np.shares_memory] = lambda *_, **__: False
FUNCTIONS[np.iscomplexobj] = lambda x: False
FUNCTIONS[np.isrealobj] = lambda x: True
FUNCTIONS[np.real] = lambda x: x
FUNCTIONS[np.astype] = lambda x, dtype, **_: x.astype(dtype)
FUNCTIONS[np.matrix_transpose] = lambda x: swapaxes(x, -1, -2)


@implements(np.result_type)
def result_type(*items: Any) -> Any:
    return np.result_type(*(item.dtype if isinstance(item, Array) else item for item in items))


@implements(np.can_cast)
def can_cast(from_: Any, to: Any, casting: str = "safe") -> bool:
    return np.can_cast(from_.dtype if isinstance(from_, Array) else from_, to.dtype if isinstance(to, Array) else to, casting)  # type: ignore[arg-type]


@implements(np.round)
def round_(a: Array, decimals: int = 0, out: Any = None) -> Any:
    return np.rint(a) if decimals == 0 else np.rint(a * 10.0**decimals) / 10.0**decimals


FUNCTIONS[np.around] = round_
