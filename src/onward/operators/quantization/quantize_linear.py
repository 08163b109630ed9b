"""QuantizeLinear, DequantizeLinear and DynamicQuantizeLinear."""

from __future__ import annotations

import numpy as np

from onward import program as P
from onward.ir.datatypes import DataType
from onward.ir.expressions import Dimension
from onward.operators.numeric import only_element
from onward.operators.registry import operator
from onward.program.scalar import Literal


@operator("QuantizeLinear", since=10)
def quantize_linear(
    x: P.Array,
    scale: P.Array,
    zero_point: P.Array | None = None,
    *,
    axis: int = 1,
    block_size: int = 0,
    output_dtype: int = 0,
    precision: int = 0,
    saturate: int = 1,
) -> P.Array:
    """round(x / scale) + zero point, limited to the data type. ONNX QuantizeLinear-10, -13 (axis), -19, -21 (blocks)."""
    dtype = zero_point.dtype if zero_point is not None else DataType(output_dtype or DataType.UINT8)
    factor = aligned(scale, x, axis, block_size)
    kind = DataType(precision) if precision else DataType.FLOAT
    zero: P.Scalar | None = P.scalar(0, dtype) if zero_point is None or not dtype.is_integer else known_element(zero_point)
    operands = [x, factor]
    if zero is None and zero_point is not None:
        operands.append(aligned(zero_point, x, axis, block_size))
    unit = scale.known is not None and bool(np.all(scale.known == 1))

    def element(value: P.Scalar, *parameters: P.Scalar) -> P.Scalar:
        number = P.cast(value, kind)
        quotient = P.cast(number if unit else number / P.cast(parameters[0], kind), DataType.FLOAT)
        if not dtype.is_integer:
            return P.cast(quotient, dtype, bool(saturate))
        return quantized(quotient, zero if zero is not None else parameters[1])

    return P.elementwise(element, *operands)


@operator("DequantizeLinear", since=10)
def dequantize_linear(
    x: P.Array,
    scale: P.Array,
    zero_point: P.Array | None = None,
    *,
    axis: int = 1,
    block_size: int = 0,
    output_dtype: int = 0,
) -> P.Array:
    """(x - zero point) * scale. ONNX DequantizeLinear-10, -13 (axis), -19, -21 (blocks)."""
    dtype = DataType(output_dtype) if output_dtype else scale.dtype
    operands = [x, aligned(scale, x, axis, block_size)]
    known = None
    if zero_point is not None and x.dtype.is_integer and not _is_zero(zero_point):
        known = known_element(zero_point)
        operands += [] if known is not None else [aligned(zero_point, x, axis, block_size)]

    def element(value: P.Scalar, factor: P.Scalar, *zeros: P.Scalar) -> P.Scalar:
        zero = zeros[0] if zeros else known
        number = P.cast(value, DataType.FLOAT)
        if zero is not None and x.dtype == DataType.INT32:  # may not fit a float32
            number = P.cast(value - zero, DataType.FLOAT)
        elif zero is not None:
            number = number - (float(zero.value) if isinstance(zero, Literal) else P.cast(zero, DataType.FLOAT))
        return P.cast(number * P.cast(factor, DataType.FLOAT), dtype)

    return P.elementwise(element, *operands)


@operator("DynamicQuantizeLinear", since=11)
def dynamic_quantize_linear(x: P.Array) -> tuple[P.Array, P.Array, P.Array]:
    """x as uint8 with the scale and zero point that its own range asks for. ONNX DynamicQuantizeLinear-11."""
    greatest, least = P.maximum(P.max(x), 0.0), P.minimum(P.min(x), 0.0)
    scale = P.elementwise(lambda high, low: P.where(P.equal(high, low), 1.0, high - low) / 255.0, greatest, least)
    zero = P.elementwise(lambda low, s: P.round_even(P.maximum(P.minimum(0.0 - low / s, 255.0), 0.0)), least, scale)
    zero_point = P.cast(zero, DataType.UINT8)
    return P.elementwise(lambda e, s, z: quantized(e / s, z), x, scale, zero_point), scale, zero_point


def known_element(parameter: P.Array) -> P.Scalar | None:
    """The only element of a scale or zero point, if it is known."""
    return only_element(parameter) if parameter.size == 1 and parameter.known is not None else None


def aligned(parameter: P.Array, x: P.Array, axis: int, block_size: int = 0) -> P.Array:
    """A scale or zero point with the axes of `x`: one for all, one for each index of `axis`, or one for each block."""
    if parameter.size == 1:
        element = only_element(parameter)
        return P.compute((), lambda: element)
    if not block_size and parameter.rank <= 1:
        place = P.normalize_axis(axis, x.rank)
        return P.expand_axes(parameter, range(1, x.rank - place))
    if not block_size:
        return parameter
    place = P.normalize_axis(axis, x.rank)

    def element_of_block(*position: Dimension) -> P.Scalar:
        return parameter[(*position[:place], position[place] // block_size, *position[place + 1 :])]

    return P.compute(x.shape, element_of_block)


def quantized(value: P.Scalar, zero_point: P.Scalar) -> P.Scalar:
    """A float in units of its scale, rounded to even, plus the zero point, as an integer of its type, limited to the range.

    In 32 bits: what is further from 0 than the range is long ends at a limit anyway. NaN, which has no integer, gives either limit.
    """
    dtype = zero_point.dtype
    if dtype.bits > 16:
        return saturated(P.round_even(value) + P.cast(zero_point, DataType.FLOAT), dtype)
    low, high = integer_range(dtype)
    known = int(zero_point.value) if isinstance(zero_point, Literal) else None
    least, most = (low - high, high - low) if known is None else (low - known, high - known)
    whole = P.cast(P.round_even(P.maximum(P.minimum(value, float(most)), float(least))), DataType.INT32)
    if known is not None:
        return P.cast(whole + known if known else whole, dtype)
    return P.cast(P.maximum(P.minimum(whole + P.cast(zero_point, DataType.INT32), high), low), dtype)


def saturated(value: P.Scalar, dtype: DataType) -> P.Scalar:
    """A rounded float as an integer of `dtype`, limited to its range."""
    low, high = integer_range(dtype)
    return P.cast(P.maximum(P.minimum(value, float(high)), float(low)), dtype)


def integer_range(dtype: DataType) -> tuple[int, int]:
    """The least and the greatest value of an integer type, those of 2 and 4 bits included."""
    if dtype.bits < 8:
        return (-(1 << (dtype.bits - 1)), (1 << (dtype.bits - 1)) - 1) if dtype.is_signed else (0, (1 << dtype.bits) - 1)
    limits = np.iinfo(dtype.numpy)
    return int(limits.min), int(limits.max)


def _is_zero(array: P.Array) -> bool:
    return array.known is not None and not np.any(array.known)
