"""Model-local functions: each call is replaced by the body."""

from __future__ import annotations

from typing import Any

from onward.errors import InvalidGraph
from onward.ir import Attribute, Function, Graph, Model, Node, Value
from onward.ir.graph import copy_node
from onward.operators import find_schema
from onward.passes.versions import all_nodes

DEEPEST = 100


def inline_functions(model: Model) -> int:
    """Puts the bodies of functions in the place of their calls, in the main graph and inside; returns how many calls.

    A function whose operator set versions give one of its operators another meaning than the model's do stays a
    function. Raises InvalidGraph for functions that call themselves.
    """
    count = 0
    for _ in range(DEEPEST):
        done = _inline_once(model.graph, model)
        count += done
        if not done:
            break
    else:
        raise InvalidGraph("a function calls itself, directly or through others")
    _drop_unused_functions(model)
    return count


def _inline_once(graph: Graph, model: Model) -> int:
    count = 0
    for node in graph.nodes:
        for inner in node.subgraphs():
            count += _inline_once(inner, model)
        function = model.functions.get((node.domain, node.op_type, node.overload))
        if function is not None and _fits(function, model):
            _expand(graph, node, function)
            count += 1
    return count


def _fits(function: Function, model: Model) -> bool:
    """Whether the body means the same under the model's versions; imports what the model lacks."""
    for domain, version in function.opset_imports.items():
        own = model.opset_imports.setdefault(domain, version)
        if own == version:
            continue
        for node in function.nodes:
            for inner in (node, *(n for graph in node.subgraphs() for n in all_nodes(graph))):
                if inner.domain == domain and find_schema(domain, inner.op_type, own) != find_schema(domain, inner.op_type, version):
                    return False
    return True


def _expand(graph: Graph, call: Node, function: Function) -> None:
    given = {**function.attribute_defaults, **call.attributes}
    table: dict[Value, Any] = {}
    for index, value in enumerate(function.inputs):
        table[value] = call.inputs[index] if index < len(call.inputs) else None
    for node in function.nodes:
        for value in node.outputs:
            new = Value(graph.fresh_name(f"{call.name or call.op_type}/{value.name}") if value.name else "", value.type)
            new.provenance = value.provenance
            table[value] = new
    for node in function.nodes:
        copied = _copy(node, table, given)
        copied.name = f"{call.name or call.op_type}/{node.name or node.op_type}"
        copied.metadata = {**call.metadata, **node.metadata}
        graph.insert_before(copied, call)
    for index, old in enumerate(call.outputs):
        if old.name and index < len(function.outputs):
            _take_over(graph, call, old, table[function.outputs[index]])
    graph.remove(call)


def _take_over(graph: Graph, call: Node, old: Value, new: Value | None) -> None:
    """An output of the call becomes a value of the body; where that is an input of the call, a copy of it."""
    assert new is not None
    if new.producer is None or new in call.inputs or new in graph.outputs:
        copy = Node("Identity", [new], [Value(graph.fresh_name(f"{old.name}/copy"), old.type)], name=f"{call.name}/Identity")
        graph.insert_before(copy, call)
        new = copy.outputs[0]
    is_output, declared = old in graph.outputs, old.type
    graph.replace_value(old, new)
    if is_output:
        new.type = declared


def _copy(node: Node, table: dict[Value, Any], given: dict[str, Attribute]) -> Node:
    """A node of the body between the values of the call, with attribute references resolved."""
    new = copy_node(node, table)
    for holder in (new, *(n for graph in new.subgraphs() for n in all_nodes(graph))):
        for name, item in list(holder.attributes.items()):
            if item.reference:
                resolved = given.get(item.reference)
                if resolved is None:
                    del holder.attributes[name]
                else:
                    holder.attributes[name] = Attribute(name, resolved.type, resolved.value)
    return new


def _drop_unused_functions(model: Model) -> None:
    called = {(node.domain, node.op_type, node.overload) for node in all_nodes(model.graph)}
    pending = list(called & model.functions.keys())
    kept = set(pending)
    while pending:
        for node in model.functions[pending.pop()].nodes:
            key = (node.domain, node.op_type, node.overload)
            if key in model.functions and key not in kept:
                kept.add(key)
                pending.append(key)
    used = {node.domain for node in all_nodes(model.graph)}
    for key in list(model.functions):
        if key not in kept:
            del model.functions[key]
            if key[0] not in used and key[0] not in {other[0] for other in kept}:
                model.opset_imports.pop(key[0], None)
