"""Activations and normalisations."""

from __future__ import annotations

from typing import Any

import numpy as np

from onward.converters.tflite.emitter import Emitter, First, Node
from onward.converters.tflite.registry import operator
from onward.converters.tflite.tensors import Tensor

SIMPLE = {"RELU": "Relu", "LOGISTIC": "Sigmoid", "TANH": "Tanh", "ELU": "Elu", "HARD_SWISH": "HardSwish"}
RANGES = {"RELU6": (0, 6), "RELU_N1_TO_1": (-1, 1), "RELU_0_TO_1": (0, 1)}


@operator(*SIMPLE)
def simple(c: Emitter, node: Node, x: Tensor) -> Any:
    (value,), laid = c.together(x)
    return laid(c.op(SIMPLE[node.name], value))


@operator(*RANGES)
def clipped(c: Emitter, node: Node, x: Tensor) -> Any:
    (value,), laid = c.together(x)
    low, high = RANGES[node.name]
    return laid(c.op("Clip", value, c.number(low, x), c.number(high, x)))


@operator("LEAKY_RELU")
def leaky_relu(c: Emitter, node: Node, x: Tensor) -> Any:
    (value,), laid = c.together(x)
    return laid(c.op("LeakyRelu", value, alpha=float(node.options.alpha)))


@operator("PRELU")
def prelu(c: Emitter, node: Node, x: Tensor, slope: Tensor) -> Any:
    values, laid = c.together(x, slope)
    return laid(c.op("PRelu", *values))


@operator("GELU")
def gelu(c: Emitter, node: Node, x: Tensor) -> Any:
    (value,), laid = c.together(x)
    return laid(c.op("Gelu", value, approximate="tanh" if node.options.approximate else "none"))


@operator("SOFTMAX")
def softmax(c: Emitter, node: Node, x: Tensor) -> Any:
    value = c.value(x)
    if node.options.beta != 1:
        value = c.op("Mul", value, c.number(node.options.beta, x))
    return c.op("Softmax", value, axis=-1)


@operator("LOG_SOFTMAX")
def log_softmax(c: Emitter, node: Node, x: Tensor) -> Any:
    return c.op("LogSoftmax", c.value(x), axis=-1)


@operator("L2_NORMALIZATION")
def l2_normalization(c: Emitter, node: Node, x: Tensor) -> Any:
    """Each vector of channels divided by its norm, at least 1e-6."""
    value = c.value(x)
    norm = c.op("Max", c.op("ReduceL2", value, [-1], keepdims=1), c.number(1e-6, x))
    return c.activated(c.op("Div", value, norm), node.options.fused_activation_function)


@operator("LOCAL_RESPONSE_NORMALIZATION")
def local_response(c: Emitter, node: Node, x: Tensor) -> Any:
    """TFLite's factor is for each channel of the window, ONNX's for the whole window."""
    o = node.options
    size = 2 * o.radius + 1
    return First(c.op("LRN", c.first(x), size=size, alpha=float(np.float32(o.alpha) * size), beta=float(o.beta), bias=float(o.bias)))
