"""Rules, and the engine that applies them.

The law of the engine: what replaces a value has provably the same data type and the same shape. A rule that would
break it does not fire there, so rules need no conditions about broadcasting.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Union

import numpy as np

from onward.errors import InferenceError
from onward.ir import Graph, Node, Origin, Tensor, TensorType, Value
from onward.operators import find_schema
from onward.passes.facts import Facts, option_index, value_type
from onward.passes.match import Match, find_match, makers_of, may_match
from onward.passes.pattern import COMMUTATIVE, Apply, Bind, Constant, Needs, Output, Pattern, Wildcard, needs_of, roots

Result = Union[Value, Sequence[Value], None]
Replacement = Union[Pattern, Callable[["Builder", Match], Result]]


@dataclass(frozen=True)
class Rule:
    """Where `pattern` holds and `when` agrees, `replacement` takes its place.

    The replacement is a pattern tree of what was bound, or a function that builds it with a `Builder` and returns the
    new value (one for each output of the matched root; None to leave the place as it is). With `untyped`, the rule
    also fires where types are not known: only for rules that are right for every type. What is `native` is done for code
    of this package's own alone: it makes forms that other runtimes are slow with.
    """

    name: str
    pattern: Pattern
    replacement: Replacement
    when: Callable[[Match], bool] | None = None
    untyped: bool = False
    native: bool = False


@dataclass
class Report:
    """What happened: how often each rule and pass fired, and the number of nodes before and after."""

    fired: dict[str, int] = field(default_factory=dict)
    nodes_before: int = 0
    nodes_after: int = 0
    rounds: int = 0
    seconds: float = 0.0

    def count(self, name: str, times: int = 1) -> None:
        """Notes that a rule fired."""
        if times:
            self.fired[name] = self.fired.get(name, 0) + times

    def __str__(self) -> str:
        lines = [f"{self.nodes_before} nodes -> {self.nodes_after} ({self.rounds} rounds, {self.seconds:.2f} s)"]
        lines += [f"  {times:5d}  {name}" for name, times in sorted(self.fired.items(), key=lambda item: (-item[1], item[0]))]
        return "\n".join(lines)


class Declined(Exception):
    """The replacement cannot be built here."""


class Builder:
    """Makes the nodes of a replacement: `b.Add(x, y)`, `b.ReduceMean(x, axes=[-1], keepdims=1)`.

    Keyword arguments become attributes or constant inputs, as the operator's version asks. Nothing is in the graph
    before `commit`; `discard` forgets everything.
    """

    def __init__(self, facts: Facts, anchor: Node, provenance: tuple[Origin, ...] = ()) -> None:
        self.facts = facts
        self.anchor = anchor
        self.provenance = provenance
        self.nodes: list[Node] = []

    def __getattr__(self, op_type: str) -> Callable[..., Value]:
        if op_type.startswith("_"):
            raise AttributeError(op_type)

        def build(*inputs: Value | None, domain: str = "", **options: Any) -> Value:
            return self.node(op_type, inputs, options, domain)

        return build

    def node(self, op_type: str, inputs: Sequence[Value | None], options: Mapping[str, Any], domain: str = "") -> Value:
        """The output of a new node. Raises Declined if the operator refuses its inputs or is not in this version."""
        schema = find_schema(domain, op_type, self.facts.opsets.get(domain, 1))
        if schema is None:
            raise Declined(f"{op_type} is not in this version")
        places: list[Value | None] = list(inputs)
        attributes: dict[str, Any] = {}
        for name, item in options.items():
            index = option_index(schema, name)
            if item is None:
                continue
            if name in schema.attributes:
                attributes[name] = float(item) if schema.attributes[name].type == "FLOAT" else item
            elif index is not None:
                places += [None] * (index + 1 - len(places))
                places[index] = item if isinstance(item, Value) else self.constant(np.asarray(item, np.int64))
            else:
                raise Declined(f"{op_type} has no {name} in this version")
        while places and places[-1] is None:
            places.pop()
        node = Node(op_type, places, 1, attributes, domain=domain)
        self.nodes.append(node)
        try:
            self.facts.learn(node)
        except InferenceError as problem:
            raise Declined(str(problem)) from problem
        return node.outputs[0]

    def constant(self, data: Any, like: Value | None = None) -> Value:
        """A new initialiser; numbers take the data type of `like`."""
        array = np.asarray(data)
        if like is not None:
            dtype = self.facts.dtype(like)
            if dtype is None:
                raise Declined("the data type is not known")
            array = array.astype(dtype.numpy)
        tensor = Tensor.of(np.ascontiguousarray(array).reshape(array.shape))
        return Value("", TensorType(tensor.dtype, tuple(tensor.shape)), tensor)

    def instantiate(self, pattern: Pattern, match: Match, like: Value | None = None) -> Value | None:
        """The value of a replacement that is written as a pattern."""
        if isinstance(pattern, Wildcard):
            return match.bound[pattern.name]
        if isinstance(pattern, Constant):
            if pattern.name:
                return match.bound[pattern.name]
            return self.constant(pattern.value, like)
        if isinstance(pattern, Output):
            raise Declined("a replacement with several outputs is written as a function")
        assert isinstance(pattern, Apply)
        inputs: list[Value | None] = [None] * len(pattern.inputs)
        numbers = [isinstance(item, Constant) and not item.name for item in pattern.inputs]
        for place in sorted(range(len(inputs)), key=lambda place: numbers[place]):
            given = next((value for value in inputs if value is not None), like)
            inputs[place] = self.instantiate(pattern.inputs[place], match, given)
        options = {name: match.bound[item.name] if isinstance(item, Bind) else item for name, item in pattern.options.items()}
        return self.node(pattern.operator, inputs, options, domain=pattern.domain)

    def discard(self) -> None:
        """Takes everything back."""
        for node in reversed(self.nodes):
            self.facts.forget(node)
            node.detach()

    def commit(self) -> None:
        """Puts the nodes into the graph, before the anchor."""
        graph = self.anchor.graph
        assert graph is not None
        for count, node in enumerate(self.nodes):
            for index, value in enumerate(node.inputs):
                if value is not None and not value.name:
                    self._adopt(graph, value, node, index)
            last = count == len(self.nodes) - 1
            base = self.anchor.name or self.anchor.outputs[0].name
            node.name = base if last else f"{base}/{node.op_type}_{count}"
            node.metadata = dict(self.anchor.metadata)
            for value in node.outputs:
                value.name = graph.fresh_name(f"{self.anchor.outputs[0].name}/{node.op_type}")
                value.provenance = self.provenance
                array = self.facts.array(value)
                if array is not None:
                    value.type = value_type(array)
            graph.insert_before(node, self.anchor)

    def _adopt(self, graph: Graph, value: Value, node: Node, index: int) -> None:
        """Enters a constant that the builder made."""
        if value.tensor is not None:
            value.name = graph.fresh_name(f"{self.anchor.outputs[0].name}/{node.op_type}_{index}")
            value.graph = graph
            graph.initializers[value.name] = value


class Rewriter:
    """Applies rules to the main graph of a model until none fires."""

    MOST_SWEEPS = 100

    def __init__(self, facts: Facts, rules: Iterable[Rule], report: Report) -> None:
        self.facts = facts
        self.graph = facts.model.graph
        self.report = report
        self.rules: dict[str, list[tuple[Rule, Apply, Needs]]] = {}
        self._known_candidates: dict[tuple[str, ...], list[tuple[Rule, Apply]]] = {}
        for rule in rules:
            for root in roots(rule.pattern):
                self.rules.setdefault(root.operator, []).append((rule, root, needs_of(root)))

    def run(self) -> int:
        """Rewrites to a fixed point; returns how often rules fired."""
        total = 0
        for _ in range(self.MOST_SWEEPS):
            fired = sum(self._visit(node) for node in self.graph.nodes if node.graph is self.graph)
            total += fired
            if not fired:
                break
        return total

    def _visit(self, node: Node) -> int:
        for rule, pattern in self._candidates(node):
            for match in find_match(pattern, node, self.facts):
                if (rule.when is None or rule.when(match)) and self._fire(rule, match):
                    self.report.count(rule.name)
                    return 1
        return 0

    def _candidates(self, node: Node) -> list[tuple[Rule, Apply]]:
        """The rules that a node and what computes its inputs do not rule out."""
        rules = self.rules.get(node.op_type)
        if rules is None:
            return []
        key = (node.op_type, *makers_of(node, self.facts))
        if key not in self._known_candidates:
            commutes = node.op_type in COMMUTATIVE
            self._known_candidates[key] = [(rule, root) for rule, root, needs in rules if may_match(needs, key[1:], commutes)]
        return self._known_candidates[key]

    def _fire(self, rule: Rule, match: Match) -> bool:
        root = match.root
        builder = Builder(self.facts, root, _origins(match))
        try:
            if isinstance(rule.replacement, Pattern):
                result: Result = builder.instantiate(rule.replacement, match)
            else:
                result = rule.replacement(builder, match)
        except Declined:
            result = None
        pairs = self._pairs(root, result, rule)
        if pairs is None:
            builder.discard()
            return False
        builder.commit()
        for old, new in pairs:
            self._replace(old, new, builder)
        remove_dead(self.graph, [root, *match.nodes.values()], self.facts)
        return True

    def _pairs(self, root: Node, result: Result, rule: Rule) -> list[tuple[Value, Value]] | None:
        """(old, new) for each output in use; None where the replacement may not take their place."""
        if result is None:
            return None
        values = [result] if isinstance(result, Value) else list(result)
        pairs = []
        for index, old in enumerate(root.outputs):
            in_use = bool(old.uses) or old in self.graph.outputs or self.facts.is_pinned(old)
            if not in_use:
                continue
            if index >= len(values) or self.facts.is_pinned(old) or values[index] is old:
                return None
            if not self._may_replace(old, values[index], rule):
                return None
            pairs.append((old, values[index]))
        return pairs

    def _may_replace(self, old: Value, new: Value, rule: Rule) -> bool:
        if self.facts.array(old) is None or self.facts.array(new) is None:
            if not rule.untyped:
                return False
        elif not self.facts.has_same_type(old, new):
            return False
        # An output keeps its name: it cannot become an input, a constant or another output, but for an Identity.
        return old not in self.graph.outputs or can_take_name(self.graph, new)

    def _replace(self, old: Value, new: Value, builder: Builder) -> None:
        if not new.name and new.tensor is not None:
            new.name = self.graph.fresh_name(f"{old.name}/constant")
            new.graph = self.graph
            self.graph.initializers[new.name] = new
        replace_value(self.graph, old, new)


def can_take_name(graph: Graph, value: Value) -> bool:
    """Whether a value may take the name of an output of the graph."""
    return value.tensor is None and value not in graph.inputs and value not in graph.outputs


def replace_value(graph: Graph, old: Value, new: Value) -> None:
    """`new` in the place of `old`, with the name and the declared type of `old` if that is an output of the graph."""
    is_output, declared = old in graph.outputs, old.type
    graph.replace_value(old, new)
    if is_output and declared is not None:
        new.type = declared


def remove_dead(graph: Graph, nodes: Iterable[Node], facts: Facts | None = None) -> int:
    """Removes those of the nodes that nobody needs, and what only they needed."""
    pending = list(nodes)
    removed = 0
    while pending:
        node = pending.pop()
        if node.graph is not graph or any(value.uses or value in graph.outputs for value in node.outputs):
            continue
        if facts is not None and any(facts.is_pinned(value) for value in node.outputs):
            continue
        sources = [value.producer for value in node.inputs if value is not None and value.producer is not None]
        for inner in node.subgraphs():
            _detach(inner)
        graph.remove(node)
        removed += 1
        pending.extend(sources)
    return removed


def _detach(graph: Graph) -> None:
    for node in graph.nodes:
        for inner in node.subgraphs():
            _detach(inner)
        node.detach()


def _origins(match: Match) -> tuple[Origin, ...]:
    """Where everything that is replaced comes from."""
    found: dict[Origin, None] = {}
    for node in match.nodes.values():
        found.update(dict.fromkeys(origins_of(node)))
    return tuple(found)


def origins_of(node: Node) -> tuple[Origin, ...]:
    """The provenance of a node's results; the node itself where none is noted."""
    noted = tuple(dict.fromkeys(origin for value in node.outputs for origin in value.provenance))
    return noted or (Origin(node.name, node.op_type, dict(node.metadata)),)
