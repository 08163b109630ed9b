"""Add, Sub, Mul and Div."""

from __future__ import annotations

from onward import program as P
from onward.operators.broadcasting import legacy_broadcast
from onward.operators.registry import operator


@operator("Add", since=7)
def add(a: P.Array, b: P.Array) -> P.Array:
    """Sum, with broadcasting. ONNX Add-7, Add-14."""
    return a + b


@operator("Sub", since=7)
def subtract(a: P.Array, b: P.Array) -> P.Array:
    """Difference, with broadcasting. ONNX Sub-7, Sub-14."""
    return a - b


@operator("Mul", since=7)
def multiply(a: P.Array, b: P.Array) -> P.Array:
    """Product, with broadcasting. ONNX Mul-7, Mul-14."""
    return a * b


@operator("Div", since=7)
def divide(a: P.Array, b: P.Array) -> P.Array:
    """Quotient, with broadcasting; integers are rounded towards zero. ONNX Div-7, Div-14."""
    return a / divisor(b)


@operator("Add", since=1)
def add_1(a: P.Array, b: P.Array, *, axis: int | None = None, broadcast: int = 0) -> P.Array:
    """Sum, broadcast when asked for. ONNX Add-1, Add-6."""
    return a + legacy_broadcast(a, b, axis, broadcast)


@operator("Sub", since=1)
def subtract_1(a: P.Array, b: P.Array, *, axis: int | None = None, broadcast: int = 0) -> P.Array:
    """Difference, broadcast when asked for. ONNX Sub-1, Sub-6."""
    return a - legacy_broadcast(a, b, axis, broadcast)


@operator("Mul", since=1)
def multiply_1(a: P.Array, b: P.Array, *, axis: int | None = None, broadcast: int = 0) -> P.Array:
    """Product, broadcast when asked for. ONNX Mul-1, Mul-6."""
    return a * legacy_broadcast(a, b, axis, broadcast)


@operator("Div", since=1)
def divide_1(a: P.Array, b: P.Array, *, axis: int | None = None, broadcast: int = 0) -> P.Array:
    """Quotient, broadcast when asked for. ONNX Div-1, Div-6."""
    return a / legacy_broadcast(a, divisor(b), axis, broadcast)


def divisor(b: P.Array) -> P.Array:
    """What is divided by: whole numbers of the run are looked at, because 0 is an error."""
    if not b.dtype.is_integer or b.content is not None and 0 not in b.content.reshape(-1).tolist():
        return b
    return P.divisor(b)
