"""Arithmetic, element by element."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from onward.converters.jax.emitter import Array, Emitter
from onward.converters.jax.registry import primitive
from onward.ir import Value

SIMPLE = {
    "acos": "Acos", "acosh": "Acosh", "asin": "Asin", "asinh": "Asinh", "atan": "Atan", "atanh": "Atanh", "ceil": "Ceil", "cos": "Cos",
    "cosh": "Cosh", "erf": "Erf", "exp": "Exp", "floor": "Floor", "log": "Log", "logistic": "Sigmoid", "neg": "Neg", "sin": "Sin",
    "sinh": "Sinh", "sqrt": "Sqrt", "tan": "Tan", "tanh": "Tanh", "add": "Add", "add_any": "Add", "sub": "Sub",
}  # fmt: skip
"""Primitives that one operator of ONNX computes."""

SAME = (
    "copy", "stop_gradient", "device_put", "optimization_barrier", "sharding_constraint", "layout_constraint", "pvary", "reduced_vary_cast_p",
    "reshard", "dce_sink", "pin", "unpin", "remat_opt", "vary_unreduced_cast_p", "name",
)  # fmt: skip
"""Primitives that say nothing about the numbers."""


def _simple(operator: str) -> Any:
    def emit(c: Emitter, *arguments: Array, **parameters: Any) -> Value:
        return c.op(operator, *arguments)

    return emit


for _name, _operator in SIMPLE.items():
    primitive(_name)(_simple(_operator))


@primitive(*SAME)
def same(c: Emitter, *arguments: Array, **parameters: Any) -> list[Array]:
    return list(arguments)


def same_type(c: Emitter, value: Value, number: Any) -> Value:
    """A number of the type of a value."""
    return c.number(number, c.dtype_of(value))


def is_all(item: Array, number: float) -> bool:
    """Whether an array is known to have nothing but this number."""
    known = item.known
    return known is not None and known.size > 0 and bool(np.all(known == number))


@primitive("mul")
def multiply(c: Emitter, left: Array, right: Array, **parameters: Any) -> Value:
    return c.op("Mul", *(c.convert(item, c.result.dtype) for item in (left, right)))


@primitive("max")
def maximum(c: Emitter, left: Array, right: Array) -> Any:
    for item, other in ((left, right), (right, left)):
        if is_all(item, -math.inf) and item.rank == 0:
            return other
        if is_all(item, 0) and item.rank == 0 and other.is_float:
            return c.op("Relu", other)
    return c.op("Or" if left.is_bool else "Max", left, right)


@primitive("min")
def minimum(c: Emitter, left: Array, right: Array) -> Value:
    return c.op("And" if left.is_bool else "Min", left, right)


@primitive("abs")
def absolute(c: Emitter, x: Array) -> Value:
    return c.op("Abs", x)


@primitive("sign")
def sign(c: Emitter, x: Array) -> Value:
    """Of NaN NaN, of -0 -0."""
    value = c.op("Sign", x)
    if not x.is_float:
        return value
    return c.where(c.op("Or", c.op("IsNaN", x), c.op("Equal", x, c.number(0, x.dtype))), x, value)


@primitive("square")
def square(c: Emitter, x: Array, **parameters: Any) -> Value:
    return c.op("Mul", x, x)


@primitive("rsqrt")
def rsqrt(c: Emitter, x: Array, **parameters: Any) -> Value:
    return c.op("Reciprocal", c.op("Sqrt", x))


@primitive("cbrt")
def cbrt(c: Emitter, x: Array, **parameters: Any) -> Value:
    """A power, and one step of Newton's that gives the last places."""
    size = c.op("Abs", x)
    root = c.op("Pow", size, c.number(1 / 3, x.dtype))
    step = c.op("Div", c.op("Sub", root, c.op("Div", size, c.op("Mul", root, root))), c.number(3, x.dtype))
    regular = c.op("And", c.op("Greater", size, c.number(0, x.dtype)), c.op("Not", c.op("IsInf", size)))
    root = c.where(regular, c.op("Sub", root, step), root)
    return c.op("Mul", root, sign(c, x))


@primitive("exp2")
def exp2(c: Emitter, x: Array, **parameters: Any) -> Value:
    return c.op("Pow", c.number(2, x.dtype), x)


@primitive("log1p")
def log1p(c: Emitter, x: Array, **parameters: Any) -> Value:
    """log(u) x / (u - 1) with u = 1 + x, which is exact to rounding for small x (Kahan)."""
    one = c.number(1, x.dtype)
    raised = c.op("Add", x, one)
    gone = c.op("Sub", raised, one)
    log = c.op("Log", raised)
    small = c.op("Equal", gone, c.number(0, x.dtype))
    plain = c.op("Or", c.op("IsInf", gone), c.op("Equal", raised, c.number(0, x.dtype)))
    exact = c.op("Mul", log, c.op("Div", x, c.where(c.op("Or", small, plain), one, gone)))
    return c.where(small, x, c.where(plain, log, exact))


