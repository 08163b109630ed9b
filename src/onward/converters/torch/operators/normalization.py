"""Softmax and the norms of layers, batches, groups and instances."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from onward.converters.torch.emitter import Emitter, Tensor
from onward.converters.torch.operators.unary import result_dtype
from onward.converters.torch.registry import aten
from onward.ir import Value


@aten("softmax.int", "_softmax", "special_softmax", "_safe_softmax")
def softmax(c: Emitter, x: Tensor, dim: int, *dtype: Any, **options: Any) -> Value:
    value = c.cast(x, result_dtype(c))
    made = c.op("Softmax", value if x.rank else c.reshape(value, [1]), axis=x.axis(dim))
    if c.operator.endswith("_safe_softmax"):
        dtype = result_dtype(c)
        largest = c.op("ReduceMax", value, [x.axis(dim)], keepdims=1)
        made = c.op("Where", c.op("Equal", largest, c.number(-math.inf, dtype)), c.number(0, dtype), made)
    return made if x.rank else c.reshape(made, [])


@aten("log_softmax.int", "_log_softmax", "special_log_softmax")
def log_softmax(c: Emitter, x: Tensor, dim: int, *dtype: Any, **options: Any) -> Value:
    value = c.cast(x, result_dtype(c))
    made = c.op("LogSoftmax", value if x.rank else c.reshape(value, [1]), axis=x.axis(dim))
    return made if x.rank else c.reshape(made, [])


def _constant(c: Emitter, shape: Any, number: float, dtype: torch.dtype) -> Value:
    return c.op("Expand", c.number(number, dtype), list(shape))


@aten("layer_norm")
def layer_norm(
    c: Emitter, x: Tensor, shape: list[Any], weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5,
    *enabled: Any,
) -> Value:  # fmt: skip
    scale = weight if weight is not None else _constant(c, shape, 1, x.dtype)
    return c.op("LayerNormalization", x, scale, bias, axis=-len(shape), epsilon=float(eps))


@aten("native_layer_norm")
def native_layer_norm(c: Emitter, x: Tensor, shape: list[Any], weight: Any, bias: Any, eps: float) -> Any:
    scale = weight if weight is not None else _constant(c, shape, 1, x.dtype)
    return c.op("LayerNormalization", x, scale, bias, axis=-len(shape), epsilon=float(eps), outputs=3)


@aten("rms_norm")
def rms_norm(c: Emitter, x: Tensor, shape: list[Any], weight: Tensor | None = None, eps: float | None = None) -> Value:
    eps = torch.finfo(x.dtype).eps if eps is None else eps
    scale = weight if weight is not None else _constant(c, shape, 1, x.dtype)
    if c.opset >= 23:
        return c.op("RMSNormalization", x, scale, axis=-len(shape), epsilon=float(eps))
    axes = list(range(x.rank - len(shape), x.rank))
    square = c.op("ReduceMean", c.op("Mul", x, x), axes, keepdims=1)
    return c.op("Mul", c.op("Div", x, c.op("Sqrt", c.op("Add", square, c.number(eps, x.dtype)))), scale)


@aten("group_norm")
def group_norm(c: Emitter, x: Tensor, groups: int, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5, *enabled: Any) -> Value:
    channels = x.shape[1]
    scale = weight if weight is not None else c.number(np.ones(channels), x.dtype)
    shift = bias if bias is not None else c.number(np.zeros(channels), x.dtype)
    return c.op("GroupNormalization", x, scale, shift, num_groups=groups, epsilon=float(eps))


@aten("batch_norm", "cudnn_batch_norm")
def batch_norm(c: Emitter, x: Tensor, weight: Any, bias: Any, mean: Any, variance: Any, training: bool, momentum: float, eps: float, *flags: Any) -> Value:
    channels = x.shape[1]
    scale = weight if weight is not None else c.number(np.ones(channels), x.dtype)
    shift = bias if bias is not None else c.number(np.zeros(channels), x.dtype)
    if training or mean is None:
        return _normalized_over_batch(c, x, scale, shift, eps)
    return c.op("BatchNormalization", x, scale, shift, mean, variance, epsilon=float(eps))


def _normalized_over_batch(c: Emitter, x: Tensor, scale: Any, shift: Any, eps: float) -> Value:
    """With the moments of the batch itself."""
    axes = [axis for axis in range(x.rank) if axis != 1]
    outer = [-1] + [1] * (x.rank - 2)
    centred = c.op("Sub", x, c.op("ReduceMean", x, axes, keepdims=1))
    variance = c.op("ReduceMean", c.op("Mul", centred, centred), axes, keepdims=1)
    normal = c.op("Div", centred, c.op("Sqrt", c.op("Add", variance, c.number(eps, x.dtype))))
    return c.op("Add", c.op("Mul", normal, c.reshape(scale, outer)), c.reshape(shift, outer))


@aten("_native_batch_norm_legit_no_training")
def native_batch_norm(c: Emitter, x: Tensor, weight: Any, bias: Any, mean: Any, variance: Any, momentum: float, eps: float) -> Any:
    made = batch_norm(c, x, weight, bias, mean, variance, False, momentum, eps)
    return [made, c.number(np.zeros(0), x.dtype), c.number(np.zeros(0), x.dtype)]


@aten("instance_norm")
def instance_norm(c: Emitter, x: Tensor, weight: Any, bias: Any, mean: Any, variance: Any, use_input: bool, momentum: float, eps: float, *flags: Any) -> Value:
    if not use_input:
        return batch_norm(c, x, weight, bias, mean, variance, False, momentum, eps)
    channels = x.shape[1]
    scale = weight if weight is not None else c.number(np.ones(channels), x.dtype)
    shift = bias if bias is not None else c.number(np.zeros(channels), x.dtype)
    return c.op("InstanceNormalization", x, scale, shift, epsilon=float(eps))
