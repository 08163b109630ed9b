"""extract: the part of a model between some values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from onward.errors import InferenceError, InvalidArgument, UnsupportedOperator
from onward.ir import Graph, Model, Node, Value, as_model
from onward.ir.graph import captured_values
from onward.operators import infer
from onward.tools.names import closest, values_by_name


def extract(model: Any, inputs: Sequence[str] | None, outputs: Sequence[str]) -> Model:
    """The part of the main graph that computes `outputs` from `inputs`, any values of it, by name.

    Without `inputs` (None) those of the model are taken, as far as they are needed. Raises InvalidArgument for a value
    that there is not, or where the outputs need an input that is not among `inputs`.
    """
    result = as_model(model).copy()
    try:
        infer(result)
    except (InferenceError, UnsupportedOperator):
        pass  # the new inputs then have the types that the file gives them
    graph = result.graph
    values = values_by_name(graph)
    for name in (*(inputs or ()), *outputs):
        if name not in values:
            raise InvalidArgument(f"the model has no value '{name}'{closest(name, values)}")
    wanted = [values[name] for name in outputs]
    given = set(graph.inputs) if inputs is None else {values[name] for name in inputs}
    nodes, reached = _needed(wanted, given)
    missing = [value.name for value in graph.inputs if value in reached and value not in given and value.tensor is None]
    if missing:
        raise InvalidArgument(f"the outputs also depend on the inputs {missing}; name them, or values behind them")
    _reduce(graph, nodes)
    graph.outputs = wanted
    graph.inputs = [value for value in graph.inputs if value in reached] if inputs is None else [values[n] for n in inputs]
    graph.initializers = {name: value for name, value in graph.initializers.items() if value in reached and value not in set(graph.inputs) or value in wanted}
    return result


def _needed(wanted: Sequence[Value], given: set[Value]) -> tuple[set[Node], set[Value]]:
    """The nodes behind values, up to those that are given, and all values that they read."""
    nodes: set[Node] = set()
    reached: set[Value] = set()
    pending = list(wanted)
    while pending:
        value = pending.pop()
        if value in reached:
            continue
        reached.add(value)
        node = value.producer
        if value in given or node is None or node in nodes:
            continue
        nodes.add(node)
        pending.extend(item for item in (*node.inputs, *captured_values(node)) if item is not None)
    return nodes, reached


def _reduce(graph: Graph, keep: set[Node]) -> None:
    """Removes all other nodes; their outputs become values that nobody makes."""
    graph.outputs = []
    for node in reversed(graph.nodes):
        if node not in keep:
            node.set_outputs([])
            graph.remove(node)
