"""Convolutions, with their biases as weights."""

from __future__ import annotations

from typing import Any

from onward.converters import channels_last
from onward.converters.keras.emitter import Tensor
from onward.converters.keras.operations.network import extents, is_first, many
from onward.converters.keras.registry import layer
from onward.converters.keras.walk import Walk
from onward.ir import Value


def _bias(w: Walk, owner: Any) -> Value | None:
    return w.c.tensor(owner.bias, owner.compute_dtype).value if owner.use_bias else None


@layer("Conv1D", "Conv2D", "Conv3D")
def convolution(w: Walk, owner: Any, inputs: Tensor) -> Any:
    first = is_first(w.c, owner.data_format)
    x, padding, sizes = inputs.value, owner.padding, extents(inputs, first)
    if padding == "causal":
        past = owner.dilation_rate[0] * (owner.kernel_size[0] - 1)
        places = [0, 0, past, 0, 0, 0] if first else [0, past, 0, 0, 0, 0]
        x, padding = w.c.op("Pad", x, w.c.integers(places)), "valid"
    found = channels_last.convolution(
        w.c, x, w.c.array(owner.kernel, owner.compute_dtype), _bias(w, owner), strides=owner.strides, dilations=owner.dilation_rate,
        padding=padding, extents=sizes, groups=owner.groups, channels_first=first, name=getattr(owner.kernel, "path", "kernel"),
    )  # fmt: skip
    return w.activated(owner.activation, w.c.tensor(found, owner.compute_dtype))


@layer("DepthwiseConv1D", "DepthwiseConv2D")
def depthwise_convolution(w: Walk, owner: Any, inputs: Tensor) -> Any:
    found = _depthwise(w, owner, inputs, owner.kernel, _bias(w, owner))
    return w.activated(owner.activation, w.c.tensor(found, owner.compute_dtype))


def _depthwise(w: Walk, owner: Any, inputs: Tensor, kernel: Any, bias: Value | None) -> Value:
    first = is_first(w.c, owner.data_format)
    return channels_last.depthwise_convolution(
        w.c, inputs.value, w.c.array(kernel, owner.compute_dtype), bias, strides=many(owner.strides, inputs.rank - 2),
        dilations=many(owner.dilation_rate, inputs.rank - 2), padding=owner.padding, extents=extents(inputs, first), channels_first=first,
        name=kernel.path,
    )  # fmt: skip


@layer("SeparableConv1D", "SeparableConv2D")
def separable_convolution(w: Walk, owner: Any, inputs: Tensor) -> Any:
    ones = [1] * (inputs.rank - 2)
    inner = _depthwise(w, owner, inputs, owner.depthwise_kernel, None)
    found = channels_last.convolution(
        w.c, inner, w.c.array(owner.pointwise_kernel, owner.compute_dtype), _bias(w, owner), strides=ones, dilations=ones, padding="valid",
        extents=[None] * len(ones), channels_first=is_first(w.c, owner.data_format), name=owner.pointwise_kernel.path,
    )  # fmt: skip
    return w.activated(owner.activation, w.c.tensor(found, owner.compute_dtype))


@layer("Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose")
def transposed_convolution(w: Walk, owner: Any, inputs: Tensor) -> Any:
    count = inputs.rank - 2
    beyond = None if owner.output_padding is None else many(owner.output_padding, count)
    found = channels_last.transposed_convolution(
        w.c, inputs.value, w.c.array(owner.kernel, owner.compute_dtype), _bias(w, owner), strides=owner.strides, dilations=owner.dilation_rate,
        padding=owner.padding, output_padding=beyond, channels_first=is_first(w.c, owner.data_format), name=owner.kernel.path,
    )  # fmt: skip
    return w.activated(owner.activation, w.c.tensor(found, owner.compute_dtype))
