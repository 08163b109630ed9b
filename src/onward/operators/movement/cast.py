"""Cast and CastLike: elements converted to another data type."""

from __future__ import annotations

import functools
import math

import numpy as np

from onward import program as P
from onward.errors import InvalidArgument, InvalidInput
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
    """Converts to the type of that number; `saturate` says what float8 does with large values. ONNX Cast-6, Cast-19.

    `round_mode` (up, down or nearest) says which power of two float8e8m0 takes. ONNX Cast-24.
    """
    if DataType(to) == DataType.FLOAT8E8M0 and data.dtype != DataType.FLOAT8E8M0:
        data = _power_of_two(P.cast(data, DataType.DOUBLE), round_mode, bool(saturate))
    return _cast(data, DataType(to), bool(saturate))


@operator("CastLike", since=15)
def cast_like(data: P.Array, target: P.Array, *, saturate: int = 1, round_mode: str = "up") -> P.Array:
    """Converts to the type of `target`. ONNX CastLike-15, CastLike-19."""
    return cast(data, to=int(target.dtype), saturate=saturate, round_mode=round_mode)


def _power_of_two(data: P.Array, round_mode: str, saturate: bool) -> P.Array:
    """Float64 elements as powers of two from 2^-127 to 2^127; NaN for what is beyond, unless it saturates."""
    exponent = P.round_even(P.log(data) * (1 / math.log(2)))  # off by one at most
    nearby = _two_to(P.cast(P.maximum(P.minimum(exponent, 128.0), -128.0), DataType.INT64))
    below = P.where(P.greater(nearby, data), nearby * 0.5, nearby)
    above = P.where(P.equal(below, data), below, below * 2.0)
    if round_mode not in ("up", "down", "nearest"):
        raise InvalidArgument(f"Cast has no round_mode '{round_mode}'; known are up, down and nearest")
    middle = P.where(P.less(data - below, above - data), below, above)
    chosen = {"up": above, "down": below, "nearest": middle}[round_mode]
    least, most = 2.0**-127, 2.0**127
    beyond = P.full((), most if saturate else math.nan, DataType.DOUBLE)
    chosen = P.where(P.greater(data, most), beyond, chosen)
    return P.where(P.less(data, least), least, chosen)


def _two_to(exponent: P.Array) -> P.Array:
    """Exact powers of two as float64, for exponents from -180 to 180."""
    third = P.divide(exponent, 3)
    factors = []
    for part in (third, third, exponent - third - third):
        whole = P.cast(P.shift_left(P.full((), 1, DataType.INT64), abs(part)), DataType.DOUBLE)
        factors.append(P.where(P.less(part, 0), 1.0 / whole, whole))
    return factors[0] * factors[1] * factors[2]


def _cast(data: P.Array, dtype: DataType, saturate: bool) -> P.Array:
    if (data.dtype == DataType.STRING) != (dtype == DataType.STRING):
        convert = functools.partial(_text, source=data.dtype) if dtype == DataType.STRING else functools.partial(_number, dtype=dtype)
        return P.routine("host", [data], [(data.shape, dtype)], function=convert)[0]
    return P.cast(data, dtype, saturate)


def _text(data: np.ndarray, source: DataType) -> tuple[np.ndarray]:
    """Numbers as the shortest text that reads back as the same number; BOOL as True and False."""
    exact = data if source.is_integer or source in (DataType.BOOL, DataType.FLOAT, DataType.DOUBLE) else data.astype(np.float32)
    result = np.empty(data.shape, object)
    result[...] = np.asarray(exact).astype(str)
    return (result,)


def _number(data: np.ndarray, dtype: DataType) -> tuple[np.ndarray]:
    """Text such as 3.14, -2e5, inf or NaN as numbers. Raises InvalidInput for other text."""
    try:
        if dtype.is_integer and dtype.bits == 64:
            whole = [_whole(item) for item in data.reshape(-1)]
            return (np.array(whole, dtype.numpy).reshape(data.shape),)
        wide = np.array([float(item) for item in data.reshape(-1)], np.float64).reshape(data.shape)
    except (ValueError, OverflowError) as problem:
        raise InvalidInput(f"Cast to {dtype.name}: {problem}") from problem
    return (P.evaluate([P.cast(P.constant(wide), dtype)], {})[0],)


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        return int(float(text))
