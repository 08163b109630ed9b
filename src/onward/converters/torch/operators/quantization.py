"""Quantised graphs of torch.ao and torchao (`quantized_decomposed`): QuantizeLinear and DequantizeLinear.

PyTorch multiplies by the reciprocal of a scale where ONNX divides by the scale: a number that is half-way between two codes may get
the other one of them. Codes of weights are computed here, as PyTorch computes them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from onward.converters.torch.emitter import DATA_TYPES, Emitter, Tensor, to_numpy
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
    scale, zero = _parameter(c, scale, torch.float32, single=True), _parameter(c, zero, _code(dtype), single=True)
    return _quantized(c, x, scale, zero, low, high, dtype)


@operator("quantized_decomposed::quantize_per_channel")
def quantize_per_channel(c: Emitter, x: Tensor, scale: Tensor, zero: Tensor, axis: int, low: int, high: int, dtype: torch.dtype) -> Value:
    known = _computed(c, x, scale, zero, axis, low, high, dtype)
    if known is not None:
        return known
    return _quantized(c, x, _parameter(c, scale, torch.float32), _parameter(c, zero, _code(dtype)), low, high, dtype, axis)


@operator("quantized_decomposed::dequantize_per_tensor")
def dequantize_per_tensor(c: Emitter, x: Tensor, scale: Any, zero: Any, low: Any, high: Any, dtype: torch.dtype, out_dtype: torch.dtype | None = None) -> Value:
    return _dequantized(c, x, _parameter(c, scale, torch.float32, single=True), _parameter(c, zero, x.dtype, single=True), out_dtype)


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


def _parameter(c: Emitter, item: Any, dtype: torch.dtype, single: bool = False) -> Value:
    """Scales or zero points in the type that ONNX has for them, at once where they are known; `single` ones have rank 0."""
    if not isinstance(item, Tensor):
        return c.number(item, dtype)
    if item.dtype.is_floating_point and not dtype.is_floating_point:
        raise UnsupportedOperator("zero points that are no whole numbers")
    shape = () if single else item.shape
    if item.value.tensor is None:
        value = c.cast(item, dtype)
        return value if shape == item.shape else c.reshape(value, [])
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
    return c.op("Clip", value, _parameter(c, low, dtype, single=True), _parameter(c, high, dtype, single=True))


def _dequantized(c: Emitter, x: Tensor, scale: Value, zero: Value | None, out_dtype: torch.dtype | None, axis: int | None = None) -> Value:
    codes: Any = x
    if x.dtype is torch.int32 and zero is not None:  # DequantizeLinear has no zero point for these
        codes, zero = c.op("Sub", x, _along(c, zero, x, axis)), None
    value = c.op("DequantizeLinear", codes, scale, zero, axis=axis)
    return value if out_dtype in (None, torch.float32) else c.convert(value, out_dtype)
