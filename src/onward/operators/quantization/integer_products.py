"""MatMulInteger, ConvInteger, QLinearMatMul and QLinearConv: products of 8-bit integers, summed in int32.

What is multiplied are bytes, an unsigned left and a signed right one, which is what processors have instructions for; a
shift of both the numbers and their zero point by 128 makes either of any operand. Zero points are taken off afterwards:

    sum (a - z) * (b - w) = sum a * b - z * sum (b - w) - w * sum a
"""

from __future__ import annotations

import numpy as np

from onward import program as P
from onward.ir.datatypes import DataType
from onward.operators.linear.convolution import convolve
from onward.operators.numeric import only_element
from onward.operators.pooling.window import Window, window_over
from onward.operators.quantization.quantize_linear import aligned, known_element, quantized
from onward.operators.registry import operator

INT32 = DataType.INT32


@operator("MatMulInteger", since=10)
def matmul_integer(a: P.Array, b: P.Array, a_zero_point: P.Array | None = None, b_zero_point: P.Array | None = None) -> P.Array:
    """(a - zero points) @ (b - zero points) in int32; per row of a, per column of b. ONNX MatMulInteger-10."""
    if a.rank == 1 or b.rank == 1:
        left = P.expand_axes(a, [0]) if a.rank == 1 else a
        right = P.expand_axes(b, [1]) if b.rank == 1 else b
        gone = ([-2] if a.rank == 1 else []) + ([-1] if b.rank == 1 else [])
        return P.squeeze_axes(matmul_integer(left, right, a_zero_point, b_zero_point), gone)
    left, left_zero = _rebased(a, a_zero_point, DataType.UINT8)
    right, right_zero = _rebased(b, b_zero_point, DataType.INT8)
    total = P.matmul(left, right, INT32)
    rows = None if right_zero is None else P.cast(aligned(right_zero, b, b.rank - 1), INT32)
    if left_zero is not None:
        columns = P.sum(_centred(right, rows), [-2], keepdims=True)
        total = total - P.cast(aligned(left_zero, a, a.rank - 2), INT32) * columns
    if rows is not None:
        total = total - P.sum(P.cast(left, INT32), [-1], keepdims=True) * rows
    return total


@operator("ConvInteger", since=10)
def convolution_integer(
    x: P.Array,
    w: P.Array,
    x_zero_point: P.Array | None = None,
    w_zero_point: P.Array | None = None,
    *,
    auto_pad: str = "NOTSET",
    dilations: list[int] | None = None,
    group: int = 1,
    kernel_shape: list[int] | None = None,
    pads: list[int] | None = None,
    strides: list[int] | None = None,
) -> P.Array:
    """Convolution of integers without their zero points, in int32. The padding is the zero point. ONNX ConvInteger-10."""
    kernel = w.shape[2:] if kernel_shape is None else kernel_shape
    window = window_over(x, kernel, strides=strides, dilations=dilations, pads=pads, auto_pad=auto_pad)
    left, left_zero = _rebased(x, x_zero_point, DataType.UINT8)
    filters, filter_zero = _rebased(w, w_zero_point, DataType.INT8)
    zero = P.scalar(0, DataType.UINT8) if left_zero is None else only_element(left_zero)
    padded = window.padded(left, zero)
    total = convolve(padded, filters, window, group, INT32)
    places = None if filter_zero is None else P.cast(aligned(filter_zero, w, 0), INT32)
    if left_zero is not None:
        sums = P.sum(_centred(filters, places), range(1, w.rank))
        total = total - P.expand_axes(sums, range(1, window.rank + 1)) * P.cast(aligned(left_zero, x, 1), INT32)
    if places is not None:
        total = total - _window_sums(padded, w, window, group) * (P.squeeze_axes(places, [-1]) if places.rank else places)
    return total


@operator("QLinearMatMul", since=10)
def quantized_matmul(
    a: P.Array,
    a_scale: P.Array,
    a_zero_point: P.Array,
    b: P.Array,
    b_scale: P.Array,
    b_zero_point: P.Array,
    y_scale: P.Array,
    y_zero_point: P.Array,
) -> P.Array:
    """The product of quantised matrices, quantised. ONNX QLinearMatMul-10, QLinearMatMul-21."""
    product = _centred_product(a, b, a_zero_point, b_zero_point)
    left, right = aligned(a_scale, a, a.rank - 2), aligned(b_scale, b, b.rank - 1)
    return _requantized(product, left, right, y_scale, y_zero_point)


