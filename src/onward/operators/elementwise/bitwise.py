"""BitwiseAnd, BitwiseOr, BitwiseXor, BitwiseNot and BitShift."""

from __future__ import annotations

from onward import program as P
from onward.errors import InvalidArgument
from onward.operators.registry import operator


@operator("BitwiseAnd", since=18)
def bitwise_and(a: P.Array, b: P.Array) -> P.Array:
    """The bits that both have. ONNX BitwiseAnd-18."""
    return a & b


@operator("BitwiseOr", since=18)
def bitwise_or(a: P.Array, b: P.Array) -> P.Array:
    """The bits that at least one has. ONNX BitwiseOr-18."""
    return a | b


@operator("BitwiseXor", since=18)
def bitwise_xor(a: P.Array, b: P.Array) -> P.Array:
    """The bits that exactly one has. ONNX BitwiseXor-18."""
    return a ^ b


@operator("BitwiseNot", since=18)
def bitwise_not(x: P.Array) -> P.Array:
    """Every bit turned. ONNX BitwiseNot-18."""
    return ~x


@operator("BitShift", since=11)
def bit_shift(x: P.Array, amount: P.Array, *, direction: str) -> P.Array:
    """`x` shifted by `amount` bits; a shift by the whole width or more gives 0. ONNX BitShift-11."""
    if direction not in ("LEFT", "RIGHT"):
        raise InvalidArgument(f"BitShift has the directions LEFT and RIGHT, got '{direction}'")
    return P.shift_left(x, amount) if direction == "LEFT" else P.shift_right(x, amount)
