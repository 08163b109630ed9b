"""Walks a jaxpr, equation by equation, and writes the ONNX graph."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import jax
import numpy as np
from jax.extend import core

from onward.converters.jax import operators  # noqa: F401 (registers the translations)
from onward.converters.jax.emitter import REAL, Array, Emitter, is_key
from onward.converters.jax.highlevel import exact_gelus
from onward.converters.jax.provenance import origin_of, place_of
from onward.converters.jax.registry import COMPLEX, COMPOSED, NAMED, PRIMITIVES
from onward.converters.jax.sizes import is_static
from onward.errors import ConversionError, UnsupportedOperator
from onward.ir import Value

INLINED = {
    "jit": "jaxpr", "pjit": "jaxpr", "closed_call": "call_jaxpr", "core_call": "call_jaxpr", "custom_jvp_call": "call_jaxpr",
    "custom_vjp_call": "call_jaxpr", "remat2": "jaxpr", "checkpoint": "jaxpr", "custom_vmap_call": "call", "composite": "jaxpr",
    "call": "call_jaxpr", "custom_vjp_call_jaxpr": "fun_jaxpr",
}  # fmt: skip
"""Primitives that call a jaxpr, and the parameter that has it."""

FOLDED = 1 << 16
"""What is computed from constants alone is computed while converting, up to so many elements."""


class Walker:
    """Writes jaxprs into the graph of an emitter."""

    def __init__(self, c: Emitter) -> None:
        self.c = c
        self.names: dict[tuple[int, ...], list[str]] = {}
        """By the place of an equation (its number in the jaxpr, behind those of the equations that call this one) the names of the
        values that it computes."""
        self._path: list[int] = []

    def run(self, jaxpr: Any, constants: Sequence[Any], inputs: Sequence[Array]) -> list[Array]:
        """Writes the equations of a jaxpr for some inputs and gives what it returns."""
        values: dict[Any, Array] = dict(zip(jaxpr.constvars, map(constant, constants), strict=True))
        values.update(zip(jaxpr.invars, inputs, strict=True))

        def read(item: Any) -> Array:
            return constant(item.val, item.aval) if isinstance(item, core.Literal) else values[item]

        wanted = _needed(jaxpr)
        whole = exact_gelus(jaxpr)
        for place, (equation, needed) in enumerate(zip(jaxpr.eqns, wanted, strict=True)):
            self._path.append(place)
            if id(equation) in whole:
                x = read(whole[id(equation)])
                values[equation.outvars[0]] = Array(self.c.op("Gelu", x), x.dtype, x.shape)
            elif needed:
                results = self.call(equation, [read(item) for item in equation.invars])
                values.update(zip(equation.outvars, results, strict=True))
                self.names[tuple(self._path)] = ["" if isinstance(item.held, np.ndarray) else item.held.name for item in results]
            self._path.pop()
        return [read(item) for item in jaxpr.outvars]

    def closed(self, closed: Any, inputs: Sequence[Array]) -> list[Array]:
        """The same for a jaxpr that brings its constants."""
        if isinstance(closed, core.ClosedJaxpr):
            return self.run(closed.jaxpr, closed.consts, inputs)
        return self.run(closed, (), inputs)

    def call(self, equation: Any, arguments: list[Array]) -> list[Array]:
        c = self.c
        name = equation.primitive.name
        outer = c.origin
        c.origin = origin_of(equation, outer)
        try:
            if name in INLINED:
                return self._inlined(equation, arguments)
            folded = _folded(equation, arguments)
            if folded is not None:
                return folded
            described = [Array(np.empty(0), item.aval.dtype, _shape(item.aval)) for item in equation.outvars]
            if name in COMPOSED:
                return self._composed(COMPOSED[name], equation.params, arguments, described)
            return self._translated(equation, arguments, described)
        finally:
            c.origin = outer

    def _translated(self, equation: Any, arguments: list[Array], described: list[Array]) -> list[Array]:
        c = self.c
        name = equation.primitive.name
        translation = translation_of(name, [*arguments, *described])
        if translation is None:
            raise UnsupportedOperator(f"primitive {name}{place_of(equation)}")
        kept = c.results, c.primitive, c.walker
        c.results, c.primitive, c.walker = described, name, self
        try:
            made = translation(c, *arguments, **equation.params)
        except (TypeError, IndexError, KeyError, AttributeError, ValueError, AssertionError) as problem:
            raise ConversionError(f"the translation of {name}{place_of(equation)} failed: {type(problem).__name__}: {problem}; {equation}") from problem
        except UnsupportedOperator as problem:
            raise UnsupportedOperator(f"primitive {name}{place_of(equation)}: {problem}") from problem
        finally:
            c.results, c.primitive, c.walker = kept
        return wrapped(made, described)

    def _inlined(self, equation: Any, arguments: list[Array]) -> list[Array]:
        c = self.c
        called = equation.params.get("name", "")
        translation = NAMED.get(called)
        if translation is not None and not all(item.known is not None for item in arguments):
            described = [Array(np.empty(0), item.aval.dtype, _shape(item.aval)) for item in equation.outvars]
            kept = c.results, c.primitive, c.walker
            c.results, c.primitive, c.walker = described, called, self
            try:
                made = translation(c, equation, *arguments)
            finally:
                c.results, c.primitive, c.walker = kept
            if made is not None:
                return wrapped(made, described)
        return self.closed(equation.params[INLINED[equation.primitive.name]], arguments)

    def _composed(self, function: Any, parameters: Any, arguments: list[Array], described: list[Array]) -> list[Array]:
        """A primitive by way of a function of JAX that computes it from others."""
        return self.traced(lambda *given: function(*given, **parameters), arguments, described)

    def traced(self, function: Any, arguments: Sequence[Array], described: Sequence[Array]) -> list[Array]:
        """What a function of JAX gives for arrays; keys are seen as their words."""
        examples = [jax.ShapeDtypeStruct(*_physical(item)) for item in arguments]
        wide = any(str(getattr(item, "dtype", "")) in ("float64", "int64", "uint64", "complex128") for item in examples)
        with jax.enable_x64(True) if wide and not jax.config.jax_enable_x64 else _nothing():
            closed = jax.make_jaxpr(function)(*examples)
        physical = [Array(item.held, example.dtype, tuple(example.shape)) for item, example in zip(arguments, examples, strict=True)]
        made = self.closed(closed, physical)
        return [Array(item.held, known.dtype, known.shape) for item, known in zip(made, described, strict=True)]


class _nothing:  # noqa: N801 (a context manager)
    def __enter__(self) -> None: ...

    def __exit__(self, *_: Any) -> None: ...


def _physical(item: Array) -> tuple[tuple[Any, ...], Any]:
    if is_key(item.dtype):
        return (*item.shape, *item.dtype._impl.key_shape), np.dtype(np.uint32)
    return item.shape, item.dtype


def constant(item: Any, aval: Any = None) -> Array:
    """Numbers of the source; of keys their words."""
    if isinstance(item, jax.Array) and jax.dtypes.issubdtype(item.dtype, jax.dtypes.prng_key):
        return Array(np.asarray(jax.random.key_data(item)), item.dtype, tuple(item.shape))
    array = np.asarray(item) if aval is None else np.asarray(item, aval.dtype)
    return Array(array, array.dtype, array.shape)


def wrapped(made: Any, described: Sequence[Array]) -> list[Array]:
    """Values with what JAX knows of them."""
    if len(described) == 1 and not isinstance(made, (list, tuple)):
        made = [made]
    return [item if isinstance(item, Array) else Array(item, known.dtype, known.shape) for item, known in zip(made, described, strict=True)]


def translation_of(name: str, arrays: Sequence[Array]) -> Any:
    """The registered function for a primitive with these arguments and results, or None."""
    if any(item.is_complex for item in arrays):
        return COMPLEX.get(name)
    return PRIMITIVES.get(name)


def _shape(aval: Any) -> tuple[Any, ...]:
    return tuple(int(extent) if is_static(extent) else extent for extent in aval.shape)


def _needed(jaxpr: Any) -> list[bool]:
    """For each equation whether anything that is returned depends on it."""
    wanted = {item for item in jaxpr.outvars if not isinstance(item, core.Literal)}
    needed = []
    for equation in reversed(jaxpr.eqns):
        is_needed = any(item in wanted for item in equation.outvars)
        needed.append(is_needed)
        if is_needed:
            wanted.update(item for item in equation.invars if not isinstance(item, core.Literal))
    return needed[::-1]


def _folded(equation: Any, arguments: Sequence[Array]) -> list[Array] | None:
    """The results of a primitive of constants, computed by JAX itself."""
    if any(item.known is None or item.parameter or is_key(item.dtype) for item in arguments):
        return None
    if any(is_key(item.aval.dtype) or not _is_small(item.aval) for item in equation.outvars) or _has_jaxprs(equation):
        return None
    if not _are_static(equation.params):
        return None
    wide = any(np.dtype(item.dtype).itemsize == 8 and item.dtype != np.complex64 for item in arguments)
    try:
        with jax.enable_x64(True) if wide else _nothing(), jax.ensure_compile_time_eval():
            results = equation.primitive.bind(*(item.known for item in arguments), **equation.params)
    except Exception:  # what JAX does not compute alone is written out
        return None
    results = results if equation.primitive.multiple_results else [results]
    return [constant(item, known.aval) for item, known in zip(results, equation.outvars, strict=True)]


def _is_small(aval: Any) -> bool:
    return all(map(is_static, aval.shape)) and int(np.prod(aval.shape)) <= FOLDED


def _are_static(parameters: Any) -> bool:
    from jax.export import is_symbolic_dim

    def static(item: Any) -> bool:
        return all(map(static, item)) if isinstance(item, (tuple, list)) else not is_symbolic_dim(item)

    return all(map(static, parameters.values()))


def _has_jaxprs(equation: Any) -> bool:
    return any(True for _ in jaxprs_of(equation))


def jaxprs_of(equation: Any) -> Iterator[Any]:
    """The jaxprs among the parameters of an equation."""
    for item in equation.params.values():
        for part in item if isinstance(item, (tuple, list)) else [item]:
            if isinstance(part, core.ClosedJaxpr):
                yield part.jaxpr
            elif isinstance(part, core.Jaxpr):
                yield part


def equations_of(jaxpr: Any) -> Iterator[Any]:
    """All equations that are needed, those of inner jaxprs included."""
    for equation, needed in zip(jaxpr.eqns, _needed(jaxpr), strict=True):
        if needed:
            yield equation
            if equation.primitive.name not in COMPOSED:
                for inner in jaxprs_of(equation):
                    yield from equations_of(inner)


def check_supported(jaxpr: Any) -> None:
    """Raises UnsupportedOperator that names all primitives without a translation, each with its place in the source."""
    missing: dict[str, str] = {}
    for equation in equations_of(jaxpr):
        name = equation.primitive.name
        if name in INLINED or name in COMPOSED:
            continue
        types = [item.aval.dtype for item in (*equation.invars, *equation.outvars) if hasattr(item.aval, "dtype")]
        is_complex = any(not is_key(dtype) and np.dtype(dtype) in REAL for dtype in types)
        if name not in (COMPLEX if is_complex else PRIMITIVES):
            missing.setdefault(f"{name}{' of complex numbers' if is_complex and name in PRIMITIVES else ''}", place_of(equation))
    if missing:
        listed = "\n".join(f"  {name}{where}" for name, where in missing.items())
        first = next(iter(missing)).split(" ")[0]
        raise UnsupportedOperator(
            f"{len(missing)} primitives of the function have no translation:\n{listed}\n"
            f"One can be registered with @onward.converters.jax.registry.primitive('{first}'); see that module"
        )


def value_of(c: Emitter, item: Array) -> Value:
    value = c.value(item)
    assert value is not None
    return value
