"""Sums, means, extremes, norms and cumulative sums."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from onward.converters.torch.emitter import Emitter, Tensor, is_static
from onward.converters.torch.operators.unary import result_dtype
from onward.converters.torch.registry import aten
from onward.ir import Value


def axes_of(x: Tensor, dims: Any) -> list[int]:
    """The dimensions to reduce; all of them where none is named."""
    if not x.rank:
        return []
    if dims is None or (isinstance(dims, (list, tuple)) and not dims):
        return list(range(x.rank))
    return [x.axis(dim) for dim in (dims if isinstance(dims, (list, tuple)) else [dims])]


def reduced(c: Emitter, onnx: str, value: Any, axes: list[int], keepdim: bool) -> Value:
    return c.op(onnx, value, axes, keepdims=int(keepdim)) if axes else c.value(value)  # type: ignore[return-value]


@aten("sum", "sum.dim_IntList")
def sum_(c: Emitter, x: Tensor, dims: Any = None, keepdim: bool = False, dtype: Any = None) -> Value:
    return reduced(c, "ReduceSum", c.cast(x, result_dtype(c)), axes_of(x, dims), keepdim)


@aten("mean", "mean.dim")
def mean(c: Emitter, x: Tensor, dims: Any = None, keepdim: bool = False, dtype: Any = None) -> Value:
    return reduced(c, "ReduceMean", c.cast(x, result_dtype(c)), axes_of(x, dims), keepdim)


@aten("prod", "prod.dim_int")
def prod(c: Emitter, x: Tensor, dim: Any = None, keepdim: bool = False, dtype: Any = None) -> Value:
    return reduced(c, "ReduceProd", c.cast(x, result_dtype(c)), axes_of(x, dim), keepdim)


@aten("amax", "max")
def amax(c: Emitter, x: Tensor, dims: Any = None, keepdim: bool = False) -> Value:
    return _extreme(c, "ReduceMax", x, axes_of(x, dims), keepdim)


@aten("amin", "min")
def amin(c: Emitter, x: Tensor, dims: Any = None, keepdim: bool = False) -> Value:
    return _extreme(c, "ReduceMin", x, axes_of(x, dims), keepdim)


def _extreme(c: Emitter, onnx: str, x: Tensor, axes: list[int], keepdim: bool) -> Value:
    if not x.rank:
        return x.value
    if x.dtype in (torch.bool, torch.int16):
        return c.convert(reduced(c, onnx, c.convert(x.value, torch.int32), axes, keepdim), x.dtype)
    return reduced(c, onnx, x, axes, keepdim)


@aten("max.dim")
def max_dim(c: Emitter, x: Tensor, dim: int, keepdim: bool = False) -> Any:
    return [_extreme(c, "ReduceMax", x, axes_of(x, dim), keepdim), _place(c, "ArgMax", x, dim, keepdim)]


@aten("min.dim")
def min_dim(c: Emitter, x: Tensor, dim: int, keepdim: bool = False) -> Any:
    return [_extreme(c, "ReduceMin", x, axes_of(x, dim), keepdim), _place(c, "ArgMin", x, dim, keepdim)]


@aten("argmax")
def argmax(c: Emitter, x: Tensor, dim: int | None = None, keepdim: bool = False) -> Value:
    return _place(c, "ArgMax", x, dim, keepdim)


@aten("argmin")
def argmin(c: Emitter, x: Tensor, dim: int | None = None, keepdim: bool = False) -> Value:
    return _place(c, "ArgMin", x, dim, keepdim)


def _place(c: Emitter, onnx: str, x: Tensor, dim: int | None, keepdim: bool) -> Value:
    value = c.cast(x, torch.int32) if x.dtype in (torch.bool, torch.int16) else x.value
    if x.rank == 0:
        return c.op("Identity", np.array(0))
    if dim is None:
        found = c.op(onnx, c.reshape(value, [-1]), axis=0, keepdims=0)
        return c.reshape(found, [1] * x.rank) if keepdim else found
    return c.op(onnx, value, axis=x.axis(dim), keepdims=int(keepdim))


@aten("any", "any.dim", "any.dims", "_is_any_true")
def any_(c: Emitter, x: Tensor, dims: Any = None, keepdim: bool = False) -> Value:
    return _truth(c, "ReduceMax", x, dims, keepdim)


@aten("all", "all.dim", "all.dims", "_is_all_true")
def all_(c: Emitter, x: Tensor, dims: Any = None, keepdim: bool = False) -> Value:
    return _truth(c, "ReduceMin", x, dims, keepdim)


def _truth(c: Emitter, onnx: str, x: Tensor, dims: Any, keepdim: bool) -> Value:
    counted = c.convert(c.cast(x, torch.bool), torch.int32)
    return c.convert(reduced(c, onnx, counted, axes_of(x, dims), keepdim), result_dtype(c))


def moments(c: Emitter, x: Tensor, dims: Any, correction: Any, keepdim: bool) -> tuple[Value, Value]:
    """Variance and mean, from the deviations."""
    axes = axes_of(x, dims)
    if not axes:
        gone = c.op("Sub", x, x)
        count = 1 - (1 if correction is None else correction)
        return c.op("Div", gone, c.number(max(count, 0), x.dtype)), x.value
    centre = c.op("ReduceMean", x, axes, keepdims=1)
    deviation = c.op("Sub", x, centre)
    squares = c.op("ReduceSum", c.op("Mul", deviation, deviation), axes, keepdims=int(keepdim))
    correction = 1 if correction is None else correction
    if all(is_static(x.shape[axis]) for axis in axes):
        freedom = c.number(max(math.prod(x.shape[axis] for axis in axes) - correction, 0), x.dtype)
    else:
        counted = c.op("ReduceProd", c.sizes([c.size(x, axis) for axis in axes]), keepdims=0)
        freedom = c.op("Max", c.op("Sub", c.convert(counted, x.dtype), c.number(correction, x.dtype)), c.number(0, x.dtype))
    return c.op("Div", squares, freedom), centre if keepdim else c.squeeze(centre, *axes)


@aten("var.correction")
def var(c: Emitter, x: Tensor, dims: Any = None, correction: Any = None, keepdim: bool = False) -> Value:
    return moments(c, x, dims, correction, keepdim)[0]


@aten("std.correction")
def std(c: Emitter, x: Tensor, dims: Any = None, correction: Any = None, keepdim: bool = False) -> Value:
    return c.op("Sqrt", moments(c, x, dims, correction, keepdim)[0])


@aten("var_mean.correction")
def var_mean(c: Emitter, x: Tensor, dims: Any = None, correction: Any = None, keepdim: bool = False) -> Any:
    return list(moments(c, x, dims, correction, keepdim))


@aten("std_mean.correction")
def std_mean(c: Emitter, x: Tensor, dims: Any = None, correction: Any = None, keepdim: bool = False) -> Any:
    variance, centre = moments(c, x, dims, correction, keepdim)
    return [c.op("Sqrt", variance), centre]


@aten("logsumexp", "special_logsumexp")
def logsumexp(c: Emitter, x: Tensor, dims: Any, keepdim: bool = False) -> Value:
    """Relative to the largest element, which is subtracted only where it is finite."""
    dtype, axes = result_dtype(c), axes_of(x, dims)
    value = c.cast(x, dtype)
    if not axes or not x.rank:
        return value
    largest = c.op("ReduceMax", value, axes, keepdims=1)
    infinite = c.op("Equal", c.op("Abs", largest), c.number(math.inf, dtype))
    base = c.op("Where", infinite, c.number(0, dtype), largest)
    total = c.op("Log", c.op("ReduceSum", c.op("Exp", c.op("Sub", value, base)), axes, keepdims=1))
    found = c.op("Add", total, base)
    return found if keepdim else c.squeeze(found, *axes)


@aten("linalg_vector_norm", "norm.ScalarOpt_dim", "norm.Scalar", "norm.ScalarOpt_dim_dtype")
def vector_norm(c: Emitter, x: Tensor, order: Any = 2, dims: Any = None, keepdim: bool = False, dtype: Any = None) -> Value:
    kind, axes = result_dtype(c), axes_of(x, dims)
    value = c.cast(x, kind)
    order = 2.0 if order is None else float(order)
    if order == 2:
        return reduced(c, "ReduceL2", value, axes, keepdim) if axes else c.op("Abs", value)
    size = c.op("Abs", value)
    if order == 1:
        return reduced(c, "ReduceSum", size, axes, keepdim)
    if math.isinf(order):
        return reduced(c, "ReduceMax" if order > 0 else "ReduceMin", size, axes, keepdim)
    if order == 0:
        nonzero = c.convert(c.op("Not", c.op("Equal", value, c.number(0, kind))), kind)
        return reduced(c, "ReduceSum", nonzero, axes, keepdim)
    total = reduced(c, "ReduceSum", c.op("Pow", size, c.number(order, kind)), axes, keepdim)
    return c.op("Pow", total, c.number(1 / order, kind))


@aten("cumsum")
def cumsum(c: Emitter, x: Tensor, dim: int, dtype: Any = None) -> Value:
    value = c.cast(x, result_dtype(c))
    return value if x.rank == 0 else c.op("CumSum", value, np.array(x.axis(dim)))


@aten("count_nonzero", "count_nonzero.dim_IntList")
def count_nonzero(c: Emitter, x: Tensor, dims: Any = None) -> Value:
    return reduced(c, "ReduceSum", c.convert(c.cast(x, torch.bool), torch.int64), axes_of(x, dims), False)


@aten("cumprod", "logcumsumexp", "cummax", "cummin")
def cumulative(c: Emitter, x: Tensor, dim: int, dtype: Any = None) -> Any:
    """Over all positions up to each, by a triangle of choices."""
    name = c.operator.partition("::")[2]
    kind = result_dtype(c)
    value, axis = c.cast(x, kind), x.axis(dim)
    if x.rank == 0:
        return [x.value, c.op("Identity", np.array(0))] if isinstance(c.result, (tuple, list)) else value
    last = [other for other in range(x.rank) if other != axis] + [axis]
    back = [last.index(other) for other in range(x.rank)]
    moved = c.transpose(value, last)
    count = c.size(x, axis)
    places = c.op("Range", np.array(0), count if not is_static(count) else np.array(count), np.array(1))
    upto = c.op("LessOrEqual", c.unsqueeze(places, 0), c.unsqueeze(places, 1))
    row = c.unsqueeze(moved, x.rank - 1)
    if name == "cumprod":
        chosen = c.op("Where", upto, row, c.number(1, kind))
        return c.transpose(c.op("ReduceProd", chosen, [x.rank], keepdims=0), back)
    if name == "logcumsumexp":
        chosen = c.op("Where", upto, row, c.number(-math.inf, kind))
        wide = Tensor(chosen, kind, (*x.shape, None))
        return c.transpose(logsumexp(c, wide, [x.rank]), back)
    return _cumulative_extreme(c, name, moved, upto, row, x, back)


def _cumulative_extreme(c: Emitter, name: str, moved: Value, upto: Value, row: Value, x: Tensor, back: list[int]) -> Any:
    """The last place of the extreme among those up to each."""
    kind = x.dtype
    whole = not kind.is_floating_point
    if whole and kind is not torch.int64:
        row, kind = c.convert(row, torch.int64), torch.int64
    limits = torch.iinfo(torch.int64)
    worst = (limits.min if name == "cummax" else limits.max) if whole else (-math.inf if name == "cummax" else math.inf)
    chosen = c.op("Where", upto, row, c.number(worst, kind))
    found = c.op("ArgMax" if name == "cummax" else "ArgMin", chosen, axis=x.rank, keepdims=0, select_last_index=1)
    return [c.transpose(c.op("GatherElements", moved, found, axis=x.rank - 1), back), c.transpose(found, back)]
