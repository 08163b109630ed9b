"""Pow."""

from __future__ import annotations

from onward import program as P
from onward.ir.datatypes import DataType
from onward.operators.broadcasting import legacy_broadcast
from onward.operators.registry import operator


@operator("Pow", since=7)
def power(base: P.Array, exponent: P.Array) -> P.Array:
    """`base` to the `exponent`, in the base's dtype. ONNX Pow-7, Pow-12 (mixed types), Pow-15."""
    short = _by_known_exponent(base, exponent)
    if short is not None:
        return short
    if base.dtype == exponent.dtype:
        return P.power(base, exponent)
    if base.dtype.is_integer and exponent.dtype.is_integer:
        wide = DataType.INT64
    elif base.dtype.is_integer:
        return P.elementwise(_integer_power, base, exponent)
    elif exponent.dtype == DataType.DOUBLE:
        wide = DataType.DOUBLE
    else:
        wide = base.dtype
    return P.cast(P.power(P.cast(base, wide), P.cast(exponent, wide)), base.dtype)


def _integer_power(base: P.Scalar, exponent: P.Scalar) -> P.Scalar:
    """An integer to the power of a float: exact where that is a whole number, else rounded towards zero."""
    whole = P.equal(P.floor(exponent), exponent) & (exponent >= 0.0)
    exact = P.power(P.cast(base, DataType.INT64), P.cast(exponent, DataType.INT64))
    near = P.power(P.cast(base, DataType.DOUBLE), P.cast(exponent, DataType.DOUBLE))
    return P.where(whole, P.cast(exact, base.dtype), P.cast(near, base.dtype))


@operator("Pow", since=1)
def power_1(base: P.Array, exponent: P.Array, *, axis: int | None = None, broadcast: int = 0) -> P.Array:
    """`base` to the `exponent`, broadcast when asked for. ONNX Pow-1."""
    return power(base, legacy_broadcast(base, exponent, axis, broadcast))


def _by_known_exponent(base: P.Array, exponent: P.Array) -> P.Array | None:
    """Squares, cubes and square roots without a logarithm."""
    if exponent.size != 1 or exponent.known is None or exponent.rank > base.rank:
        return None
    number = float(exponent.known.reshape(-1)[0])
    if number == 2:
        return P.elementwise(lambda x: x * x, base)
    if number == 3:
        return P.elementwise(lambda x: x * x * x, base)
    if number == 0.5 and base.dtype.is_float:
        return P.sqrt(base)
    return None
