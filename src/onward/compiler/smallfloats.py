"""Floats of 8, 6 and 4 bits: conversion to and from float32 by integer and exact float arithmetic.

Formats after the OCP 8-bit Floating Point Specification and the OCP Microscaling Formats specification.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from onward.compiler.builder import Builder
from onward.compiler.values import F32, I8, I32, Type, Value
from onward.ir.datatypes import DataType


@dataclass(frozen=True)
class Format:
    """A small float: `largest` is the code of the largest finite number; `infinity` and `nan` codes where they exist."""

    exponent_bits: int
    mantissa_bits: int
    bias: int
    largest: int
    infinity: int | None
    nan: int | None
    signed: bool = True
    negative_zero: bool = True

    @property
    def sign_bit(self) -> int:
        """The code's sign bit."""
        return 1 << (self.exponent_bits + self.mantissa_bits)


FORMATS: dict[DataType, Format] = {
    DataType.FLOAT8E4M3FN: Format(4, 3, 7, 0x7E, None, 0x7F),
    DataType.FLOAT8E4M3FNUZ: Format(4, 3, 8, 0x7F, None, 0x80, negative_zero=False),
    DataType.FLOAT8E5M2: Format(5, 2, 15, 0x7B, 0x7C, 0x7E),
    DataType.FLOAT8E5M2FNUZ: Format(5, 2, 16, 0x7F, None, 0x80, negative_zero=False),
    DataType.FLOAT8E8M0: Format(8, 0, 127, 0xFE, None, 0xFF, signed=False),
    DataType.FLOAT6E2M3: Format(2, 3, 1, 0x1F, None, None),
    DataType.FLOAT6E3M2: Format(3, 2, 3, 0x1F, None, None),
    DataType.FLOAT4E2M1: Format(2, 1, 1, 0x7, None, None),
}


def _two_to(b: Builder, exponent: Value) -> Value:
    """2^exponent as float32, subnormal results included."""
    lanes = exponent.type.lanes
    half = exponent >> b.constant(exponent.type, 1)
    parts = [(part + b.constant(part.type, 127)) << b.constant(part.type, 23) for part in (half, exponent - half)]
    kind = F32.with_lanes(lanes)
    return b.bitcast(parts[0], kind) * b.bitcast(parts[1], kind)


def decode(b: Builder, code: Value, dtype: DataType) -> Value:
    """The float32 a code stands for."""
    form = FORMATS[dtype]
    kind = I32.with_lanes(code.type.lanes)
    bits = b.cast(code, kind, signed=False)
    constant = lambda value: b.constant(kind, value)  # noqa: E731 (reads as a word of this function)
    if not form.signed:
        value = _two_to(b, bits - constant(form.bias))
        return b.select(bits == constant(0xFF), b.constant(value.type, math.nan), value)
    magnitude = bits & constant(form.sign_bit - 1)
    exponent = b.logical_shift_right(magnitude, constant(form.mantissa_bits))
    fraction = magnitude & constant((1 << form.mantissa_bits) - 1)
    normal = exponent != constant(0)
    whole = b.select(normal, fraction + constant(1 << form.mantissa_bits), fraction)
    scale = b.select(normal, exponent, constant(1)) - constant(form.bias + form.mantissa_bits)
    value = b.cast(whole, F32) * _two_to(b, scale)
    if form.infinity is not None:
        value = b.select(magnitude == constant(form.infinity), b.constant(value.type, math.inf), value)
        value = b.select(magnitude > constant(form.infinity), b.constant(value.type, math.nan), value)
    elif form.nan is not None and form.negative_zero:
        value = b.select(magnitude == constant(form.nan), b.constant(value.type, math.nan), value)
    value = b.select((bits & constant(form.sign_bit)) != constant(0), -value, value)
    if form.nan is not None and not form.negative_zero:
        value = b.select(bits == constant(form.nan), b.constant(value.type, math.nan), value)
    return value


def encode(b: Builder, value: Value, dtype: DataType, saturate: bool) -> Value:
    """The nearest code, ties to even. Beyond the range: the largest number when saturating, else infinity or NaN."""
    form = FORMATS[dtype]
    kind = I32.with_lanes(value.type.lanes)
    constant = lambda number: b.constant(kind, number)  # noqa: E731
    bits = b.bitcast(value, kind)
    magnitude = b.absolute(value)
    nan = b.unordered(value, value)
    exponent = b.logical_shift_right(bits & constant(0x7FFFFFFF), constant(23)) - constant(127)
    if not form.signed:
        return _encode_scale(b, bits, nan, form)
    least = constant(1 - form.bias)
    exponent = b.select(exponent < least, least, exponent)
    quantum = constant(form.mantissa_bits) - exponent
    count = b.round_even(b.select(nan, b.constant(value.type, 0.0), magnitude) * _two_to(b, _bounded(b, quantum)))
    limit = b.constant(value.type, float(1 << (form.mantissa_bits + 1)))
    count = b.select(count > limit, limit, count)
    code = b.cast(count, I32) + ((exponent + constant(form.bias - 1)) << constant(form.mantissa_bits))
    over = b.bitwise_or(code > constant(form.largest), magnitude == b.constant(value.type, math.inf))
    beyond = form.largest if saturate or form.nan is None else form.infinity if form.infinity is not None else form.nan
    code = b.select(over, constant(beyond), code)
    sign = b.select(bits < constant(0), constant(form.sign_bit), constant(0))
    if not form.negative_zero:
        plain = b.bitwise_or(code == constant(0), code == constant(form.nan or 0))
        sign = b.select(plain, constant(0), sign)
    code = code | sign
    code = b.select(nan, constant(form.nan if form.nan is not None else form.sign_bit), code)
    return b.cast(code, I8)


def _bounded(b: Builder, exponent: Value) -> Value:
    top = b.constant(exponent.type, 200)
    low = b.constant(exponent.type, -200)
    exponent = b.select(exponent > top, top, exponent)
    return b.select(exponent < low, low, exponent)


def _encode_scale(b: Builder, bits: Value, nan: Value, form: Format) -> Value:
    """float8e8m0: the exponent, rounded to the nearest power of two."""
    kind: Type = bits.type
    constant = lambda number: b.constant(kind, number)  # noqa: E731
    magnitude = bits & constant(0x7FFFFFFF)
    rounded = b.logical_shift_right(magnitude + constant(0x00400000), constant(23))
    # Code 0 is 2^-127, a subnormal float32; its half-way point to code 1 is 1.5 times that.
    least = b.select(magnitude > constant(0x00600000), constant(1), constant(0))
    rounded = b.select(magnitude < constant(0x00800000), least, rounded)
    rounded = b.select(rounded > constant(form.largest), constant(form.largest), rounded)
    bad = b.bitwise_or(nan, bits < constant(0))
    return b.cast(b.select(bad, constant(0xFF), rounded), I8)
