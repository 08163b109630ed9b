"""Conversions to and from float16 and bfloat16 in integer arithmetic, for processors without the instructions.

Without these the code generator calls functions of a C runtime library that a process need not have. All round to
nearest, halves to even, and keep infinities, NaN and subnormal numbers. Source: IEEE 754, section 5.4.2; the forms with
a magic addend are F. Giesen's (public domain).
"""

from __future__ import annotations

from onward.compiler.builder import Builder
from onward.compiler.values import BF16, F16, F32, I16, I32, Type, Value

HALF_OVERFLOW = 0x47800000
"""65536: from here on a float is an infinity or NaN as float16."""
HALF_NORMAL = 113 << 23
"""2^-14: below it float16 is subnormal."""
INFINITY = 0x7F800000


def bfloat16_of(b: Builder, value: Value) -> Value:
    """float32 -> bfloat16."""
    kind = Type("i32", value.type.lanes)
    bits = b.bitcast(value, kind)
    high = b.logical_shift_right(bits, b.constant(kind, 16))
    rounded = bits + b.constant(kind, 0x7FFF) + (high & b.constant(kind, 1))
    quiet = high | b.constant(kind, 0x40)
    result = b.select(b.unordered(value, value), quiet, b.logical_shift_right(rounded, b.constant(kind, 16)))
    return b.bitcast(b.cast(result, I16), BF16.with_lanes(kind.lanes))


def half_of(b: Builder, value: Value) -> Value:
    """float32 -> float16."""
    kind = Type("i32", value.type.lanes)
    signed = b.bitcast(value, kind)
    sign = signed & b.constant(kind, 1 << 31)
    bits = signed ^ sign
    special = b.select(bits > b.constant(kind, INFINITY), b.constant(kind, 0x7E00), b.constant(kind, 0x7C00))
    # Adding a half leaves the subnormal's bits, rounded by the addition itself, at the low end.
    magic = b.constant(kind, 126 << 23)
    subnormal = b.bitcast(b.bitcast(bits, value.type) + b.bitcast(magic, value.type), kind) - magic
    odd = b.logical_shift_right(bits, b.constant(kind, 13)) & b.constant(kind, 1)
    normal = b.logical_shift_right(bits - b.constant(kind, (112 << 23) - 0xFFF) + odd, b.constant(kind, 13))
    result = b.select(bits < b.constant(kind, HALF_NORMAL), subnormal, normal)
    result = b.select(bits < b.constant(kind, HALF_OVERFLOW), result, special)
    result = result | b.logical_shift_right(sign, b.constant(kind, 16))
    return b.bitcast(b.cast(result, I16), F16.with_lanes(kind.lanes))


def float_of_half(b: Builder, value: Value) -> Value:
    """float16 -> float32, exact."""
    kind = Type("i32", value.type.lanes)
    bits = b.cast(b.bitcast(value, I16.with_lanes(kind.lanes)), I32, signed=False)
    sign = (bits & b.constant(kind, 0x8000)) << b.constant(kind, 16)
    magnitude = (bits & b.constant(kind, 0x7FFF)) << b.constant(kind, 13)
    exponent = magnitude & b.constant(kind, 0x7C00 << 13)
    normal = magnitude + b.constant(kind, 112 << 23)
    special = normal + b.constant(kind, 112 << 23)
    least = b.bitcast(b.constant(kind, HALF_NORMAL), F32.with_lanes(kind.lanes))
    subnormal = b.bitcast(b.bitcast(normal + b.constant(kind, 1 << 23), least.type) - least, kind)
    result = b.select(exponent == b.constant(kind, 0), subnormal, normal)
    result = b.select(exponent == b.constant(kind, 0x7C00 << 13), special, result)
    return b.bitcast(result | sign, F32.with_lanes(kind.lanes))


def odd_float_of(b: Builder, value: Value) -> Value:
    """float64 -> float32 rounded to odd, so that rounding once more to a narrower type rounds correctly."""
    narrow = b.cast(value, F32)
    back = b.cast(narrow, value.type)
    bits = b.bitcast(narrow, Type("i32", value.type.lanes))
    one = b.constant(bits.type, 1)
    down = b.select(b.absolute(back) > b.absolute(value), bits - one, bits)
    inexact = (back < value) | (back > value)
    return b.bitcast(b.select(inexact, down | one, bits), narrow.type)
