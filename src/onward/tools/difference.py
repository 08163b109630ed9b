"""diff: what is different in two models."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from onward.ir import Attribute, Graph, Model, Node, Tensor, Value, as_model
from onward.operators.checker import type_string


@dataclass(frozen=True)
class Difference:
    """One difference: where it is, what stands in the first model and in the second ("" where there is nothing)."""

    place: str
    first: str
    second: str

    def __str__(self) -> str:
        if not self.first:
            return f"{self.place}: only in the second: {self.second}"
        if not self.second:
            return f"{self.place}: only in the first: {self.first}"
        return f"{self.place}: {self.first} -> {self.second}"


def diff(first: Any, second: Any) -> list[Difference]:
    """Everything in which two models differ: versions, inputs and outputs, nodes, attributes, weights, metadata.

    Nodes are matched by what they compute from what, so names of values and the order of nodes do not matter; weights are
    compared by their numbers.
    """
    left, right = as_model(first), as_model(second)
    return [*_versions(left, right), *_graphs("", left.graph, right.graph)]


def _versions(left: Model, right: Model) -> Iterator[Difference]:
    for domain in sorted(left.opset_imports.keys() | right.opset_imports.keys()):
        yield from _plain(f"version of {domain or 'ai.onnx'}", left.opset_imports.get(domain), right.opset_imports.get(domain))
    yield from _plain("IR version", left.ir_version, right.ir_version)
    yield from _plain("producer", left.producer_name, right.producer_name)
    for key in sorted(left.metadata.keys() | right.metadata.keys()):
        yield from _plain(f"metadata {key}", left.metadata.get(key), right.metadata.get(key))
    for function in sorted(left.functions.keys() | right.functions.keys()):
        yield from _plain(f"function {function[1]}", _there(function in left.functions), _there(function in right.functions))


def _there(flag: bool) -> str | None:
    return "there" if flag else None


def _plain(place: str, left: object, right: object) -> Iterator[Difference]:
    if left != right:
        yield Difference(place, "" if left is None else str(left), "" if right is None else str(right))


def _graphs(place: str, left: Graph, right: Graph) -> Iterator[Difference]:
    for kind, ours, theirs in (("input", left.inputs, right.inputs), ("output", left.outputs, right.outputs)):
        yield from _interfaces(f"{place}{kind}", ours, theirs)
    pairs: dict[Value, Value] = dict(zip(left.inputs, right.inputs))
    unmatched = list(right.nodes)
    for node in left.nodes:
        match = _match(node, unmatched, pairs)
        if match is None:
            yield Difference(f"{place}node", _shown(node), "")
            continue
        unmatched.remove(match)
        yield from _nodes(f"{place}{_name(node)}", node, match, pairs)
        pairs.update(zip(node.outputs, match.outputs))
    for node in unmatched:
        yield Difference(f"{place}node", "", _shown(node))


def _interfaces(kind: str, left: Sequence[Value], right: Sequence[Value]) -> Iterator[Difference]:
    for place in range(max(len(left), len(right))):
        ours, theirs = (values[place] if place < len(values) else None for values in (left, right))
        yield from _plain(f"{kind} {place}", _interface(ours), _interface(theirs))


def _interface(value: Value | None) -> str | None:
    if value is None:
        return None
    shape = "" if value.shape is None else f"[{', '.join('?' if e is None else str(e) for e in value.shape)}]"
    return f"{value.name}: {type_string(value.type) or 'unknown'}{shape}"


def _match(node: Node, candidates: Sequence[Node], pairs: dict[Value, Value]) -> Node | None:
    """The node that computes the same from the same values; else one of the same name and operator, or reading the same."""
    alike = [item for item in candidates if (item.op_type, item.domain) == (node.op_type, node.domain)]

    def score(item: Node) -> int:
        same = sum(
            ours is theirs or ours is not None and theirs is not None and (pairs.get(ours) is theirs or _equal(ours, theirs))
            for ours, theirs in zip(node.inputs, item.inputs)
        )
        named = [bool(node.name) and node.name == item.name, _made(node) == _made(item)]
        return 4 * same + 2 * sum(named) + (item is alike[0])

    best = max(alike, key=score, default=None)
    reads = [value for value in node.inputs if value is not None]
    return best if best is not None and (score(best) >= 2 or not reads) else None


def _made(node: Node) -> list[str]:
    return [value.name for value in node.outputs]


def _equal(left: Value, right: Value) -> bool:
    a, b = left.tensor, right.tensor
    return a is not None and b is not None and a.dtype == b.dtype and tuple(a.shape) == tuple(b.shape) and (
        a is b or np.array_equal(a.numpy(), b.numpy())
    )  # fmt: skip


def _nodes(place: str, left: Node, right: Node, pairs: dict[Value, Value]) -> Iterator[Difference]:
    for index in range(max(len(left.inputs), len(right.inputs))):
        ours, theirs = (node.inputs[index] if index < len(node.inputs) else None for node in (left, right))
        if ours is not None and theirs is not None and ours.tensor is not None and theirs.tensor is not None:
            yield from _tensors(f"{place}, input {index} ('{ours.name}')", ours.tensor, theirs.tensor)
        elif (ours is None) != (theirs is None) or ours is not None and ours in pairs and pairs[ours] is not theirs:
            yield Difference(f"{place}, input {index}", ours.name if ours else "", theirs.name if theirs else "")
    for name in sorted(left.attributes.keys() | right.attributes.keys()):
        yield from _attributes(f"{place}, attribute {name}", left.attributes.get(name), right.attributes.get(name))


def _attributes(place: str, left: Attribute | None, right: Attribute | None) -> Iterator[Difference]:
    ours, theirs = left.value if left else None, right.value if right else None
    if isinstance(ours, Graph) and isinstance(theirs, Graph):
        yield from _graphs(f"{place}: ", ours, theirs)
    elif isinstance(ours, Tensor) and isinstance(theirs, Tensor):
        yield from _tensors(place, ours, theirs)
    elif ours != theirs:
        yield from _plain(place, ours, theirs)


def _tensors(place: str, left: Tensor, right: Tensor) -> Iterator[Difference]:
    if left is right:
        return
    if left.dtype != right.dtype or tuple(left.shape) != tuple(right.shape):
        yield Difference(place, *(f"{item.dtype.name.lower()}{list(item.shape)}" for item in (left, right)))
        return
    a, b = left.numpy(), right.numpy()
    if a.dtype == object or not a.size:
        if a.tolist() != b.tolist():
            yield Difference(place, "text", "other text")
        return
    if a.tobytes() == b.tobytes():
        return
    kind = np.complex128 if left.dtype.is_complex else np.float64
    off = np.abs(a.astype(kind) - b.astype(kind))
    largest = np.abs(a.astype(kind)).max()
    relative = f", relative {off.max() / largest:.2g}" if largest else ""
    yield Difference(place, f"{a.size} numbers", f"{np.count_nonzero(off)} differ, by up to {off.max():.3g}{relative}")


def _name(node: Node) -> str:
    return f"node '{node.name}' ({node.op_type})" if node.name else f"{node.op_type} that makes '{node.outputs[0].name}'"


def _shown(node: Node) -> str:
    return repr(node)
