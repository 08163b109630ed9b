"""Sigmoid, Tanh, HardSigmoid, HardSwish, Swish, SwiGLU and Softsign."""

from __future__ import annotations

from onward import program as P
from onward.operators.numeric import pointwise
from onward.operators.registry import operator


@operator("Sigmoid")
def sigmoid(x: P.Array) -> P.Array:
    """1 / (1 + exp(-x)). ONNX Sigmoid-1."""
    return P.sigmoid(x)


@operator("Tanh")
def hyperbolic_tangent(x: P.Array) -> P.Array:
    """Hyperbolic tangent. ONNX Tanh-1."""
    return P.tanh(x)


@operator("HardSigmoid")
def hard_sigmoid(x: P.Array, *, alpha: float = 0.2, beta: float = 0.5) -> P.Array:
    """alpha * x + beta limited to [0, 1]. ONNX HardSigmoid-1."""
    return pointwise(lambda e: P.maximum(P.minimum(alpha * e + beta, 1.0), 0.0), x)


@operator("HardSwish", since=14)
def hard_swish(x: P.Array) -> P.Array:
    """x times HardSigmoid(x) with alpha = 1/6 and beta = 0.5. ONNX HardSwish-14."""
    return pointwise(lambda e: e * P.maximum(P.minimum(e * (1 / 6) + 0.5, 1.0), 0.0), x)


@operator("Swish", since=24)
def swish(x: P.Array, *, alpha: float = 1.0) -> P.Array:
    """x * sigmoid(alpha * x). ONNX Swish-24."""
    return pointwise(lambda e: e * P.sigmoid(e if alpha == 1 else alpha * e), x)


@operator("SwiGLU", since=28)
def swish_gated_linear_unit(a: P.Array, b: P.Array, *, alpha: float = 1.0) -> P.Array:
    """Swish(a) * b. ONNX SwiGLU-28."""
    return pointwise(lambda e, gate: e * P.sigmoid(e if alpha == 1 else alpha * e) * gate, a, b)


@operator("Softsign")
def softsign(x: P.Array) -> P.Array:
    """x / (1 + |x|). ONNX Softsign-1."""
    return pointwise(lambda e: e / (1.0 + abs(e)), x)
