"""Functions of several numbers: arithmetic, comparisons, logic, bits, choices. Operands are promoted as PyTorch does."""

from __future__ import annotations

import math
from typing import Any

import torch

from onward.converters.torch.emitter import Emitter, Scalar, Tensor
from onward.converters.torch.operators.unary import result_dtype, truncated
from onward.converters.torch.registry import aten
from onward.ir import Value


def both(c: Emitter, left: Any, right: Any) -> tuple[Value, Value, torch.dtype]:
    """Two operands in the type of the result."""
    dtype = result_dtype(c)
    return c.number(left, dtype), c.number(right, dtype), dtype


def _is_one(number: Any) -> bool:
    return isinstance(number, (int, float)) and number == 1


def _scaled(c: Emitter, value: Value, alpha: Any, dtype: torch.dtype) -> Value:
    return value if _is_one(alpha) else c.op("Mul", value, c.number(alpha, dtype))


@aten("add")
def add(c: Emitter, left: Any, right: Any, alpha: Any = 1) -> Value:
    a, b, dtype = both(c, left, right)
    if dtype is torch.bool:
        return c.op("Or", a, b) if alpha else a
    return c.op("Add", a, _scaled(c, b, alpha, dtype))


@aten("sub", "subtract")
def sub(c: Emitter, left: Any, right: Any, alpha: Any = 1) -> Value:
    a, b, dtype = both(c, left, right)
    return c.op("Sub", a, _scaled(c, b, alpha, dtype))


@aten("rsub")
def rsub(c: Emitter, left: Any, right: Any, alpha: Any = 1) -> Value:
    a, b, dtype = both(c, left, right)
    return c.op("Sub", b, _scaled(c, a, alpha, dtype))


@aten("mul", "multiply")
def mul(c: Emitter, left: Any, right: Any) -> Value:
    a, b, dtype = both(c, left, right)
    return c.op("And" if dtype is torch.bool else "Mul", a, b)


@aten("div", "true_divide", "divide")
def div(c: Emitter, left: Any, right: Any, rounding_mode: str | None = None) -> Value:
    a, b, dtype = both(c, left, right)
    if rounding_mode is None:
        return c.op("Div", a, b)
    if rounding_mode == "floor":
        return floor_division(c, a, b, dtype)
    quotient = c.op("Div", a, b)
    return truncated(c, quotient) if dtype.is_floating_point else quotient


@aten("floor_divide")
def floor_divide(c: Emitter, left: Any, right: Any) -> Value:
    return floor_division(c, *both(c, left, right))


def floor_division(c: Emitter, a: Value, b: Value, dtype: torch.dtype) -> Value:
    """The quotient rounded down; for real numbers from the remainder, so that rounding does not carry it over (CPython)."""
    if not dtype.is_floating_point:
        return c.op("Div", c.op("Sub", a, c.op("Mod", a, b)), b) if dtype.is_signed else c.op("Div", a, b)
    rest = floor_remainder(c, a, b, dtype)
    exact = c.op("Div", c.op("Sub", a, rest), b)
    floor = c.op("Floor", exact)
    near = c.op("Greater", c.op("Sub", exact, floor), c.number(0.5, dtype))
    rounded = c.op("Where", near, c.op("Add", floor, c.number(1, dtype)), floor)
    by_zero = c.op("Or", c.op("Equal", b, c.number(0, dtype)), c.op("IsNaN", rest))
    return c.op("Where", by_zero, c.op("Floor", c.op("Div", a, b)), rounded)


@aten("remainder")
def remainder(c: Emitter, left: Any, right: Any) -> Value:
    a, b, dtype = both(c, left, right)
    return floor_remainder(c, a, b, dtype) if dtype.is_floating_point else c.op("Mod", a, b)


def floor_remainder(c: Emitter, a: Value, b: Value, dtype: torch.dtype) -> Value:
    """The remainder with the divisor's sign."""
    rest = c.op("Mod", a, b, fmod=1)
    zero = c.number(0, dtype)
    differs = c.op("Xor", c.op("Less", rest, zero), c.op("Less", b, zero))
    wrong = c.op("And", differs, c.op("Not", c.op("Equal", rest, zero)))
    return c.op("Where", wrong, c.op("Add", rest, b), rest)


@aten("fmod")
def fmod(c: Emitter, left: Any, right: Any) -> Value:
    a, b, _ = both(c, left, right)
    return c.op("Mod", a, b, fmod=1)