@primitive("expm1")
def expm1(c: Emitter, x: Array, **parameters: Any) -> Value:
    """2 sinh(x/2) exp(x/2), which loses no places near 0; far from it exp(x) - 1."""
    half = c.op("Mul", x, c.number(0.5, x.dtype))
    near = c.op("Mul", c.op("Mul", c.number(2, x.dtype), _sinh(c, half)), c.op("Exp", half))
    far = c.op("Sub", c.op("Exp", x), c.number(1, x.dtype))
    return c.where(c.op("Less", c.op("Abs", x), c.number(1, x.dtype)), near, far)


def _sinh(c: Emitter, value: Value) -> Value:
    """The series of sinh for sizes below one half."""
    square = c.op("Mul", value, value)
    total = same_type(c, value, 1)
    for order in (13, 11, 9, 7, 5, 3):
        total = c.op("Add", same_type(c, value, 1), c.op("Mul", total, c.op("Div", square, same_type(c, value, order * (order - 1)))))
    return c.op("Mul", value, total)


@primitive("integer_pow")
def integer_pow(c: Emitter, x: Array, *, y: int) -> Value:
    """Repeated squares, as JAX does; in real numbers powers beyond the second by Pow."""
    if y == 0:
        return c.expand(c.number(1, x.dtype), x.shape)
    if y < 0:
        return c.op("Reciprocal", integer_pow(c, x, y=-y) if y != -1 else x)
    if x.is_float and y > 2:
        return c.op("Pow", x, c.number(y, x.dtype))
    power, total = c.value(x), None
    assert power is not None
    while y:
        if y & 1:
            total = power if total is None else c.op("Mul", total, power)
        y >>= 1
        if y:
            power = c.op("Mul", power, power)
    assert total is not None
    return total


@primitive("pow")
def power(c: Emitter, x: Array, y: Array) -> Value:
    return c.op("Pow", x, y if y.dtype == x.dtype else c.convert(y, x.dtype))


@primitive("div")
def divide(c: Emitter, left: Array, right: Array) -> Value:
    """Whole numbers towards zero; by 0 they give -1, and the least by -1 itself, as on all of JAX's machines."""
    if left.is_float:
        return c.op("Div", left, right)
    if _is_safe(right):
        return c.op("Div", left, right)
    zero, quotient = _by_nonzero(c, "Div", left, right)
    return c.where(zero, c.op("BitwiseNot", c.number(0, left.dtype)), quotient)


@primitive("rem")
def remainder(c: Emitter, left: Array, right: Array) -> Value:
    """With the sign of the dividend; of whole numbers by 0 the dividend."""
    if left.is_float or _is_safe(right):
        return c.op("Mod", left, right, fmod=1)
    zero, rest = _by_nonzero(c, "Mod", left, right, fmod=1)
    return c.where(zero, left, rest)


def _is_safe(divisor: Array) -> bool:
    known = divisor.known
    return known is not None and not np.any((known == 0) | (known == np.array(-1).astype(known.dtype)))


def _by_nonzero(c: Emitter, operator: str, left: Array, right: Array, **attributes: Any) -> tuple[Value, Value]:
    """Where the divisor is zero, and the result for the others; by -1 it is that of 1, negated, which cannot overflow."""
    zero = c.op("Equal", right, c.number(0, right.dtype))
    one = c.number(1, right.dtype)
    if not np.issubdtype(np.dtype(right.dtype), np.signedinteger):
        return zero, c.op(operator, left, c.where(zero, one, right), **attributes)
    minus = c.op("Equal", right, c.number(-1, right.dtype))
    result = c.op(operator, left, c.where(c.op("Or", zero, minus), one, right), **attributes)
    negated = c.op("Sub", c.number(0, right.dtype), result)
    return zero, c.where(minus, negated, result)


@primitive("atan2")
def atan2(c: Emitter, y: Array, x: Array) -> Value:
    """The angle of the quotient of the smaller size by the larger, turned into its octant."""
    dtype = x.dtype
    high, wide = c.op("Abs", y), c.op("Abs", x)
    larger, smaller = c.op("Max", high, wide), c.op("Min", high, wide)
    both = c.op("Equal", high, wide)
    usable = c.op("Not", c.op("Equal", larger, c.number(0, dtype)))
    quotient = c.op("Div", smaller, c.where(usable, larger, c.number(1, dtype)))
    infinite = c.op("And", both, c.op("IsInf", wide))
    angle = c.op("Atan", c.where(infinite, c.number(1, dtype), quotient))
    angle = c.where(c.op("Greater", high, wide), c.op("Sub", c.number(math.pi / 2, dtype), angle), angle)
    angle = c.where(is_negative(c, x), c.op("Sub", c.number(math.pi, dtype), angle), angle)
    return c.where(is_negative(c, y), c.op("Neg", angle), angle)


