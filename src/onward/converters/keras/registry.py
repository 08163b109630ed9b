"""Which function says what a layer or an operation of Keras is in ONNX.

Layers are known by their class's name, and only those of Keras itself: all others, and layers without a function, are read through
their `call`, whose operations of `keras.ops` are known by theirs. A function takes the emitter, the layer or operation, and the
arguments of its call, tensors as `Tensor`; it returns the value it computes, a list for several:

    @operation("Rsqrt")
    def rsqrt(c, operation, x):
        return c.op("Reciprocal", c.op("Sqrt", x))
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Translation = Callable[..., Any]

OPERATIONS: dict[str, Translation] = {}
LAYERS: dict[str, Translation] = {}


def operation(*names: str) -> Callable[[Translation], Translation]:
    """Registers the translation of operations of `keras.ops`, by the names of their classes."""
    return _into(OPERATIONS, names)


def layer(*names: str) -> Callable[[Translation], Translation]:
    """Registers the translation of layers, by the names of their classes."""
    return _into(LAYERS, names)


def _into(table: dict[str, Translation], names: tuple[str, ...]) -> Callable[[Translation], Translation]:
    def register(function: Translation) -> Translation:
        table.update(dict.fromkeys(names, function))
        return function

    return register