@aten("pow", "float_power")
def power(c: Emitter, base: Any, exponent: Any) -> Value:
    dtype = result_dtype(c)
    if dtype.is_floating_point and isinstance(exponent, (int, float)) and not isinstance(exponent, bool):
        value = c.number(base, dtype)
        simple = _simple_power(c, value, float(exponent), dtype)
        if simple is not None:
            return simple
    a, b, _ = both(c, base, exponent)
    if dtype in (torch.int8, torch.int16, torch.uint8):
        return c.convert(c.op("Pow", c.convert(a, torch.int64), c.convert(b, torch.int64)), dtype)
    return c.op("Pow", a, b)


def _simple_power(c: Emitter, value: Value, exponent: float, dtype: torch.dtype) -> Value | None:
    if exponent == 2:
        return c.op("Mul", value, value)
    if exponent == 0.5:
        return c.op("Sqrt", value)
    if exponent == 1:
        return value
    if exponent == 3:
        return c.op("Mul", c.op("Mul", value, value), value)
    if exponent == -1:
        return c.op("Reciprocal", value)
    if exponent == -0.5:
        return c.op("Reciprocal", c.op("Sqrt", value))
    return None


@aten("maximum", "max.other")
def maximum(c: Emitter, left: Any, right: Any) -> Value:
    return extreme(c, "Max", *both(c, left, right))


@aten("minimum", "min.other")
def minimum(c: Emitter, left: Any, right: Any) -> Value:
    return extreme(c, "Min", *both(c, left, right))


def extreme(c: Emitter, onnx: str, a: Value, b: Value, dtype: torch.dtype) -> Value:
    if dtype is torch.bool:
        return c.op("Or" if onnx == "Max" else "And", a, b)
    return c.op(onnx, a, b)


@aten("fmax")
def fmax(c: Emitter, left: Any, right: Any) -> Value:
    return _ignoring_nan(c, "Max", left, right)


@aten("fmin")
def fmin(c: Emitter, left: Any, right: Any) -> Value:
    return _ignoring_nan(c, "Min", left, right)


def _ignoring_nan(c: Emitter, onnx: str, left: Any, right: Any) -> Value:
    a, b, dtype = both(c, left, right)
    found = extreme(c, onnx, a, b, dtype)
    if not dtype.is_floating_point:
        return found
    return c.op("Where", c.op("IsNaN", a), b, c.op("Where", c.op("IsNaN", b), a, found))


@aten("clamp", "clip")
def clamp(c: Emitter, x: Tensor, low: Any = None, high: Any = None) -> Value:
    dtype = result_dtype(c)
    value = c.cast(x, dtype)
    if low is not None:
        value = extreme(c, "Max", value, c.number(low, dtype), dtype)
    return value if high is None else extreme(c, "Min", value, c.number(high, dtype), dtype)


@aten("clamp_min")
def clamp_min(c: Emitter, x: Tensor, low: Any) -> Value:
    return clamp(c, x, low)


@aten("clamp_max")
def clamp_max(c: Emitter, x: Tensor, high: Any) -> Value:
    return clamp(c, x, None, high)


def compared(c: Emitter, onnx: str, left: Any, right: Any) -> Value:
    """A comparison in the promoted type; truth values compare as numbers."""
    (a, b), dtype = c.promoted(left, right)
    if dtype is torch.bool and onnx != "Equal":
        a, b = c.convert(a, torch.int32), c.convert(b, torch.int32)
    return c.op(onnx, a, b)


for _name, _onnx in {
    "eq": "Equal", "lt": "Less", "le": "LessOrEqual", "gt": "Greater", "ge": "GreaterOrEqual", "less": "Less",
    "less_equal": "LessOrEqual", "greater": "Greater", "greater_equal": "GreaterOrEqual",
}.items():  # fmt: skip
    aten(_name)(lambda c, left, right, onnx=_onnx: compared(c, onnx, left, right))


@aten("ne", "not_equal")
def ne(c: Emitter, left: Any, right: Any) -> Value:
    return c.op("Not", compared(c, "Equal", left, right))


for _name, _onnx in {"logical_and": "And", "logical_or": "Or", "logical_xor": "Xor"}.items():
    aten(_name)(lambda c, left, right, onnx=_onnx: c.op(onnx, c.number(left, torch.bool), c.number(right, torch.bool)))


def _bits(onnx: str, boolean: str) -> Any:
    def emit(c: Emitter, left: Any, right: Any) -> Value:
        a, b, dtype = both(c, left, right)
        return c.op(boolean if dtype is torch.bool else onnx, a, b)

    return emit


