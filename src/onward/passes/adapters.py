"""Operators whose attribute became an input: the nodes are rewritten so that the version can be raised past that point.

The legacy PyTorch exporter writes version 17; without this, one ReduceMean would keep a model from Gelu (20) and
Attention (23). What turns out not to be needed is taken back.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from onward.ir import Attribute, Graph, Node, Tensor, Value
from onward.passes.rewrite import replace_value

SINCE = 18
"""The version in which the axes of all reductions but ReduceSum became an input, and Split got `num_outputs`."""

REDUCTIONS = frozenset({
    "ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd",
    "ReduceSumSquare",
})  # fmt: skip


@dataclass
class Adapted:
    """The nodes in the newer form, with what they were."""

    attributes: dict[Node, dict[str, Attribute]] = field(default_factory=dict)


def is_adaptable(node: Node, version: int) -> bool:
    """Whether the node is in a form that ends at `SINCE` and can be rewritten."""
    if node.domain not in ("", "ai.onnx") or not 13 <= version < SINCE:
        return False
    return node.op_type in REDUCTIONS or (node.op_type == "Split" and len(node.inputs) == 1)


def adapt(graph: Graph, version: int) -> Adapted:
    """Brings the adaptable nodes of a graph into the form of version `SINCE`."""
    adapted = Adapted()
    for node in graph.nodes:
        if not is_adaptable(node, version):
            continue
        before = dict(node.attributes)
        attributes = {name: item for name, item in before.items() if name != "axes"}
        inputs = list(node.inputs)
        if "axes" in before:
            inputs.append(graph.add_initializer(Tensor.of(np.asarray(before["axes"].value, np.int64)), f"{node.name}/axes"))
        if node.op_type == "Split":
            attributes["num_outputs"] = Attribute("num_outputs", "INT", len(node.outputs))
        adapted.attributes[_exchange(graph, node, inputs, attributes)] = before
    return adapted


def restore(graph: Graph, adapted: Adapted) -> None:
    """Takes the older form again for the nodes that are still there."""
    for node, attributes in adapted.attributes.items():
        if node.graph is graph:
            _exchange(graph, node, list(node.inputs[:1]), attributes)


def _exchange(graph: Graph, node: Node, inputs: list[Value | None], attributes: dict[str, Attribute]) -> Node:
    """The node with other inputs and attributes in the place of `node`."""
    new = Node(node.op_type, inputs, [Value("", value.type) for value in node.outputs], attributes, name=node.name)
    new.doc_string, new.metadata = node.doc_string, dict(node.metadata)
    for old, value in zip(node.outputs, new.outputs):
        if old.name:
            value.name = graph.fresh_name(old.name)
            value.provenance = old.provenance
    graph.insert_before(new, node)
    for old, value in zip(node.outputs, new.outputs):
        replace_value(graph, old, value)
    graph.remove(node)
    return new
