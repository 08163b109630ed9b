"""What layers of Keras are in ONNX where their operations do not say it: convolutions with their biases as weights, layers whose
`call` uses its backend directly."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from onward.converters import channels_last
from onward.converters.keras.emitter import Tensor, numpy_type
from onward.converters.keras.operations.network import extents, is_first, many
from onward.converters.keras.registry import layer
from onward.converters.keras.walker import Walker
from onward.errors import UnsupportedOperator
from onward.ir import Value


def array(variable: Any, dtype: str | None = None) -> np.ndarray:
    """A weight as NumPy knows it."""
    found = np.asarray(keras.ops.convert_to_numpy(variable))
    return found.astype(numpy_type(dtype)) if dtype else found


def _activated(w: Walker, owner: Any, value: Value, like: Tensor) -> Any:
    """The activation of a layer, any callable of keras.ops, applied."""
    if owner.activation is None or owner.activation is keras.activations.linear:
        return value
    symbolic = keras.KerasTensor(like.shape, like.dtype)
    w.enter(symbolic, Tensor(value, like.dtype, like.shape))
    return w.evaluate(owner.activation(symbolic))


def _result(owner: Any, x: Tensor) -> Tensor:
    return Tensor(x.value, owner.compute_dtype, tuple(owner.compute_output_shape(x.shape)))


def _bias(w: Walker, owner: Any) -> Value | None:
    return w.c.tensor(owner.bias, owner.compute_dtype).value if owner.use_bias else None


@layer("Conv1D", "Conv2D", "Conv3D")
def convolution(w: Walker, owner: Any, inputs: Tensor) -> Any:
    first = is_first(owner.data_format)
    x, padding, sizes = inputs.value, owner.padding, extents(inputs, first)
    if padding == "causal":
        past = owner.dilation_rate[0] * (owner.kernel_size[0] - 1)
        places = [0, 0, past, 0, 0, 0] if first else [0, past, 0, 0, 0, 0]
        x, padding = w.c.op("Pad", x, w.c.integers(places)), "valid"
    found = channels_last.convolution(
        w.c, x, array(owner.kernel, owner.compute_dtype), _bias(w, owner), strides=owner.strides, dilations=owner.dilation_rate,
        padding=padding, extents=sizes, groups=owner.groups, channels_first=first, name=owner.kernel.path if hasattr(owner.kernel, "path") else "kernel",
    )  # fmt: skip
    return _activated(w, owner, found, _result(owner, inputs))


@layer("DepthwiseConv1D", "DepthwiseConv2D")
def depthwise_convolution(w: Walker, owner: Any, inputs: Tensor) -> Any:
    found = _depthwise(w, owner, inputs, owner.kernel, _bias(w, owner))
    return _activated(w, owner, found, _result(owner, inputs))


def _depthwise(w: Walker, owner: Any, inputs: Tensor, kernel: Any, bias: Value | None) -> Value:
    first = is_first(owner.data_format)
    return channels_last.depthwise_convolution(
        w.c, inputs.value, array(kernel, owner.compute_dtype), bias, strides=many(owner.strides, inputs.rank - 2),
        dilations=many(owner.dilation_rate, inputs.rank - 2), padding=owner.padding, extents=extents(inputs, first), channels_first=first,
        name=kernel.path,
    )  # fmt: skip


@layer("SeparableConv1D", "SeparableConv2D")
def separable_convolution(w: Walker, owner: Any, inputs: Tensor) -> Any:
    ones = [1] * (inputs.rank - 2)
    inner = _depthwise(w, owner, inputs, owner.depthwise_kernel, None)
    found = channels_last.convolution(
        w.c, inner, array(owner.pointwise_kernel, owner.compute_dtype), _bias(w, owner), strides=ones, dilations=ones, padding="valid",
        extents=[None] * len(ones), channels_first=is_first(owner.data_format), name=owner.pointwise_kernel.path,
    )  # fmt: skip
    return _activated(w, owner, found, _result(owner, inputs))


@layer("Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose")
def transposed_convolution(w: Walker, owner: Any, inputs: Tensor) -> Any:
    count = inputs.rank - 2
    beyond = None if owner.output_padding is None else many(owner.output_padding, count)
    found = channels_last.transposed_convolution(
        w.c, inputs.value, array(owner.kernel, owner.compute_dtype), _bias(w, owner), strides=owner.strides, dilations=owner.dilation_rate,
        padding=owner.padding, output_padding=beyond, channels_first=is_first(owner.data_format), name=owner.kernel.path,
    )  # fmt: skip
    return _activated(w, owner, found, _result(owner, inputs))


@layer("BatchNormalization")
def batch_normalization(w: Walker, owner: Any, inputs: Tensor, mask: Any = None) -> Any:
    axis, c = owner.axis % inputs.rank, w.c
    if axis not in (1, inputs.rank - 1):
        raise UnsupportedOperator(f"batch normalisation of axis {axis}, which is neither the second nor the last")
    x = c.cast(inputs, "float32") if inputs.dtype in ("float16", "bfloat16") else inputs
    shape, dtype = owner.moving_mean.shape, numpy_type(x.dtype)
    scale = c.tensor(owner.gamma, x.dtype).value if owner.scale else c.constant(np.ones(shape, dtype))
    offset = c.tensor(owner.beta, x.dtype).value if owner.center else c.constant(np.zeros(shape, dtype))
    mean = c.tensor(owner.moving_mean, x.dtype).value
    variance = c.tensor(owner.moving_variance, x.dtype).value
    if x.dtype == "float64":  # the attribute holds a number of single precision
        variance = c.constant(array(owner.moving_variance, x.dtype) + (owner.epsilon - float(np.float32(owner.epsilon))))
    found = channels_last.batch_normalization(c, x.value, scale, offset, mean, variance, epsilon=owner.epsilon, rank=inputs.rank, channels_first=axis == 1)
    return c.cast(Tensor(found, x.dtype, x.shape), owner.compute_dtype)


@layer("Rescaling")
def rescaling(w: Walker, owner: Any, inputs: Any) -> Any:
    x = w.c.tensor(inputs, owner.compute_dtype)
    scale, offset = (np.asarray(item, numpy_type(owner.compute_dtype)) for item in (owner.scale, owner.offset))
    if is_first(None):
        scale, offset = (item.reshape(*item.shape, *(1,) * (3 - item.ndim)) if item.ndim else item for item in (scale, offset))
    return w.c.op("Add", w.c.op("Mul", x, w.c.constant(scale)), w.c.constant(offset))


@layer("Normalization")
def normalization(w: Walker, owner: Any, inputs: Any) -> Any:
    c, dtype = w.c, owner.compute_dtype
    mean, variance = (array(item, dtype) for item in (owner.mean, owner.variance))
    spread = np.maximum(np.sqrt(variance), numpy_type(dtype).type(keras.config.epsilon()))
    x = c.tensor(inputs, dtype)
    if owner.invert:
        return c.op("Add", c.constant(mean), c.op("Mul", x, c.constant(spread)))
    return c.op("Div", c.op("Sub", x, c.constant(mean)), c.constant(spread))


@layer("InputLayer", "ActivityRegularization", "Dropout", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", "GaussianNoise",
       "GaussianDropout", "AlphaDropout")  # fmt: skip
def nothing(w: Walker, owner: Any, inputs: Any, *_: Any, **__: Any) -> Any:
    """What a layer that works in training alone does at inference."""
    return w.c.op("Identity", inputs)


@layer("TimeDistributed")
def time_distributed(w: Walker, owner: Any, inputs: Tensor, mask: Any = None) -> Any:
    c = w.c
    if mask is not None:
        raise UnsupportedOperator("a mask")
    head = c.op("Slice", c.op("Shape", inputs), c.integers([0]), c.integers([2]))
    rest = [-1 if extent is None else extent for extent in inputs.shape[2:]]
    if -1 in rest:
        raise UnsupportedOperator("open sizes beside batch and time")
    folded = Tensor(c.reshape(inputs, [-1, *rest]), inputs.dtype, (None, *inputs.shape[2:]))
    inner = w.layer(owner.layer, [folded], {})
    shape = owner.layer.compute_output_shape((None, *inputs.shape[2:]))
    return c.op("Reshape", inner, c.op("Concat", head, c.integers(shape[1:]), axis=0))


@layer("PReLU")
def prelu(w: Walker, owner: Any, inputs: Tensor) -> Any:
    return w.c.op("PRelu", inputs, w.c.tensor(owner.alpha, inputs.dtype))
