"""Elu, Selu, Celu, Softplus and Mish."""

from __future__ import annotations

from onward import program as P
from onward.operators.numeric import pointwise
from onward.operators.registry import operator


@operator("Elu")
def elu(x: P.Array, *, alpha: float = 1.0) -> P.Array:
    """x, or alpha * (exp(x) - 1) where x < 0. ONNX Elu-1."""
    return pointwise(lambda e: P.where(e < 0.0, alpha * P.expm1(e), e), x)


@operator("Selu")
def selu(x: P.Array, *, alpha: float = 1.67326319217681884765625, gamma: float = 1.05070102214813232421875) -> P.Array:
    """gamma times Elu with alpha. ONNX Selu-1, Selu-6."""
    return pointwise(lambda e: gamma * P.where(e > 0.0, e, alpha * P.expm1(e)), x)


@operator("Celu", since=12)
def celu(x: P.Array, *, alpha: float = 1.0) -> P.Array:
    """x, or alpha * (exp(x / alpha) - 1) where x < 0. ONNX Celu-12."""
    return pointwise(lambda e: P.maximum(e, 0.0) + P.minimum(alpha * P.expm1(e / alpha), 0.0), x)


@operator("Softplus")
def softplus(x: P.Array) -> P.Array:
    """log(1 + exp(x)). ONNX Softplus-1."""
    return pointwise(_softplus, x)


@operator("Mish", since=18)
def mish(x: P.Array) -> P.Array:
    """x * tanh(softplus(x)). ONNX Mish-18."""
    return pointwise(lambda e: e * P.tanh(_softplus(e)), x)


def _softplus(e: P.Scalar) -> P.Scalar:
    """log(1 + exp(e)) that neither overflows for large e nor loses small results."""
    return P.maximum(e, 0.0) + P.log1p(P.exp(-abs(e)))
