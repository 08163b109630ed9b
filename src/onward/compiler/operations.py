"""Scalar operations as instructions (provisional)."""

from __future__ import annotations

from typing import Any

from onward.compiler.builder import F32, Builder, Type, Value
from onward.ir.datatypes import DataType

_KINDS = {
    DataType.FLOAT: "f32", DataType.DOUBLE: "f64", DataType.FLOAT16: "f16", DataType.BFLOAT16: "bf16", DataType.INT8: "i8",
    DataType.UINT8: "i8", DataType.INT16: "i16", DataType.UINT16: "i16", DataType.INT32: "i32", DataType.UINT32: "i32",
    DataType.INT64: "i64", DataType.UINT64: "i64",
}


def storage_type(dtype: DataType, lanes: int = 1) -> Type:
    return Type("i8" if dtype == DataType.BOOL else _KINDS[dtype], lanes)


def compute_type(dtype: DataType, lanes: int = 1) -> Type:
    return Type("i1" if dtype == DataType.BOOL else _KINDS[dtype], lanes)


def emit_literal(b: Builder, value: Any, dtype: DataType, lanes: int = 1) -> Value:
    return b.constant(compute_type(dtype, lanes), value)


def emit_load(b: Builder, pointer: Value, dtype: DataType, lanes: int, mask: Value | None = None, indices: Value | None = None) -> Value:
    if indices is not None and lanes > 1:
        value = b.gather(pointer, indices, storage_type(dtype), mask)
    else:
        if indices is not None:
            pointer = b.offset(pointer, indices, storage_type(dtype))
        value = b.load(pointer, storage_type(dtype, lanes), mask=mask)
    if dtype == DataType.BOOL:
        return value != b.constant(value.type, 0)
    return value


def emit_store(b: Builder, pointer: Value, value: Value, dtype: DataType, mask: Value | None = None, indices: Value | None = None) -> None:
    if dtype == DataType.BOOL:
        value = b.cast(value, Type("i8"))
    if indices is not None and value.type.lanes > 1:
        b.scatter(pointer, indices, value, mask)
    else:
        if indices is not None:
            pointer = b.offset(pointer, indices, storage_type(dtype))
        b.store(pointer, value, mask=mask)


def emit_cast(b: Builder, value: Value, source: DataType, target: DataType, saturate: bool = True) -> Value:
    if target == DataType.BOOL:
        return value != b.constant(value.type, 0)
    return b.cast(value, compute_type(target), signed=source.is_signed if source.is_integer else target.is_signed)


def emit_operation(b: Builder, name: str, arguments: list[Value], dtype: DataType) -> Value:
    a = arguments[0]
    c = arguments[1] if len(arguments) > 1 else a
    if dtype in (DataType.FLOAT16, DataType.BFLOAT16):
        result = emit_operation(b, name, [b.cast(x, F32) for x in arguments], DataType.FLOAT)
        return result if result.type.kind == "i1" else b.cast(result, compute_type(dtype))
    unsigned = dtype.is_integer and not dtype.is_signed
    match name:
        case "add":
            return a + c
        case "subtract":
            return a - c
        case "multiply":
            return a * c
        case "divide":
            return b.unsigned_divide(a, c) if unsigned else a / c
        case "remainder":
            if a.type.is_float or unsigned:
                return b.unsigned_remainder(a, c) if unsigned else b.remainder(a, c)
            r = b.remainder(a, c)
            zero = b.constant(a.type, 0)
            wrong = (r != zero) & ((r < zero) ^ (c < zero))
            return b.select(wrong, r + c, r)
        case "maximum":
            if a.type.kind == "i1":
                return a | c
            return b.select(a > c, a, c)
        case "minimum":
            if a.type.kind == "i1":
                return a & c
            return b.select(a < c, a, c)
        case "negate":
            return -a
        case "absolute":
            return b.absolute(a) if a.type.is_float else b.select(a < b.constant(a.type, 0), -a, a)
        case "sqrt":
            return b.sqrt(a)
        case "reciprocal":
            return b.constant(a.type, 1.0) / a
        case "floor":
            return b.floor(a)
        case "ceil":
            return b.ceil(a)
        case "and":
            return a & c
        case "or":
            return a | c
        case "xor":
            return a ^ c
        case "not":
            return b.invert(a)
        case "equal":
            return a == c
        case "not_equal":
            return a != c
        case "less":
            return b.compare("lt", a, c, unsigned=unsigned)
        case "less_equal":
            return b.compare("le", a, c, unsigned=unsigned)
        case "greater":
            return b.compare("gt", a, c, unsigned=unsigned)
        case "greater_equal":
            return b.compare("ge", a, c, unsigned=unsigned)
        case "is_nan":
            return b.unordered(a, a)
        case "exp" | "log" | "sin" | "cos" | "tanh":
            return b.unary_intrinsic(name, a)
        case "power":
            return b.intrinsic(f"llvm.pow.{a.type.mangled}", a.type, a, c)
        case "sigmoid":
            one = b.constant(a.type, 1.0)
            return one / (one + b.unary_intrinsic("exp", -a))
        case "erf":
            x = b.absolute(a)
            one = b.constant(a.type, 1.0)
            t = one / (one + b.constant(a.type, 0.3275911) * x)
            y = b.constant(a.type, 1.061405429)
            for q in (-1.453152027, 1.421413741, -0.284496736, 0.254829592):
                y = y * t + b.constant(a.type, q)
            return b.copysign(one - y * t * b.unary_intrinsic("exp", -(x * x)), a)
    raise KeyError(name)