@operator("QLinearConv", since=10)
def quantized_convolution(
    x: P.Array,
    x_scale: P.Array,
    x_zero_point: P.Array,
    w: P.Array,
    w_scale: P.Array,
    w_zero_point: P.Array,
    y_scale: P.Array,
    y_zero_point: P.Array,
    b: P.Array | None = None,
    *,
    auto_pad: str = "NOTSET",
    dilations: list[int] | None = None,
    group: int = 1,
    kernel_shape: list[int] | None = None,
    pads: list[int] | None = None,
    strides: list[int] | None = None,
) -> P.Array:
    """Convolution of quantised tensors, quantised; the bias is in units of x_scale * w_scale. ONNX QLinearConv-10."""
    total = convolution_integer(
        x, w, x_zero_point, w_zero_point, auto_pad=auto_pad, dilations=dilations, group=group, kernel_shape=kernel_shape,
        pads=pads, strides=strides,
    )  # fmt: skip
    if b is not None:
        total = total + P.expand_axes(b, range(1, x.rank - 1))
    return _requantized(total, aligned(x_scale, x, 1), aligned(w_scale, total, 1), y_scale, y_zero_point)


def _centred_product(a: P.Array, b: P.Array, a_zero_point: P.Array, b_zero_point: P.Array) -> P.Array:
    """In int32, or in float32 where an operand is float8."""
    if a.dtype.is_integer and b.dtype.is_integer:
        return matmul_integer(a, b, a_zero_point, b_zero_point)
    operands = [P.cast(item, DataType.FLOAT) for item in (a, b)]
    zeros = [P.cast(aligned(item, x, axis), DataType.FLOAT) for item, x, axis in ((a_zero_point, a, a.rank - 2), (b_zero_point, b, b.rank - 1))]
    return P.matmul(operands[0] - zeros[0], operands[1] - zeros[1])


def _rebased(x: P.Array, zero_point: P.Array | None, dtype: DataType) -> tuple[P.Array, P.Array | None]:
    """x and its zero point as bytes of `dtype`: both shifted by 128 where x is of the other kind. None is a zero point of 0."""
    if x.dtype == dtype:
        return x, None if zero_point is None or _is_zero(zero_point) else zero_point
    zero = P.full((), 0, x.dtype) if zero_point is None else zero_point
    sign = P.constant(-128 if dtype.is_signed else 128, dtype)
    shifted = [P.cast(item, dtype) ^ sign for item in (x, zero)]
    return shifted[0], None if _is_zero(shifted[1]) else shifted[1]


def _is_zero(zero_point: P.Array) -> bool:
    return zero_point.known is not None and not np.any(zero_point.known)


def _centred(x: P.Array, zero: P.Array | None) -> P.Array:
    """x - zero point in int32."""
    numbers = P.cast(x, INT32)
    return numbers if zero is None else numbers - zero


def _window_sums(padded: P.Array, w: P.Array, window: Window, group: int) -> P.Array:
    """For each filter, the sum of what each window covers of the filter's channels."""
    sums = convolve(padded, P.full((group, *w.shape[1:]), 1, DataType.INT8), window, group, INT32)
    filters = w.shape[0] // group
    return P.compute((padded.shape[0], w.shape[0], *window.positions), lambda n, m, *place: sums[(n, m // filters, *place)])


def _requantized(total: P.Array, left_scale: P.Array, right_scale: P.Array, scale: P.Array, zero_point: P.Array) -> P.Array:
    """The total in units of both scales, quantised: one factor for each row or column, found ahead where scales are known."""
    last = total.rank - 1
    left, right, out = (P.cast(item, DataType.FLOAT) for item in (left_scale, right_scale, aligned(scale, total, last)))
    known = known_element(zero_point)

    def element(value: P.Scalar, by: P.Scalar, zero: P.Scalar) -> P.Scalar:
        number = P.cast(value, DataType.FLOAT) * by
        if not zero_point.dtype.is_integer:
            return P.cast(number, zero_point.dtype, True)
        return quantized(number, zero if known is None else known)

    return P.elementwise(element, total, left * right / out, aligned(zero_point, total, last))
