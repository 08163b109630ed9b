"""JAX: a function, a module of Flax, or a callable that is a pytree.

What is read is the jaxpr of `jax.make_jaxpr`, with symbolic sizes where JAX can trace with them. `registry.py` says how to add a
primitive. Parameters keep the names of their paths, tied ones are one initializer, and every node notes the line it comes from.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax
import numpy as np

from onward.converters.jax.capture import Capture, captures, example_of
from onward.converters.jax.emitter import Array, Emitter, is_key, stored
from onward.converters.jax.graph import Walker, check_supported, constant, equations_of
from onward.converters.jax.highlevel import recognised
from onward.converters.jax.reference import reference_of
from onward.converters.jax.sizes import is_static
from onward.converters.jax.sources import Source, path_name, source_of
from onward.converters.jax.values import recorder
from onward.converters.request import Request, first_conversion
from onward.errors import InvalidArgument, OnwardError, UnsupportedModel
from onward.ir import Model, TensorType, Value
from onward.ir.datatypes import DataType
from onward.ir.expressions import Symbol

OPSET = 23
"""The version that has Attention and RMSNormalization."""
OPSET_OF_BITS = 26
"""The version that has BitCast."""
OF_BITS = frozenset({"bitcast_convert_type", "random_gamma", "random_bits", "nextafter", "lt_to", "le_to", "eq_to"})


def load(path: Any, trust: bool = False) -> Any:
    """Raises UnsupportedModel: JAX has no files of functions that are read here."""
    raise UnsupportedModel(f"'{path}': models of JAX are functions and modules, pass one with example_inputs")


def convert(request: Request) -> tuple[Model, Any]:
    """The model of a function or module, and what it is to reproduce."""
    source = source_of(request.source)
    example = example_of(source, request.example_inputs)
    return first_conversion(captures(source, example, request.dynamic_shapes), lambda captured: _converted(request, source, captured))


def _converted(request: Request, source: Source, captured: Capture) -> tuple[Model, Any]:
    jaxpr = captured.closed.jaxpr
    check_supported(jaxpr)
    primitives = {equation.primitive.name for equation in equations_of(jaxpr)}
    opset = request.opset or (OPSET_OF_BITS if primitives & OF_BITS else OPSET)
    c = Emitter(source.name, opset)
    names = _names(request, captured)
    inputs = [_input(c, name, item.dtype, shape) for name, item, shape in zip(names, captured.example.specifications, captured.shapes)]
    walker = Walker(c)
    results = walker.run(jaxpr, captured.closed.consts, [*_parameters(c, source), *inputs])
    labels = _labels(request, captured, names)
    for label, item in zip(labels, results, strict=True):
        value = c.value(item)
        assert value is not None
        c.graph_output(value, label)
    for name, shape in zip(names, captured.shapes, strict=True):
        if any(map(is_static, shape)):
            captured.notes.append(f"input '{name}' has fixed sizes {[extent if is_static(extent) else '?' for extent in shape]}")
    reference = reference_of(source, captured, names, labels, "while" in primitives)
    return recognised(c.model()), replace(reference, values=recorder(walker, source, captured, names))


def _names(request: Request, captured: Capture) -> list[str]:
    usual = captured.example.names
    if request.input_names and len(request.input_names) != len(usual):
        raise InvalidArgument(f"the model has {len(usual)} inputs, {len(request.input_names)} names were given")
    return list(request.input_names or usual)


def _labels(request: Request, captured: Capture, taken: list[str]) -> list[str]:
    """Names of the outputs: the caller's, those of the returned structure, or numbers."""
    found = [path_name(path, "_") for path, _ in jax.tree_util.tree_flatten_with_path(captured.result)[0]]
    named = [name if name and not name[0].isdigit() else f"output_{name}".rstrip("_") for name in found]
    named = [f"{name}_output" if name in taken else name for name in named]
    if len(set(named)) != len(named):
        named = [f"output_{place}" for place in range(len(named))]
    return request.names_of_outputs(named)


def _input(c: Emitter, name: str, dtype: Any, shape: tuple[Any, ...]) -> Array:
    tail = dtype._impl.key_shape if is_key(dtype) else (2,) if np.dtype(dtype).kind == "c" else ()
    extents = tuple(extent if is_static(extent) else Symbol(str(extent)) for extent in shape)
    value = Value(name, TensorType(DataType.of(stored(dtype)), (*extents, *tail)))
    value.graph = c.graph
    c.graph.inputs.append(value)
    c.graph.forget_names()
    c.types[value] = DataType.of(stored(dtype))
    for axis, extent in enumerate(shape):
        if not is_static(extent):
            c.symbols.setdefault(str(extent), (value, axis))
    return Array(value, dtype, shape)


def _parameters(c: Emitter, source: Source) -> list[Array]:
    """The arrays of the parameters under the names of their paths; one that stands in several places is there once."""
    made: dict[int, Array] = {}
    found = []
    for place in source.arrays:
        leaf = source.leaves[place]
        if id(leaf) not in made:
            item = constant(leaf)
            if not is_key(item.dtype):
                array = np.asarray(leaf).astype(jax.dtypes.canonicalize_dtype(leaf.dtype))
                item = constant(array)
                c.name_constant(array, source.paths[place])
            made[id(leaf)] = Array(item.held, item.dtype, item.shape, parameter=not is_key(item.dtype))
        found.append(made[id(leaf)])
    return found
