"""Elementwise arithmetic, comparisons, logic and functions of one number."""

from __future__ import annotations

from typing import Any

import numpy as np

from onward.converters.tflite.emitter import Emitter, Node
from onward.converters.tflite.registry import operator
from onward.converters.tflite.tensors import Laid, Tensor
from onward.errors import UnsupportedOperator

BINARY = {
    "ADD": "Add", "SUB": "Sub", "MUL": "Mul", "DIV": "Div", "MAXIMUM": "Max", "MINIMUM": "Min", "POW": "Pow", "EQUAL": "Equal",
    "LESS": "Less", "LESS_EQUAL": "LessOrEqual", "GREATER": "Greater", "GREATER_EQUAL": "GreaterOrEqual", "LOGICAL_OR": "Or",
    "LOGICAL_AND": "And", "BITWISE_XOR": "BitwiseXor", "STABLEHLO_ADD": "Add", "STABLEHLO_MULTIPLY": "Mul", "STABLEHLO_MAXIMUM": "Max",
    "STABLEHLO_MINIMUM": "Min", "STABLEHLO_AND": "BitwiseAnd",
}  # fmt: skip
UNARY = {
    "ABS": "Abs", "CEIL": "Ceil", "COS": "Cos", "EXP": "Exp", "FLOOR": "Floor", "LOG": "Log", "LOGICAL_NOT": "Not", "NEG": "Neg",
    "ROUND": "Round", "SIGN": "Sign", "SIN": "Sin", "SQRT": "Sqrt",
}  # fmt: skip


@operator(*BINARY)
def binary(c: Emitter, node: Node, x: Tensor, y: Tensor) -> Any:
    values, laid = c.together(x, y)
    name = BINARY[node.name]
    if x.dtype == np.bool_:
        name = {"BitwiseXor": "Xor", "BitwiseAnd": "And"}.get(name, name)
    result = c.op(name, *values)
    return laid(c.activated(result, node.options.__dict__.get("fused_activation_function", "NONE"), x.dtype))


@operator(*UNARY)
def unary(c: Emitter, node: Node, x: Tensor) -> Any:
    (value,), laid = c.together(x)
    return laid(c.op(UNARY[node.name], value))


@operator("NOT_EQUAL")
def not_equal(c: Emitter, node: Node, x: Tensor, y: Tensor) -> Any:
    values, laid = c.together(x, y)
    return laid(c.op("Not", c.op("Equal", *values)))


@operator("SQUARE")
def square(c: Emitter, node: Node, x: Tensor) -> Any:
    (value,), laid = c.together(x)
    return laid(c.op("Mul", value, value))


@operator("RSQRT")
def reciprocal_square_root(c: Emitter, node: Node, x: Tensor) -> Any:
    (value,), laid = c.together(x)
    return laid(c.op("Reciprocal", c.op("Sqrt", value)))


@operator("SQUARED_DIFFERENCE")
def squared_difference(c: Emitter, node: Node, x: Tensor, y: Tensor) -> Any:
    values, laid = c.together(x, y)
    gap = c.op("Sub", *values)
    return laid(c.op("Mul", gap, gap))


@operator("ADD_N")
def add_n(c: Emitter, node: Node, *tensors: Tensor) -> Any:
    values, laid = c.together(*tensors)
    total = values[0]
    for value in values[1:]:
        total = c.op("Add", total, value)
    return laid(total)


@operator("FLOOR_DIV")
def floor_divide(c: Emitter, node: Node, x: Tensor, y: Tensor) -> Any:
    values, laid = c.together(x, y)
    if x.dtype.kind == "f":
        return laid(c.op("Floor", c.op("Div", *values)))
    rest = c.op("Mod", *values)
    return laid(c.op("Div", c.op("Sub", values[0], rest), values[1]))


@operator("FLOOR_MOD")
def floor_modulo(c: Emitter, node: Node, x: Tensor, y: Tensor) -> Any:
    values, laid = c.together(x, y)
    if x.dtype.kind != "f":
        return laid(c.op("Mod", *values))
    rest = c.op("Mod", *values, fmod=1)
    zero = c.number(0, x)
    apart = c.op("Xor", c.op("Less", rest, zero), c.op("Less", values[1], zero))
    moved = c.op("And", apart, c.op("Not", c.op("Equal", rest, zero)))
    return laid(c.op("Where", moved, c.op("Add", rest, values[1]), rest))


@operator("ATAN2")
def arc_tangent(c: Emitter, node: Node, y: Tensor, x: Tensor) -> Any:
    """The angle of a point: that of the right half plane, moved by half a turn on the left. Zeros keep their signs."""
    (above, right), laid = c.together(y, x)
    zero, half_turn = c.number(0, x), c.number(np.pi, x)
    below = _negative(c, above, x)
    left = _negative(c, right, x)
    both = c.op("And", c.op("Equal", above, zero), c.op("Equal", right, zero))
    angle = c.op("Where", both, above, c.op("Atan", c.op("Div", above, right)))
    far = c.op("And", c.op("IsInf", above), c.op("IsInf", right))
    diagonal = c.op("Mul", c.op("Mul", c.op("Sign", above), c.op("Sign", right)), c.number(np.pi / 4, x))
    angle = c.op("Where", far, diagonal, angle)
    turned = c.op("Where", below, c.op("Neg", half_turn), half_turn)
    moved = c.op("Add", c.op("Where", both, zero, angle), turned)
    return laid(c.op("Where", left, moved, angle))


