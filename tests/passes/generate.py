"""Graphs made from the patterns of rules: one place where the rule should hold, with random shapes, types and data."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from onward.errors import OnwardError
from onward.ir import DataType, Graph, Model, Node, Tensor, TensorType, Value
from onward.operators import find_schema
from onward.passes.facts import Facts, option_index
from onward.passes.pattern import COMMUTATIVE, Apply, Bind, Choice, Constant, Output, Pattern, Wildcard

Shape = tuple[int, ...]
Sample = Callable[["Generator"], Any]
EXTENTS = (1, 2, 3, 4)


class Impossible(Exception):
    """This draw makes no valid graph."""


@dataclass
class Example:
    """What a rule's pattern leaves open.

    `shapes`: wildcard or constant -> shapes to draw from; `data`: name -> function of the generator that gives an array
    (the value is then a constant); `options`: option name -> values to draw from, before the general table; `rest`:
    wildcard for all further inputs -> function that gives them (arrays become constants); `dtypes` and `opsets`.
    """

    shapes: Mapping[str, Sequence[Shape]] = field(default_factory=dict)
    data: Mapping[str, Sample] = field(default_factory=dict)
    options: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    rest: Mapping[str, Sample] = field(default_factory=dict)
    dtypes: Sequence[DataType] = (DataType.FLOAT, DataType.FLOAT, DataType.DOUBLE)
    opsets: Sequence[int] = (13, 18, 21, 23, 24)
    tolerance: float = 2e-6


class Generator:
    """One draw of a graph from a pattern."""

    def __init__(self, example: Example, seed: int) -> None:
        self.example = example
        self.random = np.random.default_rng(seed)
        self.opset = int(self.pick(example.opsets))
        self.dtype = self.pick(example.dtypes)
        rank = int(self.random.integers(1, 5))
        self.base: Shape = tuple(int(extent) for extent in self.random.choice(EXTENTS, rank))
        self.count = int(self.random.integers(1, 3))
        self.model = Model(Graph("generated"), {"": self.opset}, 10)
        self.graph = self.model.graph
        self.facts = Facts(self.model)
        self.bound: dict[str, Any] = {}
        self.made: dict[Pattern, Node] = {}
        self.source: Shape = self.base  # the shape of the first input of the node that is being made
        self.inner: list[Value] = []

    def pick(self, items: Sequence[Any]) -> Any:
        """One of several."""
        return items[int(self.random.integers(len(items)))]

    def numbers(self, shape: Shape, dtype: DataType) -> np.ndarray:
        """Random data."""
        if dtype == DataType.BOOL:
            return np.asarray(self.random.random(shape) < 0.5)
        if dtype.is_integer:
            return np.asarray(self.random.integers(-5, 6, shape), dtype.numpy)
        return np.asarray(self.random.standard_normal(shape)).astype(dtype.numpy)

    def broadcastable(self) -> Shape:
        """The base shape, or one that broadcasts to it."""
        if self.random.random() < 0.6:
            return self.base
        drop = int(self.random.integers(0, len(self.base) + 1))
        return tuple(extent if self.random.random() < 0.6 else 1 for extent in self.base[drop:])

    # -- values ------------------------------------------------------------------------------------------------
    def constant(self, data: np.ndarray) -> Value:
        """A new initialiser."""
        return self.graph.add_initializer(Tensor.of(np.asarray(data)), "c")

    def value(self, pattern: Pattern) -> Value | None:
        """A value that matches the pattern."""
        if isinstance(pattern, Wildcard):
            return self.wildcard(pattern)
        if isinstance(pattern, Constant):
            if pattern.name not in self.bound:
                self.bound[pattern.name] = self.known(pattern)
                if not pattern.name:
                    return self.bound.pop("")  # type: ignore[no-any-return]
            return self.bound[pattern.name]  # type: ignore[no-any-return]
        if isinstance(pattern, Choice):
            return self.value(self.pick(pattern.alternatives))
        if isinstance(pattern, Output):
            self.value(pattern.node)
            return self.made[pattern.node].outputs[pattern.index]
        assert isinstance(pattern, Apply)
        if pattern not in self.made:
            self.made[pattern] = self.node(pattern)
        return self.made[pattern].outputs[0]

    def wildcard(self, pattern: Wildcard) -> Value | None:
        name = pattern.name
        if name not in self.bound:
            if pattern.optional and self.random.random() < 0.4:
                self.bound[name] = None
            elif name in self.example.data:
                self.bound[name] = self.constant(self.example.data[name](self))
            else:
                shape = self.pick(self.example.shapes[name]) if name in self.example.shapes else self.broadcastable()
                dtype = DataType.BOOL if name == "condition" else self.dtype
                self.bound[name] = self.fed(name, shape, dtype)
        return self.bound[name]  # type: ignore[no-any-return]

    def fed(self, name: str, shape: Shape, dtype: DataType) -> Value:
        """A new input of the graph."""
        value = self.graph.new_value(TensorType(dtype, shape), name)
        self.graph.inputs.append(value)
        self.facts._lowering.enter(value)
        return value

    def known(self, pattern: Constant) -> Value:
        if pattern.name in self.example.data:
            return self.constant(self.example.data[pattern.name](self))
        shapes = self.example.shapes.get(pattern.name)
        if pattern.value is not None:
            shape = self.pick(shapes or [(), (), (1,), self.base])
            return self.constant(np.full(shape, pattern.value, self.dtype.numpy))
        return self.constant(self.numbers(self.pick(shapes) if shapes else self.broadcastable(), self.dtype))

    # -- nodes -------------------------------------------------------------------------------------------------
    def node(self, pattern: Apply) -> Node:
        schema = find_schema(pattern.domain, pattern.operator, self.opset)
        if schema is None:
            raise Impossible
        inputs: list[Value | None] = []
        attributes: dict[str, Any] = {}
        for position, item in enumerate(pattern.inputs):
            if position and inputs and inputs[0] is not None:
                self.source = self.facts.shape(inputs[0]) or self.base  # type: ignore[assignment]
            if isinstance(item, Wildcard) and item.many:
                inputs.extend(self.further(item, pattern, attributes))
            else:
                inputs.append(self.value(item))
        if inputs and inputs[0] is not None:
            self.source = self.facts.shape(inputs[0]) or ()  # type: ignore[assignment]
        if pattern.operator in COMMUTATIVE and len(inputs) == 2 and self.random.random() < 0.5:
            inputs.reverse()
        for name, wanted in pattern.options.items():
            item = self.option(name, wanted, pattern.operator)
            if item is None:
                continue
            if name in schema.attributes:
                attributes[name] = float(item) if schema.attributes[name].type == "FLOAT" else item
            elif (index := option_index(schema, name)) is not None:
                inputs += [None] * (index + 1 - len(inputs))
                like = self.dtype.numpy if isinstance(item, float) else np.dtype(np.int64)
                inputs[index] = self.constant(np.asarray(item, like))
        while inputs and inputs[-1] is None:
            inputs.pop()
        node = Node(pattern.operator, inputs, 1, attributes, domain=pattern.domain, name=f"n{len(self.graph.nodes)}")
        self.graph.append(node)
        node.outputs[0].name = self.graph.fresh_name("v")
        self.facts.learn(node)
        if self.facts.array(node.outputs[0]) is None:
            raise Impossible
        if not pattern.is_shared:
            self.inner.append(node.outputs[0])
        return node

    def used(self, root: Value) -> Value:
        """An output of the graph: mostly a copy of the root, which an input of the graph may then replace."""
        if self.random.random() < 0.3:
            return root
        node = self.graph.append(Node("Identity", [root], 1, name="copy"))
        node.outputs[0].name = self.graph.fresh_name("copied")
        self.facts.learn(node)
        return node.outputs[0]

    def option(self, name: str, wanted: Any, operator: str) -> Any:
        if isinstance(wanted, Bind):
            if wanted.name not in self.bound:
                self.bound[wanted.name] = self.sampled(wanted.name, name, operator)
            return self.bound[wanted.name]
        if callable(wanted):
            item = self.sampled(name, name, operator)
            if item is None or not wanted(item):
                raise Impossible
            return item
        return wanted

    def sampled(self, bound: str, name: str, operator: str) -> Any:
        if bound in self.example.options:
            return self.pick(self.example.options[bound])
        sample = OPTIONS.get((operator, name)) or OPTIONS.get(("", name))
        return sample(self) if sample else None

    def further(self, pattern: Wildcard, node: Apply, attributes: dict[str, Any]) -> list[Value | None]:
        if pattern.name in self.example.rest:
            items = self.example.rest[pattern.name](self)
        else:
            items = FURTHER[node.operator](self, attributes) if node.operator in FURTHER else []
        return [self.constant(item) if isinstance(item, np.ndarray) else item for item in items]


def _axes(g: Generator) -> list[int]:
    rank = len(g.source)
    if not rank:
        raise Impossible
    chosen = sorted(int(axis) for axis in g.random.choice(rank, min(rank, g.count), replace=False))
    return [axis - rank if g.random.random() < 0.5 else axis for axis in chosen]


def _permutation(g: Generator) -> list[int]:
    rank = len(g.source)
    return list(range(rank)) if g.random.random() < 0.3 else [int(axis) for axis in g.random.permutation(rank)]


OPTIONS: dict[tuple[str, str], Sample] = {
    ("", "axes"): _axes,
    ("", "axis"): lambda g: int(g.random.integers(-len(g.source), max(1, len(g.source)))),
    ("", "perm"): _permutation,
    ("", "epsilon"): lambda g: g.pick([1e-5, 1e-3]),
    ("Cast", "to"): lambda g: g.pick([1, 6, 7, 10, 11, 11, 7, 1]),
    ("HardSigmoid", "alpha"): lambda g: 1 / 6,
    ("Slice", "starts"): lambda g: [int(g.pick([0, 0, 1, -2])) for _ in _axes(g)],
    ("Slice", "ends"): lambda g: [int(g.pick([2, 3, 2**40, -1])) for _ in _axes(g)],
    ("Slice", "steps"): lambda g: [int(g.pick([1, 1, 2])) for _ in _axes(g)],
    ("Pad", "pads"): lambda g: [0] * (2 * len(g.source)) if g.random.random() < 0.5 else [1] * (2 * len(g.source)),
}


def _integers(items: Sequence[int]) -> np.ndarray:
    return np.asarray(items, np.int64)


def _target(g: Generator) -> Sequence[int]:
    """A shape with the same number of elements."""
    shape = list(g.source)
    kind = int(g.random.integers(4))
    if kind == 0:
        return shape
    if kind == 1:
        return [-1]
    if kind == 2:
        return [*shape[:1], 1, *shape[1:]]
    return [int(np.prod(shape[:2], dtype=int)), *shape[2:]] if len(shape) > 1 else [1, *shape]


def _squeezed(g: Generator, attributes: dict[str, Any]) -> list[np.ndarray]:
    axes = [axis for axis, extent in enumerate(g.source) if extent == 1]
    return [_integers(axes)] if axes or g.random.random() < 0.5 else []


def _slices(g: Generator, attributes: dict[str, Any]) -> list[np.ndarray]:
    rank = len(g.source)
    steps = [int(g.pick([1, 1, 1, -1])) for _ in range(rank)]
    starts = [0 if step > 0 else -1 for step in steps]
    ends = [2**40 if step > 0 else -(2**40) for step in steps]
    return [_integers(starts), _integers(ends), _integers(list(range(rank))), _integers(steps)]


FURTHER: dict[str, Callable[[Generator, dict[str, Any]], list[Any]]] = {
    "Reshape": lambda g, a: [_integers(_target(g))],
    "Expand": lambda g, a: [_integers(g.pick([g.source, g.base]))],
    "Tile": lambda g, a: [_integers([int(g.pick([1, 1, 1, 2])) for _ in g.source])],
    "Squeeze": _squeezed,
    "Unsqueeze": lambda g, a: [_integers(g.pick([[0], [len(g.source)], [-1], []]))],
    "Slice": _slices,
    "Dropout": lambda g, a: g.pick([[], [np.asarray(0.5, np.float32)], [np.asarray(0.5, np.float32), np.asarray(False)]]),
    "Split": lambda g, a: a.update({"num_outputs": 1} if g.opset >= 18 else {}) or [],
}


@dataclass
class Case:
    """A generated model, inputs for it, and the values inside the pattern."""

    model: Model
    feeds: dict[str, np.ndarray]
    inner: list[Value]


def generate(pattern: Pattern, example: Example, seed: int, *, spoil: str = "") -> Case | None:
    """A model with one instance of the pattern; None where the draw is not valid.

    `spoil` makes a near miss: 'use' gives an inner value a second user.
    """
    generator = Generator(example, seed)
    try:
        root = generator.value(pattern)
    except (Impossible, OnwardError, IndexError):
        return None
    assert root is not None
    graph = generator.graph
    graph.outputs = [generator.used(root)]
    inner = [value for value in generator.inner if value is not root]
    if spoil == "use":
        if not inner:
            return None
        graph.outputs.append(generator.pick(inner))
    feeds = {
        value.name: generator.numbers(tuple(value.shape or ()), value.dtype)  # type: ignore[arg-type]
        for value in graph.inputs
    }
    return Case(generator.model, feeds, inner)
