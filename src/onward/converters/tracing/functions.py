"""NumPy's functions that choose, order, multiply and make arrays as ONNX operators."""

from __future__ import annotations

from typing import Any

import numpy as np

from onward.converters.tracing.array import FUNCTIONS, TEXT, Array, as_array, assigned, implements, refusal
from onward.converters.tracing.indexing import read
from onward.converters.tracing.reductions import BOOL, INT64, NOTHING, any_, sum_, together, trace_of
from onward.converters.tracing.shapes import broadcast_to, expand_dims, swapaxes, transpose
from onward.converters.tracing.ufuncs import isnan, number, where

# -- choosing --------------------------------------------------------------------------------------------------


@implements(np.where)
def where_(condition: Any, x: Any = None, y: Any = None) -> Any:
    if x is None:
        return nonzero(condition)
    trace = trace_of([condition, x, y])
    test = as_array(trace, condition).astype(bool, copy=False)
    given = [type(item) if type(item) in (int, float) else as_array(trace, item).dtype for item in (x, y)]
    text = any(kind == TEXT for kind in given)
    dtype = (
        TEXT if text else np.add.resolve_dtypes((*given, None))[-1] if BOOL not in given else np.result_type(*(as_array(trace, item).dtype for item in (x, y)))
    )
    left, right = (as_array(trace, item).astype(dtype, copy=False) for item in (x, y))
    return where(test, left, right)


@implements(np.nonzero)
def nonzero(a: Array) -> Any:
    raise refusal("places are found by their values")


@implements(np.clip)
def clip(a: Any, a_min: Any = NOTHING, a_max: Any = NOTHING, out: Any = None, *, min: Any = NOTHING, max: Any = NOTHING, **_: Any) -> Any:
    low, high = (a_min if min is NOTHING else min), (a_max if max is NOTHING else max)
    result = as_array(trace_of([a, low, high]), a)
    if low is not None and low is not NOTHING:
        result = np.maximum(result, low)
    if high is not None and high is not NOTHING:
        result = np.minimum(result, high)
    return result if out is None else assigned(out, result)


@implements(np.take)
def take(a: Any, indices: Any, axis: Any = None, out: Any = None, mode: str = "raise") -> Any:
    x = as_array(trace_of([a, indices]), a)
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
    return result if copy else assigned(x, result)


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
    trace = trace_of([a, b])
    left, right = as_array(trace, a), as_array(trace, b)
    result = left * right if not left.ndim or not right.ndim else left @ right
    return result if out is None else assigned(out, result)


@implements(np.outer)
def outer(a: Any, b: Any, out: Any = None) -> Any:
    trace = trace_of([a, b])
    return as_array(trace, a).reshape(-1, 1) * as_array(trace, b).reshape(1, -1)


@implements(np.inner)
def inner(a: Any, b: Any) -> Any:
    trace = trace_of([a, b])
    return as_array(trace, a) @ transpose(as_array(trace, b))


@implements(np.einsum)
def einsum(subscripts: str, *operands: Any, optimize: Any = False, **_: Any) -> Any:
    arrays = together(list(operands))
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
    trace = trace_of([a, b])
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
    trace = trace_of([a, fill_value])
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
    return np.can_cast(from_.dtype if isinstance(from_, Array) else from_, to.dtype if isinstance(to, Array) else to, casting)


@implements(np.round)
def round_(a: Array, decimals: int = 0, out: Any = None) -> Any:
    return np.rint(a) if decimals == 0 else np.rint(a * 10.0**decimals) / 10.0**decimals


FUNCTIONS[np.around] = round_
