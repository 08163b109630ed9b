"""Det."""

from __future__ import annotations

import itertools

from onward import program as P
from onward.errors import InvalidArgument
from onward.operators.numeric import computed_wide
from onward.operators.registry import operator


@operator("Det", since=11)
@computed_wide
def determinant(x: P.Array) -> P.Array:
    """The determinant of the matrices on the last two axes, by elimination with pivots. ONNX Det-11."""
    size = x.shape[-1]
    if not isinstance(size, int) or x.shape[-2] != size:
        raise InvalidArgument(f"Det needs square matrices of known size, got {x}")
    outer, matrix = x.shape[:-2], x
    factors = []
    for step in range(size):
        matrix, pivot = _eliminated(matrix, size - step)
        factors.append(pivot)
    if not factors:
        return P.full(outer, 1.0, x.dtype)
    return P.elementwise(lambda *pivots: list(itertools.accumulate(pivots, lambda a, b: a * b))[-1], *factors)


def _eliminated(x: P.Array, size: int) -> tuple[P.Array, P.Array]:
    """One step: the rows without that of the greatest first element, cleared of their first column, and the pivot.

    Taking row p out of its place turns the sign p times.
    """
    outer = x.shape[:-2]
    magnitude = P.compute((*outer, size), lambda *i: abs(x[(*i, 0)]))
    row = P.arg_extreme("argmax", magnitude, -1, False)

    def pivot(*place: P.Dimension) -> P.Scalar:
        best = row[place]
        value = x[(*place, best, 0)]
        return P.where(P.equal(P.remainder(best, P.scalar(2)), 0), value, -value)

    def element(*position: P.Dimension) -> P.Scalar:
        *place, i, j = position
        best = row[tuple(place)]
        mine = P.scalar(i) + P.where(P.scalar(i) < best, P.scalar(0), P.scalar(1))
        top = x[(*place, best, 0)]
        ratio = P.where(P.equal(top, 0.0), P.scalar(0.0, x.dtype), x[(*place, mine, 0)] / top)
        return x[(*place, mine, j + 1)] - ratio * x[(*place, best, j + 1)]

    return P.compute((*outer, size - 1, size - 1), element), P.compute(outer, pivot)
