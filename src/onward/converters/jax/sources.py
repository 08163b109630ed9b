"""What can be converted: functions, partial functions, modules of Flax, callables that are pytrees. Each becomes a function of
parameters and arguments."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from onward.errors import InvalidArgument

KINDS = (np.ndarray, np.generic, jax.Array, jax.ShapeDtypeStruct)


@dataclass
class Source:
    """`call(parameters, *arguments, **keywords)`; `parameters` is a pytree whose arrays are constants of the model."""

    call: Callable[..., Any]
    parameters: Any
    name: str
    argument_names: list[str]

    def __post_init__(self) -> None:
        flat, self.structure = jax.tree_util.tree_flatten_with_path(self.parameters)
        self.leaves = [leaf for _, leaf in flat]
        self.paths = [path_name(path, ".") for path, _ in flat]

    @property
    def arrays(self) -> list[int]:
        """Places of the arrays among the leaves."""
        return [place for place, leaf in enumerate(self.leaves) if isinstance(leaf, KINDS)]

    def run(self, parameters: Sequence[Any], arguments: Any, keywords: Any) -> Any:
        """The result for the arrays of the parameters, given in order."""
        leaves = list(self.leaves)
        for place, array in zip(self.arrays, parameters, strict=True):
            leaves[place] = array
        return self.call(jax.tree_util.tree_unflatten(self.structure, leaves), *arguments, **keywords)


def source_of(item: Any) -> Source:
    """The source of what a caller gives. Raises InvalidArgument for what cannot be called."""
    if isinstance(item, tuple) and len(item) == 2 and hasattr(item[0], "apply"):
        module, variables = item
        return Source(lambda parameters, *a, **k: module.apply(parameters, *a, **k), variables, type(module).__name__, names_of(module.__call__))
    package = type(item).__module__.partition(".")[0]
    if package == "flax" or any(kind.__module__.startswith("flax.") for kind in type(item).__mro__):
        return _flax(item)
    if isinstance(item, functools.partial):
        return _partial(item)
    if not callable(item):
        raise InvalidArgument(f"{type(item).__name__} cannot be called: a function, a module, or (module, variables) is needed")
    if not inspect.isroutine(item) and not hasattr(item, "lower") and not jax.tree_util.all_leaves([item]):
        return Source(lambda parameters, *a, **k: parameters(*a, **k), item, type(item).__name__, names_of(item.__call__))
    return Source(lambda _, *a, **k: item(*a, **k), (), getattr(item, "__name__", type(item).__name__), names_of(item))


def _flax(module: Any) -> Source:
    from flax import linen, nnx

    if isinstance(module, linen.Module):
        if module.scope is None:
            raise InvalidArgument(f"{type(module).__name__} has no variables: pass (module, variables), or module.bind(variables)")
        return source_of(module.unbind())
    definition, state = nnx.split(module)
    copy = nnx.merge(definition, state)
    if hasattr(copy, "eval"):
        copy.eval()
    definition, state = nnx.split(copy)

    def call(parameters: Any, *arguments: Any, **keywords: Any) -> Any:
        return nnx.merge(definition, parameters)(*arguments, **keywords)

    return Source(call, state, type(module).__name__, names_of(module.__call__))


def _partial(item: functools.partial) -> Source:
    """The arguments of a partial function are its parameters."""
    inner = source_of(item.func)
    names = inner.argument_names
    bound = {names[place] if place < len(names) else str(place): argument for place, argument in enumerate(item.args)}

    def call(parameters: Any, *arguments: Any, **keywords: Any) -> Any:
        own, given, options = parameters
        return inner.call(own, *given.values(), *arguments, **{**options, **keywords})

    left = [name for name in names[len(item.args) :] if name not in item.keywords]
    source = Source(call, (inner.parameters, _Ordered(bound), dict(item.keywords)), inner.name, left)
    source.paths = [path.partition(".")[2] or path for path in source.paths]
    return source


class _Ordered(dict):
    """A dictionary that keeps its order as a pytree."""


jax.tree_util.register_pytree_with_keys(
    _Ordered,
    lambda item: ([(jax.tree_util.DictKey(key), value) for key, value in item.items()], tuple(item)),
    lambda keys, values: _Ordered(zip(keys, values, strict=True)),
)


def names_of(function: Any) -> list[str]:
    """The names of the positional parameters, as far as they are known."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return []
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [item.name for item in parameters if item.kind in kinds and item.name != "self"]


def path_name(path: Sequence[Any], separator: str) -> str:
    """A path of a pytree as text. The attribute that holds a variable of Flax is left out."""
    parts = [str(getattr(key, "key", getattr(key, "idx", getattr(key, "name", key)))) for key in path]
    if len(parts) > 1 and parts[-1] in ("value", "_value", "raw_value") and type(path[-1]).__name__ == "GetAttrKey":
        parts.pop()
    return separator.join(parts)
