"""Relu, LeakyRelu, PRelu, ThresholdedRelu and Shrink."""

from __future__ import annotations

from onward import program as P
from onward.operators.numeric import pointwise
from onward.operators.registry import operator


@operator("Relu")
def relu(x: P.Array) -> P.Array:
    """max(x, 0); NaN stays. ONNX Relu-1, Relu-14 (integers)."""
    return P.maximum(x, 0)


@operator("LeakyRelu")
def leaky_relu(x: P.Array, *, alpha: float = 0.01) -> P.Array:
    """x, or alpha * x where x < 0. ONNX LeakyRelu-1."""
    return pointwise(lambda e: P.where(e < 0.0, alpha * e, e), x)


@operator("PRelu", since=7)
def parametric_relu(x: P.Array, slope: P.Array) -> P.Array:
    """x, or slope * x where x < 0; the slope broadcasts to x. ONNX PRelu-7, PRelu-9 (integers)."""
    return pointwise(lambda e, s: P.where(e < 0, s * e, e), x, slope)


@operator("PRelu", since=1)
def parametric_relu_1(x: P.Array, slope: P.Array) -> P.Array:
    """As PRelu-7 with one slope per channel, or one for all. ONNX PRelu-1, PRelu-6."""
    if slope.rank == 1 and slope.shape[0] != 1 and x.rank > 2:
        slope = P.expand_axes(slope, range(1, x.rank - 1))
    return parametric_relu(x, slope)


@operator("ThresholdedRelu", since=10)
def thresholded_relu(x: P.Array, *, alpha: float = 1.0) -> P.Array:
    """x where x > alpha, else 0. ONNX ThresholdedRelu-10."""
    return pointwise(lambda e: P.where(e > alpha, e, 0.0), x)


@operator("Shrink", since=9)
def shrink(x: P.Array, *, bias: float = 0.0, lambd: float = 0.5) -> P.Array:
    """x + bias where x < -lambd, x - bias where x > lambd, else 0. ONNX Shrink-9."""
    if x.dtype.is_integer:
        wide = P.cast(x, P.DataType.DOUBLE)
        return P.cast(shrink(wide, bias=bias, lambd=lambd), x.dtype)
    return pointwise(lambda e: P.where(e < -lambd, e + bias, P.where(e > lambd, e - bias, 0.0)), x)