for _name, _onnx, _boolean in [
    ("bitwise_and", "BitwiseAnd", "And"), ("bitwise_or", "BitwiseOr", "Or"), ("bitwise_xor", "BitwiseXor", "Xor"),
    ("__and__", "BitwiseAnd", "And"), ("__or__", "BitwiseOr", "Or"), ("__xor__", "BitwiseXor", "Xor"),
]:  # fmt: skip
    aten(_name)(_bits(_onnx, _boolean))


@aten("bitwise_left_shift", "__lshift__")
def left_shift(c: Emitter, left: Any, right: Any) -> Value:
    a, b, dtype = both(c, left, right)
    return c.convert(c.op("BitShift", *_unsigned(c, a, b), direction="LEFT"), dtype)


@aten("bitwise_right_shift", "__rshift__")
def right_shift(c: Emitter, left: Any, right: Any) -> Value:
    """Keeps the sign: a number below zero is shifted as its complement."""
    a, b, dtype = both(c, left, right)
    if not dtype.is_signed:
        return c.op("BitShift", a, b, direction="RIGHT")
    below = c.op("Less", a, c.number(0, dtype))
    positive = c.op("Where", below, c.op("BitwiseNot", a), a)
    shifted = c.convert(c.op("BitShift", *_unsigned(c, positive, b), direction="RIGHT"), dtype)
    return c.op("Where", below, c.op("BitwiseNot", shifted), shifted)


def _unsigned(c: Emitter, a: Value, b: Value) -> tuple[Value, Value]:
    return c.convert(a, torch.uint64), c.convert(b, torch.uint64)


@aten("atan2", "arctan2")
def atan2(c: Emitter, left: Any, right: Any) -> Value:
    """The angle of the point (right, left)."""
    y, x, dtype = both(c, left, right)
    return arc_tangent(c, y, x, dtype)


def arc_tangent(c: Emitter, y: Value, x: Value, dtype: torch.dtype) -> Value:
    zero, half = c.number(0, dtype), c.number(math.pi / 2, dtype)
    pi = c.number(math.pi, dtype)
    infinite = c.op("And", _infinite(c, y, dtype), _infinite(c, x, dtype))
    plain = c.op("Atan", c.op("Div", y, x))
    # Both infinite: the quotient is no number, the angle an odd multiple of pi / 4.
    diagonal = c.op("Mul", c.op("Mul", c.op("Sign", y), c.op("Sign", x)), c.number(math.pi / 4, dtype))
    plain = c.op("Where", infinite, diagonal, plain)
    minus_y = c.op("Less", c.op("Reciprocal", y), zero)  # true of minus zero
    negative = c.op("Or", c.op("Less", y, zero), c.op("And", c.op("Equal", y, zero), minus_y))
    left = c.op("Less", c.op("Where", c.op("Equal", x, zero), c.op("Reciprocal", x), x), zero)
    signed_pi = c.op("Where", negative, c.op("Neg", pi), pi)
    turned = c.op("Where", left, c.op("Add", plain, signed_pi), plain)
    signed_half = c.op("Where", negative, c.op("Neg", half), half)
    on_axis = c.op("And", c.op("Equal", x, zero), c.op("Not", c.op("Equal", y, zero)))
    at_origin = c.op("And", c.op("Equal", x, zero), c.op("Equal", y, zero))
    signed_zero = c.op("Where", negative, c.number(-0.0, dtype), zero)
    origin = c.op("Where", left, signed_pi, signed_zero)
    missing = c.op("Or", c.op("IsNaN", x), c.op("IsNaN", y))
    angle = c.op("Where", at_origin, origin, c.op("Where", on_axis, signed_half, turned))
    return c.op("Where", missing, c.number(math.nan, dtype), angle)


def _infinite(c: Emitter, value: Value, dtype: torch.dtype) -> Value:
    return c.op("Equal", c.op("Abs", value), c.number(math.inf, dtype))


@aten("copysign")
def copysign(c: Emitter, left: Any, right: Any) -> Value:
    from onward.converters.torch.operators.unary import signbit

    a, b, dtype = both(c, left, right)
    size = c.op("Abs", a)
    return c.op("Where", signbit(c, Tensor(b, dtype, ())), c.op("Neg", size), size)


@aten("hypot")
def hypot(c: Emitter, left: Any, right: Any) -> Value:
    a, b, _ = both(c, left, right)
    return c.op("Sqrt", c.op("Add", c.op("Mul", a, a), c.op("Mul", b, b)))


