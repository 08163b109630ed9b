"""ArgMax and ArgMin."""

from __future__ import annotations

from onward import program as P
from onward.operators.registry import operator


@operator("ArgMax")
def argmax(x: P.Array, *, axis: int = 0, keepdims: int = 1, select_last_index: int = 0) -> P.Array:
    """The index of the greatest element along an axis, the first or last of equals. ONNX ArgMax-1, ArgMax-12."""
    return _arg_extreme("argmax", x, axis, bool(keepdims), bool(select_last_index))


@operator("ArgMin")
def argmin(x: P.Array, *, axis: int = 0, keepdims: int = 1, select_last_index: int = 0) -> P.Array:
    """The index of the least element along an axis, the first or last of equals. ONNX ArgMin-1, ArgMin-12."""
    return _arg_extreme("argmin", x, axis, bool(keepdims), bool(select_last_index))


def _arg_extreme(operation: str, x: P.Array, axis: int, keep: bool, last: bool) -> P.Array:
    place = P.normalize_axis(axis, x.rank)
    P.require_at_least(x.shape[place], 1, f"there is no greatest or least of no elements along axis {axis} of {x}")
    if not last:
        return P.arg_extreme(operation, x, axis, keep)
    end = x.shape[place] - 1
    turned = P.compute(x.shape, lambda *i: x[(*i[:place], end - i[place], *i[place + 1 :])])
    found = P.arg_extreme(operation, turned, place, keep)
    return P.elementwise(lambda position: P.scalar(end) - position, found)
