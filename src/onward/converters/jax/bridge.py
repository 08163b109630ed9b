"""A function of JAX written into the graph of another framework's converter: for operations that JAX's primitives say, and it does not."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from onward.converters.builder import ModelBuilder
from onward.converters.jax import OF_BITS, OPSET_OF_BITS
from onward.converters.jax.emitter import Array, Emitter, stored
from onward.converters.jax.graph import Walker, equations_of
from onward.converters.jax.sizes import is_static
from onward.errors import UnsupportedOperator
from onward.ir import Value
from onward.ir.datatypes import DataType

WIDE = ("int64", "uint64", "float64", "complex128")


@dataclass(frozen=True, eq=False)
class Operand:
    """A tensor: its value (complex numbers are pairs), NumPy's data type, its shape with None for open sizes."""

    value: Value
    dtype: np.dtype
    shape: tuple[int | None, ...]


def write(
    c: ModelBuilder,
    function: Callable[..., Sequence[Any]],
    operands: Sequence[Operand],
    *,
    during: Callable[[], AbstractContextManager[Any]] = nullcontext,
    weights: Mapping[int, tuple[Any, str]] | None = None,
) -> list[Operand]:
    """What a function of JAX arrays gives, a sequence of arrays, for operands of a graph under construction.

    The function is traced inside the context `during`. `weights` are arrays that it may close over, by identity, and their names. Raises
    UnsupportedOperator where JAX cannot follow it, or where one of its primitives has no translation.
    """
    closed, shapes = _captured(function, operands, during)
    if OF_BITS & {equation.primitive.name for equation in equations_of(closed.jaxpr)}:
        c.raise_opset(OPSET_OF_BITS)
    inner = Emitter(c.graph.name, c.opset)
    inner.graph, inner.outer, inner.domains, inner.origin = c.graph, c.outer, c.domains, dict(getattr(c, "origin", {}))
    for item, shape in zip(operands, shapes):
        inner.types[item.value] = DataType.of(stored(item.dtype))
        for axis, extent in enumerate(shape):
            if not is_static(extent):
                inner.symbols.setdefault(str(extent), (item.value, axis))
    constants = [_constant(inner, item, weights or {}) for item in closed.consts]
    made = []
    for array in Walker(inner).run(closed.jaxpr, constants, [_array(item, shape) for item, shape in zip(operands, shapes)]):
        value = inner.value(array)
        assert value is not None
        made.append(Operand(value, np.dtype(array.dtype), _extents(array.shape)))
    return made


def _extents(shape: Sequence[Any]) -> tuple[int | None, ...]:
    return tuple(int(extent) if is_static(extent) else None for extent in shape)


def _captured(function: Any, operands: Sequence[Operand], during: Any) -> tuple[Any, list[tuple[Any, ...]]]:
    """The jaxpr of a function; open sizes of different operands are one where their axes are, else each its own."""
    problem: Exception | None = None
    for names in (lambda place, axis: f"size_{axis}", lambda place, axis: f"size_{axis}_of_{place}"):
        scope = jax.export.SymbolicScope()
        shapes = [
            tuple(jax.export.symbolic_shape(names(place, axis), scope=scope)[0] if extent is None else extent for axis, extent in enumerate(item.shape))
            for place, item in enumerate(operands)
        ]
        inputs = [jax.ShapeDtypeStruct(shape, item.dtype) for shape, item in zip(shapes, operands)]
        try:
            with jax.enable_x64(any(str(item.dtype) in WIDE for item in operands)), during():
                return jax.make_jaxpr(function)(*inputs), shapes
        except Exception as found:  # whatever the function does with arrays that are not there yet
            problem = problem or found
    line = (str(problem).strip().splitlines() or [""])[0]
    raise UnsupportedOperator(f"JAX cannot follow it ({type(problem).__name__}: {line[:200]})")


def _constant(inner: Emitter, item: Any, weights: Mapping[int, tuple[Any, str]]) -> Any:
    if id(item) not in weights:
        return item
    array = np.asarray(item)
    inner.name_constant(array, weights[id(item)][1])
    return array


def _array(item: Operand, shape: tuple[Any, ...]) -> Array:
    """An operand in JAX's terms; constants are numbers, so that what follows from them is computed here."""
    constant = item.value.tensor
    if constant is None or item.dtype.kind == "c":
        return Array(item.value, item.dtype, shape)
    return Array(constant.numpy(), item.dtype, shape)
