"""From a function to its jaxpr, with as many open sizes as JAX can leave open."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np
from jax import export

from onward.converters.jax.emitter import is_key
from onward.converters.jax.sources import KINDS, Source, path_name
from onward.errors import ConversionError, InvalidArgument

Places = frozenset  # of (input, axis)


@dataclass
class Example:
    """Arguments of a call: arrays become inputs of the model; numbers, text and None stay as they are."""

    arguments: tuple[Any, ...]
    keywords: dict[str, Any]
    names: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.leaves, self.structure = jax.tree_util.tree_flatten((self.arguments, self.keywords))
        self.places = [place for place, leaf in enumerate(self.leaves) if isinstance(leaf, KINDS)]

    @property
    def specifications(self) -> list[jax.ShapeDtypeStruct]:
        """Shapes and types of the inputs, as JAX sees them."""
        return [jax.ShapeDtypeStruct(np.shape(self.leaves[place]), _dtype(self.leaves[place])) for place in self.places]

    def call(self, arrays: Sequence[Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Arguments and keywords with the arrays in place of the inputs."""
        leaves = list(self.leaves)
        for place, array in zip(self.places, arrays, strict=True):
            leaves[place] = array
        return jax.tree_util.tree_unflatten(self.structure, leaves)  # type: ignore[no-any-return]


def _dtype(leaf: Any) -> Any:
    return leaf.dtype if is_key(leaf.dtype) else jax.dtypes.canonicalize_dtype(leaf.dtype)


def example_of(source: Source, given: Any) -> Example:
    """The example that a caller gives: a tuple of arguments, a dictionary of keywords, or the only argument."""
    if given is None:
        raise InvalidArgument(f"'{source.name}' is a function of JAX: example_inputs are needed (arrays or jax.ShapeDtypeStruct)")
    arguments, keywords = ((), dict(given)) if isinstance(given, Mapping) else (tuple(given) if isinstance(given, (tuple, list)) else (given,), {})
    example = Example(arguments, keywords)
    flat = jax.tree_util.tree_flatten_with_path((arguments, keywords))[0]
    labels = [_label(path, source.argument_names) for path, _ in flat]
    names = [labels[place] for place in example.places]
    example.names = names if len(set(names)) == len(names) else [f"{name}_{place}" for place, name in enumerate(names)]
    return example


def _label(path: Sequence[Any], names: Sequence[str]) -> str:
    rest = path_name(path[2:], "_")
    key = path[1]
    place = getattr(key, "idx", None)
    first = str(getattr(key, "key", "")) if place is None else names[place] if place < len(names) else f"input_{place}"
    return f"{first}_{rest}" if rest else first


@dataclass
class Capture:
    """A captured function: its jaxpr, whose variables are the arrays of the parameters and the inputs."""

    closed: Any
    shapes: list[tuple[Any, ...]]
    result: Any
    """The structure of what is returned."""
    example: Example
    notes: list[str]


def captures(source: Source, example: Example, dynamic_shapes: Any) -> Iterator[Capture]:
    """Captures with fewer and fewer open sizes. Raises ConversionError where the function cannot be captured at all."""
    tracer = _Tracer(source, example)
    if dynamic_shapes is not None:
        chosen = tracer.trace(_chosen(dynamic_shapes, example))
        if chosen is None:
            raise ConversionError(f"JAX cannot capture '{source.name}' with these open sizes: {tracer.problem}")
        yield chosen
        return
    fixed = tracer.trace({})
    if fixed is None:
        raise ConversionError(f"JAX cannot capture '{source.name}': {tracer.problem}")
    steps = [tracer.widest(), tracer.batch()]
    seen: list[Any] = []
    for symbols in steps:
        if symbols and symbols not in seen:
            seen.append(symbols)
            captured = tracer.trace(symbols)
            if captured is not None:
                yield captured
    yield fixed