@aten("logaddexp")
def logaddexp(c: Emitter, left: Any, right: Any) -> Value:
    a, b, dtype = both(c, left, right)
    same = c.op("And", c.op("Equal", a, b), _infinite(c, a, dtype))
    gap = c.op("Neg", c.op("Abs", c.op("Sub", a, b)))
    return c.op("Where", same, a, c.op("Add", c.op("Max", a, b), c.op("Softplus", gap)))


@aten("logaddexp2")
def logaddexp2(c: Emitter, left: Any, right: Any) -> Value:
    a, b, dtype = both(c, left, right)
    same = c.op("And", c.op("Equal", a, b), _infinite(c, a, dtype))
    base = c.number(math.log(2), dtype)
    gap = c.op("Mul", c.op("Neg", c.op("Abs", c.op("Sub", a, b))), base)
    return c.op("Where", same, a, c.op("Add", c.op("Max", a, b), c.op("Div", c.op("Softplus", gap), base)))


@aten("xlogy", "special_xlogy")
def xlogy(c: Emitter, left: Any, right: Any) -> Value:
    a, b, dtype = both(c, left, right)
    product = c.op("Mul", a, c.op("Log", b))
    nothing = c.op("And", c.op("Equal", a, c.number(0, dtype)), c.op("Not", c.op("IsNaN", b)))
    return c.op("Where", nothing, c.number(0, dtype), product)


@aten("heaviside")
def heaviside(c: Emitter, x: Tensor, values: Tensor) -> Value:
    dtype = result_dtype(c)
    step = c.convert(c.op("Greater", x, c.number(0, x.dtype)), dtype)
    return c.op("Where", c.op("Equal", x, c.number(0, x.dtype)), c.cast(values, dtype), step)


@aten("gcd")
def gcd(c: Emitter, left: Any, right: Any) -> Value:
    return _greatest_divisor(c, *both(c, left, right))


@aten("lcm")
def lcm(c: Emitter, left: Any, right: Any) -> Value:
    a, b, dtype = both(c, left, right)
    divisor = _greatest_divisor(c, a, b, dtype)
    safe = c.op("Max", divisor, c.number(1, dtype)) if dtype is not torch.bool else divisor
    return c.op("Abs", c.op("Mul", c.op("Div", a, safe), b))


def _greatest_divisor(c: Emitter, a: Value, b: Value, dtype: torch.dtype) -> Value:
    """Euclid's algorithm; 64-bit numbers take at most 92 steps, and the loop ends when nothing changes any more."""
    from onward.ir import TensorType
    from onward.ir.datatypes import DataType

    wide = torch.int64
    larger = c.op("Abs", c.convert(a, wide))
    smaller = c.op("Abs", c.convert(b, wide))
    shape = c.op("Shape", c.op("Add", larger, smaller))
    larger, smaller = c.op("Expand", larger, shape), c.op("Expand", smaller, shape)
    zero, one = c.number(0, wide), c.number(1, wide)
    more = c.op("Cast", c.op("ReduceMax", smaller, keepdims=0), to=int(DataType.BOOL))
    with c.inner_graph("euclid") as inner:
        rank = len(c.result.shape)
        names: list[tuple[str, DataType, tuple[None, ...]]] = [("turn", DataType.INT64, ()), ("more", DataType.BOOL, ())]
        names += [("larger", DataType.INT64, (None,) * rank), ("smaller", DataType.INT64, (None,) * rank)]
        for name, kind, extents in names:
            inner.inputs.append(inner.new_value(TensorType(kind, extents), name))
        x, y = inner.inputs[2:]
        done = c.op("Equal", y, zero)
        rest = c.op("Mod", x, c.op("Where", done, one, y))
        next_x, next_y = c.op("Where", done, x, y), c.op("Where", done, zero, rest)
        go_on = c.op("Cast", c.op("ReduceMax", next_y, keepdims=0), to=int(DataType.BOOL))
        inner.outputs.extend([c.op("Identity", go_on), next_x, next_y])
    found, _ = c.op("Loop", None, more, larger, smaller, outputs=2, body=inner)
    return c.convert(found, dtype)


@aten("where")
def where(c: Emitter, condition: Tensor, left: Any = None, right: Any = None) -> Any:
    if left is None:
        from onward.converters.torch.operators.sorting import positions

        return positions(c, condition)
    a, b, _ = both(c, left, right)
    return c.op("Where", c.cast(condition, torch.bool), a, b)


