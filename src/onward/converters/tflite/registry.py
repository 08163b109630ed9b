"""Which function says what a builtin operator of TFLite is in ONNX.

A function takes the emitter, the node and its inputs as `Tensor` (None where an optional one is absent), and returns what it
computes: an ONNX value, or `First` for a picture whose channels come first; a list for several outputs.

    @operator("SQUARE")
    def square(c, node, x):
        return c.op("Mul", c.value(x), c.value(x))

Quantised tensors are read as real numbers, and results are quantised by the caller.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Translation = Callable[..., Any]

OPERATORS: dict[str, Translation] = {}
"""By the schema's name; custom operators by their own."""


def operator(*names: str) -> Callable[[Translation], Translation]:
    """Registers the translation of operators. A later registration replaces an earlier one."""

    def register(function: Translation) -> Translation:
        for name in names:
            OPERATORS[name] = function
        return function

    return register
