"""Functions of two and more numbers: arithmetic, comparisons, logic, bits, choices."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import tensorflow as tf

from onward.converters.tensorflow.emitter import Emitter, Tensor
from onward.converters.tensorflow.registry import operator
from onward.ir import Value

PLAIN = {
    "Add": "Add", "AddV2": "Add", "Sub": "Sub", "Mul": "Mul", "RealDiv": "Div", "LogicalAnd": "And", "LogicalOr": "Or",
    "BitwiseAnd": "BitwiseAnd", "BitwiseOr": "BitwiseOr", "BitwiseXor": "BitwiseXor", "Less": "Less", "LessEqual": "LessOrEqual",
    "Greater": "Greater", "GreaterEqual": "GreaterOrEqual", "TruncateDiv": "Div",
}  # fmt: skip


def _plain(onnx: str) -> Any:
    return lambda c, op, a, b: c.op(onnx, a, b)


for _name, _onnx in PLAIN.items():
    operator(_name)(_plain(_onnx))


@operator("Add", "AddV2")
def add(c: Emitter, op: Any, a: Tensor, b: Tensor) -> Value:
    return c.op("StringConcat" if a.dtype == tf.string else "Add", a, b)


@operator("AddN", "AccumulateNV2")
def add_n(c: Emitter, op: Any, *items: Tensor) -> Value:
    total = items[0].value
    for item in items[1:]:
        total = c.op("Add", total, item)
    return total


@operator("Equal")
def equal(c: Emitter, op: Any, a: Tensor, b: Tensor) -> Value:
    return c.op("Equal", a, b)


@operator("NotEqual")
def not_equal(c: Emitter, op: Any, a: Tensor, b: Tensor) -> Value:
    return c.op("Not", c.op("Equal", a, b))


@operator("ApproximateEqual")
def approximate_equal(c: Emitter, op: Any, a: Tensor, b: Tensor) -> Value:
    return c.op("Less", c.op("Abs", c.op("Sub", a, b)), c.number(op["tolerance"], a))


@operator("Div", "FloorDiv")
def floor_div(c: Emitter, op: Any, a: Tensor, b: Tensor) -> Value:
    """Div rounds whole numbers down where it is FloorDiv, towards zero where it is Div."""
    made = c.op("Div", a, b)
    if op.type == "Div" or a.dtype.is_unsigned:
        return made
    if a.dtype.is_floating:
        return c.op("Floor", made)
    rest = c.op("Sub", a, c.op("Mul", made, b))
    zero = c.number(0, a)
    differs = c.op("Xor", c.op("Less", rest, zero), c.op("Less", b, zero))
    below = c.op("And", c.op("Not", c.op("Equal", rest, zero)), differs)
    return c.op("Sub", made, c.cast(below, a.dtype))


@operator("FloorMod", "Mod", "TruncateMod")
def modulo(c: Emitter, op: Any, a: Tensor, b: Tensor) -> Value:
    """The sign is the divisor's for FloorMod, the dividend's for the others."""
    if op.type != "FloorMod":
        return c.op("Mod", a, b, fmod=1)
    if not a.dtype.is_floating:
        return c.op("Mod", a, b)
    rest, zero = c.op("Mod", a, b, fmod=1), c.number(0, a)
    differs = c.op("Xor", c.op("Less", rest, zero), c.op("Less", b, zero))
    wrong = c.op("And", c.op("Not", c.op("Equal", rest, zero)), differs)
    return c.op("Where", wrong, c.op("Add", rest, b), rest)


@operator("DivNoNan", "MulNoNan", "Xdivy", "Xlogy", "Xlog1py")
def nothing_at_zero(c: Emitter, op: Any, a: Tensor, b: Tensor) -> Value:
    """Zero wherever the deciding operand is zero, whatever the other is."""
    from onward.converters.tensorflow.operators.unary import log1p

    decides = b if op.type in ("DivNoNan", "MulNoNan") else a
    if op.type in ("DivNoNan", "Xdivy"):
        made = c.op("Div", a, b)
    elif op.type == "MulNoNan":
        made = c.op("Mul", a, b)
    else:
        made = c.op("Mul", a, c.op("Log", b) if op.type == "Xlogy" else log1p(c, op, b))
    return c.op("Where", c.op("Equal", decides, c.number(0, a)), c.number(0, a), made)


@operator("Maximum", "Minimum")
def extremum(c: Emitter, op: Any, a: Tensor, b: Tensor) -> Value:
    return c.op(op.type[:3], a, b)


@operator("Pow")
def power(c: Emitter, op: Any, a: Tensor, b: Tensor) -> Value:
    return c.op("Pow", a, b)


@operator("SquaredDifference")
def squared_difference(c: Emitter, op: Any, a: Tensor, b: Tensor) -> Value:
    gap = c.op("Sub", a, b)
    return c.op("Mul", gap, gap)


@operator("LeftShift", "RightShift")
def shift(c: Emitter, op: Any, a: Tensor, b: Tensor) -> Value:
    """Signed numbers: a product to the left, a quotient rounded down to the right."""
    if a.dtype.is_unsigned:
        return c.op("BitShift", a, b, direction="LEFT" if op.type == "LeftShift" else "RIGHT")
    wide = c.cast(c.op("BitShift", c.op("Cast", c.number(1, tf.uint64), to=13), c.cast(b, tf.uint64), direction="LEFT"), tf.int64)
    value = c.cast(a, tf.int64)
    if op.type == "LeftShift":
        return c.cast(c.op("Mul", value, wide), a.dtype)
    rest = c.op("Mod", value, wide)
    return c.cast(c.op("Div", c.op("Sub", value, rest), wide), a.dtype)


@operator("Atan2")
def atan2(c: Emitter, op: Any, y: Tensor, x: Tensor) -> Value:
    return arc_tangent(c, y.value, x.value, y)


def arc_tangent(c: Emitter, y: Value, x: Value, like: Any) -> Value:
    """The angle of (x, y), zeros with signs among them."""
    zero, pi = c.number(0, like), c.number(math.pi, like)
    is_negative = _is_negative(c, y, zero)
    turned = c.op("Where", is_negative, c.op("Neg", pi), pi)
    angle = c.op("Atan", c.op("Div", y, x))
    angle = c.op("Where", _is_negative(c, x, zero), c.op("Add", angle, turned), angle)
    flat = c.op("Where", _is_negative(c, x, zero), turned, y)
    both = c.op("And", c.op("Equal", x, zero), c.op("Equal", y, zero))
    return c.op("Where", both, flat, angle)


def _is_negative(c: Emitter, x: Value, zero: Value) -> Value:
    """Below zero, or minus zero, whose reciprocal is."""
    minus = c.op("And", c.op("Equal", x, zero), c.op("Less", c.op("Reciprocal", x), zero))
    return c.op("Or", c.op("Less", x, zero), minus)


@operator("NextAfter")
def next_after(c: Emitter, op: Any, a: Tensor, b: Tensor) -> Value:
    from onward.errors import UnsupportedOperator

    raise UnsupportedOperator("ONNX does not see the bits of a number")


@operator("SelectV2")
def select(c: Emitter, op: Any, condition: Tensor, a: Tensor, b: Tensor) -> Value:
    return c.op("Where", condition, a, b)


@operator("Select")
def select_rows(c: Emitter, op: Any, condition: Tensor, a: Tensor, b: Tensor) -> Value:
    """A vector of conditions chooses rows."""
    test = condition.value
    if condition.rank == 1 and a.rank > 1:
        test = c.reshape(test, [-1] + [1] * (a.rank - 1))
    return c.op("Where", test, a, b)


@operator("ClipByValue")
def clip(c: Emitter, op: Any, x: Tensor, low: Tensor, high: Tensor) -> Value:
    return c.op("Min", c.op("Max", x, low), high)


@operator("BiasAdd", "BiasAddV1")
def bias_add(c: Emitter, op: Any, x: Tensor, bias: Tensor) -> Value:
    if op.get("data_format", "NHWC").startswith("NC"):
        return c.op("Add", x, c.reshape(bias, [-1] + [1] * (x.rank - 2)))
    return c.op("Add", x, bias)


@operator("Cross")
def cross(c: Emitter, op: Any, a: Tensor, b: Tensor) -> Value:
    def turned(x: Tensor, order: list[int]) -> Value:
        return c.op("Gather", x, np.array(order), axis=-1)

    first = c.op("Mul", turned(a, [1, 2, 0]), turned(b, [2, 0, 1]))
    return c.op("Sub", first, c.op("Mul", turned(a, [2, 0, 1]), turned(b, [1, 2, 0])))


@operator("ZerosLike", "OnesLike")
def filled_like(c: Emitter, op: Any, x: Tensor) -> Value:
    number = np.array("", object) if x.dtype == tf.string else c.number(int(op.type == "OnesLike"), x)
    return c.op("Expand", number, c.shape(x))
