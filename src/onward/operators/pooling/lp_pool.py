"""LpPool."""

from __future__ import annotations

from collections.abc import Callable

from onward import program as P
from onward.operators.numeric import computed_wide
from onward.operators.pooling.average_pool import window_sum
from onward.operators.pooling.window import window_over
from onward.operators.registry import operator


@operator("LpPool")
@computed_wide
def lp_pool(
    x: P.Array,
    *,
    kernel_shape: list[int],
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    dilations: list[int] | None = None,
    p: float = 2,
    pads: list[int] | None = None,
    strides: list[int] | None = None,
) -> P.Array:
    """The p-norm of each window. ONNX LpPool-1, LpPool-2, LpPool-11, LpPool-18."""
    window = window_over(x, kernel_shape, strides=strides, dilations=dilations, pads=pads, auto_pad=auto_pad, ceil_mode=bool(ceil_mode))
    return lp_norm(lambda function: window_sum(P.elementwise(function, x), window), p)


def lp_norm(total: Callable[[Callable[[P.Scalar], P.Scalar]], P.Array], p: float) -> P.Array:
    """(sum |x|^p)^(1/p), where `total(f)` sums f of the elements."""
    if p == 1:
        return total(abs)
    if p == 2:
        return P.sqrt(total(lambda e: e * e))
    return P.power(total(lambda e: P.power(abs(e), float(p))), 1 / p)
