"""Floor, Ceil and Round."""

from __future__ import annotations

from onward import program as P
from onward.operators.registry import operator


@operator("Floor")
def floor(x: P.Array) -> P.Array:
    """The greatest integer that is not greater. ONNX Floor-1."""
    return P.floor(x)


@operator("Ceil")
def ceiling(x: P.Array) -> P.Array:
    """The least integer that is not less. ONNX Ceil-1."""
    return P.ceil(x)


@operator("Round", since=11)
def round_half_to_even(x: P.Array) -> P.Array:
    """The nearest integer, halves to the even one. ONNX Round-11."""
    return P.round_even(x)
