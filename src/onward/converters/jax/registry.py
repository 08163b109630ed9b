"""Which function says what a primitive of JAX is in ONNX.

A function takes the emitter, the arguments as `Array`s and the primitive's parameters as keywords, and returns the value it
computes (a list for several results). What JAX knows of the results stands in `c.results`:

    @primitive("my_scaled_softmax")
    def scaled_softmax(c, x, *, scale):
        return c.op("Softmax", c.op("Mul", x, c.number(scale, x.dtype)), axis=-1)

`named` does the same for functions that JAX keeps together under a name (`jit[name=silu]`), before they are looked into; such a
function returns None where the case at hand is none of its own. `composed` gives a function of JAX that computes a primitive from
others, which are walked in its place.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Translation = Callable[..., Any]

PRIMITIVES: dict[str, Translation] = {}
NAMED: dict[str, Translation] = {}
COMPOSED: dict[str, Translation] = {}
COMPLEX: dict[str, Translation] = {}
"""Translations where an argument or a result is complex; such arrays are pairs of real numbers in a last axis."""


def _registrar(table: dict[str, Translation]) -> Callable[..., Callable[[Translation], Translation]]:
    def registers(*names: str) -> Callable[[Translation], Translation]:
        def register(function: Translation) -> Translation:
            for name in names:
                table[name] = function
            return function

        return register

    return registers


primitive = _registrar(PRIMITIVES)
named = _registrar(NAMED)
composed = _registrar(COMPOSED)
complex_primitive = _registrar(COMPLEX)
