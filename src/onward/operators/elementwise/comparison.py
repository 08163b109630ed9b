"""Equal, Less, Greater, LessOrEqual and GreaterOrEqual."""

from __future__ import annotations

from onward import program as P
from onward.operators.broadcasting import legacy_broadcast
from onward.operators.registry import operator


@operator("Equal", since=7)
def equal(a: P.Array, b: P.Array) -> P.Array:
    """Where the elements are equal; NaN equals nothing. ONNX Equal-7, Equal-19 (strings)."""
    return P.equal(a, b)


@operator("Less", since=7)
def less(a: P.Array, b: P.Array) -> P.Array:
    """Where a < b. ONNX Less-7."""
    return P.less(a, b)


@operator("Greater", since=7)
def greater(a: P.Array, b: P.Array) -> P.Array:
    """Where a > b. ONNX Greater-7."""
    return P.greater(a, b)


@operator("LessOrEqual", since=12)
def less_or_equal(a: P.Array, b: P.Array) -> P.Array:
    """Where a <= b. ONNX LessOrEqual-12."""
    return P.less_equal(a, b)


@operator("GreaterOrEqual", since=12)
def greater_or_equal(a: P.Array, b: P.Array) -> P.Array:
    """Where a >= b. ONNX GreaterOrEqual-12."""
    return P.greater_equal(a, b)


@operator("Equal", since=1)
def equal_1(a: P.Array, b: P.Array, *, axis: int | None = None, broadcast: int = 0) -> P.Array:
    """Where the elements are equal, broadcast when asked for. ONNX Equal-1."""
    return P.equal(a, legacy_broadcast(a, b, axis, broadcast))


@operator("Less", since=1)
def less_1(a: P.Array, b: P.Array, *, axis: int | None = None, broadcast: int = 0) -> P.Array:
    """Where a < b, broadcast when asked for. ONNX Less-1."""
    return P.less(a, legacy_broadcast(a, b, axis, broadcast))


@operator("Greater", since=1)
def greater_1(a: P.Array, b: P.Array, *, axis: int | None = None, broadcast: int = 0) -> P.Array:
    """Where a > b, broadcast when asked for. ONNX Greater-1."""
    return P.greater(a, legacy_broadcast(a, b, axis, broadcast))
