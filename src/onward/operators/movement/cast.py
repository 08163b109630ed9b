"""Cast and CastLike: elements converted to another data type."""

from __future__ import annotations

from onward import program as P
from onward.errors import InvalidArgument, UnsupportedOperator
from onward.ir.datatypes import DataType
from onward.operators.registry import operator


@operator("Cast", since=1)
def cast_1(data: P.Array, *, to: str) -> P.Array:
    """Converts to the type of that name. ONNX Cast-1."""
    if to.upper() not in DataType.__members__:
        raise InvalidArgument(f"Cast to the unknown type '{to}'")
    return _cast(data, DataType[to.upper()], True)


@operator("Cast", since=6)
def cast(data: P.Array, *, to: int, saturate: int = 1, round_mode: str = "up") -> P.Array:
    """Converts to the type of that number; `saturate` says what float8 does with large values. ONNX Cast-6, Cast-19."""
    if round_mode != "up" and DataType(to).name == "FLOAT8E8M0":
        raise UnsupportedOperator(f"Cast to float8e8m0 with round_mode '{round_mode}'")
    return _cast(data, DataType(to), bool(saturate))


@operator("CastLike", since=15)
def cast_like(data: P.Array, target: P.Array, *, saturate: int = 1, round_mode: str = "up") -> P.Array:
    """Converts to the type of `target`. ONNX CastLike-15, CastLike-19."""
    return cast(data, to=int(target.dtype), saturate=saturate, round_mode=round_mode)


def _cast(data: P.Array, dtype: DataType, saturate: bool) -> P.Array:
    if (data.dtype == DataType.STRING) != (dtype == DataType.STRING):
        raise UnsupportedOperator(f"Cast from {data.dtype.name} to {dtype.name}")
    return P.cast(data, dtype, saturate)