@aten("masked_fill")
def masked_fill(c: Emitter, x: Tensor, mask: Tensor, value: Any) -> Value:
    return c.op("Where", c.cast(mask, torch.bool), c.number(value, x.dtype), x)


@aten("lerp")
def lerp(c: Emitter, start: Tensor, end: Tensor, weight: Any) -> Value:
    """From the nearer end, as PyTorch does, so that both ends are met exactly."""
    dtype = result_dtype(c)
    a, b, w = c.number(start, dtype), c.number(end, dtype), c.number(weight, dtype)
    span = c.op("Sub", b, a)
    near = c.op("Less", c.op("Abs", w), c.number(0.5, dtype))
    from_start = c.op("Add", a, c.op("Mul", w, span))
    from_end = c.op("Sub", b, c.op("Mul", span, c.op("Sub", c.number(1, dtype), w)))
    return c.op("Where", near, from_start, from_end)


@aten("addcmul")
def addcmul(c: Emitter, x: Tensor, left: Tensor, right: Tensor, value: Any = 1) -> Value:
    dtype = result_dtype(c)
    product = c.op("Mul", c.number(left, dtype), c.number(right, dtype))
    return c.op("Add", c.number(x, dtype), _scaled(c, product, value, dtype))


@aten("addcdiv")
def addcdiv(c: Emitter, x: Tensor, left: Tensor, right: Tensor, value: Any = 1) -> Value:
    dtype = result_dtype(c)
    quotient = c.op("Div", c.number(left, dtype), c.number(right, dtype))
    return c.op("Add", c.number(x, dtype), _scaled(c, quotient, value, dtype))


@aten("ldexp")
def ldexp(c: Emitter, x: Any, exponent: Any) -> Value:
    a, b, dtype = both(c, x, exponent)
    return c.op("Mul", a, c.op("Pow", c.number(2.0, dtype), b))


@aten("isclose")
def isclose(c: Emitter, left: Tensor, right: Tensor, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Value:
    (a, b), dtype = c.promoted(left, right)
    same = c.op("Equal", a, b)
    if not dtype.is_floating_point:
        a, b, dtype = c.convert(a, torch.float64), c.convert(b, torch.float64), torch.float64
    allowed = c.op("Add", c.number(atol, dtype), c.op("Mul", c.number(rtol, dtype), c.op("Abs", b)))
    gap = c.op("Abs", c.op("Sub", a, b))
    finite = c.op("Less", gap, c.number(math.inf, dtype))
    near = c.op("Or", same, c.op("And", finite, c.op("LessOrEqual", gap, allowed)))
    if equal_nan:
        near = c.op("Or", near, c.op("And", c.op("IsNaN", a), c.op("IsNaN", b)))
    return near


@aten("equal")
def equal(c: Emitter, left: Tensor, right: Tensor) -> Value:
    different = c.op("Not", compared(c, "Equal", left, right))
    return c.op("Not", c.convert(c.op("ReduceMax", c.convert(different, torch.int32), keepdims=0), torch.bool))


@aten("item", "_local_scalar_dense")
def item(c: Emitter, x: Tensor) -> Scalar:
    value = x.value if x.rank == 0 else c.reshape(x, [])
    kind = torch.float64 if x.dtype.is_floating_point else torch.bool if x.dtype is torch.bool else torch.int64
    return Scalar(value if x.dtype is kind else c.convert(value, kind), kind)


@aten("_to_copy", "to", "type_as", "_autocast_to_reduced_precision", "_autocast_to_full_precision")
def to_copy(c: Emitter, x: Any, *arguments: Any, dtype: Any = None, **options: Any) -> Value:
    """Numbers, too, which functions under `vmap` convert."""
    return converted(c, x, result_dtype(c)) if isinstance(x, Tensor) else c.number(x, result_dtype(c))


def converted(c: Emitter, x: Tensor, dtype: torch.dtype) -> Value:
    """A conversion as C++ makes it: real numbers to truth values are unequal to zero, to small integers modulo their range."""
    if x.dtype.is_floating_point and dtype in (torch.int8, torch.int16, torch.uint8):
        return c.convert(c.convert(x.value, torch.int32), dtype)
    return c.cast(x, dtype)


@aten("scalar_tensor")
def scalar_tensor(c: Emitter, number: Any, dtype: Any = None) -> Value:
    return c.number(number, result_dtype(c))


@aten("is_nonzero")
def is_nonzero(c: Emitter, x: Tensor) -> Scalar:
    return Scalar(c.reshape(c.cast(x, torch.bool), []), torch.bool)
