"""Common subexpressions: equal operators on equal inputs are computed once, equal constants are kept once."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np

from onward.ir import Graph, Node, Tensor, Value
from onward.passes.facts import Facts
from onward.passes.folding import RANDOM
from onward.passes.rewrite import can_take_name, remove_dead, replace_value

SAMPLED = 64
"""Elements of a constant that are looked at first."""


def merge_duplicates(facts: Facts) -> int:
    """Merges equal constants and equal nodes of the main graph; returns how many are gone."""
    return _merge_constants(facts) + _merge_nodes(facts)


def _merge_constants(facts: Facts) -> int:
    graph = facts.model.graph
    outputs = set(graph.outputs)
    groups: dict[Hashable, list[Value]] = {}
    for value in graph.initializers.values():
        if value.uses and facts.is_constant(value) and value not in outputs and not facts.is_pinned(value):
            assert value.tensor is not None
            groups.setdefault(_sample(value.tensor), []).append(value)
    return sum(_merge_equal(graph, values) for values in groups.values() if len(values) > 1)


def _merge_equal(graph: Graph, values: list[Value]) -> int:
    """Merges those of the values that are equal to an earlier one."""
    different: list[Value] = []
    for value in values:
        kept = next((other for other in different if _are_equal(other.tensor, value.tensor)), None)
        if kept is None:
            different.append(value)
        else:
            graph.replace_value(value, kept)
    return len(values) - len(different)


def _sample(tensor: Tensor) -> Hashable:
    """Data type, shape and a few elements: most tensors differ in these, and the rest of a large one stays unread."""
    data = tensor.numpy().reshape(-1)
    few = data if data.size <= SAMPLED else np.concatenate([data[: SAMPLED // 2], data[-SAMPLED // 2 :]])
    return (tensor.dtype, tensor.shape, tuple(few.tolist()) if few.dtype == object else few.tobytes())


def _are_equal(left: Tensor | None, right: Tensor | None) -> bool:
    """Whether two tensors of the same data type and shape have the same bits: 0 and -0 differ, NaN equals itself."""
    if left is None or right is None:
        return False
    first, second = (np.ascontiguousarray(tensor.numpy()).reshape(-1) for tensor in (left, right))
    if first.dtype == object:
        return bool(np.array_equal(first, second))
    return bool(np.array_equal(first.view(np.uint8), second.view(np.uint8)))


def _merge_nodes(facts: Facts) -> int:
    graph = facts.model.graph
    alike: dict[Hashable, Node] = {}
    first: dict[Hashable, Node] = {}
    count = 0
    for node in graph.nodes:
        key = _key(node)
        if key is None:
            continue
        other = alike.setdefault(key, node)
        if other is node:  # attributes may be long (trees), so they are looked at where another node is alike
            continue
        first.setdefault((key, _attributes(other)), other)
        kept = first.setdefault((key, _attributes(node)), node)
        if kept is not node and _merge(kept, node, facts):
            count += 1
    return count


def _merge(kept: Node, node: Node, facts: Facts) -> bool:
    graph = facts.model.graph
    pairs = list(zip(node.outputs, kept.outputs))
    for old, new in pairs:
        if facts.is_pinned(old) or (old in graph.outputs and not can_take_name(graph, new)):
            return False
        if bool(old.name) != bool(new.name):
            return False
    for old, new in pairs:
        replace_value(graph, old, new)
    remove_dead(graph, [node], facts)
    return True


def _key(node: Node) -> Hashable | None:
    """What equal nodes have in common beside their attributes; None for a node that is never merged."""
    if node.op_type in RANDOM or next(node.subgraphs(), None) is not None:
        return None
    inputs = tuple(None if value is None else id(value) for value in node.inputs)
    return (node.domain, node.op_type, node.overload, inputs, len(node.outputs))


def _attributes(node: Node) -> Hashable:
    return tuple(sorted((name, item.type, _plain(item.value)) for name, item in node.attributes.items()))


def _plain(value: Any) -> Hashable:
    if isinstance(value, Tensor):
        return (value.dtype, value.shape, value.numpy().tobytes())
    if isinstance(value, (list, tuple)):
        return tuple(map(_plain, value))
    if isinstance(value, (str, bytes, int, float)):
        return repr(value)
    return id(value)
