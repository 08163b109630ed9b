"""Abs, Neg, Sign, Reciprocal, Sqrt, Exp, Log and Erf."""

from __future__ import annotations

from onward import program as P
from onward.ir.datatypes import DataType
from onward.operators.registry import operator


@operator("Abs")
def absolute(x: P.Array) -> P.Array:
    """Absolute value. ONNX Abs-1."""
    return abs(x)


@operator("Neg")
def negative(x: P.Array) -> P.Array:
    """The number with its sign turned. ONNX Neg-1."""
    return -x


@operator("Sign", since=9)
def sign(x: P.Array) -> P.Array:
    """-1, 0 or 1. ONNX Sign-9."""
    return P.sign(x)


@operator("Reciprocal")
def reciprocal(x: P.Array) -> P.Array:
    """1 / x. ONNX Reciprocal-1."""
    return P.reciprocal(x)


@operator("Sqrt")
def square_root(x: P.Array) -> P.Array:
    """Square root; NaN for negative numbers. ONNX Sqrt-1."""
    return P.sqrt(x)


@operator("Exp")
def exponential(x: P.Array) -> P.Array:
    """e to the x. ONNX Exp-1."""
    return P.exp(x)


@operator("Log")
def logarithm(x: P.Array) -> P.Array:
    """Natural logarithm. ONNX Log-1."""
    return P.log(x)


@operator("Erf", since=9)
def error_function(x: P.Array) -> P.Array:
    """The error function. ONNX Erf-9."""
    return P.cast(P.erf(P.cast(x, DataType.FLOAT)), x.dtype) if x.dtype.is_integer else P.erf(x)
