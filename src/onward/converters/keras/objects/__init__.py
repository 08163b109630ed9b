"""Models and layers as Keras holds them, on any of its backends.

Layers of the user's own are read through the operations of `keras.ops` that their `call` makes on symbolic tensors, so that they need
nothing more.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import keras
import numpy as np

from onward.converters import channels_last
from onward.converters.keras import layers, operations
from onward.converters.keras.data import STATEFUL
from onward.converters.keras.emitter import OPSET, Tensor, numpy_type, onnx_type
from onward.converters.keras.objects.emitter import ObjectEmitter
from onward.converters.keras.objects.reference import Source
from onward.converters.keras.objects.through_jax import translate_layer
from onward.converters.keras.objects.values import recorder
from onward.converters.keras.objects.walker import Walker, graph_of
from onward.converters.keras.registry import LAYERS
from onward.converters.request import Request
from onward.errors import ConversionError, FormatError, InvalidArgument, UnsupportedModel
from onward.ir import Model
from onward.passes.rewrite import remove_dead

__all__ = ["convert", "layers", "load", "operations"]


ADVICE = "A function for a layer or operation can be registered: see onward.converters.keras.registry"


LAYERS["ContrastLimitedAdaptiveHistogramEqualization"] = lambda w, owner, *args, **kwargs: translate_layer(w.c, owner, args, kwargs)


def load(path: Any, trust: bool = False) -> Any:
    """The model of a .keras or .h5 file. `trust` allows Lambda layers, whose code is in the file.

    Raises FormatError for a file that Keras does not read.
    """
    try:
        return keras.saving.load_model(str(path), compile=False, safe_mode=not trust)
    except Exception as problem:
        said = _said(problem)
        if not trust and "safe_mode" in said:
            raise FormatError(f"'{path}' holds code (a Lambda layer), which is run when it is read: pass trust=True, or --trust, if you trust it") from problem
        raise FormatError(f"'{path}' cannot be read by keras: {said}") from problem


def convert(request: Request) -> tuple[Model, Any]:
    """The model of a Keras model or layer, and what it is to reproduce."""
    model = request.source
    if not isinstance(model, keras.Layer):
        raise UnsupportedModel(f"{type(model).__name__} is neither a model nor a layer of Keras")
    structure, example = _inputs_of(model, request.example_inputs)
    symbols = keras.tree.flatten(structure)
    names = list(request.input_names) or _unique([getattr(symbol, "name", "") or "x" for symbol in symbols], "x")
    if len(names) != len(symbols):
        raise InvalidArgument(f"the model has {len(symbols)} inputs, {len(names)} names were given")
    c = ObjectEmitter(model.name, request.opset or OPSET)
    c.fixed = request.opset is not None
    walker = Walker(c)
    for name, symbol in zip(names, symbols):
        shape = [extent if extent is not None else "batch" if axis == 0 else f"{name}_{axis}" for axis, extent in enumerate(symbol.shape)]
        dtype = keras.backend.standardize_dtype(symbol.dtype)
        walker.enter(symbol, Tensor(c.input(name, onnx_type(dtype), shape), dtype, tuple(symbol.shape)))
    graph = graph_of(model)
    results = graph._outputs_struct if graph is not None else _called(model, structure)
    tensors = keras.tree.flatten(walker.evaluate(results))
    walker.check(ADVICE)
    usual = list(getattr(graph, "output_names", ())) if graph is not None else []
    usual = usual if len(usual) == len(tensors) else _unique(_keys(results, "output"), "output")
    outputs = request.names_of_outputs(_unique([f"{name}_output" if name in names else name for name in usual], "output"))
    c.origin = {}
    for tensor, name in zip(tensors, outputs):
        c.output(tensor.value, name)
    remove_dead(c.graph, list(c.graph.nodes))
    made = c.model()
    values = recorder(walker, graph, structure, names)
    channels_last.settle(made)
    notes = [f"input '{name}' has fixed sizes {list(symbol.shape)}" for name, symbol in zip(names, symbols) if any(symbol.shape[1:])]
    notes += [STATEFUL.format(layer.path) for layer in model._flatten_layers() if getattr(layer, "stateful", False)]
    return made, replace(Source(model, symbols, structure, names, outputs, example).reference(notes), values=values)


def _called(model: Any, structure: Any) -> Any:
    """What the model gives for symbolic inputs. Raises ConversionError where its code cannot be followed with them."""
    try:
        return model(structure)
    except Exception as problem:
        raise ConversionError(f"the call of '{model.name}' ({type(model).__name__}) cannot be followed with symbolic tensors: {_said(problem)}") from problem


def _said(problem: Exception) -> str:
    """A message of Keras in one line, without its colours."""
    return " ".join(re.sub("\x1b\\[[0-9;]*m", "", str(problem)).split())[:600]


def _inputs_of(model: Any, example: Any) -> tuple[Any, list[np.ndarray] | None]:
    """The symbolic inputs of a model, in its structure, and the example's arrays.

    Raises InvalidArgument for a model that is not built, or whose inputs only an example can tell.
    """
    graph = graph_of(model)
    given = None
    if example is not None:
        if isinstance(example, tuple) and len(example) == 1:
            (example,) = example
        given = keras.tree.map_structure(np.asarray, list(example) if isinstance(example, tuple) else example)
    flat = None if given is None else keras.tree.flatten(given)
    if graph is not None:
        inputs = graph._inputs_struct
        if flat is not None:
            flat = [item.astype(numpy_type(keras.backend.standardize_dtype(symbol.dtype))) for item, symbol in zip(flat, graph.inputs, strict=True)]
        return inputs, flat
    if given is not None:
        flat = [item.astype(object) if item.dtype.kind in "US" else item for item in flat or []]
        symbols = [keras.KerasTensor((None, *item.shape[1:])[: item.ndim], _type_of(item), name=name) for item, name in zip(flat, _keys(given, "x"))]
        return keras.tree.pack_sequence_as(given, symbols), flat
    shapes = getattr(model, "_build_shapes_dict", None)
    if not model.built or not shapes or len(shapes) != 1:
        raise InvalidArgument(
            f"'{model.name}' ({type(model).__name__}) does not say its inputs: pass example_inputs, or build the model "
            "(model.build(shape), or one call) before it is converted"
        )
    shape = next(iter(shapes.values()))
    return keras.KerasTensor((None, *tuple(shape)[1:]), model.input_dtype, name="x"), None


def _type_of(item: np.ndarray) -> str:
    return "string" if item.dtype == object else str(item.dtype)


def _keys(structure: Any, usual: str) -> list[str]:
    """The names of the parts of a structure: their keys, where they have any."""
    paths = [path for path, _ in keras.tree.flatten_with_path(structure)]
    return [next((part for part in reversed(path) if isinstance(part, str)), usual) for path in paths]


def _unique(names: Sequence[str], usual: str) -> list[str]:
    return list(names) if len(set(names)) == len(names) else [f"{usual}_{place}" for place in range(len(names))]
