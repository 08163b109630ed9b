"""What is done once, before the rules: old habits of files are brought to one form, sizes are fixed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from onward.errors import InvalidArgument
from onward.ir import Dimension, Graph, Model, Node, Tensor, TensorType, Value
from onward.ir.expressions import substitute


def weights_are_no_inputs(model: Model) -> int:
    """Before IR version 4 every initialiser had to be listed as an input. Now only what a caller may feed is."""
    if model.ir_version >= 4:
        return 0
    graph = model.graph
    kept = [value for value in graph.inputs if value.tensor is None]
    removed = len(graph.inputs) - len(kept)
    graph.inputs = kept
    model.ir_version = 4
    return removed


def constants_are_initializers(model: Model) -> int:
    """Nodes `Constant` become initialisers, but for those that are outputs of the graph."""
    graph = model.graph
    count = 0
    for node in graph.nodes:
        if node.op_type != "Constant" or node.domain not in ("", "ai.onnx"):
            continue
        tensor = constant_of(node)
        value = node.outputs[0]
        if tensor is None or value in graph.outputs or is_subgraph_output(graph, value):
            continue
        new = graph.add_initializer(tensor, f"{value.name}/value")
        graph.replace_value(value, new)
        graph.remove(node)
        count += 1
    return count


def constant_of(node: Node) -> Tensor | None:
    """The tensor that a node `Constant` gives; None for strings, sparse tensors and references."""
    for attribute in node.attributes.values():
        if attribute.reference:
            return None
        match attribute.name:
            case "value":
                return attribute.value if isinstance(attribute.value, Tensor) else None
            case "value_float" | "value_floats":
                return Tensor.of(np.asarray(attribute.value, np.float32))
            case "value_int" | "value_ints":
                return Tensor.of(np.asarray(attribute.value, np.int64))
    return None


def is_subgraph_output(graph: Graph, value: Value) -> bool:
    """Whether a sub-graph of the graph gives the value as its own output."""
    return any(value in inner.outputs for inner in _inner_graphs(graph))


def _inner_graphs(graph: Graph) -> Iterator[Graph]:
    for node in graph.nodes:
        for inner in node.subgraphs():
            yield inner
            yield from _inner_graphs(inner)


def fix_dimensions(model: Model, sizes: Mapping[str, int], shapes: Mapping[str, tuple[int, ...]] | None = None) -> int:
    """Gives free dimensions a size, by their name or by their denotation, and whole inputs a shape.

    Returns how many inputs changed. Raises InvalidArgument for a name that no input has, for a negative size and for a
    shape that contradicts the declared one.
    """
    shapes = shapes or {}
    inputs = [value for value in model.graph.inputs if value.shape is not None]
    wanted = _wanted_sizes(inputs, sizes, shapes)
    count = 0
    for value in inputs:
        kind = value.type
        assert isinstance(kind, TensorType) and kind.shape is not None
        given = shapes.get(value.name)
        extents: list[Dimension | None] = list(given) if given is not None else [None if e is None else substitute(e, wanted) for e in kind.shape]
        for axis, denotation in enumerate(kind.dimension_denotations[: len(extents)]):
            if extents[axis] is None and denotation in sizes:
                extents[axis] = sizes[denotation]
        if tuple(extents) != kind.shape:
            value.type = replace(kind, shape=tuple(extents))
            count += 1
    if wanted:
        _substitute_everywhere(model.graph, wanted)
    return count


def _wanted_sizes(inputs: list[Value], sizes: Mapping[str, int], shapes: Mapping[str, tuple[int, ...]]) -> dict[str, int]:
    """Symbol -> size: as given by name, by denotation, and by the shapes of inputs. Refuses names that no input has."""
    names = {name for value in inputs for extent in value.shape or () for name in getattr(extent, "symbols", ())}
    denoted: dict[str, list[Dimension | None]] = {}
    for value in inputs:
        if isinstance(value.type, TensorType):
            for denotation, extent in zip(value.type.dimension_denotations, value.shape or ()):
                denoted.setdefault(denotation, []).append(extent)
    known = {*names, *(item for item in denoted if item)}
    for name, size in sizes.items():
        if size < 0:
            raise InvalidArgument(f"dimension '{name}' cannot have size {size}")
        if name not in known:
            raise InvalidArgument(f"no input has a free dimension '{name}'; known are {sorted(known)}")
    wanted = {name: size for name, size in sizes.items() if name in names}
    for denotation in denoted.keys() & sizes.keys():
        wanted.update({str(e): sizes[denotation] for e in denoted[denotation] if e is not None and str(e) in names})
    for value in inputs:
        if value.name in shapes:
            wanted.update(_symbols_bound(value, shapes[value.name]))
    return wanted


def _symbols_bound(value: Value, shape: tuple[int, ...]) -> dict[str, int]:
    declared = value.shape
    if declared is None or len(declared) != len(shape):
        raise InvalidArgument(f"input '{value.name}' is declared with shape {declared}, so it cannot have {shape}")
    bound = {}
    for extent, size in zip(declared, shape):
        if isinstance(extent, int) and extent != size:
            raise InvalidArgument(f"input '{value.name}' is declared with shape {declared}, so it cannot have {shape}")
        if extent is not None and not isinstance(extent, int) and str(extent) in extent.symbols:
            bound[str(extent)] = size
    return bound


def _substitute_everywhere(graph: Graph, sizes: Mapping[str, int]) -> None:
    """The declared types of other values, with the sizes put in; only the static and named parts are kept."""
    for value in [*(value for node in graph.nodes for value in node.outputs), *graph.outputs]:
        kind = value.type
        if isinstance(kind, TensorType) and kind.shape is not None:
            shape = tuple(None if extent is None else substitute(extent, sizes) for extent in kind.shape)
            value.type = replace(kind, shape=shape)
