"""Newer operators in older models: the operator set version is raised as far as nothing changes its meaning.

Recognised forms such as LayerNormalization or Attention exist only from some version on. While the rules run, the model
stands at the newest version at which all its nodes mean the same; afterwards it goes back to the oldest one, not below
the original, that its nodes allow.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from onward.ir import Graph, Model, Node
from onward.operators import Schema, find_schema, newest_opset
from onward.operators.checker import type_string
from onward.operators.schema import ParameterSchema, minimum_ir_version, operator_versions
from onward.passes.adapters import SINCE as ADAPTED_SINCE
from onward.passes.adapters import Adapted, adapt, is_adaptable, restore

CHANGED_MEANING = frozenset({
    ("Dropout", 10), ("GroupNormalization", 21), ("PRelu", 7), ("RoiAlign", 16), ("Resize", 11), ("Resize", 13),
    ("Upsample", 9),
})  # fmt: skip
"""Versions that mean something else than the one before, with the same signature."""


@dataclass(frozen=True)
class Original:
    """Where a model stood before its version was raised: its versions, and the nodes it had then."""

    opset: int
    ir_version: int
    nodes: frozenset[Node]
    adapted: Adapted


def raise_version(model: Model) -> Original:
    """Sets the newest version of the default operator set at which every node means the same."""
    opset = _version(model)
    if not opset or model.functions:
        return Original(opset, model.ir_version, frozenset(all_nodes(model.graph)), Adapted())
    adapted = _adapt_where_it_helps(model.graph, opset)
    nodes = frozenset(all_nodes(model.graph))
    original = Original(opset, model.ir_version, nodes, adapted)
    start = ADAPTED_SINCE if adapted.attributes else opset
    ceiling = min((highest_version(node, start) for node in nodes), default=newest_opset())
    _set_version(model, max(start, ceiling))
    return original


def _adapt_where_it_helps(graph: Graph, opset: int) -> Adapted:
    """Rewrites the nodes whose form ends at a version, if no other node keeps the model below that version."""
    others = [node for node in all_nodes(graph) if node.graph is not graph or not is_adaptable(node, opset)]
    limit = min((highest_version(node, opset) for node in others), default=newest_opset())
    return adapt(graph, opset) if limit >= ADAPTED_SINCE else Adapted()


def settle_version(model: Model, original: Original) -> None:
    """Lowers the version to the oldest one, not below the original, at which every node means what it means now."""
    if not original.opset:
        return
    current, graph = _version(model), model.graph
    new = [node for node in all_nodes(graph) if node not in original.nodes]
    needed = max([original.opset, *(lowest_version(node, current) for node in new)])
    if needed < ADAPTED_SINCE:
        restore(graph, original.adapted)
    elif any(node.graph is graph for node in original.adapted.attributes):
        needed = max(needed, ADAPTED_SINCE)
    model.ir_version = original.ir_version
    _set_version(model, min(current, needed))


def highest_version(node: Node, version: int) -> int:
    """The newest operator set version in which the node means what it means in `version`."""
    if node.domain not in ("", "ai.onnx"):
        return newest_opset()
    versions = sorted((item for item in operator_versions("", node.op_type)), key=lambda item: item.since)
    here = find_schema("", node.op_type, version)
    if here is None:
        return version
    for newer in versions:
        if newer.since > version and not _means_the_same(here, newer, node):
            return newer.since - 1
    return newest_opset()


def lowest_version(node: Node, version: int) -> int:
    """The oldest operator set version in which the node means what it means in `version`."""
    here = find_schema("", node.op_type, version) if node.domain in ("", "ai.onnx") else None
    if here is None:
        return 1
    lowest = here.since
    for older in operator_versions("", node.op_type):
        if older.since < lowest:
            if not _means_the_same(older, here, node) or not node.attributes.keys() <= older.attributes.keys():
                break
            if not _accepts(older, node):
                break
            lowest = older.since
    return lowest


def _means_the_same(older: Schema, newer: Schema, node: Node) -> bool:
    """Whether a node that uses the older signature means the same under the newer one.

    True when inputs and outputs are the same, but for optional ones at the end, and every attribute of the older one
    is still there with its default. What is new is then optional, and its default is the old behaviour.
    """
    if newer.deprecated != older.deprecated:
        return False
    between = [item.since for item in operator_versions("", older.name) if older.since < item.since <= newer.since]
    if any((older.name, since) in CHANGED_MEANING for since in between):
        return False
    old_inputs, new_inputs = _names(older.inputs), _names(newer.inputs)
    old_outputs, new_outputs = _names(older.outputs), _names(newer.outputs)
    if new_inputs[: len(old_inputs)] != old_inputs or new_outputs[: len(old_outputs)] != old_outputs:
        return False
    return all(
        name in newer.attributes and newer.attributes[name].type == attribute.type and newer.attributes[name].default == attribute.default
        for name, attribute in older.attributes.items()
    )


def _names(parameters: Iterable[ParameterSchema]) -> list[str]:
    return [parameter.name.lower() for parameter in parameters]


def _accepts(schema: Schema, node: Node) -> bool:
    """Whether the older signature takes the node's data types."""
    for index, value in enumerate(node.inputs):
        if index >= schema.maximum_inputs:
            return False
        if value is not None:
            text = type_string(value.type)
            if text is None or text not in schema.allowed_types(schema.input(index)):
                return False
    return all(
        (text := type_string(value.type)) is not None and text in schema.allowed_types(schema.output(index))
        for index, value in enumerate(node.outputs)
        if value.name
    )


def all_nodes(graph: Graph) -> Iterator[Node]:
    """The nodes of a graph and of the graphs inside it."""
    for node in graph.nodes:
        yield node
        for inner in node.subgraphs():
            yield from all_nodes(inner)


def _version(model: Model) -> int:
    return model.opset_imports.get("", model.opset_imports.get("ai.onnx", 0))


def _set_version(model: Model, version: int) -> None:
    domain = "ai.onnx" if "ai.onnx" in model.opset_imports and "" not in model.opset_imports else ""
    model.opset_imports[domain] = version
    model.ir_version = max(model.ir_version, minimum_ir_version("", version) or 0)
