"""LRN."""

from __future__ import annotations

from onward import program as P
from onward.ir.expressions import Dimension
from onward.operators.numeric import computed_wide
from onward.operators.registry import operator


@operator("LRN")
@computed_wide
def local_response_normalization(x: P.Array, *, size: int, alpha: float = 0.0001, beta: float = 0.75, bias: float = 1.0) -> P.Array:
    """x / (bias + alpha / size * sum of squares of `size` channels around)^beta. ONNX LRN-1; Krizhevsky et al. 2012."""
    before, after = (size - 1) // 2, size // 2
    rest = [0] * (x.rank - 2)
    squares = P.pad(P.elementwise(lambda e: e * e, x), [0, before, *rest], [0, after, *rest])

    def element(n: Dimension, c: Dimension, *position: Dimension) -> P.Scalar:
        *place, k = position
        return squares[(n, c + k, *place)]

    total = P.reduce("sum", x.shape, (size,), element)
    return P.elementwise(lambda e, s: e / P.power(bias + alpha / size * s, beta), x, total)
