"""The scalar operations of the tensor program as instructions, for every numeric data type.

In memory a BOOL is a byte, the float8 and smaller types and the 2- and 4-bit integers are a byte an element. In registers
a BOOL is a bit; float16 and bfloat16 compute in float32 and round once an operation. Nothing here is undefined: integer
division by zero gives 0, shifts past the width give 0, conversions of floats out of range wrap as the evaluator says.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from onward.compiler.builder import Builder
from onward.compiler.mathematics import HOT, WIDE, emit_function
from onward.compiler.smallfloats import FORMATS, decode, encode
from onward.compiler.values import F32, F64, Type, Value
from onward.ir.datatypes import DataType

_KINDS = {
    DataType.FLOAT: "f32", DataType.DOUBLE: "f64", DataType.FLOAT16: "f16", DataType.BFLOAT16: "bf16",
    DataType.INT8: "i8", DataType.UINT8: "i8", DataType.INT16: "i16", DataType.UINT16: "i16", DataType.INT32: "i32",
    DataType.UINT32: "i32", DataType.INT64: "i64", DataType.UINT64: "i64", DataType.INT4: "i8", DataType.UINT4: "i8",
    DataType.INT2: "i8", DataType.UINT2: "i8", DataType.COMPLEX64: "i64", DataType.COMPLEX128: "i128",
}  # fmt: skip
"""Complex numbers are moved as bits; no operator of the standard computes with them."""

NARROW = (DataType.FLOAT16, DataType.BFLOAT16)


def storage_type(dtype: DataType, lanes: int = 1) -> Type:
    """The type of an element in memory."""
    return Type("i8" if dtype == DataType.BOOL or dtype in FORMATS else _KINDS[dtype], lanes)


def compute_type(dtype: DataType, lanes: int = 1) -> Type:
    """The type of an element in a register."""
    return Type("i1", lanes) if dtype == DataType.BOOL else storage_type(dtype, lanes)


def is_supported(dtype: DataType) -> bool:
    """Whether elements of this type can be held by compiled code."""
    return dtype == DataType.BOOL or dtype in _KINDS or dtype in FORMATS


def emit_literal(b: Builder, value: Any, dtype: DataType, lanes: int = 1) -> Value:
    """A constant in a register."""
    if dtype in FORMATS:
        import numpy as np

        value = int(np.asarray(value, dtype.numpy).view(np.uint8))
    elif dtype.is_complex:
        value = int.from_bytes(dtype.numpy.type(value).tobytes(), "little")
    elif dtype.is_integer:
        value = int(value)
    return b.constant(compute_type(dtype, lanes), value)


def emit_load(b: Builder, pointer: Value, dtype: DataType, lanes: int, mask: Value | None = None, indices: Value | None = None) -> Value:
    """Neighbouring elements from memory, or those at `indices` (in elements)."""
    kind = storage_type(dtype)
    if indices is not None and lanes > 1:
        value = b.gather(pointer, indices, kind, mask)
    else:
        if indices is not None:
            if mask is not None:
                indices = b.select(mask, indices, b.constant(indices.type, 0))
                mask = None
            pointer = b.offset(pointer, indices, kind)
        value = b.load(pointer, storage_type(dtype, lanes), mask=mask)
    if dtype == DataType.BOOL:
        return value != b.constant(value.type, 0)
    return _fit(b, value, dtype) if dtype.is_integer else value


def emit_store(b: Builder, pointer: Value, value: Value, dtype: DataType, mask: Value | None = None, indices: Value | None = None) -> None:
    """Neighbouring elements to memory, or to `indices`."""
    if dtype == DataType.BOOL:
        value = b.cast(value, Type("i8"))
    elif dtype.is_integer and dtype.bits < 8:  # in memory the upper bits are 0
        value = value & b.constant(value.type, (1 << dtype.bits) - 1)
    if indices is not None and value.type.lanes > 1:
        b.scatter(pointer, indices, value, mask)
    else:
        if indices is not None:
            pointer = b.offset(pointer, indices, storage_type(dtype))
        b.store(pointer, value, mask=mask)


# -- conversions ------------------------------------------------------------------------------------------------------
def emit_cast(b: Builder, value: Value, source: DataType, target: DataType, saturate: bool = True) -> Value:
    """ONNX Cast. Floats become integers by way of int64, rounded towards zero; what does not fit wraps."""
    if source == target:
        return value
    if source in FORMATS:
        return emit_cast(b, decode(b, value, source), DataType.FLOAT, target, saturate)
    if target in FORMATS:
        wide = emit_cast(b, value, source, DataType.FLOAT)
        return encode(b, wide, target, saturate)
    if target == DataType.BOOL:
        return value != b.constant(value.type, 0)
    if source == DataType.BOOL:
        return b.cast(value, compute_type(target), signed=False)
    if source.is_float and target.is_float:
        if source == DataType.DOUBLE and target in NARROW:  # there is no such instruction, only library functions
            value = _rounded_to_odd(b, value)
        return b.cast(value, compute_type(target))
    if source.is_float:
        return _fit(b, _float_to_integer(b, value, target), target)
    if target.is_float:
        if target in NARROW:
            return b.cast(b.cast(value, F32, signed=source.is_signed), compute_type(target))
        return b.cast(value, compute_type(target), signed=source.is_signed)
    return _fit(b, b.cast(value, compute_type(target), signed=source.is_signed), target)


SMALL = 1 << 22
"""Floats of at most this size leave their nearest integer in the bits of the sum with 1.5 * 2^23."""


def nearest_integer(b: Builder, value: Value) -> Value:
    """The integer (of 32 bits) nearest to a small float32, halves to even: the addition itself rounds."""
    magic = b.constant(value.type, 1.5 * 2**23)
    bits = Type("i32", value.type.lanes)
    return b.bitcast(value + magic, bits) - b.constant(bits, 0x4B400000)


def emit_quantized(b: Builder, value: Value, shift: int, dtype: DataType) -> Value:
    """The integer nearest to a float32, halves to even, plus `shift`, as a byte of `dtype`: what does not fit ends at the limits.

    The float must fit 32 bits.
    """
    words = Type("i32", value.type.lanes)
    whole = b.intrinsic(f"llvm.lrint.{words.mangled}.{value.type.mangled}", words, value)
    if b.target.is_x86 and b.target.vector_bits == 512 and words.lanes in (32, 64):
        return _packed(b, whole, shift, dtype)
    least, most = (-128, 127) if dtype.is_signed else (0, 255)
    whole = whole + b.constant(words, shift) if shift else whole
    for name, limit in (("smax", least), ("smin", most)):
        whole = b.intrinsic(f"llvm.{name}.{words.mangled}", words, whole, b.constant(words, limit))
    return b.cast(whole, Type("i8"))


def _packed(b: Builder, value: Value, shift: int, dtype: DataType) -> Value:
    """Two or four vectors of AVX-512 as one of bytes: instructions that take two at a time are half as many as those that take one."""
    lanes = value.type.lanes
    parts = [b.shuffle(value, value, range(first, first + 16)) for first in range(0, lanes, 16)]
    halves, bytes_of = Type("i16", 32), Type("i8", 64)
    words = [b.intrinsic("llvm.x86.avx512.packssdw.512", halves, *parts[first : first + 2]) for first in range(0, len(parts), 2)]
    if shift:
        words = [b.intrinsic(f"llvm.sadd.sat.{halves.mangled}", halves, word, b.constant(halves, shift)) for word in words]
    name = "packsswb" if dtype.is_signed else "packuswb"
    packed = b.bitcast(b.intrinsic(f"llvm.x86.avx512.{name}.512", bytes_of, words[0], words[-1]), Type("i32", 16))
    # Each of the four parts of 128 bits has four bytes of every vector.
    picked = b.shuffle(packed, packed, [4 * part + vector for vector in range(lanes // 16) for part in range(4)])
    return b.bitcast(picked, Type("i8", lanes))


def _rounded_to_odd(b: Builder, value: Value) -> Value:
    """A float64 as float32, inexact ones to the neighbour with an odd last bit: a second rounding is then exact.

    Source: Boldo and Melquiond 2008, "Emulation of FMA and correctly rounded sums using rounding to odd".
    """
    near = b.cast(value, F32)
    bits = b.bitcast(near, Type("i32", near.type.lanes))
    back = b.cast(near, F64)
    one = b.constant(bits.type, 1)
    even = (bits & one) == b.constant(bits.type, 0)
    beyond = b.absolute(back) > b.absolute(value)
    odd = b.select(beyond, bits - one, bits + one)
    inexact = b.bitwise_or(back < value, back > value)  # false for NaN
    return b.bitcast(b.select(b.bitwise_and(inexact, even), odd, bits), near.type)


def _float_to_integer(b: Builder, value: Value, target: DataType) -> Value:
    if value.type.bits < 32:
        value = b.cast(value, F32)
    wide = Type("i64", value.type.lanes)
    signed = b.intrinsic(f"llvm.fptosi.sat.{wide.mangled}.{value.type.mangled}", wide, value)
    if target == DataType.UINT64:
        unsigned = b.intrinsic(f"llvm.fptoui.sat.{wide.mangled}.{value.type.mangled}", wide, value)
        signed = b.select(value < b.constant(value.type, 0.0), signed, unsigned)
    return b.cast(signed, compute_type(target))


def _fit(b: Builder, value: Value, target: DataType) -> Value:
    """The 2- and 4-bit integers live in bytes: sign- or zero-extended from their bits."""
    if target.bits >= 8:
        return value
    shift = b.constant(value.type, 8 - target.bits)
    value = value << shift
    return value >> shift if target.is_signed else b.logical_shift_right(value, shift)


# -- arithmetic -------------------------------------------------------------------------------------------------------
def emit_operation(b: Builder, name: str, arguments: list[Value], dtype: DataType) -> Value:
    """The named operation of `program.evaluate.OPERATIONS` on values of one dtype."""
    if dtype in FORMATS:
        wide = [decode(b, argument, dtype) for argument in arguments]
        result = emit_operation(b, name, wide, DataType.FLOAT)
        return result if result.type.kind == "i1" else encode(b, result, dtype, True)
    if dtype in NARROW:
        result = emit_operation(b, name, [b.cast(argument, F32) for argument in arguments], DataType.FLOAT)
        return result if result.type.kind == "i1" else b.cast(result, compute_type(dtype))
    if name in _COMPARISONS:
        unsigned = dtype == DataType.BOOL or dtype.is_integer and not dtype.is_signed
        return b.compare(_COMPARISONS[name], arguments[0], arguments[1], unsigned=unsigned)
    if name in _BITWISE:
        return b.binary(_BITWISE[name], arguments[0], arguments[1])
    if name == "not":
        return b.invert(arguments[0])
    if dtype == DataType.BOOL:
        return _emit_bool(b, name, arguments)
    if dtype.is_float:
        return _emit_float(b, name, arguments)
    return _fit(b, _emit_integer(b, name, arguments, dtype), dtype)


_COMPARISONS = {
    "equal": "eq", "not_equal": "ne", "less": "lt", "less_equal": "le", "greater": "gt", "greater_equal": "ge",
}  # fmt: skip
_BITWISE = {"and": "and", "or": "or", "xor": "xor"}


def _emit_bool(b: Builder, name: str, arguments: list[Value]) -> Value:
    table = {"add": "or", "maximum": "or", "multiply": "and", "minimum": "and", "subtract": "xor"}
    if name in table:
        return b.binary(table[name], arguments[0], arguments[1])
    return arguments[0]


_ROUNDING: dict[str, Callable[[Builder, Value], Value]] = {
    "sqrt": Builder.sqrt, "floor": Builder.floor, "ceil": Builder.ceil, "round_even": Builder.round_even,
    "truncate": Builder.truncate, "absolute": Builder.absolute,
}  # fmt: skip


def _emit_float(b: Builder, name: str, arguments: list[Value]) -> Value:
    x = arguments[0]
    if name in _ROUNDING:
        return _ROUNDING[name](b, x)
    if name in HOT or name in WIDE or name == "power":
        return emit_function(b, name, arguments)
    if len(arguments) == 2:
        return _emit_float_pair(b, name, x, arguments[1])
    zero = b.constant(x.type, 0.0)
    match name:
        case "negate":
            return -x
        case "reciprocal":
            return b.constant(x.type, 1.0) / x
        case "is_nan":
            return b.unordered(x, x)
        case "is_infinite":
            return b.absolute(x) == b.constant(x.type, float("inf"))
        case "sign":
            sign = b.copysign(b.constant(x.type, 1.0), x)
            return b.select(b.bitwise_or(x == zero, b.unordered(x, x)), x, sign)
    raise KeyError(f"no instructions for the operation '{name}'")


def _emit_float_pair(b: Builder, name: str, x: Value, y: Value) -> Value:
    match name:
        case "add":
            return x + y
        case "subtract":
            return x - y
        case "multiply":
            return x * y
        case "divide":
            return x / y
        case "maximum" | "minimum":
            return _extreme(b, name, x, y)
        case "truncated_remainder":
            return _truncated_remainder(b, x, y)
        case "remainder":
            rest = _truncated_remainder(b, x, y)
            zero = b.constant(x.type, 0.0)
            wrong = b.bitwise_and(rest != zero, b.binary("xor", rest < zero, y < zero))
            return b.select(rest == zero, b.copysign(zero, y), b.select(wrong, rest + y, rest))
    raise KeyError(f"no instructions for the operation '{name}'")


def _extreme(b: Builder, name: str, x: Value, y: Value) -> Value:
    """NaN if either is. A constant side needs no test of its own: comparisons with NaN are false."""
    better = (lambda left, right: left > right) if name == "maximum" else (lambda left, right: left < right)
    if not y.name.startswith("%"):
        x, y = y, x
    if not x.name.startswith("%"):
        return b.select(better(x, y), x, y)
    return b.select(b.bitwise_or(better(x, y), b.unordered(x, x)), x, y)


def _truncated_remainder(b: Builder, x: Value, y: Value) -> Value:
    """fmod: exact while the quotient has at most 53 bits, by way of float64; lane by lane without a library."""
    wide_x, wide_y = b.cast(x, F64), b.cast(y, F64)
    quotient = b.truncate(wide_x / wide_y)
    rest = b.fma(-quotient, wide_y, wide_x)
    # A quotient rounded across an integer leaves a rest of the wrong sign or size by one divisor.
    magnitude = b.absolute(wide_y)
    zero = b.constant(rest.type, 0.0)
    signed = b.copysign(magnitude, wide_x)
    opposite = b.bitwise_and(rest != zero, b.binary("xor", rest < zero, wide_x < zero))
    rest = b.select(opposite, rest + signed, rest)
    rest = b.select(b.absolute(rest) >= magnitude, rest - signed, rest)
    infinite = b.absolute(wide_y) == b.constant(wide_y.type, float("inf"))
    finite = b.absolute(wide_x) < b.constant(wide_x.type, float("inf"))
    rest = b.select(b.bitwise_and(infinite, finite), wide_x, rest)
    return b.cast(b.copysign(rest, wide_x), x.type.with_lanes(1))


def _emit_integer(b: Builder, name: str, arguments: list[Value], dtype: DataType) -> Value:
    x = arguments[0]
    kind = x.type
    zero = b.constant(kind, 0)
    signed = dtype.is_signed
    if len(arguments) == 1:
        return _emit_integer_alone(b, name, x, signed)
    y = arguments[1]
    match name:
        case "add" | "subtract" | "multiply":
            return b.binary({"add": "add", "subtract": "sub", "multiply": "mul"}[name], x, y)
        case "maximum" | "minimum":
            first = b.compare("gt" if name == "maximum" else "lt", x, y, unsigned=not signed)
            return b.select(first, x, y)
        case "divide" | "remainder" | "truncated_remainder":
            return _divide(b, name, x, y, signed)
        case "shift_left" | "shift_right":
            width = b.constant(kind, kind.bits)
            inside = b.compare("lt", y, width, unsigned=True)
            if name == "shift_right" and signed:  # by the whole width or more: 0, or -1 for negative numbers
                return x >> b.select(inside, y, b.constant(kind, kind.bits - 1))
            amount = b.select(inside, y, zero)
            return b.select(inside, x << amount if name == "shift_left" else b.logical_shift_right(x, amount), zero)
        case "power":
            return _integer_power(b, x, y, signed)
    raise KeyError(f"no instructions for the operation '{name}' on integers")


def _emit_integer_alone(b: Builder, name: str, x: Value, signed: bool) -> Value:
    zero, one = b.constant(x.type, 0), b.constant(x.type, 1)
    match name:
        case "negate":
            return zero - x
        case "absolute":
            return b.select(x < zero, zero - x, x) if signed else x
        case "sign":
            positive = b.compare("gt", x, zero, unsigned=not signed)
            other = b.select(x < zero, zero - one, zero) if signed else zero
            return b.select(positive, one, other)
        case "floor" | "ceil" | "round_even" | "truncate":
            return x
        case "is_nan" | "is_infinite":
            return x != x
    raise KeyError(f"no instructions for the operation '{name}' on integers")


def _divide(b: Builder, name: str, x: Value, y: Value, signed: bool) -> Value:
    """Quotients rounded towards zero; remainders with the sign of the divisor (or of the dividend: truncated)."""
    zero, one = b.constant(x.type, 0), b.constant(x.type, 1)
    if y.known not in (None, 0, -1):
        safe, bad = y, None
    else:
        bad = y == zero
        safe = b.select(bad, one, y)
        if signed:  # the least integer over -1 would trap: its quotient wraps to itself, its remainder is 0
            least = b.constant(x.type, 1 << (x.type.bits - 1))
            wraps = b.bitwise_and(x == least, safe == b.constant(x.type, -1))
            safe = b.select(wraps, one, safe)
    if name == "divide":
        result = b.binary("sdiv" if signed else "udiv", x, safe)
    else:
        result = b.binary("srem" if signed else "urem", x, safe)
        if name == "remainder" and signed:
            wrong = b.bitwise_and(result != zero, b.binary("xor", result < zero, safe < zero))
            result = b.select(wrong, result + safe, result)
    return result if bad is None else b.select(bad, zero, result)


def _integer_power(b: Builder, x: Value, y: Value, signed: bool) -> Value:
    """By squaring, modulo 2^bits; 0 for negative exponents."""
    zero, one = b.constant(x.type, 0), b.constant(x.type, 1)
    result, base, rest = b.variable(one), b.variable(x), b.variable(y)
    counter = Type("i64")
    with b.loop(b.constant(counter, 0), b.constant(counter, x.type.bits)):
        odd = (rest.get() & one) != zero
        result.set(b.select(odd, result.get() * base.get(), result.get()))
        base.set(base.get() * base.get())
        rest.set(b.logical_shift_right(rest.get(), one))
    return b.select(y < zero, zero, result.get()) if signed else result.get()
