"""Which function says what an operator of PyTorch is in ONNX.

A function takes the emitter and the operator's arguments, tensors as `Tensor` and run-time numbers as `Scalar`, and returns
the value it computes (a tuple for several outputs):

    @operator("mylib::scaled_softmax")
    def scaled_softmax(c, x, scale):
        return c.op("Softmax", c.op("Mul", x, c.number(scale, x.dtype)), axis=-1)

Names are those of `torch.ops` with a dot for the overload (`aten::add.Tensor`); a name without one stands for all overloads.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Translation = Callable[..., Any]

OPERATORS: dict[str, Translation] = {}
COMPLEX: dict[str, Translation] = {}
"""Translations where an argument or the result is complex; such tensors are pairs of real numbers in a last dimension."""


def operator(*names: str) -> Callable[[Translation], Translation]:
    """Registers the translation of operators. A later registration replaces an earlier one."""

    def register(function: Translation) -> Translation:
        for name in names:
            OPERATORS[name] = function
        return function

    return register


def complex_operator(*names: str) -> Callable[[Translation], Translation]:
    """Registers the translation of operators for complex arguments or results."""

    def register(function: Translation) -> Translation:
        for name in names:
            COMPLEX[name] = function
        return function

    return register


def aten(*names: str) -> Callable[[Translation], Translation]:
    """Registers translations of operators of PyTorch's own library."""
    return operator(*(f"aten::{name}" for name in names))


def aten_complex(*names: str) -> Callable[[Translation], Translation]:
    """Registers translations of operators of PyTorch's own library for complex numbers."""
    return complex_operator(*(f"aten::{name}" for name in names))


def name_of(target: Any) -> str:
    """`namespace::name.overload` of an operator; other callables by module and name."""
    if hasattr(target, "_schema"):
        overload = target._overloadname
        base = str(target._schema.name)
        return base if overload == "default" else f"{base}.{overload}"
    if hasattr(target, "namespace"):  # an operator that takes graphs
        return f"{target.namespace}::{target.name()}"
    module = getattr(target, "__module__", "")
    return f"{module.strip('_')}::{getattr(target, '__name__', target)}"


def find(table: dict[str, Translation], name: str) -> Translation | None:
    """The translation of a name, that of its overload first."""
    return table.get(name) or table.get(name.partition(".")[0])
