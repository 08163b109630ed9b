"""What JAX computes on the way, by the names of the model's values."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import numpy as np
from jax.extend import core

from onward.converters.jax.capture import Capture
from onward.converters.jax.graph import INLINED, Walker
from onward.converters.jax.reference import array_of, numbers
from onward.converters.jax.sources import Source

Path = tuple[int, ...]
"""The place of an equation: its number in the jaxpr, behind those of the equations that call this one."""


def recorder(walker: Walker, source: Source, captured: Capture, inputs: list[str]) -> Callable[[Mapping[str, np.ndarray]], list[tuple[str, np.ndarray]]]:
    """A function that runs the equations for some feeds and gives (name of the model's value, array) in the order of computation;
    nothing where the function does not take the feeds, or has other equations for their sizes."""

    def run(feeds: Mapping[str, np.ndarray]) -> list[tuple[str, np.ndarray]]:
        example = captured.example
        given = [array_of(feeds[name], item.dtype) for name, item in zip(inputs, example.specifications, strict=True)]
        parameters = [source.leaves[place] for place in source.arrays]

        def call(arrays: Any, fed: Any) -> Any:
            arguments, keywords = example.call(fed)
            return source.run(arrays, arguments, keywords)

        try:
            closed = jax.make_jaxpr(call)(parameters, given)
            found = list(_computed(closed.jaxpr, closed.consts, [*parameters, *given], captured.closed.jaxpr, ()))
        except Exception:  # sizes that the function does not take
            return []
        return [(walker.names[path][place], array) for path, place, array in found if path in walker.names]

    return run


def _computed(jaxpr: Any, constants: Any, arguments: Any, pattern: Any, path: Path) -> Iterator[tuple[Path, int, np.ndarray]]:
    """The results of the equations, as long as they are those of the pattern, and of the functions that they call."""
    values = {**dict(zip(jaxpr.constvars, constants, strict=True)), **dict(zip(jaxpr.invars, arguments, strict=True))}

    def read(item: Any) -> Any:
        return item.val if isinstance(item, core.Literal) else values[item]

    for place, (equation, known) in enumerate(zip(jaxpr.eqns, pattern.eqns, strict=True)):
        name = equation.primitive.name
        if name != known.primitive.name:
            raise ValueError(f"{name} in the place of {known.primitive.name}")
        here = (*path, place)
        operands = [read(item) for item in equation.invars]
        if name in INLINED:
            inner, like = (_open(item.params[INLINED[name]]) for item in (equation, known))
            yield from _computed(inner[0], inner[1], operands, like[0], here)
        made = equation.primitive.bind(*operands, **equation.primitive.get_bind_params(equation.params))
        results = list(made) if equation.primitive.multiple_results else [made]
        values.update(zip(equation.outvars, results, strict=True))
        if name not in INLINED:
            yield from ((here, number, numbers(result)) for number, result in enumerate(results))


def _open(jaxpr: Any) -> tuple[Any, Any]:
    return (jaxpr.jaxpr, jaxpr.consts) if isinstance(jaxpr, core.ClosedJaxpr) else (jaxpr, ())
