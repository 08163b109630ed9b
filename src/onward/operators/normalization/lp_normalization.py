"""LpNormalization."""

from __future__ import annotations

from onward import program as P
from onward.errors import InvalidArgument
from onward.operators.numeric import computed_wide
from onward.operators.registry import operator


@operator("LpNormalization")
@computed_wide
def lp_normalization(x: P.Array, *, axis: int = -1, p: int = 2) -> P.Array:
    """x divided by its 1- or 2-norm along an axis; zero where the norm is. ONNX LpNormalization-1, -22."""
    if p not in (1, 2):
        raise InvalidArgument(f"LpNormalization knows p = 1 and p = 2, got {p}")
    total = P.reduce_axes("sum", x, [axis], True, abs if p == 1 else lambda e: e * e)
    norm = total if p == 1 else P.sqrt(total)
    return P.elementwise(lambda e, n: P.where(P.equal(n, 0.0), 0.0, e / n), x, norm)
