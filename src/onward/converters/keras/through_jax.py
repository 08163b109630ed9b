"""Operations without a translation of their own: as Keras's JAX backend computes them, by the translation of JAX's primitives.

The way is the same on all backends: for the time of one call `keras.ops` finds JAX's functions in the place of its backend's.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import keras
import keras.src.backend
import numpy as np
from keras.src.utils.backend_utils import DynamicBackend

from onward.converters.keras.emitter import Emitter, Tensor
from onward.errors import UnsupportedModel, UnsupportedOperator
from onward.ir.datatypes import DataType

WIDE = ("int64", "uint64", "float64", "complex128")


class JaxBackend:
    """What Keras's JAX backend has; the rest is the backend at hand's."""

    def __init__(self) -> None:
        self._jax = importlib.import_module("keras.src.backend.jax")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._jax if hasattr(self._jax, name) else keras.src.backend, name)


@contextmanager
def jax_in_place() -> Iterator[None]:
    """For its time `keras.ops` computes with JAX."""
    ours, theirs = keras.src.backend, JaxBackend()
    modules: list[Any] = [item for name, item in list(sys.modules.items()) if name.startswith("keras.src.ops") and getattr(item, "backend", None) is ours]
    for module in modules:
        module.backend = theirs
    try:
        yield
    finally:
        for module in modules:
            module.backend = ours


@dataclass(frozen=True)
class _Place:
    """Where a tensor stood among the arguments."""

    number: int


def translate_layer(c: Emitter, layer: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """What a layer's call gives for tensors."""
    how = {"training": False} if layer._call_has_training_arg else {}
    with speaking_to_jax(layer):
        made = translate(c, layer.call, args, {**kwargs, **how}, weights=layer.variables)
    return made[0] if len(made) == 1 else made


@contextmanager
def speaking_to_jax(layer: Any) -> Iterator[None]:
    """For its time a layer that has a backend of its own, as those that prepare data, has JAX."""
    backends = [item.backend for item in layer._flatten_layers() if isinstance(getattr(item, "backend", None), DynamicBackend)]
    for backend in backends:
        backend.set_backend("jax")
    try:
        yield
    finally:
        for backend in backends:
            backend.reset()


def translate(
    c: Emitter, function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any], outputs: Sequence[Any] | None = None,
    weights: Sequence[Any] = (),
) -> list[Tensor]:
    """What a function of tensors gives; of the data types that Keras says of its `outputs`, where they are given. `weights` are
    variables that it may read.

    Raises UnsupportedOperator where JAX cannot follow the function, or where one of its primitives has no translation.
    """
    try:
        import jax

        from onward.converters.jax import OF_BITS, OPSET_OF_BITS
        from onward.converters.jax.graph import Walker, equations_of
        from onward.converters.jax.sizes import is_static
    except ModuleNotFoundError as problem:
        raise UnsupportedModel("operations of Keras without a translation of their own are read through JAX: pip install jax") from problem
    tensors: list[Tensor] = []

    def noted(item: Any) -> Any:
        if isinstance(item, keras.Variable):
            item = c.tensor(item)
        if not isinstance(item, Tensor):
            return item
        tensors.append(item)
        return _Place(len(tensors) - 1)

    places = keras.tree.map_structure(noted, (tuple(args), dict(kwargs)))

    def called(*arrays: Any) -> Any:
        given, named = keras.tree.map_structure(lambda item: arrays[item.number] if isinstance(item, _Place) else item, places)
        return keras.tree.flatten(function(*given, **named))

    closed, shapes = _captured(jax, called, tensors)
    if OF_BITS & {equation.primitive.name for equation in equations_of(closed.jaxpr)}:
        c.raise_opset(OPSET_OF_BITS)
    inner = _emitter(c, tensors, shapes)
    arrays = [_array(item, shape) for item, shape in zip(tensors, shapes)]
    paths = {id(variable.value): variable.path for variable in weights}
    constants = [np.asarray(item) if id(item) in paths else item for item in closed.consts]
    for item, array in zip(closed.consts, constants):
        if id(item) in paths:
            inner.name_constant(array, paths[id(item)])
    found = Walker(inner).run(closed.jaxpr, constants, arrays)
    made = []
    for item, symbolic in zip(found, outputs or [None] * len(found), strict=True):
        shape = tuple(int(extent) if is_static(extent) else None for extent in item.shape)
        value = inner.value(item)
        assert value is not None
        tensor = Tensor(value, str(np.dtype(item.dtype)), shape)
        made.append(tensor if symbolic is None or item.is_complex else c.cast(tensor, keras.backend.standardize_dtype(symbolic.dtype)))
    return made


def _captured(jax: Any, function: Callable[..., Any], tensors: Sequence[Tensor]) -> tuple[Any, list[tuple[Any, ...]]]:
    """The jaxpr of a function; open sizes of different tensors are one where their axes are, else each its own."""
    problem: Exception | None = None
    for names in (lambda place, axis: f"size_{axis}", lambda place, axis: f"size_{axis}_of_{place}"):
        scope = jax.export.SymbolicScope()
        shapes = [
            tuple(jax.export.symbolic_shape(names(place, axis), scope=scope)[0] if extent is None else extent for axis, extent in enumerate(item.shape))
            for place, item in enumerate(tensors)
        ]
        inputs = [jax.ShapeDtypeStruct(shape, np.dtype(item.dtype)) for shape, item in zip(shapes, tensors)]
        try:
            with jax.enable_x64(any(item.dtype in WIDE for item in tensors)), jax_in_place():
                return jax.make_jaxpr(function)(*inputs), shapes
        except Exception as found:  # whatever the function does with arrays that are not there yet
            problem = problem or found
    line = (str(problem).strip().splitlines() or [""])[0]
    raise UnsupportedOperator(f"JAX cannot follow it ({type(problem).__name__}: {line[:200]})")


def _emitter(c: Emitter, tensors: Sequence[Tensor], shapes: Sequence[tuple[Any, ...]]) -> Any:
    """A writer in JAX's terms into the graph at hand."""
    from onward.converters.jax.emitter import Emitter as JaxEmitter
    from onward.converters.jax.emitter import stored
    from onward.converters.jax.sizes import is_static

    inner = JaxEmitter(c.graph.name, c.opset)
    inner.graph, inner.outer, inner.domains, inner.origin = c.graph, c.outer, c.domains, dict(c.origin)
    for item, shape in zip(tensors, shapes):
        inner.types[item.value] = DataType.of(stored(item.dtype))
        for axis, extent in enumerate(shape):
            if not is_static(extent):
                inner.symbols.setdefault(str(extent), (item.value, axis))
    return inner


def _array(item: Tensor, shape: tuple[Any, ...]) -> Any:
    """A tensor in JAX's terms; constants are numbers, so that what follows from them is computed here."""
    from onward.converters.jax.emitter import Array

    constant = item.value.tensor
    return Array(item.value if constant is None else constant.numpy(), np.dtype(item.dtype), shape)
