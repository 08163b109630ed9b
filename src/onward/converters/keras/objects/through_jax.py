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
from keras.src.utils.backend_utils import DynamicBackend

from onward.converters.keras.emitter import Emitter, Tensor, numpy_type
from onward.errors import UnsupportedModel, UnsupportedOperator


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


def call_of(layer: Any) -> Any:
    """What a layer does when it is called: another method where its weights are quantised."""
    return layer.quantized_call if getattr(layer, "quantization_mode", None) is not None else layer.call


@dataclass(frozen=True)
class _Place:
    """Where a tensor stood among the arguments."""

    number: int


def taken_out(c: Emitter, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[list[Tensor], Callable[[Sequence[Any]], Any]]:
    """The tensors among the arguments of a call, weights too, and a function that puts others in their places."""
    tensors: list[Tensor] = []

    def noted(item: Any) -> Any:
        if isinstance(item, keras.Variable):
            item = c.tensor(item)
        if not isinstance(item, Tensor):
            return item
        tensors.append(item)
        return _Place(len(tensors) - 1)

    places = keras.tree.map_structure(noted, (tuple(args), dict(kwargs)))
    return tensors, lambda given: keras.tree.map_structure(lambda item: given[item.number] if isinstance(item, _Place) else item, places)


def translate_layer(c: Emitter, layer: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """What a layer's call gives for tensors."""
    how = {"training": False} if layer._call_has_training_arg else {}
    with speaking_to_jax(layer):
        made = translate(c, call_of(layer), args, {**kwargs, **how}, weights=layer.variables)
    return made[0] if len(made) == 1 else made


def translate(
    c: Emitter, function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any], outputs: Sequence[Any] | None = None,
    weights: Sequence[Any] = (),
) -> list[Tensor]:  # fmt: skip
    """What a function of tensors gives; of the data types that Keras says of its `outputs`, where they are given. `weights` are
    variables that it may read.

    Raises UnsupportedOperator where JAX cannot follow the function, or where one of its primitives has no translation.
    """
    try:
        from onward.converters.jax.bridge import Operand, write
    except ModuleNotFoundError as problem:
        raise UnsupportedModel("operations of Keras without a translation of their own are read through JAX: pip install jax") from problem
    tensors, filled = taken_out(c, args, kwargs)

    def called(*arrays: Any) -> Any:
        given, named = filled(arrays)
        return keras.tree.flatten(function(*given, **named))

    if any(item.dtype == "string" for item in tensors):
        raise UnsupportedOperator("JAX, through which it would be read, has no text")
    operands = [Operand(item.value, numpy_type(item.dtype), item.shape) for item in tensors]
    paths = {id(variable.value): (variable.value, variable.path) for variable in weights}
    found = write(c, called, operands, during=jax_in_place, weights=paths)
    made = []
    for item, symbolic in zip(found, outputs or [None] * len(found), strict=True):
        tensor = Tensor(item.value, str(item.dtype), item.shape)
        made.append(tensor if symbolic is None or item.dtype.kind == "c" else c.cast(tensor, keras.backend.standardize_dtype(symbolic.dtype)))
    return made
