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
    return normalized_along(x, 1, size, alpha, beta, bias)


def normalized_along(x: P.Array, axis: int, size: int, alpha: float, beta: float, bias: float) -> P.Array:
    """The same with the channels on any axis."""
    before, after = ([many if place == axis else 0 for place in range(x.rank)] for many in ((size - 1) // 2, size // 2))
    squares = P.pad(P.elementwise(lambda e: e * e, x), before, after)

    def element(*position: Dimension) -> P.Scalar:
        *places, k = position
        return squares[(*places[:axis], places[axis] + k, *places[axis + 1 :])]

    total = P.reduce("sum", x.shape, (size,), element)
    return P.elementwise(lambda e, s: e / P.power(bias + alpha / size * s, beta), x, total)
