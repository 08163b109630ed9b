"""MatMulInteger, ConvInteger, QLinearMatMul and QLinearConv: products of 8-bit integers, summed in int32.

What is multiplied are the 8-bit integers themselves, so that processors with such instructions can use them. The zero
point z of the left side is taken off afterwards: sum (a - z) * b = sum a * b - z * sum b.
"""

from __future__ import annotations

import numpy as np

from onward import program as P
from onward.ir.datatypes import DataType
from onward.ir.expressions import Dimension
from onward.operators.linear.convolution import convolve
from onward.operators.numeric import only_element
from onward.operators.pooling.window import window_over
from onward.operators.quantization.quantize_linear import aligned, saturated
from onward.operators.registry import operator

INT32 = DataType.INT32


@operator("MatMulInteger", since=10)
def matmul_integer(
    a: P.Array, b: P.Array, a_zero_point: P.Array | None = None, b_zero_point: P.Array | None = None
) -> P.Array:
    """(a - zero points) @ (b - zero points) in int32; per row of a, per column of b. ONNX MatMulInteger-10."""
    right = _centred(b, b_zero_point, b.rank - 1)
    product = P.matmul(P.cast(a, INT32), right)
    if a_zero_point is None or _is_zero(a_zero_point):
        return product
    columns = P.sum(right, [-2 if b.rank > 1 else 0], keepdims=a.rank > 1 and b.rank > 1)
    zero = P.cast(aligned(a_zero_point, a, a.rank - 2), INT32)
    if b.rank == 1 and zero.rank:
        zero = P.squeeze_axes(zero, [-1])
    return product - zero * columns


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
    filters = _centred(w, w_zero_point, 0)
    if x_zero_point is None or _is_zero(x_zero_point):
        return convolve(P.cast(window.padded(x), INT32), filters, window, group)
    zero = only_element(x_zero_point)
    product = convolve(P.cast(window.padded(x, zero), INT32), filters, window, group)
    totals = P.sum(filters, range(1, w.rank))

    def element(n: Dimension, m: Dimension, *place: Dimension) -> P.Scalar:
        return product[(n, m, *place)] - P.cast(zero, INT32) * totals[m]

    return P.compute(product.shape, element)


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
        x,
        w,
        x_zero_point,
        w_zero_point,
        auto_pad=auto_pad,
        dilations=dilations,
        group=group,
        kernel_shape=kernel_shape,
        pads=pads,
        strides=strides,
    )
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


def _is_zero(zero_point: P.Array) -> bool:
    return zero_point.known is not None and not np.any(zero_point.known)


def _centred(x: P.Array, zero_point: P.Array | None, axis: int) -> P.Array:
    """x - zero point in int32; where that is zero only the cast of x."""
    numbers = P.cast(x, INT32)
    if zero_point is None or _is_zero(zero_point):
        return numbers
    own = aligned(zero_point, x, axis if x.rank > 1 else -1)
    return P.elementwise(lambda e, z: e - P.cast(z, INT32), numbers, own)


def _requantized(
    total: P.Array, left_scale: P.Array, right_scale: P.Array, scale: P.Array, zero_point: P.Array
) -> P.Array:
    def element(value: P.Scalar, left: P.Scalar, right: P.Scalar, out: P.Scalar, zero: P.Scalar) -> P.Scalar:
        left, right, out = (P.cast(item, DataType.FLOAT) for item in (left, right, out))
        number = P.round_even(P.cast(value, DataType.FLOAT) * (left * right / out))
        if not zero_point.dtype.is_integer:
            return P.cast(P.cast(value, DataType.FLOAT) * (left * right / out), zero_point.dtype, True)
        return saturated(number + P.cast(zero, DataType.FLOAT), zero_point.dtype)

    last = total.rank - 1
    return P.elementwise(
        element, total, left_scale, right_scale, aligned(scale, total, last), aligned(zero_point, total, last)
    )