def _negative(c: Emitter, value: Any, like: Tensor) -> Any:
    """Whether a number has a minus sign, zeros too: the reciprocal of -0 is negative."""
    zero = c.number(0, like)
    at_zero = c.op("And", c.op("Equal", value, zero), c.op("Less", c.op("Reciprocal", value), zero))
    return c.op("Or", c.op("Less", value, zero), at_zero)


@operator("RIGHT_SHIFT")
def right_shift(c: Emitter, node: Node, x: Tensor, y: Tensor) -> Any:
    """The sign moves in from the left, which ONNX BitShift has only for unsigned numbers: division by a power of two, rounded down."""
    bits = 8 * x.dtype.itemsize
    amount = c.op("Clip", c.cast(c.value(y), np.int64), np.array(0), np.array(bits - 1))
    wide = c.cast(c.value(x), np.int64)
    power = c.op("BitShift", c.array(np.array(1, np.uint64)), c.cast(amount, np.uint64), direction="LEFT")
    divisor = c.cast(power, np.int64)
    return c.cast(c.op("Div", c.op("Sub", wide, c.op("Mod", wide, divisor)), divisor), x.dtype)


@operator("CAST")
def cast(c: Emitter, node: Node, x: Tensor) -> Any:
    target = node.outputs[0].dtype
    if target.kind == "c" or x.dtype.kind == "c":
        raise UnsupportedOperator("complex numbers")
    (value,), laid = c.together(x)
    return laid(c.cast(value, target))


@operator("BITCAST")
def bitcast(c: Emitter, node: Node, x: Tensor) -> Any:
    target = node.outputs[0].dtype
    if target.itemsize != x.dtype.itemsize:
        raise UnsupportedOperator(f"bits of {x.dtype} read as {target}, which has another width")
    return c.op("BitCast", c.value(x), to=_code(target)) if c.opset >= 26 else _unknown(x.dtype, target)


def _unknown(one: np.dtype, other: np.dtype) -> Any:
    if one == other:
        return None
    raise UnsupportedOperator(f"bits of {one} read as {other} need opset 26 (opset=26)")


def _code(dtype: np.dtype) -> int:
    from onward.ir.datatypes import DataType

    return int(DataType.of(dtype))


@operator("SELECT")
def select(c: Emitter, node: Node, condition: Tensor, x: Tensor, y: Tensor) -> Any:
    """A condition of rank one may choose rows."""
    chosen = c.value(condition)
    if condition.rank == 1 and x.rank > 1:
        chosen = c.op("Unsqueeze", chosen, list(range(1, x.rank)))
    return c.op("Where", chosen, c.value(x), c.value(y))


@operator("SELECT_V2")
def select_broadcast(c: Emitter, node: Node, condition: Tensor, x: Tensor, y: Tensor) -> Any:
    values, laid = c.together(condition, x, y)
    return laid(c.op("Where", *values))


@operator("ZEROS_LIKE")
def zeros_like(c: Emitter, node: Node, x: Tensor) -> Any:
    return c.op("Expand", c.number(0, x), c.op("Shape", c.value(x)))


@operator("BUCKETIZE")
def bucketize(c: Emitter, node: Node, x: Tensor) -> Any:
    """How many boundaries a number has reached."""
    wide = np.float64 if x.dtype.kind == "i" else x.dtype
    edges = node.options.boundaries.astype(wide)
    reached = c.op("GreaterOrEqual", c.op("Unsqueeze", c.cast(c.value(x), wide), [-1]), edges)
    return c.op("ReduceSum", c.cast(reached, np.int32), [-1], keepdims=0)


@operator("REAL", "IMAG", "COMPLEX_ABS", "RFFT2D")
def complex_numbers(c: Emitter, node: Node, *tensors: Tensor) -> Laid:
    raise UnsupportedOperator("complex numbers")


@operator("STABLEHLO_SHIFT_LEFT")
def shift_left(c: Emitter, node: Node, x: Tensor, by: Tensor) -> Any:
    """ONNX shifts numbers without a sign."""
    wide = np.dtype(f"u{x.dtype}") if x.dtype.kind == "i" else x.dtype
    return c.cast(c.op("BitShift", c.cast(c.value(x), wide), c.cast(c.value(by), wide), direction="LEFT"), x.dtype)


@operator("STABLEHLO_CBRT")
def cubic_root(c: Emitter, node: Node, x: Tensor) -> Any:
    root = c.op("Pow", c.op("Abs", c.value(x)), c.number(1 / 3, x))
    return c.op("Mul", c.op("Sign", c.value(x)), root)
