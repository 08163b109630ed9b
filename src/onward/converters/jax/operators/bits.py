"""Whole numbers as bits."""

from __future__ import annotations

from typing import Any

import numpy as np

from onward.converters.jax.emitter import Array, Emitter
from onward.converters.jax.registry import primitive
from onward.errors import UnsupportedOperator
from onward.ir import Value
from onward.ir.datatypes import DataType

LOGIC = {"and": ("And", "BitwiseAnd"), "or": ("Or", "BitwiseOr"), "xor": ("Xor", "BitwiseXor"), "not": ("Not", "BitwiseNot")}


def _logic(of_truth: str, of_bits: str) -> Any:
    def emit(c: Emitter, *arguments: Array) -> Value:
        return c.op(of_truth if arguments[0].is_bool else of_bits, *arguments)

    return emit


for _name, _operators in LOGIC.items():
    primitive(_name)(_logic(*_operators))


def unsigned(dtype: Any) -> np.dtype:
    """The type without a sign of the same width."""
    return np.dtype(f"uint{np.dtype(dtype).itemsize * 8}")


def _shifted(c: Emitter, x: Any, amount: Any, dtype: np.dtype, direction: str) -> Value:
    """A shift of numbers without a sign; by the width or more it leaves nothing."""
    width = dtype.itemsize * 8
    known = amount.known if isinstance(amount, Array) else None
    value, by = c.convert(x, dtype), c.convert(amount, dtype)
    if known is not None and np.all((known >= 0) & (known < width)):
        return c.op("BitShift", value, by, direction=direction)
    inside = c.op("Less", by, c.number(width, dtype))
    zero = c.number(0, dtype)
    return c.where(inside, c.op("BitShift", value, c.where(inside, by, zero), direction=direction), zero)


@primitive("shift_left")
def shift_left(c: Emitter, x: Array, amount: Array) -> Value:
    return c.convert(_shifted(c, x, amount, unsigned(x.dtype), "LEFT"), x.dtype)


@primitive("shift_right_logical")
def shift_right_logical(c: Emitter, x: Array, amount: Array) -> Value:
    return c.convert(_shifted(c, x, amount, unsigned(x.dtype), "RIGHT"), x.dtype)


@primitive("shift_right_arithmetic")
def shift_right_arithmetic(c: Emitter, x: Array, amount: Array) -> Value:
    """Negative numbers are shifted as the complement of the complement."""
    if np.dtype(x.dtype).kind == "u":
        width = np.dtype(x.dtype).itemsize * 8
        negative = c.op("GreaterOrEqual", x, c.number(1 << (width - 1), x.dtype))
    else:
        negative = c.op("Less", x, c.number(0, x.dtype))
    value = c.where(negative, c.op("BitwiseNot", x), x)
    shifted = c.convert(_shifted(c, value, amount, unsigned(x.dtype), "RIGHT"), x.dtype)
    return c.where(negative, c.op("BitwiseNot", shifted), shifted)


def right(c: Emitter, value: Value, amount: int) -> Value:
    dtype = c.dtype_of(value)
    return c.op("BitShift", value, c.number(amount, dtype), direction="RIGHT")


@primitive("population_count")
def population_count(c: Emitter, x: Array) -> Value:
    """Counts in pairs of bits, in fours, in bytes, and adds the bytes."""
    return c.convert(_count(c, c.convert(x, unsigned(x.dtype))), x.dtype)


def _count(c: Emitter, value: Value) -> Value:
    dtype = c.dtype_of(value)
    width = dtype.itemsize * 8

    def mask(pattern: int) -> Value:
        return c.number(np.array(int.from_bytes(bytes([pattern]) * dtype.itemsize, "big"), dtype), dtype)

    value = c.op("Sub", value, c.op("BitwiseAnd", right(c, value, 1), mask(0x55)))
    value = c.op("Add", c.op("BitwiseAnd", value, mask(0x33)), c.op("BitwiseAnd", right(c, value, 2), mask(0x33)))
    value = c.op("BitwiseAnd", c.op("Add", value, right(c, value, 4)), mask(0x0F))
    step = 8
    while step < width:
        value = c.op("Add", value, right(c, value, step))
        step *= 2
    return c.op("BitwiseAnd", value, c.number(0x7F, dtype))


@primitive("clz")
def clz(c: Emitter, x: Array) -> Value:
    """The zeros in front: all bits below the first one are set, and those that are not are counted."""
    dtype = unsigned(x.dtype)
    value = c.convert(x, dtype)
    step = 1
    while step < dtype.itemsize * 8:
        value = c.op("BitwiseOr", value, right(c, value, step))
        step *= 2
    return c.convert(_count(c, c.op("BitwiseNot", value)), x.dtype)