class _Tracer:
    def __init__(self, source: Source, example: Example) -> None:
        self.source = source
        self.example = example
        self.problem = ""
        self.specifications = example.specifications

    def trace(self, symbols: Mapping[tuple[int, int], str]) -> Capture | None:
        """The jaxpr with symbols for some (input, axis), or None where JAX refuses."""
        scope = export.SymbolicScope()
        shapes = []
        for place, item in enumerate(self.specifications):
            shapes.append(tuple(
                export.symbolic_shape(symbols[place, axis], scope=scope)[0] if (place, axis) in symbols else extent
                for axis, extent in enumerate(item.shape)
            ))  # fmt: skip
        inputs = [jax.ShapeDtypeStruct(shape, item.dtype) for shape, item in zip(shapes, self.specifications, strict=True)]
        source, example = self.source, self.example
        parameters = [source.leaves[place] for place in source.arrays]

        def call(arrays: Any, given: Any) -> Any:
            arguments, keywords = example.call(given)
            return source.run(arrays, arguments, keywords)

        try:
            closed, result = jax.make_jaxpr(call, return_shape=True)(parameters, inputs)
        except Exception as problem:  # whatever the function does with symbolic sizes
            self.problem = self.problem or f"{type(problem).__name__}: {str(problem).splitlines()[0][:300]}"
            return None
        return Capture(closed, shapes, result, example, [])

    def batch(self) -> dict[tuple[int, int], str]:
        """The first axis of the inputs where they have the same size."""
        firsts = [(place, 0) for place, item in enumerate(self.specifications) if item.shape]
        sizes = {self.specifications[place].shape[0] for place, _ in firsts}
        return dict.fromkeys(firsts, "batch") if len(sizes) == 1 else {}

    def widest(self) -> dict[tuple[int, int], str]:
        """As many open sizes as JAX leaves open: axes of equal size are first tried apart, then together."""
        everything = [(place, axis) for place, item in enumerate(self.specifications) for axis in range(len(item.shape))]
        apart = {at: self.name(at) for at in everything}
        if self.trace(apart) is not None:
            return apart
        found: dict[tuple[int, int], str] = {}
        for group in self._groups(everything):
            name = self.name(group[0])
            for more in ({at: self.name(at) for at in group}, dict.fromkeys(group, name), {group[0]: name}):
                if self.trace({**found, **more}) is not None:
                    found.update(more)
                    break
        return found

    def _groups(self, places: Sequence[tuple[int, int]]) -> list[list[tuple[int, int]]]:
        """First axes of equal size, then other axes of equal size."""
        groups: dict[tuple[bool, int], list[tuple[int, int]]] = {}
        for place, axis in sorted(places, key=lambda at: at[1] > 0):
            groups.setdefault((axis > 0, self.specifications[place].shape[axis]), []).append((place, axis))
        return list(groups.values())

    def name(self, at: tuple[int, int]) -> str:
        place, axis = at
        first = next((number for number, item in enumerate(self.specifications) if item.shape), 0)
        return "batch" if (place, axis) == (first, 0) else f"{_identifier(self.example.names[place])}_{axis}"


def _identifier(name: str) -> str:
    return "".join(letter if letter.isalnum() else "_" for letter in name) if name[:1].isalpha() else f"input_{name}"


def _chosen(dynamic_shapes: Any, example: Example) -> dict[tuple[int, int], str]:
    """The symbols that a caller names: by input name or position, a dictionary of axes or a sequence of names and None."""
    if isinstance(dynamic_shapes, Mapping):
        unknown = set(dynamic_shapes) - set(example.names)
        if unknown:
            raise InvalidArgument(f"there is no input {sorted(unknown)}; inputs are {example.names}")
        items = {example.names.index(name): axes for name, axes in dynamic_shapes.items()}
    else:
        items = dict(enumerate(dynamic_shapes))
    found: dict[tuple[int, int], str] = {}
    for place, axes in items.items():
        for axis, name in axes.items() if isinstance(axes, Mapping) else enumerate(axes or ()):
            if isinstance(name, str):
                found[place, axis] = name
    return found