def is_negative(c: Emitter, x: Any) -> Value:
    """Whether the sign is minus, that of zero included."""
    value = c.value(x)
    assert value is not None
    zero = same_type(c, value, 0)
    below = c.op("Less", value, zero)
    at_zero = c.op("Equal", value, zero)
    return c.op("Or", below, c.op("And", at_zero, c.op("Less", c.op("Reciprocal", c.where(at_zero, value, same_type(c, value, 1))), zero)))


@primitive("clamp")
def clamp(c: Emitter, low: Array, x: Array, high: Array) -> Value:
    return c.op("Min", c.op("Max", x, low), high)


@primitive("is_finite")
def is_finite(c: Emitter, x: Array) -> Value:
    return c.op("Not", c.op("Or", c.op("IsInf", x), c.op("IsNaN", x)))


@primitive("round")
def round_(c: Emitter, x: Array, *, rounding_method: Any) -> Value:
    if int(rounding_method) == 1:
        return c.op("Round", x)
    size = c.op("Abs", x)
    whole = c.op("Floor", size)
    far = c.op("GreaterOrEqual", c.op("Sub", size, whole), c.number(0.5, x.dtype))
    rounded = c.where(far, c.op("Add", whole, c.number(1, x.dtype)), whole)
    return c.where(is_negative(c, x), c.op("Neg", rounded), rounded)


COMPARISONS = {"eq": "Equal", "lt": "Less", "le": "LessOrEqual", "gt": "Greater", "ge": "GreaterOrEqual"}


def _comparison(operator: str) -> Any:
    def emit(c: Emitter, left: Array, right: Array) -> Value:
        return c.op(operator, left, right)

    return emit


for _name, _operator in COMPARISONS.items():
    primitive(_name)(_comparison(_operator))


@primitive("ne")
def not_equal(c: Emitter, left: Array, right: Array) -> Value:
    return c.op("Not", c.op("Equal", left, right))


@primitive("select_n")
def select_n(c: Emitter, which: Array, *cases: Array) -> Any:
    if len(cases) == 1:
        return cases[0]
    if which.is_bool:
        return _chosen(c, which, cases[1], cases[0])
    value = c.value(cases[-1])
    for place in range(len(cases) - 2, -1, -1):
        value = _chosen(c, c.op("LessOrEqual", which, c.number(place, which.dtype)), cases[place], value)
    return value


def _chosen(c: Emitter, condition: Any, yes: Any, no: Any) -> Value:
    """A choice between arrays; those of several numbers an element share its condition."""
    for _ in c.result.tail:
        condition = c.unsqueeze(condition, c.result.rank)
    return c.where(condition, yes, no)


@primitive("convert_element_type")
def convert_element_type(c: Emitter, x: Array, *, new_dtype: Any, **parameters: Any) -> Any:
    """As ONNX's Cast; real numbers become whole ones clipped to their range, NaN 0."""
    if x.dtype == new_dtype:
        return x
    if x.is_float and np.dtype(new_dtype).kind in "iu":
        return to_integer(c, x, np.dtype(new_dtype))
    return c.convert(x, new_dtype)


def to_integer(c: Emitter, x: Array, dtype: np.dtype) -> Value:
    """Towards zero, into the range of the type."""
    limits = np.iinfo(dtype)
    wide = np.dtype(np.float64) if dtype.itemsize == 8 or x.dtype == np.float64 else np.dtype(np.float32)
    value = c.convert(x, wide)
    number = c.where(c.op("IsNaN", value), c.number(0, wide), value)
    high = _below(limits.max, wide)
    clipped = c.op("Clip", number, c.number(limits.min, wide), c.number(high, wide))
    whole = c.convert(clipped, dtype)
    if int(high) == limits.max:
        return whole
    return c.where(c.op("Greater", number, c.number(high, wide)), c.number(limits.max, dtype), whole)


def _below(number: int, dtype: np.dtype) -> float:
    """The greatest number of a real type that is not above a whole one."""
    found = dtype.type(number)
    return float(found if int(found) <= number else np.nextafter(found, dtype.type(0)))


@primitive("reduce_precision")
def reduce_precision(c: Emitter, x: Array, *, exponent_bits: int, mantissa_bits: int) -> Value:
    from onward.converters.jax.operators.bits import with_fewer_bits

    return with_fewer_bits(c, x, exponent_bits, mantissa_bits)
