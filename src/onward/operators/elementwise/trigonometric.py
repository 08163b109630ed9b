"""Circular and hyperbolic functions and their inverses. (Tanh is an activation.)"""

from __future__ import annotations

from onward import program as P
from onward.operators.registry import operator


@operator("Sin", since=7)
def sine(x: P.Array) -> P.Array:
    """Sine. ONNX Sin-7."""
    return P.sin(x)


@operator("Cos", since=7)
def cosine(x: P.Array) -> P.Array:
    """Cosine. ONNX Cos-7."""
    return P.cos(x)


@operator("Tan", since=7)
def tangent(x: P.Array) -> P.Array:
    """Tangent. ONNX Tan-7."""
    return P.tan(x)


@operator("Asin", since=7)
def inverse_sine(x: P.Array) -> P.Array:
    """Inverse sine. ONNX Asin-7."""
    return P.asin(x)


@operator("Acos", since=7)
def inverse_cosine(x: P.Array) -> P.Array:
    """Inverse cosine. ONNX Acos-7."""
    return P.acos(x)


@operator("Atan", since=7)
def inverse_tangent(x: P.Array) -> P.Array:
    """Inverse tangent. ONNX Atan-7."""
    return P.atan(x)


@operator("Sinh", since=9)
def hyperbolic_sine(x: P.Array) -> P.Array:
    """Hyperbolic sine. ONNX Sinh-9."""
    return P.sinh(x)


@operator("Cosh", since=9)
def hyperbolic_cosine(x: P.Array) -> P.Array:
    """Hyperbolic cosine. ONNX Cosh-9."""
    return P.cosh(x)


@operator("Asinh", since=9)
def inverse_hyperbolic_sine(x: P.Array) -> P.Array:
    """Inverse hyperbolic sine. ONNX Asinh-9."""
    return P.asinh(x)


@operator("Acosh", since=9)
def inverse_hyperbolic_cosine(x: P.Array) -> P.Array:
    """Inverse hyperbolic cosine. ONNX Acosh-9."""
    return P.acosh(x)


@operator("Atanh", since=9)
def inverse_hyperbolic_tangent(x: P.Array) -> P.Array:
    """Inverse hyperbolic tangent. ONNX Atanh-9."""
    return P.atanh(x)
