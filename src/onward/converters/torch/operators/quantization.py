"""Quantised graphs of torch.ao and torchao (`quantized_decomposed`): QuantizeLinear and DequantizeLinear.

PyTorch multiplies by the reciprocal of a scale where ONNX divides by the scale: a number that is half-way between two codes may get
the other one of them. Codes of weights are computed here, as PyTorch computes them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import ml_dtypes
import numpy as np
import torch

from onward.converters.torch.emitter import DATA_TYPES, Emitter, Tensor, is_static, to_numpy
from onward.converters.torch.registry import operator
from onward.errors import UnsupportedOperator
from onward.ir import Value
from onward.ir.tensor import Tensor as Constant

CODES = (torch.uint8, torch.int8, torch.uint16, torch.int16)
"""What QuantizeLinear gives."""


@operator("quantized_decomposed::quantize_per_tensor")
def quantize_per_tensor(c: Emitter, x: Tensor, scale: Any, zero: Any, low: Any, high: Any, dtype: torch.dtype) -> Value:
    known = _computed(c, x, scale, zero, low, high, dtype)
    if known is not None:
        return known
    scale, zero = _parameter(c, scale, torch.float32, shape=()), _parameter(c, zero, _code(dtype), shape=())
    return _quantized(c, x, scale, zero, low, high, dtype)


@operator("quantized_decomposed::quantize_per_channel")
def quantize_per_channel(c: Emitter, x: Tensor, scale: Tensor, zero: Tensor, axis: int, low: int, high: int, dtype: torch.dtype) -> Value:
    known = _computed(c, x, scale, zero, axis, low, high, dtype)
    if known is not None:
        return known
    return _quantized(c, x, _parameter(c, scale, torch.float32), _parameter(c, zero, _code(dtype)), low, high, dtype, axis)


@operator("quantized_decomposed::dequantize_per_tensor")
def dequantize_per_tensor(c: Emitter, x: Tensor, scale: Any, zero: Any, low: Any, high: Any, dtype: torch.dtype, out_dtype: torch.dtype | None = None) -> Value:
    return _dequantized(c, x, _parameter(c, scale, torch.float32, shape=()), _parameter(c, zero, x.dtype, shape=()), out_dtype)


@operator("quantized_decomposed::dequantize_per_channel")
def dequantize_per_channel(
    c: Emitter, x: Tensor, scale: Tensor, zero: Tensor | None, axis: int, low: int, high: int, dtype: torch.dtype,
    out_dtype: torch.dtype | None = None,
) -> Value:  # fmt: skip
    return _dequantized(c, x, _parameter(c, scale, torch.float32), None if zero is None else _parameter(c, zero, x.dtype), out_dtype, axis)


@operator("quantized_decomposed::choose_qparams")
def choose_qparams(c: Emitter, x: Tensor, low: int, high: int, eps: float, dtype: torch.dtype) -> Any:
    """Scale and zero point of codes between `low` and `high` for all of a tensor's numbers, and for 0."""
    least, most = _range(c, x)
    scale = _scale(c, c.op("Sub", most, least), float(high - low), eps)
    zero = c.op("Sub", c.number(low, torch.float32), c.op("Round", c.op("Div", least, scale)))
    return _parameters(c, scale, c.op("Clip", zero, c.number(low, torch.float32), c.number(high, torch.float32)))


@operator("quantized_decomposed::choose_qparams_symmetric")
def choose_qparams_symmetric(c: Emitter, x: Tensor, low: int, high: int, eps: float, dtype: torch.dtype) -> Any:
    """The same with equally many codes on both sides of 0."""
    least, most = _range(c, x)
    scale = _scale(c, c.op("Max", c.op("Neg", least), most), (high - low) / 2, eps)
    return _parameters(c, scale, c.number(128 if dtype is torch.uint8 else 0, torch.float32))


