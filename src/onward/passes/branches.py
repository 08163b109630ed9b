"""If nodes whose condition is known before the run: the branch that is taken stands in their place."""

from __future__ import annotations

from typing import Any

from onward.ir import Graph, Node, Value
from onward.ir.graph import copy_node
from onward.passes.facts import Facts
from onward.passes.rewrite import origins_of, remove_dead, replace_value


def inline_known_branches(facts: Facts) -> int:
    """Replaces the If nodes of the main graph with a known condition by the nodes of one branch; returns how many."""
    count = 0
    for node in facts.model.graph.nodes:
        if node.op_type == "If" and node.domain in ("", "ai.onnx"):
            taken = _taken(node, facts)
            if taken is not None and not any(facts.is_pinned(value) for value in node.outputs):
                _inline(node, taken, facts)
                count += 1
    return count


def _taken(node: Node, facts: Facts) -> Graph | None:
    condition = node.inputs[0]
    number = None if condition is None else facts.uniform(condition)
    if number is None:
        return None
    branch = node.attribute("then_branch" if number else "else_branch")
    return branch if isinstance(branch, Graph) else None


def _inline(node: Node, branch: Graph, facts: Facts) -> None:
    graph = facts.model.graph
    table: dict[Value, Any] = {}
    for name, value in branch.initializers.items():
        assert value.tensor is not None
        new = graph.add_initializer(value.tensor, f"{node.name or 'If'}/{name}")
        table[value] = new
    for inner in branch.nodes:
        for value in inner.outputs:
            made = Value(graph.fresh_name(value.name) if value.name else "", value.type)
            made.provenance = value.provenance
            table[value] = made
    for inner in branch.nodes:
        facts.learn(graph.insert_before(copy_node(inner, table), node))
    for old, value in zip(node.outputs, branch.outputs):
        if old.name:
            _take_over(node, old, table.get(value, value), facts)
    remove_dead(graph, [node], facts)


def _take_over(node: Node, old: Value, new: Value, facts: Facts) -> None:
    """An output of the If becomes the value of the branch; where that came from outside, a copy of it."""
    graph = facts.model.graph
    if old in graph.outputs and (new.producer is None or new in graph.outputs or new.producer.graph is not graph):
        copy = Node("Identity", [new], [Value(graph.fresh_name(f"{old.name}/copy"), old.type)], name=f"{node.name}/copy")
        copy.outputs[0].provenance = origins_of(node)
        facts.learn(graph.insert_before(copy, node))
        new = copy.outputs[0]
    replace_value(graph, old, new)
