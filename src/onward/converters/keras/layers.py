"""What layers of Keras are in ONNX where their operations do not say it: convolutions with their biases as weights, recurrent
layers, layers whose `call` uses its backend directly."""

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
    found = channels_last.batch_normalization(
        c, x.value, scale, offset, mean, variance, epsilon=owner.epsilon, rank=inputs.rank, channels_first=axis == 1
    )
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


ACTIVATIONS: dict[str, tuple[str, float | None, float | None]] = {
    "tanh": ("Tanh", None, None), "sigmoid": ("Sigmoid", None, None), "relu": ("Relu", None, None), "softsign": ("Softsign", None, None),
    "softplus": ("Softplus", None, None), "hard_sigmoid": ("HardSigmoid", 1 / 6, 0.5), "elu": ("Elu", 1.0, None), "linear": ("Affine", 1.0, 0.0),
}  # fmt: skip


def _functions(*functions: Any) -> dict[str, Any]:
    names = [getattr(function, "__name__", str(function)) for function in functions]
    if unknown := [name for name in names if name not in ACTIVATIONS]:
        raise UnsupportedOperator(f"the activation {unknown[0]} in a recurrent layer")
    chosen = [ACTIVATIONS[name] for name in names]
    alphas, betas = ([0.0 if item[place] is None else item[place] for item in chosen] for place in (1, 2))
    return {"activations": [item[0] for item in chosen], "activation_alpha": alphas, "activation_beta": betas}


def _recurrent(w: Walker, owner: Any, sequences: Tensor, states: Any, operator: str, order: list[int], how: dict[str, Any]) -> Any:
    """A recurrent layer; `order` are Keras's gates in the order of ONNX."""
    c, cell = w.c, owner.cell
    if owner.stateful:
        raise UnsupportedOperator("a stateful layer: give its states as inputs (initial_state, return_state)")
    gates = len(order)
    kernels = [_gates(array(item, owner.compute_dtype), order)[None] for item in (cell.kernel, cell.recurrent_kernel)]
    bias = np.zeros((2, gates * owner.units), numpy_type(owner.compute_dtype))
    if cell.use_bias:
        given = array(cell.bias, owner.compute_dtype)
        rows = given.reshape(-1, gates * owner.units)
        bias[: len(rows)] = [_gates(row[None], order)[:, 0] for row in rows]
    x = c.op("Transpose", sequences, perm=[1, 0, 2])
    if owner.go_backwards:
        x = c.op("Slice", x, c.integers([-1]), c.integers([-np.iinfo(np.int64).max]), c.integers([0]), c.integers([-1]))
    initial = [c.unsqueeze(item, 0) for item in states]
    given_states = [None, *initial] if initial else []
    made = c.op(
        operator, x, c.constant(kernels[0], cell.kernel.path), c.constant(kernels[1], cell.recurrent_kernel.path),
        c.constant(bias.reshape(1, -1), f"{cell.path}/bias"), *given_states, outputs=3 if operator == "LSTM" else 2, hidden_size=owner.units, **how,
    )  # fmt: skip
    last = [c.squeeze(item, 0) for item in made[1:]]
    result = c.op("Transpose", c.squeeze(made[0], 1), perm=[1, 0, 2]) if owner.return_sequences else last[0]
    return [result, *last] if owner.return_state else result


def _gates(kernel: np.ndarray, order: list[int]) -> np.ndarray:
    """(inputs, gates * units) -> (gates * units, inputs) with the gates in another order."""
    parts = np.split(kernel, len(order), axis=-1)
    return np.concatenate([parts[place].T for place in order])


def _states(initial_state: Any) -> list[Any]:
    return [] if initial_state is None else list(initial_state) if isinstance(initial_state, (list, tuple)) else [initial_state]


def _no_mask(mask: Any) -> None:
    if mask is not None:
        raise UnsupportedOperator("a mask; pad on the right and take the last step by its index, or leave mask_zero and Masking out")


@layer("LSTM")
def lstm(w: Walker, owner: Any, sequences: Tensor, initial_state: Any = None, mask: Any = None) -> Any:
    _no_mask(mask)
    how = _functions(owner.recurrent_activation, owner.activation, owner.activation)
    return _recurrent(w, owner, sequences, _states(initial_state), "LSTM", [0, 3, 1, 2], how)


@layer("GRU")
def gru(w: Walker, owner: Any, sequences: Tensor, initial_state: Any = None, mask: Any = None) -> Any:
    _no_mask(mask)
    how = {**_functions(owner.recurrent_activation, owner.activation), "linear_before_reset": int(owner.reset_after)}
    return _recurrent(w, owner, sequences, _states(initial_state), "GRU", [0, 1, 2], how)


@layer("SimpleRNN")
def simple_rnn(w: Walker, owner: Any, sequences: Tensor, initial_state: Any = None, mask: Any = None) -> Any:
    _no_mask(mask)
    return _recurrent(w, owner, sequences, _states(initial_state), "RNN", [0], _functions(owner.activation))


@layer("Bidirectional")
def bidirectional(w: Walker, owner: Any, sequences: Tensor, initial_state: Any = None, mask: Any = None) -> Any:
    c, states = w.c, _states(initial_state)
    half = len(states) // 2
    ways = []
    for inner, given in ((owner.forward_layer, states[:half]), (owner.backward_layer, states[half:])):
        made = w.layer(inner, [sequences], {"initial_state": given or None, "mask": mask})
        ways.append(list(made) if isinstance(made, (list, tuple)) else [made])
    if any(item is None for way in ways for item in way):
        raise UnsupportedOperator("one of its layers has no translation")
    forward, backward = ways[0][0], ways[1][0]
    if owner.return_sequences:
        backward = c.op("Slice", backward, c.integers([-1]), c.integers([-np.iinfo(np.int64).max]), c.integers([1]), c.integers([-1]))
    result: Any = [forward, backward]
    if owner.merge_mode == "concat":
        result = c.op("Concat", forward, backward, axis=-1)
    elif owner.merge_mode in ("sum", "ave"):
        result = c.op("Add", forward, backward)
        result = c.op("Mul", result, c.number(0.5, owner.compute_dtype)) if owner.merge_mode == "ave" else result
    elif owner.merge_mode == "mul":
        result = c.op("Mul", forward, backward)
    merged = result if isinstance(result, list) else [result]
    states = [*ways[0][1:], *ways[1][1:]] if owner.return_state else []
    return [*merged, *states] if len(merged) + len(states) > 1 else merged[0]


@layer("PReLU")
def prelu(w: Walker, owner: Any, inputs: Tensor) -> Any:
    return w.c.op("PRelu", inputs, w.c.tensor(owner.alpha, inputs.dtype))
