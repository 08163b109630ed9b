"""Common subexpressions: equal operators on equal inputs are computed once, equal constants are kept once."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable
from typing import Any

import numpy as np

from onward.ir import DataType, Node, Tensor, Value
from onward.passes.facts import Facts
from onward.passes.folding import RANDOM
from onward.passes.rewrite import can_take_name, remove_dead, replace_value

LARGEST_CONSTANT = 1 << 26
"""Bytes of a constant that is looked at: reading it all costs time, and a larger one is rarely there twice."""


def merge_duplicates(facts: Facts) -> int:
    """Merges equal constants and equal nodes of the main graph; returns how many are gone."""
    return _merge_constants(facts) + _merge_nodes(facts)


def _merge_constants(facts: Facts) -> int:
    graph = facts.model.graph
    first: dict[Hashable, Value] = {}
    count = 0
    groups: dict[tuple[DataType, tuple[int, ...]], list[Value]] = {}
    for value in graph.initializers.values():
        if (
            facts.is_constant(value)
            and value not in graph.outputs
            and not facts.is_pinned(value)
            and value.tensor is not None
        ):
            groups.setdefault((value.tensor.dtype, value.tensor.shape), []).append(value)
    for values in groups.values():
        if len(values) == 1 or values[0].tensor is None or values[0].tensor.nbytes > LARGEST_CONSTANT:
            continue
        for value in values:
            assert value.tensor is not None
            kept = first.setdefault(_fingerprint(value.tensor), value)
            if kept is not value and value.uses:
                graph.replace_value(value, kept)
                count += 1
    return count


def _fingerprint(tensor: Tensor) -> Hashable:
    data = np.ascontiguousarray(tensor.numpy())
    if data.dtype == object:
        return (tensor.dtype, tensor.shape, tuple(data.reshape(-1).tolist()))
    return (tensor.dtype, tensor.shape, hashlib.sha256(data.reshape(-1).view(np.uint8).data).digest())


def _merge_nodes(facts: Facts) -> int:
    graph = facts.model.graph
    first: dict[Hashable, Node] = {}
    count = 0
    for node in graph.nodes:
        key = _key(node)
        if key is None:
            continue
        kept = first.setdefault(key, node)
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
    if node.op_type in RANDOM or next(node.subgraphs(), None) is not None:
        return None
    attributes = tuple(sorted((name, item.type, _plain(item.value)) for name, item in node.attributes.items()))
    inputs = tuple(None if value is None else id(value) for value in node.inputs)
    return (node.domain, node.op_type, node.overload, inputs, len(node.outputs), attributes)


def _plain(value: Any) -> Hashable:
    if isinstance(value, Tensor):
        return str(_fingerprint(value))
    if isinstance(value, (list, tuple)):
        return tuple(map(_plain, value))
    if isinstance(value, (str, bytes, int, float)):
        return repr(value)
    return id(value)
