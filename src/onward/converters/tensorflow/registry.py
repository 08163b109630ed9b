"""Which function says what an operator of TensorFlow is in ONNX.

A function takes the emitter, the operator (`op["strides"]` is an attribute, `op.outputs` what TensorFlow knows of the results) and
its inputs as `Tensor`, and returns the value that it computes, a list for several outputs:

    @operator("Relu6")
    def relu6(c, op, x):
        return c.op("Clip", x, c.number(0, x), c.number(6, x))

Names are those of `tf.raw_ops`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Translation = Callable[..., Any]

OPERATORS: dict[str, Translation] = {}
COMPLEX: dict[str, Translation] = {}
"""Translations where an input or the result is complex; such tensors are pairs of real numbers in a last axis."""
STRUCTURE: dict[str, Translation] = {}
"""Calls, branches, loops, lists and resources: their functions take the walker in the emitter's place, and inputs of any kind."""


def _registered(table: dict[str, Translation], names: tuple[str, ...]) -> Callable[[Translation], Translation]:
    def register(function: Translation) -> Translation:
        for name in names:
            table[name] = function
        return function

    return register


def operator(*names: str) -> Callable[[Translation], Translation]:
    """Registers the translation of operators. A later registration replaces an earlier one."""
    return _registered(OPERATORS, names)


def complex_operator(*names: str) -> Callable[[Translation], Translation]:
    """Registers the translation of operators for complex inputs or results."""
    return _registered(COMPLEX, names)


def structure(*names: str) -> Callable[[Translation], Translation]:
    """Registers the translation of operators that are more than a function of tensors."""
    return _registered(STRUCTURE, names)
