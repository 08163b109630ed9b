"""Which function says what a layer or an operation of Keras is in ONNX.

Layers are known by their class's name, and only those of Keras itself: all others, and layers without a function, are read through
their `call`, whose operations of `keras.ops` are known by theirs. A function takes the emitter (that of a layer: the walk), the layer or
operation, and the arguments of its call, tensors as `Tensor`; it returns the value it computes, a list for several. Layers and operations
are Keras's objects or what a file says of them, with the same attributes:

    @operation("Rsqrt")
    def rsqrt(c, operation, x):
        return c.op("Reciprocal", c.op("Sqrt", x))
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
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


def kind_of(layer: Any) -> str:
    """The name by which a layer is known here: that of its class, or of the class of Keras that it comes from."""
    return next(base.__name__ for base in type(layer).__mro__ if base.__name__ in LAYERS)


class Described:
    """An operation that is known by its configuration alone; what that does not say is None."""

    def __init__(self, attributes: Mapping[str, Any]) -> None:
        self.__dict__.update(attributes)

    def __getattr__(self, name: str) -> Any:
        return None


def operate(c: Any, name: str, *args: Any, **attributes: Any) -> Any:
    """What an operation of `keras.ops` with these attributes gives for tensors: a `Tensor`, a list for several."""
    made = OPERATIONS[name](c, type(name, (Described,), {})(attributes), *args)
    return [c.described(c.value(item)) for item in made] if isinstance(made, list) else c.described(c.value(made))


def _into(table: dict[str, Translation], names: tuple[str, ...]) -> Callable[[Translation], Translation]:
    def register(function: Translation) -> Translation:
        table.update(dict.fromkeys(names, function))
        return function

    return register
