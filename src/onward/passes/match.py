"""Finding a pattern in a graph."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from onward.ir import DataType, Node, Value
from onward.ir.expressions import Dimension
from onward.passes.facts import Facts, option_index
from onward.passes.pattern import (
    COMMUTATIVE,
    CONSTANT,
    Apply,
    Bind,
    Choice,
    Constant,
    Needs,
    Output,
    Pattern,
    Wildcard,
)


@dataclass(frozen=True)
class Match:
    """A place where a pattern holds. `match.x` is what the wildcard or option `x` is bound to."""

    facts: Facts
    root: Node
    bound: Mapping[str, Any] = field(default_factory=dict)
    nodes: Mapping[Apply, Node] = field(default_factory=dict)

    def __getattr__(self, name: str) -> Any:
        try:
            return self.bound[name]
        except KeyError:
            raise AttributeError(f"the pattern binds nothing to '{name}'") from None

    def get(self, name: str, default: Any = None) -> Any:
        """What is bound to `name`, or the default when nothing is (another alternative was taken)."""
        return self.bound.get(name, default)

    def shape(self, value: Value | str) -> tuple[Dimension, ...] | None:
        """The shape of a value or of what is bound to a name."""
        return self.facts.shape(self._value(value))

    def rank(self, value: Value | str) -> int | None:
        """The number of axes."""
        return self.facts.rank(self._value(value))

    def dtype(self, value: Value | str) -> DataType | None:
        """The data type."""
        return self.facts.dtype(self._value(value))

    def data(self, name: str) -> np.ndarray:
        """The data of what a constant of the pattern is bound to."""
        data = self.facts.constant(self.bound[name])
        assert data is not None
        return data

    def constant(self, name: str) -> np.ndarray | None:
        """The data of what a wildcard is bound to, if constant."""
        return self.facts.constant(self.bound[name])

    def option(self, node: Node, name: str, default: Any = None) -> Any:
        """An option of a node."""
        return self.facts.option(node, name, default)

    def _value(self, value: Value | str) -> Value:
        return self.bound[value] if isinstance(value, str) else value


def makers_of(node: Node, facts: Facts) -> list[str]:
    """What computes each input of a node: an operator's name, CONSTANT, or nothing."""
    return [
        "" if value is None
        else value.producer.op_type if value.producer is not None
        else CONSTANT if facts.is_constant(value)
        else ""
        for value in node.inputs
    ]  # fmt: skip


def may_match(needs: Needs, makers: Sequence[str], commutes: bool) -> bool:
    """Whether the operators that compute the inputs of a node are those that a pattern asks for, in some order."""
    if len(makers) < len(needs):
        return True  # an optional input is absent
    if all(need is None or maker in need for need, maker in zip(needs, makers)):
        return True
    if not commutes or len(needs) != 2 or len(makers) != 2:
        return False
    return all(need is None or maker in need for need, maker in zip(needs, makers[::-1]))


def find_match(pattern: Apply, root: Node, facts: Facts) -> Iterator[Match]:
    """All ways in which the pattern holds at a node, alternatives in the order of the pattern."""
    for match in _apply(pattern, root, Match(facts, root)):
        if _inner_nodes_are_private(match):
            yield match


def _inner_nodes_are_private(match: Match) -> bool:
    matched = set(match.nodes.values())
    for pattern, node in match.nodes.items():
        if node is match.root or pattern.is_shared:
            continue
        for value in node.outputs:
            if value in match.root.graph.outputs or match.facts.is_pinned(value):  # type: ignore[union-attr]
                return False
            if any(user not in matched for user, _ in value.uses):
                return False
    return True