def bits_of(c: Emitter, item: Any, dtype: Any) -> Value:
    """The same bits as another type of the same width."""
    value = c.value(item)
    assert value is not None
    kind = DataType.of(np.dtype(dtype))
    return value if c.types[value] == kind else c.op("BitCast", value, to=int(kind))


@primitive("bitcast_convert_type")
def bitcast_convert_type(c: Emitter, x: Array, *, new_dtype: Any) -> Value:
    """Bits as another type. A wider type is put together of the last axis, the lowest bits first; a narrower one adds an axis."""
    old, new = np.dtype(x.dtype), np.dtype(new_dtype)
    if np.bool_ in (old, new):
        raise UnsupportedOperator("bits of truth values are not read")
    if old.itemsize == new.itemsize:
        return bits_of(c, x, new)
    if old.itemsize > new.itemsize:
        whole, part = unsigned(old), unsigned(new)
        count = old.itemsize // new.itemsize
        amounts = (np.arange(count) * new.itemsize * 8).astype(whole)
        spread = c.op("BitShift", c.unsqueeze(bits_of(c, x, whole), x.rank), c.array(amounts), direction="RIGHT")
        return bits_of(c, c.convert(spread, part), new)
    whole, part = unsigned(new), unsigned(old)
    count = new.itemsize // old.itemsize
    amounts = (np.arange(count) * old.itemsize * 8).astype(whole)
    placed = c.op("BitShift", c.convert(bits_of(c, x, part), whole), c.array(amounts), direction="LEFT")
    total = c.op("Gather", placed, np.array(0), axis=x.rank - 1)
    for place in range(1, count):
        total = c.op("BitwiseOr", total, c.op("Gather", placed, np.array(place), axis=x.rank - 1))
    return bits_of(c, total, new)


def with_fewer_bits(c: Emitter, x: Array, exponent_bits: int, mantissa_bits: int) -> Value:
    """A number rounded to another format, in its own type."""
    for dtype, bits in ((np.float16, (5, 10)), (np.float32, (8, 23)), (np.float64, (11, 52)), (DataType.BFLOAT16.numpy, (8, 7))):
        if (exponent_bits, mantissa_bits) == bits:
            return c.convert(c.convert(x, dtype), x.dtype)
    raise UnsupportedOperator(f"there is no type of {exponent_bits} bits of exponent and {mantissa_bits} of mantissa")


@primitive("nextafter")
def nextafter(c: Emitter, x: Array, y: Array) -> Value:
    """The next number of the type: bits, which are in the order of the numbers of one sign, one more or one less."""
    signed = np.dtype(f"int{np.dtype(x.dtype).itemsize * 8}")
    zero = c.number(0, x.dtype)
    outwards = c.op("Equal", c.op("Greater", y, x), c.op("Greater", x, zero))
    bits = bits_of(c, x, signed)
    one = c.number(1, signed)
    moved = bits_of(c, c.where(outwards, c.op("Add", bits, one), c.op("Sub", bits, one)), x.dtype)
    least = bits_of(c, c.number(1, signed), x.dtype)
    from_zero = c.where(c.op("Greater", y, zero), least, c.op("Neg", least))
    result = c.where(c.op("Equal", x, zero), from_zero, moved)
    result = c.where(c.op("Equal", x, y), y, result)
    return c.where(c.op("Or", c.op("IsNaN", x), c.op("IsNaN", y)), c.op("Add", x, y), result)


@primitive("lt_to", "le_to", "eq_to")
def total_order(c: Emitter, x: Array, y: Array) -> Value:
    """Comparison in the order of all numbers: -NaN, -infinity ... -0, 0 ... infinity, NaN. Bits have it, with those of negative ones turned."""
    operator = {"lt_to": "Less", "le_to": "LessOrEqual", "eq_to": "Equal"}[c.primitive]
    if not x.is_float:
        return c.op(operator, x, y)
    signed = np.dtype(f"int{np.dtype(x.dtype).itemsize * 8}")

    def key(item: Array) -> Value:
        bits = bits_of(c, item, signed)
        turned = c.op("BitwiseXor", bits, c.number(np.iinfo(signed).max, signed))
        return c.where(c.op("Less", bits, c.number(0, signed)), turned, bits)

    return c.op(operator, key(x), key(y))


@primitive("mulhi")
def mulhi(c: Emitter, x: Array, y: Array) -> Value:
    """The upper half of a product, computed in twice the width."""
    dtype = np.dtype(x.dtype)
    if dtype.itemsize == 8:
        raise UnsupportedOperator("there is no type of 128 bits")
    wide = np.dtype(f"{'u' if dtype.kind == 'u' else ''}int{dtype.itemsize * 16}")
    product = bits_as_unsigned(c, c.op("Mul", c.convert(x, wide), c.convert(y, wide)))
    return c.convert(right(c, product, dtype.itemsize * 8), dtype)


def bits_as_unsigned(c: Emitter, value: Value) -> Value:
    return c.convert(value, unsigned(c.dtype_of(value)))
