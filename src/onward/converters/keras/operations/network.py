"""Convolutions, pools, normalisations, attention."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from onward.converters import channels_last
from onward.converters.keras.emitter import Emitter, Tensor, numpy_type
from onward.converters.keras.operations.arithmetic import alike, floating
from onward.converters.keras.registry import operation
from onward.errors import UnsupportedOperator


def is_first(c: Emitter, data_format: str | None) -> bool:
    """Whether the channels are the second axis."""
    return data_format == "channels_first" if data_format else c.channels_first


def many(number: Any, count: int) -> list[int]:
    """A number for each spatial axis."""
    return [number] * count if isinstance(number, int) else list(number)


def extents(x: Tensor, channels_first: bool) -> Sequence[int | None]:
    """The sizes of the spatial axes."""
    return x.shape[2:] if channels_first else x.shape[1:-1]


@operation("MaxPool", "AveragePool")
def pool(c: Emitter, operation: Any, inputs: Any) -> Any:
    x = c.tensor(inputs)
    count, first = x.rank - 2, is_first(c, operation.data_format)
    window = many(operation.pool_size, count)
    strides = many(operation.strides if operation.strides is not None else operation.pool_size, count)
    kind = "max" if type(operation).__name__ == "MaxPool" else "average"
    return channels_last.pool(c, x.value, kind, window=window, strides=strides, padding=operation.padding, extents=extents(x, first), channels_first=first)


@operation("Conv")
def convolution(c: Emitter, operation: Any, inputs: Any, kernel: Any) -> Any:
    x, kernel = c.tensor(inputs), c.tensor(kernel)
    count, first = x.rank - 2, is_first(c, operation.data_format)
    channels = x.shape[1 if first else -1]
    return channels_last.convolution(
        c, x.value, kernel.value, None, strides=many(operation.strides, count), dilations=many(operation.dilation_rate, count),
        padding=operation.padding, extents=extents(x, first), groups=channels // kernel.shape[-2], window=kernel.shape[:-2],
        channels_first=first,
    )  # fmt: skip


@operation("BatchNorm")
def batch_normalization(c: Emitter, operation: Any, x: Any, mean: Any, variance: Any, offset: Any = None, scale: Any = None) -> Any:
    x = c.tensor(x)
    if operation.axis not in (1, -1, x.rank - 1):
        raise UnsupportedOperator(f"batch normalisation of axis {operation.axis}")
    count = c.tensor(mean).shape
    scale = c.tensor(scale if scale is not None else np.ones(count, numpy_type(x.dtype)), x.dtype)
    offset = c.tensor(offset if offset is not None else np.zeros(count, numpy_type(x.dtype)), x.dtype)
    mean, variance = (c.tensor(item, x.dtype) for item in (mean, variance))
    first = operation.axis == 1
    return channels_last.batch_normalization(
        c, x.value, scale.value, offset.value, mean.value, variance.value, epsilon=operation.epsilon, rank=x.rank, channels_first=first
    )


@operation("LayerNorm")
def layer_normalization(c: Emitter, operation: Any, x: Any, gamma: Any = None, beta: Any = None) -> Any:
    x = floating(c, x)
    axes = sorted(axis % x.rank for axis in ([operation.axis] if isinstance(operation.axis, int) else operation.axis))
    if (
        axes == list(range(axes[0], x.rank)) and gamma is not None and not operation.rms_scaling and x.dtype != "float64"
    ):  # an attribute holds no epsilon of double precision
        given = [c.tensor(gamma, x.dtype), *([c.tensor(beta, x.dtype)] if beta is not None else [])]
        return c.op("LayerNormalization", x, *given, axis=axes[0], epsilon=float(operation.epsilon))
    where = c.integers(axes)
    gap = x.value if operation.rms_scaling else c.op("Sub", x, c.op("ReduceMean", x, where, keepdims=1))
    if operation.rms_scaling:
        centred = c.op("Sub", x, c.op("ReduceMean", x, where, keepdims=1))
        spread = c.op("ReduceMean", c.op("Mul", centred, centred), where, keepdims=1)
    else:
        spread = c.op("ReduceMean", c.op("Mul", gap, gap), where, keepdims=1)
    found = c.op("Div", gap, c.op("Sqrt", c.op("Add", spread, c.number(operation.epsilon, x.dtype))))
    shape = [x.shape[axis] if axis in axes else 1 for axis in range(x.rank)]
    for item, operator in ((gamma, "Mul"), (None if operation.rms_scaling else beta, "Add")):
        if item is not None:
            found = c.op(operator, found, c.reshape(c.tensor(item, x.dtype), [extent or 1 for extent in shape]))
    return found


@operation("RMSNorm")
def rms_normalization(c: Emitter, operation: Any, x: Any, scale: Any = None) -> Any:
    x = floating(c, x)
    axes = sorted(axis % x.rank for axis in ([operation.axis] if isinstance(operation.axis, int) else operation.axis))
    if scale is not None and axes == [x.rank - 1] and x.dtype != "float64":
        return c.op("RMSNormalization", x, c.tensor(scale, x.dtype), axis=-1, epsilon=float(operation.epsilon))
    squares = c.op("ReduceMean", c.op("Mul", x, x), c.integers(axes), keepdims=1)
    found = c.op("Div", x, c.op("Sqrt", c.op("Add", squares, c.number(operation.epsilon, x.dtype))))
    return found if scale is None else c.op("Mul", found, c.tensor(scale, x.dtype))


@operation("DotProductAttention")
def attention(c: Emitter, operation: Any, query: Any, key: Any, value: Any, bias: Any = None, mask: Any = None, scale: Any = None, **_: Any) -> Any:
    """Heads are the third axis in Keras. What is masked gets the least number there is, not minus infinity: rows that are masked
    whole are the mean of the values, as Keras computes them."""
    if getattr(operation, "attn_logits_soft_cap", None) is not None:
        raise UnsupportedOperator("attention with a soft cap")
    query, key, value = alike(c, query, key, value)
    turned = [c.op("Transpose", item, perm=[0, 2, 1, 3]) for item in (query, key, value)]
    added = None if bias is None else c.tensor(bias, query.dtype).value
    if mask is not None:
        least = c.number(-0.7 * float(np.finfo(np.float32 if query.dtype == "bfloat16" else query.dtype).max), query.dtype)
        hidden = c.op("Where", c.tensor(mask, "bool"), c.number(0, query.dtype), least)
        added = hidden if added is None else c.op("Add", added, hidden)
    if added is not None:  # ONNX hides the keys that a mask does not reach, and does not repeat its last axis
        keys = c.op("Slice", c.op("Shape", key), c.integers([1]), c.integers([2]))
        added = c.op("Expand", added, c.op("Concat", c.integers([1, 1, 1]), keys, axis=0))
    given = [] if added is None else [added]
    found = c.op("Attention", *turned, *given, is_causal=int(operation.is_causal), scale=None if scale is None else float(scale))
    return c.op("Transpose", found, perm=[0, 2, 1, 3])


@operation("Resize")
def resize(c: Emitter, operation: Any, images: Any) -> Any:
    if operation.antialias or operation.crop_to_aspect_ratio or operation.pad_to_aspect_ratio:
        raise UnsupportedOperator("a resize with antialiasing or a kept aspect ratio")
    x, first = c.tensor(images), is_first(c, operation.data_format)
    kind = {"nearest": "nearest of centres", "bilinear": "bilinear", "bicubic": "bicubic"}.get(operation.interpolation)
    if kind is None:
        raise UnsupportedOperator(f"a resize with interpolation '{operation.interpolation}'")
    if x.rank == 3:
        x = Tensor(c.unsqueeze(x, 0), x.dtype, (1, *x.shape))
    floats = floating(c, x)
    found = channels_last.resize(c, floats.value, sizes=list(operation.size), how=channels_last.RESIZING[kind], channels_first=first)
    found = c.cast(Tensor(found, floats.dtype, x.shape), x.dtype).value
    return found if c.tensor(images).rank == 4 else c.squeeze(found, 0)