def _value(pattern: Pattern, value: Value | None, match: Match) -> Iterator[Match]:
    if isinstance(pattern, Wildcard):
        if value is not None or pattern.optional:
            yield from _bind(match, pattern.name, value)
    elif value is None:
        return
    elif isinstance(pattern, Constant):
        data = match.facts.constant(value)
        if data is not None and pattern.accepts(data):
            yield from _bind(match, pattern.name, value) if pattern.name else (match,)
    elif isinstance(pattern, Choice):
        for alternative in pattern.alternatives:
            yield from _value(alternative, value, match)
    else:
        wanted, index = (pattern.node, pattern.index) if isinstance(pattern, Output) else (pattern, 0)
        assert isinstance(wanted, Apply)
        if value.producer is not None and value.output_index == index and value.producer.graph is match.root.graph:
            yield from _apply(wanted, value.producer, match)


def _bind(match: Match, name: str, item: Any) -> Iterator[Match]:
    if name in match.bound:
        if _same(match.bound[name], item, match.facts):
            yield match
    else:
        yield Match(match.facts, match.root, {**match.bound, name: item}, match.nodes)


def _same(left: Any, right: Any, facts: Facts) -> bool:
    if left is right or not isinstance(left, Value):
        return left is right or (not isinstance(left, Value) and left == right)
    first, second = facts.constant(left), facts.constant(right)
    return first is not None and second is not None and first.dtype == second.dtype and np.array_equal(first, second)


def _apply(pattern: Apply, node: Node, match: Match) -> Iterator[Match]:
    if node.op_type != pattern.operator or node.domain not in ((pattern.domain, "ai.onnx") if not pattern.domain else (pattern.domain,)):
        return
    if pattern in match.nodes:
        if match.nodes[pattern] is node:
            yield match
        return
    inputs = list(node.inputs)
    start = Match(match.facts, match.root, match.bound, {**match.nodes, pattern: node})
    taken: set[int] = set()
    for name, wanted in pattern.options.items():
        try:
            found = match.facts.option(node, name)
        except LookupError:
            return
        schema = match.facts.schema(node)
        index = option_index(schema, name) if schema is not None else None
        if index is not None:
            taken.add(index)
        advanced = _option(name, wanted, found, node, start)
        if advanced is None:
            return
        start = advanced
    inputs = [value for index, value in enumerate(inputs) if index not in taken]
    while inputs and inputs[-1] is None:
        inputs.pop()
    yield from _inputs(pattern.inputs, inputs, start)
    if pattern.operator in COMMUTATIVE and not pattern.domain and len(inputs) == len(pattern.inputs) == 2:
        yield from _inputs(pattern.inputs, inputs[::-1], start)


def _inputs(patterns: tuple[Pattern, ...], inputs: list[Value | None], match: Match) -> Iterator[Match]:
    if not patterns:
        if not inputs:
            yield match
        return
    first = patterns[0]
    if isinstance(first, Wildcard) and first.many:
        yield from _bind(match, first.name, tuple(inputs))
        return
    value = inputs[0] if inputs else None
    for advanced in _value(first, value, match):
        yield from _inputs(patterns[1:], inputs[1:], advanced)


def _option(name: str, wanted: Any, found: Any, node: Node, match: Match) -> Match | None:
    """The match with the option taken in, or None where it is not as wanted."""
    if isinstance(wanted, Bind):
        return next(_bind(match, wanted.name, found), None)
    if callable(wanted):
        return match if wanted(found) else None
    if name in ("axis", "axes") and found is not None and node.inputs and node.inputs[0] is not None:
        rank = match.facts.rank(node.inputs[0])
        return match if _positive(wanted, rank) == _positive(found, rank) else None
    if isinstance(wanted, float) and isinstance(found, (int, float)):
        return match if abs(wanted - found) <= 1e-6 * abs(wanted) else None
    return match if wanted == found else None


def _positive(axes: Any, rank: int | None) -> Any:
    """Axes counted from the front, where the rank is known. One axis is the same as a list of one."""
    items = axes if isinstance(axes, list) else [axes]
    return sorted(axis + rank if axis < 0 and rank is not None else axis for axis in items)
