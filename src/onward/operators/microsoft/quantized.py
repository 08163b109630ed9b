"""Operators on quantised tensors: QLinearAdd and its kin dequantise, compute in float32, and quantise again."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from onward import program as P
from onward.errors import InvalidArgument
from onward.ir.datatypes import DataType
from onward.operators.activation.softmax import softmax, softmax_1
from onward.operators.microsoft.activations import DOMAIN
from onward.operators.microsoft.products import channels_first, channels_last
from onward.operators.pooling.average_pool import average_pool
from onward.operators.pooling.global_pool import global_average_pool
from onward.operators.quantization.integer_products import matmul_integer, quantized_convolution
from onward.operators.quantization.quantize_linear import (
    aligned,
    dequantize_linear,
    dynamic_quantize_linear,
    quantize_linear,
)
from onward.operators.registry import operator

INT32 = DataType.INT32
operator("QuantizeLinear", domain=DOMAIN)(quantize_linear)
operator("DequantizeLinear", domain=DOMAIN)(dequantize_linear)

Optional = P.Array | None


def _quantized(value: P.Array, like: P.Array, scale: P.Array, zero: Optional) -> P.Array:
    return quantize_linear(value, scale, P.full((), 0, like.dtype) if zero is None else zero)


def _both(
    function: Callable[[P.Array, P.Array], P.Array],
    a: tuple[Any, ...],
    b: tuple[Any, ...],
    scale: P.Array,
    zero: Optional,
) -> P.Array:
    return _quantized(function(dequantize_linear(*a), dequantize_linear(*b)), a[0], scale, zero)


@operator("QLinearAdd", domain=DOMAIN)
def quantized_add(
    a: P.Array, a_scale: P.Array, a_zero: Optional, b: P.Array, b_scale: P.Array, b_zero: Optional,
    scale: P.Array, zero: Optional = None,
) -> P.Array:  # fmt: skip
    """a + b."""
    return _both(lambda x, y: x + y, (a, a_scale, a_zero), (b, b_scale, b_zero), scale, zero)


@operator("QLinearMul", domain=DOMAIN)
def quantized_multiply(
    a: P.Array, a_scale: P.Array, a_zero: Optional, b: P.Array, b_scale: P.Array, b_zero: Optional,
    scale: P.Array, zero: Optional = None,
) -> P.Array:  # fmt: skip
    """a * b."""
    return _both(lambda x, y: x * y, (a, a_scale, a_zero), (b, b_scale, b_zero), scale, zero)


@operator("QLinearSigmoid", domain=DOMAIN)
def quantized_sigmoid(x: P.Array, x_scale: P.Array, x_zero: Optional, scale: P.Array, zero: Optional = None) -> P.Array:
    """sigmoid(x)."""
    return _quantized(P.sigmoid(dequantize_linear(x, x_scale, x_zero)), x, scale, zero)


@operator("QLinearLeakyRelu", domain=DOMAIN)
def quantized_leaky_relu(x: P.Array, x_scale: P.Array, x_zero: Optional, scale: P.Array, zero: Optional = None, *, alpha: float = 0.01) -> P.Array:
    """x, or alpha * x where x < 0."""
    value = dequantize_linear(x, x_scale, x_zero)
    return _quantized(P.elementwise(lambda e: P.where(e >= 0.0, e, e * alpha), value), x, scale, zero)


@operator("QLinearSoftmax", domain=DOMAIN)
def quantized_softmax(x: P.Array, x_scale: P.Array, x_zero: Optional, scale: P.Array, zero: P.Array, *, opset: int, axis: int = -1) -> P.Array:
    """Softmax as version `opset` of the standard defines it."""
    value = dequantize_linear(x, x_scale, x_zero)
    return _quantized(softmax(value, axis=axis) if opset >= 13 else softmax_1(value, axis=axis), x, scale, zero)


@operator("QLinearAveragePool", domain=DOMAIN)
def quantized_average_pool(
    x: P.Array, x_scale: P.Array, x_zero: Optional, scale: P.Array, zero: Optional = None,
    *, kernel_shape: list[int], channels_last: int = 0, **attributes: Any,
) -> P.Array:  # fmt: skip
    """AveragePool, its channels last on request."""
    return _pooled(
        lambda item: average_pool(item, kernel_shape=kernel_shape, **attributes),
        x,
        x_scale,
        x_zero,
        scale,
        zero,
        channels_last,
    )


@operator("QLinearGlobalAveragePool", domain=DOMAIN)
def quantized_global_average_pool(x: P.Array, x_scale: P.Array, x_zero: Optional, scale: P.Array, zero: Optional = None, *, channels_last: int = 0) -> P.Array:
    """GlobalAveragePool, its channels last on request."""
    return _pooled(global_average_pool, x, x_scale, x_zero, scale, zero, channels_last)


def _pooled(
    pool: Callable[[P.Array], P.Array],
    x: P.Array,
    x_scale: P.Array,
    x_zero: Optional,
    scale: P.Array,
    zero: Optional,
    last: int,
) -> P.Array:
    value = dequantize_linear(x, x_scale, x_zero)
    result = channels_last(pool(channels_first(value))) if last else pool(value)
    return _quantized(result, x, scale, zero)


@operator("QLinearReduceMean", domain=DOMAIN)
def quantized_mean(
    x: P.Array,
    x_scale: P.Array,
    x_zero: Optional,
    scale: P.Array,
    zero: Optional = None,
    *,
    axes: list[int],
    keepdims: int,
) -> P.Array:
    """The mean over some axes."""
    value = dequantize_linear(x, x_scale, x_zero)
    return _quantized(P.mean(value, axes or list(range(x.rank)), keepdims=bool(keepdims)), x, scale, zero)


@operator("QLinearConcat", domain=DOMAIN)
def quantized_concat(scale: P.Array, zero: P.Array, *inputs: P.Array, axis: int) -> P.Array:
    """Inputs (tensor, scale, zero point), each quantised anew, one after another."""
    parts = [dequantize_linear(*inputs[place : place + 3]) for place in range(0, len(inputs), 3)]
    return quantize_linear(P.concatenate(parts, P.normalize_axis(axis, parts[0].rank)), scale, zero)


@operator("QLinearWhere", domain=DOMAIN)
def quantized_where(
    condition: P.Array, x: P.Array, x_scale: P.Array, x_zero: P.Array, y: P.Array, y_scale: P.Array, y_zero: P.Array,
    scale: P.Array, zero: P.Array,
) -> P.Array:  # fmt: skip
    """x where the condition holds, else y."""
    chosen = P.where(condition, dequantize_linear(x, x_scale, x_zero), dequantize_linear(y, y_scale, y_zero))
    return quantize_linear(chosen, scale, zero)


@operator("QLinearConv", domain=DOMAIN)
def quantized_convolution_of_any_layout(
    x: P.Array, x_scale: P.Array, x_zero: P.Array, w: P.Array, w_scale: P.Array, w_zero: P.Array,
    scale: P.Array, zero: P.Array, b: Optional = None, *, channels_last: int = 0, **attributes: Any,
) -> P.Array:  # fmt: skip
    """QLinearConv of the standard, its channels last on request."""
    given = channels_first(x) if channels_last else x
    result = quantized_convolution(given, x_scale, x_zero, w, w_scale, w_zero, scale, zero, b, **attributes)
    return _last(result) if channels_last else result


def _last(x: P.Array) -> P.Array:
    return channels_last(x)


@operator("QGemm", domain=DOMAIN)
def quantized_gemm(
    a: P.Array, a_scale: P.Array, a_zero: P.Array, b: P.Array, b_scale: P.Array, b_zero: P.Array, c: Optional = None,
    scale: Optional = None, zero: Optional = None, *, alpha: float = 1.0, transA: int = 0, transB: int = 0,
) -> P.Array:  # fmt: skip
    """alpha * a @ b + c of quantised matrices; c is in units of alpha * a_scale * b_scale. Quantised when it has a scale."""
    left = P.transpose(a, [1, 0]) if transA else a
    right = P.transpose(b, [1, 0]) if transB else b
    total = matmul_integer(left, right, a_zero, b_zero)
    total = total if c is None else total + c
    units = aligned(a_scale, left, 0) * aligned(b_scale, right, 1) * alpha
    value = P.cast(total, DataType.FLOAT) * units
    if scale is None:
        return value
    return quantize_linear(value, scale, P.full((), 0, a.dtype) if zero is None else zero)


@operator("MatMulIntegerToFloat", domain=DOMAIN)
def matmul_integer_to_float(
    a: P.Array, b: P.Array, a_scale: P.Array, b_scale: P.Array, a_zero: Optional = None, b_zero: Optional = None,
    bias: Optional = None,
) -> P.Array:  # fmt: skip
    """The product of quantised matrices as floats, plus a bias."""
    total = matmul_integer(a, b, a_zero, b_zero)
    left, right = aligned(a_scale, a, a.rank - 2), aligned(b_scale, b, b.rank - 1)
    kind = a_scale.dtype
    result = P.cast(total, DataType.FLOAT) * (P.cast(left, DataType.FLOAT) * P.cast(right, DataType.FLOAT))
    result = result if bias is None else result + P.cast(bias, DataType.FLOAT)
    return P.cast(result, kind)


@operator("DynamicQuantizeMatMul", domain=DOMAIN)
def dynamic_quantize_matmul(a: P.Array, b: P.Array, b_scale: P.Array, b_zero: Optional = None, bias: Optional = None) -> P.Array:
    """a, quantised to uint8 by its own range, times the quantised b, as floats."""
    numbers, scale, zero = dynamic_quantize_linear(a)
    return matmul_integer_to_float(numbers, b, scale, b_scale, zero, b_zero, bias)


@operator("MatMulInteger16", domain=DOMAIN)
def matmul_integer_16(a: P.Array, b: P.Array) -> P.Array:
    """a @ b of 16-bit integers in 32 bits; the sums wrap around."""
    kind = INT32 if a.dtype.is_signed or b.dtype.is_signed else DataType.UINT32
    return P.matmul(P.cast(a, kind), P.cast(b, kind))


@operator("MulInteger", domain=DOMAIN)
def multiply_integer(a: P.Array, a_zero: Optional, b: P.Array, b_zero: Optional = None) -> P.Array:
    """(a - zero point) * (b - zero point) in int32."""
    left, right = (
        P.cast(item, INT32) if zero is None else P.cast(item, INT32) - P.cast(aligned(zero, item, item.rank - 1), INT32)
        for item, zero in ((a, a_zero), (b, b_zero))
    )
    return left * right


@operator("ReduceSumInteger", domain=DOMAIN)
def sum_integer(x: P.Array, *, axes: list[int], keepdims: int) -> P.Array:
    """The sum over some axes in 32 bits."""
    kind = INT32 if x.dtype.is_signed else DataType.UINT32
    return P.sum(P.cast(x, kind), axes, keepdims=bool(keepdims))


@operator("MatMulNBits", domain=DOMAIN)
def matmul_n_bits(
    a: P.Array, b: P.Array, scales: P.Array, zero_points: Optional = None, group_index: Optional = None, bias: Optional = None,
    *, K: int, N: int, block_size: int, bits: int = 4, accuracy_level: int = 0, weight_prepacked: int = 0,
) -> P.Array:  # fmt: skip
    """a (..., K) times the transpose of a matrix (N, K) of `bits` bits a number, in blocks along K with a scale each.

    `b` is (N, blocks, bytes of a block), the lowest bits first; zero points are packed likewise, or floats, and are in
    the middle of the range when absent. `group_index` (K) says to which block a column belongs.
    """
    if bits not in (2, 4, 8):
        raise InvalidArgument(f"MatMulNBits has numbers of 2, 4 or 8 bits, got {bits}")
    blocks = math.ceil(K / block_size)
    factors = P.reshape(scales, (N, blocks))
    packed = None
    if zero_points is not None:
        width = math.ceil(blocks * bits / 8) if zero_points.dtype == DataType.UINT8 else blocks
        packed = P.reshape(zero_points, (N, width))

    def weight(n: P.Dimension, k: P.Dimension) -> P.Scalar:
        block = k // block_size if group_index is None else P.index(group_index[k])
        number = P.cast(_bits(lambda byte: b[n, k // block_size, byte], k % block_size, bits), DataType.FLOAT)
        if packed is None:
            zero: Any = float(1 << (bits - 1))
        elif packed.dtype == DataType.UINT8:
            zero = P.cast(_bits(lambda byte: packed[n, byte], block, bits), DataType.FLOAT)
        else:
            zero = P.cast(packed[n, block], DataType.FLOAT)
        return (number - zero) * P.cast(factors[n, block], DataType.FLOAT)

    weights = P.compute((K, N), lambda k, n: weight(n, k))
    product = P.matmul(P.cast(a, DataType.FLOAT), weights)
    product = product if bias is None else product + P.cast(bias, DataType.FLOAT)
    return P.cast(product, a.dtype)


@operator("GatherBlockQuantized", domain=DOMAIN)
def gather_block_quantized(
    data: P.Array, indices: P.Array, scales: P.Array, zero_points: Optional = None,
    *, bits: int = 4, block_size: int = 128, gather_axis: int = 0, quantize_axis: int = 1,
) -> P.Array:  # fmt: skip
    """Slices of a tensor that is quantised in blocks along one axis, as floats. uint8 data may hold two 4-bit numbers."""
    packing = 8 // bits if data.dtype == DataType.UINT8 else 1
    shape = (*data.shape[:-1], data.shape[-1] * packing)
    axis, quantized = P.normalize_axis(gather_axis, data.rank), P.normalize_axis(quantize_axis, data.rank)
    middle = 1 << (bits - 1) if data.dtype == DataType.UINT8 else 0

    def number(array: P.Array, place: tuple[Any, ...]) -> P.Scalar:
        if packing == 1:
            return P.cast(array[place], DataType.FLOAT)
        return P.cast(_bits(lambda byte: array[(*place[:-1], byte)], place[-1], bits), DataType.FLOAT)

    def element(*position: P.Dimension) -> P.Scalar:
        before, chosen, after = (
            position[:axis],
            position[axis : axis + indices.rank],
            position[axis + indices.rank :],
        )
        chosen_row = indices[chosen]
        row = P.wrap_index(chosen_row, shape[axis])
        place = (*before, P.index(row), *after)
        block = (*place[:quantized], place[quantized] // block_size, *place[quantized + 1 :])
        zero: Any = float(middle) if zero_points is None else number(zero_points, block)
        return P.cast((number(data, place) - zero) * P.cast(scales[block], DataType.FLOAT), scales.dtype)

    return P.compute((*shape[:axis], *indices.shape, *shape[axis + 1 :]), element)


def _bits(byte_at: Callable[[P.Dimension], P.Scalar], place: P.Dimension, bits: int) -> P.Scalar:
    """Number `place` of a row of packed numbers, as int32; the first one is in the lowest bits."""
    count = 8 // bits
    byte = P.cast(byte_at(place // count), INT32)
    if count == 1:
        return byte
    shift = P.cast(P.scalar((place % count) * bits), INT32)
    return (byte >> shift) & ((1 << bits) - 1)
