"""merge, rename and add_prefix: models put together, and their names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from onward.errors import InvalidArgument
from onward.ir import Graph, Model, Value, as_model
from onward.ir.graph import copy_graph
from onward.tools.names import closest, values_by_name


def merge(
    first: Any,
    second: Any,
    io_map: Sequence[tuple[str, str]] | Mapping[str, str] | None = None,
    *,
    inputs: Sequence[str] | None = None,
    outputs: Sequence[str] | None = None,
    prefix1: str = "",
    prefix2: str = "",
) -> Model:
    """One model that runs `first`, and then `second` on outputs of it.

    `io_map` pairs outputs of the first with inputs of the second; without it, those of equal names are paired. The
    result has the inputs of both that are not paired, and all outputs that are not, unless `inputs` and `outputs` name
    others. Prefixes keep names apart; names that clash all the same are refused. Raises InvalidArgument for that, for
    names that there are not, and for models in different versions of an operator set.
    """
    left, right = add_prefix(first, prefix1), add_prefix(second, prefix2)
    for domain, version in right.opset_imports.items():
        if left.opset_imports.setdefault(domain, version) != version:
            raise InvalidArgument(
                f"the models are in versions {left.opset_imports[domain]} and {version} of {domain or 'ai.onnx'}; "
                "bring them together with onward.convert_version"
            )
    given, wanted = _named(left.graph.outputs, "output"), _named(right.graph.inputs, "input")
    if io_map is None:
        pairs = [(name, name) for name in given if name in wanted]
    else:
        items = io_map.items() if isinstance(io_map, Mapping) else io_map
        pairs = [(prefix1 + source, prefix2 + target) for source, target in items]
    for source, target in pairs:
        if source not in given:
            raise InvalidArgument(f"the first model has no output '{source}'{closest(source, given)}")
        if target not in wanted:
            raise InvalidArgument(f"the second model has no input '{target}'{closest(target, wanted)}")
    _require_apart(left, right, {target for _, target in pairs})
    table = {wanted[target]: given[source] for source, target in pairs}
    used = {source for source, _ in pairs}
    graph = left.graph
    moved = copy_graph(right.graph, dict(table))
    ours = [value for value in graph.outputs if value.name not in used]
    inner = [value for value in moved.inputs if value not in table.values()]
    _join(graph, moved, [*graph.inputs, *inner], [*ours, *moved.outputs])
    for key, function in right.functions.items():
        if key in left.functions:
            raise InvalidArgument(f"both models have a function {key[1]}; inline them first (onward.inline)")
        left.functions[key] = function
    left.metadata = {**right.metadata, **left.metadata}
    left.ir_version = max(left.ir_version, right.ir_version)
    return _selected(left, inputs, outputs)


def _selected(model: Model, inputs: Sequence[str] | None, outputs: Sequence[str] | None) -> Model:
    from onward.tools.extraction import extract

    if inputs is None and outputs is None:
        return model
    return extract(model, inputs, outputs or [value.name for value in model.graph.outputs])


def _join(graph: Graph, moved: Graph, inputs: list[Value], outputs: list[Value]) -> None:
    graph.inputs, graph.outputs = inputs, outputs
    graph.initializers.update(moved.initializers)
    for node in moved.nodes:
        graph.append(node)
    for value in moved.values():
        value.graph = graph
    graph.name = "_".join(filter(None, (graph.name, moved.name)))


def _named(values: Sequence[Value], kind: str) -> dict[str, Value]:
    return {value.name: value for value in values}


def _require_apart(left: Model, right: Model, paired: set[str]) -> None:
    clash = sorted((_all_names(left.graph) & _all_names(right.graph)) - paired)
    if clash:
        shown = ", ".join(clash[:5]) + (" ..." if len(clash) > 5 else "")
        raise InvalidArgument(f"both models have values named {shown}; give one of them a prefix")


def _all_names(graph: Graph) -> set[str]:
    names = set(values_by_name(graph))
    for node in graph.nodes:
        for inner in node.subgraphs():
            names |= _all_names(inner)
    return names


def rename(model: Any, names: Mapping[str, str]) -> Model:
    """A copy in which values (inputs, outputs, initialisers, all others) have new names, by their old ones.

    Raises InvalidArgument for a value that there is not, or a name that is taken.
    """
    result = as_model(model).copy()
    values = values_by_name(result.graph)
    for old, new in names.items():
        if old not in values:
            raise InvalidArgument(f"the model has no value '{old}'{closest(old, values)}")
        if new in values and new not in names:
            raise InvalidArgument(f"'{old}' cannot be named '{new}': another value has that name")
    if len(set(names.values())) < len(names):
        raise InvalidArgument("two values cannot have one name")
    _rename(result.graph, names)
    return result


def _rename(graph: Graph, names: Mapping[str, str]) -> None:
    for value in list(graph.values()):
        value.name = names.get(value.name, value.name)
    graph.initializers = {value.name: value for value in graph.initializers.values()}
    graph.forget_names()


def add_prefix(model: Any, prefix: str) -> Model:
    """A copy in which all values and nodes have a prefix, those of graphs inside included."""
    result = as_model(model).copy()
    if prefix:
        _prefix(result.graph, prefix)
    return result


def _prefix(graph: Graph, prefix: str) -> None:
    _rename(graph, {value.name: prefix + value.name for value in graph.values() if value.name})
    for node in graph.nodes:
        node.name = prefix + node.name if node.name else ""
        for inner in node.subgraphs():
            _prefix(inner, prefix)
