"""Activations: by their names in configurations, and as layers."""

from __future__ import annotations

from typing import Any

from onward.converters.keras.emitter import Emitter, Tensor
from onward.converters.keras.registry import layer, operate
from onward.converters.keras.walk import Walk
from onward.errors import UnsupportedOperator

NAMED: dict[str, tuple[str, dict[str, Any]]] = {
    "relu": ("Relu", {}), "relu6": ("Relu6", {}), "sigmoid": ("Sigmoid", {}), "tanh": ("Tanh", {}), "softplus": ("Softplus", {}),
    "softsign": ("Softsign", {}), "silu": ("Silu", {}), "swish": ("Silu", {}), "gelu": ("Gelu", {"approximate": False}), "selu": ("Selu", {}),
    "elu": ("Elu", {"alpha": 1.0}), "celu": ("Celu", {"alpha": 1.0}), "exponential": ("Exp", {}), "mish": ("Mish", {}),
    "hard_sigmoid": ("HardSigmoid", {}), "hard_silu": ("HardSilu", {}), "hard_swish": ("HardSilu", {}), "hard_tanh": ("HardTanh", {}),
    "hard_shrink": ("HardShrink", {"threshold": 0.5}), "soft_shrink": ("SoftShrink", {"threshold": 0.5}), "tanh_shrink": ("TanhShrink", {}),
    "leaky_relu": ("LeakyRelu", {"negative_slope": 0.2}), "log_sigmoid": ("LogSigmoid", {}), "log_softmax": ("LogSoftmax", {"axis": -1}),
    "softmax": ("Softmax", {"axis": -1}),
}  # fmt: skip
"""The operation of `keras.ops` that an activation is, with its defaults."""


def named_activation(c: Emitter, name: str, x: Tensor) -> Tensor:
    """The activation of that name applied. Raises UnsupportedOperator for one that is not among Keras's."""
    if name == "linear":
        return x
    if name not in NAMED:
        raise UnsupportedOperator(f"the activation '{name}'")
    operation, attributes = NAMED[name]
    made: Tensor = operate(c, operation, x, **attributes)
    return made


@layer("Activation")
def activation(w: Walk, owner: Any, inputs: Any) -> Any:
    return w.activated(owner.activation, inputs)


@layer("ReLU")
def relu(w: Walk, owner: Any, inputs: Any) -> Any:
    return operate(w.c, "ReLU", inputs, negative_slope=owner.negative_slope, max_value=owner.max_value, threshold=owner.threshold)


@layer("LeakyReLU")
def leaky_relu(w: Walk, owner: Any, inputs: Any) -> Any:
    return operate(w.c, "LeakyRelu", inputs, negative_slope=owner.negative_slope)


@layer("ELU")
def elu(w: Walk, owner: Any, inputs: Any) -> Any:
    return operate(w.c, "Elu", inputs, alpha=owner.alpha)


@layer("PReLU")
def prelu(w: Walk, owner: Any, inputs: Any) -> Any:
    return w.c.op("PRelu", inputs, w.c.tensor(owner.alpha, inputs.dtype))


@layer("Softmax")
def softmax(w: Walk, owner: Any, inputs: Any, mask: Any = None) -> Any:
    """What is masked is zero, in rows that are masked whole too."""
    c = w.c
    if mask is None:
        return operate(c, "Softmax", inputs, axis=owner.axis)
    return masked_softmax(c, inputs, c.tensor(mask, "bool"), owner.axis)


def masked_softmax(c: Emitter, x: Tensor, mask: Tensor, axis: Any) -> Tensor:
    """Softmax over what is not masked."""
    hidden = c.op("Where", mask, x, c.number(-3e4 if x.dtype == "float16" else -1e9, x.dtype))
    return c.described(c.op("Where", mask, operate(c, "Softmax", c.described(hidden), axis=axis), c.number(0, x.dtype)))