@operator("quantized_decomposed::quantize_per_channel_group")
def quantize_per_channel_group(
    c: Emitter, x: Tensor, scales: Tensor, zeros: Tensor, low: int, high: int, dtype: torch.dtype, group: int = 128
) -> Value:  # fmt: skip
    """Codes of a matrix whose rows have a scale for each `group` of neighbouring elements."""
    known = _computed(c, x, scales, zeros, low, high, dtype, group)
    if known is not None:
        return known
    if dtype not in CODES:
        raise UnsupportedOperator(f"codes of type {str(dtype).removeprefix('torch.')} by group")
    blocks = _blocks(c, x, group)
    scale, zero = _parameter(c, scales, torch.float32, blocks), _parameter(c, zeros, dtype, blocks)
    codes = c.op("QuantizeLinear", c.cast(x, torch.float32), scale, zero, axis=1, block_size=x.shape[1] // blocks[1])
    return _clipped(c, codes, low, high, dtype)


@operator("quantized_decomposed::dequantize_per_channel_group")
def dequantize_per_channel_group(
    c: Emitter, x: Tensor, scales: Tensor, zeros: Tensor | None, low: int, high: int, dtype: torch.dtype, group: int = 128,
    out_dtype: torch.dtype = torch.float32,
) -> Value:  # fmt: skip
    """The numbers of such codes; those that are known and of four bits are stored as such."""
    blocks = _blocks(c, x, group)
    scale, zero = _parameter(c, scales, torch.float32, blocks), None if zeros is None else _parameter(c, zeros, x.dtype, blocks)
    codes, zero = _in_four_bits(c, x.value, zero, low, high)
    value = c.op("DequantizeLinear", codes, scale, zero, axis=1, block_size=x.shape[1] // blocks[1])
    return value if out_dtype is torch.float32 else c.convert(value, out_dtype)


def _in_four_bits(c: Emitter, codes: Value, zero: Value | None, low: Any, high: Any) -> tuple[Value, Value | None]:
    """Codes and zero points, in half the memory where they are known and fit into it."""
    known = codes.tensor is not None and (zero is None or zero.tensor is not None)
    if not known or c.opset < 21 or low is None or high is None or not (low >= -8 and high <= 7):
        return codes, zero
    c.replaced.append(codes)
    stored = c.outermost.add_initializer(Constant.of(codes.tensor.numpy().astype(ml_dtypes.int4)), f"{codes.name}_codes")  # type: ignore[union-attr]
    return stored, None if zero is None else c.array(zero.tensor.numpy().astype(ml_dtypes.int4))  # type: ignore[union-attr]


@operator("torchao::dequantize_affine")
def dequantize_affine(
    c: Emitter, x: Tensor, block: Sequence[Any], scale: Tensor, zero: Tensor | None, dtype: torch.dtype, low: Any = None, high: Any = None,
    out_dtype: torch.dtype = torch.float32,
) -> Value:  # fmt: skip
    """The numbers of codes, those of a block of that shape with a scale in common."""
    each = [axis for axis, size in enumerate(block) if is_static(size) and size == 1]
    others = [axis for axis in range(x.rank) if axis not in each]
    parts = [axis for axis in others if is_static(block[axis]) and block[axis] != x.shape[axis]]
    axis, size = each[0] if each else None, None
    shape: list[Any] = [-1] if each else []
    if parts or len(each) > 1:
        if c.opset < 21 or len(others) != 1 or not is_static(x.shape[others[0]]):
            raise UnsupportedOperator(f"codes in blocks of shape {list(block)} of a tensor of shape {list(x.shape)} in version {c.opset}")
        (axis,) = others
        size = block[axis]
        shape = [x.shape[place] // size if place == axis else c.size(x, place) for place in range(x.rank)]
    factor = _parameter(c, scale, torch.float32, shape)
    codes, offset = _in_four_bits(c, x.value, None if zero is None else _parameter(c, zero, x.dtype, shape), low, high)
    value = c.op("DequantizeLinear", codes, factor, offset, axis=axis, block_size=size)
    return value if out_dtype is torch.float32 else c.convert(value, out_dtype)


def _blocks(c: Emitter, x: Tensor, group: int) -> list[int]:
    """How many groups a matrix has. Raises UnsupportedOperator before version 21, which knows no groups."""
    if c.opset < 21:
        raise UnsupportedOperator(f"codes by group in version {c.opset}; version 21 has them")
    rows, columns = c.static(x, "codes by group")
    return [rows, max(columns // group, 1)]


@operator("quantized_decomposed::choose_qparams_per_token")
def choose_qparams_per_token(c: Emitter, x: Tensor, dtype: torch.dtype) -> Any:
    """Scales and zero points of 8-bit codes of each row of the last dimension, the same on both sides of 0."""
    most = c.op("ReduceMax", c.op("Abs", c.cast(x, torch.float32)), [-1], keepdims=1)
    scale = c.op("Div", c.op("Max", most, c.number(1e-5, torch.float32)), c.number(127, torch.float32))
    return _as_described(c, scale, c.op("Mul", scale, c.number(0, torch.float32)))


@operator("quantized_decomposed::choose_qparams_per_token_asymmetric", "quantized_decomposed::_choose_qparams_per_token_asymmetric_impl")
def choose_qparams_per_token_asymmetric(c: Emitter, x: Tensor, dtype: torch.dtype) -> Any:
    """The same for the least and the greatest number of each row."""
    low, high, nothing = (c.number(number, torch.float32) for number in (-128, 127, 0))
    value = c.cast(x, torch.float32)
    least, most = c.op("Min", c.op("ReduceMin", value, [-1], keepdims=1), nothing), c.op("Max", c.op("ReduceMax", value, [-1], keepdims=1), nothing)
    scale = _scale(c, c.op("Sub", most, least), 255.0, float(torch.finfo(torch.float32).eps))
    below, above = c.op("Div", least, scale), c.op("Div", most, scale)
    nearer = c.op("Greater", c.op("Add", c.op("Add", low, below), c.op("Add", high, above)), nothing)
    zero = c.op("Where", nearer, c.op("Sub", low, below), c.op("Sub", high, above))
    return _as_described(c, scale, c.op("Round", c.op("Clip", zero, low, high)))


def _as_described(c: Emitter, scale: Value, zero: Value) -> Any:
    """In the types that PyTorch says they have."""
    return [c.convert(value, meta.dtype) for value, meta in zip((scale, zero), c.result)]


@operator("quantized_decomposed::quantize_per_token")
def quantize_per_token(c: Emitter, x: Tensor, scales: Tensor, zeros: Tensor, low: int, high: int, dtype: torch.dtype) -> Value:
    scaled = c.op("Mul", c.cast(x, torch.float32), c.op("Reciprocal", c.cast(scales, torch.float32)))
    value = c.op("Round", c.op("Add", scaled, c.cast(zeros, torch.float32)))
    return c.convert(_clipped(c, value, low, high, torch.float32), _code(dtype))


@operator("quantized_decomposed::dequantize_per_token")
def dequantize_per_token(
    c: Emitter, x: Tensor, scales: Tensor, zeros: Tensor, low: int, high: int, dtype: torch.dtype, out_dtype: torch.dtype = torch.float32
) -> Value:  # fmt: skip
    rows = c.reshape(x, [-1, c.size(x, -1)])
    scale, zero = c.reshape(c.cast(scales, torch.float32), [-1]), c.reshape(c.cast(zeros, x.dtype), [-1])
    value = c.op("Reshape", c.op("DequantizeLinear", rows, scale, zero, axis=0), c.shape(x), allowzero=1)
    return value if out_dtype is torch.float32 else c.convert(value, out_dtype)


def _range(c: Emitter, x: Tensor) -> tuple[Value, Value]:
    value, nothing = c.cast(x, torch.float32), c.number(0, torch.float32)
    return c.op("Min", c.op("ReduceMin", value, keepdims=0), nothing), c.op("Max", c.op("ReduceMax", value, keepdims=0), nothing)


def _scale(c: Emitter, extent: Value, codes: float, eps: float) -> Value:
    return c.op("Max", c.op("Div", extent, c.number(codes, torch.float32)), c.number(eps, torch.float32))


def _parameters(c: Emitter, scale: Value, zero: Value) -> Any:
    """Vectors of one element, in the types that PyTorch says they have."""
    return [c.reshape(c.convert(value, kind), [1]) for value, kind in ((scale, torch.float64), (zero, torch.int64))]


def _code(dtype: torch.dtype) -> torch.dtype:
    if dtype not in (*CODES, torch.int32):
        raise UnsupportedOperator(f"codes of type {str(dtype).removeprefix('torch.')}")
    return dtype


def _parameter(c: Emitter, item: Any, dtype: torch.dtype, shape: Sequence[int] | None = None) -> Value:
    """Scales or zero points in the type that ONNX has for them, and another shape, at once where they are known."""
    if not isinstance(item, Tensor):
        return c.number(item, dtype)
    if item.dtype.is_floating_point and not dtype.is_floating_point:
        raise UnsupportedOperator("zero points that are no whole numbers")
    shape = item.shape if shape is None else tuple(shape)
    if item.value.tensor is None:
        value = c.cast(item, dtype)
        return value if shape == item.shape else c.reshape(value, shape)
    c.replaced.append(item.value)
    return c.array(item.value.tensor.numpy().astype(DATA_TYPES[dtype].numpy).reshape(shape))


def _computed(c: Emitter, x: Tensor, *arguments: Any) -> Value | None:
    """The result of the operator at hand as a constant, if all of its arguments are known: it stands in the place of the weight."""
    given = [item.value.tensor if isinstance(item, Tensor) else item for item in (x, *arguments)]
    if any(item is None for item in given):
        return None
    space, _, name = c.operator.partition("::")
    packet, _, overload = name.partition(".")
    function = getattr(getattr(getattr(torch.ops, space), packet), overload or "default")
    codes = function(*(torch.from_numpy(np.array(item.numpy())) if isinstance(item, Constant) else item for item in given))
    c.replaced.append(x.value)
    return c.outermost.add_initializer(Constant.of(to_numpy(codes)), f"{x.value.name}_codes")


def _quantized(c: Emitter, x: Tensor, scale: Value, zero: Value, low: Any, high: Any, dtype: torch.dtype, axis: int | None = None) -> Value:
    if dtype in CODES and scale.tensor is not None:
        codes = c.op("QuantizeLinear", c.cast(x, torch.float32), scale, zero, axis=axis)
        limits = torch.iinfo(dtype)
        return codes if (low, high) == (limits.min, limits.max) else _clipped(c, codes, low, high, dtype)
    # The extreme number, of which a scale is made in the run, may be half-way between two codes: with PyTorch's reciprocal.
    scaled = c.op("Mul", c.cast(x, torch.float32), c.op("Reciprocal", _along(c, scale, x, axis)))
    value = c.op("Add", c.op("Round", scaled), c.convert(_along(c, zero, x, axis), torch.float32))
    # The greatest whole number of 32 bits is none of single precision.
    return c.convert(_clipped(c, c.convert(value, torch.float64), low, high, torch.float64), dtype)


def _along(c: Emitter, value: Value, x: Tensor, axis: int | None) -> Value:
    """Numbers for each place along an axis, of a shape that broadcasts with `x`; a single one as it is."""
    return value if axis is None else c.unsqueeze(value, *(place for place in range(x.rank) if place != axis))


def _clipped(c: Emitter, value: Value, low: Any, high: Any, dtype: torch.dtype) -> Value:
    return c.op("Clip", value, _parameter(c, low, dtype, shape=()), _parameter(c, high, dtype, shape=()))


def _dequantized(c: Emitter, x: Tensor, scale: Value, zero: Value | None, out_dtype: torch.dtype | None, axis: int | None = None) -> Value:
    codes: Any = x
    if x.dtype is torch.int32 and zero is not None:  # DequantizeLinear has no zero point for these
        codes, zero = c.op("Sub", x, _along(c, zero, x, axis)), None
    value = c.op("DequantizeLinear", codes, scale, zero, axis=axis)
    return value if out_dtype in (None, torch.float32) else c.convert(value, out_dtype)
