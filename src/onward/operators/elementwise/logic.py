"""And, Or, Xor and Not."""

from __future__ import annotations

from onward import program as P
from onward.operators.broadcasting import legacy_broadcast
from onward.operators.registry import operator


@operator("And", since=7)
def logical_and(a: P.Array, b: P.Array) -> P.Array:
    """Where both hold. ONNX And-7."""
    return a & b


@operator("Or", since=7)
def logical_or(a: P.Array, b: P.Array) -> P.Array:
    """Where at least one holds. ONNX Or-7."""
    return a | b


@operator("Xor", since=7)
def logical_xor(a: P.Array, b: P.Array) -> P.Array:
    """Where exactly one holds. ONNX Xor-7."""
    return a ^ b


@operator("Not")
def logical_not(x: P.Array) -> P.Array:
    """Where it does not hold. ONNX Not-1."""
    return ~x


@operator("And", since=1)
def logical_and_1(a: P.Array, b: P.Array, *, axis: int | None = None, broadcast: int = 0) -> P.Array:
    """Where both hold, broadcast when asked for. ONNX And-1."""
    return a & legacy_broadcast(a, b, axis, broadcast)


@operator("Or", since=1)
def logical_or_1(a: P.Array, b: P.Array, *, axis: int | None = None, broadcast: int = 0) -> P.Array:
    """Where at least one holds, broadcast when asked for. ONNX Or-1."""
    return a | legacy_broadcast(a, b, axis, broadcast)


@operator("Xor", since=1)
def logical_xor_1(a: P.Array, b: P.Array, *, axis: int | None = None, broadcast: int = 0) -> P.Array:
    """Where exactly one holds, broadcast when asked for. ONNX Xor-1."""
    return a ^ legacy_broadcast(a, b, axis, broadcast)
