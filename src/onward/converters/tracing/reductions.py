"""NumPy's reductions as ONNX operators."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from onward.converters.tracing.array import FUNCTIONS, TEXT, Array, RowCount, as_array, assigned, implements, refusal
from onward.converters.tracing.ufuncs import isnan, number, where

INT64 = np.dtype(np.int64)
BOOL = np.dtype(bool)
NOTHING: Any = np._NoValue


def trace_of(items: Any) -> Any:
    """The trace of the first traced array among arguments."""
    for item in items:
        if isinstance(item, Array):
            return item.trace
        if isinstance(item, (list, tuple)):
            found = trace_of(item)
            if found is not None:
                return found
    return None


def together(items: Sequence[Any]) -> list[Array]:
    """Arrays of one data type, the one that NumPy finds."""
    trace = trace_of(items)
    arrays = [as_array(trace, item) for item in items]
    if any(array.dtype == TEXT for array in arrays):
        return [array.astype(TEXT, copy=False) for array in arrays]
    dtype = np.result_type(*(array.dtype for array in arrays))
    return [array.astype(dtype, copy=False) for array in arrays]


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
    return x if chosen is NOTHING or chosen is True or chosen is None else np.where(chosen, x, number(x, neutral))


def _kept(x: Array, dtype: Any) -> tuple[Array, np.dtype]:
    """The array as it is added and multiplied, and the data type of the result: whole numbers have 64 bits there."""
    wanted = np.sum(np.zeros(0, x.dtype)).dtype if dtype is None else np.dtype(dtype)
    return x.astype(INT64 if wanted.kind == "u" else wanted, copy=False), wanted


@implements(np.sum)
def sum_(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False, initial: Any = NOTHING, where: Any = NOTHING) -> Any:
    x, wanted = _kept(as_array(trace_of([a, where]), a), dtype)
    result = _reduced("ReduceSum", _masked(x, where, 0), axis, keepdims).astype(wanted, copy=False)
    result = result if initial is NOTHING else result + initial
    return result if out is None else assigned(out, result)


@implements(np.prod)
def prod(a: Array, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False, initial: Any = NOTHING, where: Any = NOTHING) -> Any:
    x, wanted = _kept(a, dtype)
    return _reduced("ReduceProd", _masked(x, where, 1), axis, keepdims).astype(wanted, copy=False)


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
            result = np.where(some, number(x, np.nan), result)
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
    x = as_array(trace_of([a, weights]), a)
    if weights is None:
        return mean(x, axis, keepdims=keepdims)
    w = as_array(x.trace, weights)
    if w.ndim != x.ndim:
        w = w.reshape(*(-1 if place == _axes(x, axis)[0] else 1 for place in range(x.ndim)))
    kept = np.broadcast_to(w, x.shape) if w._shape != x._shape else w
    return sum_(x * w, axis, keepdims=keepdims) / sum_(kept, axis, keepdims=keepdims)


@implements(np.cumsum)
def cumsum(a: Array, axis: Any = None, dtype: Any = None, out: Any = None) -> Any:
    x, wanted = _kept(a, dtype)
    x, axis = (x.reshape(-1), 0) if axis is None else (x, int(axis) % x.ndim)
    return x.trace.op("CumSum", x, np.array(axis), dtype=x.dtype, shape=x.shape).astype(wanted, copy=False)


@implements(np.median)
def median(a: Array, axis: Any = None, out: Any = None, overwrite_input: bool = False, keepdims: Any = False) -> Any:
    x, axis = (a.reshape(-1), 0) if axis is None else (a, int(axis) % a.ndim)
    ordered, count = np.sort(x, axis=axis), x.shape[axis]
    if isinstance(count, RowCount):
        raise refusal("the median of the rows is taken")
    low, high = (np.take(ordered, place, axis=axis) for place in ((count - 1) // 2, count // 2))
    result = low if count % 2 else (low + high) / 2
    return np.expand_dims(result, axis) if keepdims else result
