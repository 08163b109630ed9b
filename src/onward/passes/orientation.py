"""The fewest transpositions between channels first and channels last: a minimum cut.

A transposition that moves the channels, between the second and the last place, changes no number: its input and its output are
one tensor with two *sides*. Operators that do not care about the order of axes (additions, concatenations, reductions ...) may
work on either side; all others stay on theirs. A tensor costs one transposition where an operator that reads it works on
another side than the one that makes it, so the choice with the fewest transpositions is a minimum cut.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from onward.ir import Graph, Model, Node, TensorType, Value
from onward.ir.expressions import Dimension
from onward.ir.tensor import Tensor
from onward.operators import infer
from onward.passes.axes import TURNERS, Turning, oriented_inputs
from onward.passes.cut import INFINITE, Network
from onward.passes.rewrite import remove_dead

LAST, FIRST = "channels last", "channels first"
OTHER = {LAST: FIRST, FIRST: LAST}
CHANNELS_FIRST = ("Conv", "ConvTranspose", "MaxPool", "AveragePool", "BatchNormalization", "InstanceNormalization", "LRN")
WEIGHT = 1 << 10
"""What a transposition costs, in units of the logarithm of its size: their number decides, then their sizes."""


def permutation(rank: int, to: str) -> list[int]:
    """The permutation that brings channels to the side."""
    return [0, rank - 1, *range(1, rank - 1)] if to == FIRST else [0, *range(2, rank), 1]


def fewest_transpositions(model: Model) -> int:
    """Moves transpositions of the channels to where fewest are needed; returns how many are gone.

    The model, whose types are inferred, is changed in place; names of its inputs and outputs stay, and so does every number.
    """
    choice = _Choice(model.graph)
    if not choice.turns:
        return 0
    before = _count(model.graph)
    _Rewriting(choice).run()
    for value in model.graph.values():
        if value.producer is not None:
            value.type = value.type if value in model.graph.outputs else None
    infer(model)
    return before - _count(model.graph)


def _count(graph: Graph) -> int:
    return sum(node.op_type == "Transpose" for node in graph.nodes)


def rank_of(value: Value | None) -> int:
    """The number of axes; -1 where it is not known."""
    return len(value.type.shape) if value is not None and isinstance(value.type, TensorType) and value.type.shape is not None else -1


class _Choice:
    """Which side each operator works on."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        captured = {value for node in graph.nodes for inner in node.subgraphs() for value in inner.outputs}
        self.turns = {
            node.outputs[0]: node for node in graph.nodes if _moves_channels(node) and node.outputs[0] not in captured and node.outputs[0] not in graph.outputs
        }
        self.flexible = {
            node: places
            for node in graph.nodes
            if node.op_type in TURNERS and not node.domain and not captured & set(node.outputs) and not set(node.outputs) & set(graph.outputs)
            for places in [oriented_inputs(node)]
            if places
        }
        self.side: dict[Value, str] = {}
        if self.turns:
            self._find_sides()
        self.chosen = self._choose() if self.turns else {}

    def root(self, value: Value) -> Value:
        """The value that transpositions of the channels were made of."""
        while value in self.turns:
            source = self.turns[value].inputs[0]
            assert source is not None
            value = source
        return value

    def reads(self, node: Node) -> list[tuple[int, Value]]:
        """The inputs that have a side."""
        places = self.flexible.get(node, range(len(node.inputs)))
        return [(place, value) for place in places if (value := node.inputs[place]) is not None and value in self.side]

    def side_where(self, node: Node, value: Value) -> str:
        """The side on which a node reads or makes a value, after the choice."""
        return self.chosen.get(node, self.side[value])

    def _find_sides(self) -> None:
        """Spreads what is known from the transpositions, through operators that keep the order of axes."""
        pending: list[tuple[Value, str]] = []
        for output, node in self.turns.items():
            source = node.inputs[0]
            assert source is not None
            if rank_of(source) > 3:
                to = _direction(node)
                pending += [(output, to), (source, OTHER[to])]
        for node in self.graph.nodes:
            if node.op_type in CHANNELS_FIRST and not node.domain and node.inputs[0] is not None:
                pending += [(node.inputs[0], FIRST), (node.outputs[0], FIRST)]
        self._spread(pending)
        for output in self.turns:
            if output not in self.side:
                self._spread([(output, FIRST)])
        self.turns = {output: node for output, node in self.turns.items() if self._agrees(node)}

    def _agrees(self, node: Node) -> bool:
        """Whether the sides found are those that a transposition connects; they are not where the axes are no channels (of square
        matrices, say). Then it stays as it is."""
        source, output = node.inputs[0], node.outputs[0]
        if source is None or self.side.get(source) != OTHER[self.side[output]]:
            return False
        return rank_of(source) == 3 or self.side[output] == _direction(node)

    def _spread(self, pending: list[tuple[Value, str]]) -> None:
        neighbours = self._neighbours()
        while pending:
            value, side = pending.pop()
            known = self.side.get(value)
            if known is None:
                self.side[value] = side
                pending += [(other, OTHER[side] if turned else side) for other, turned in neighbours.get(value, ())]
            elif known != side:  # the same order of axes under two names: the operators around it stay as they are
                for node in (value.producer, *(user for user, _ in value.uses)):
                    if node is not None:
                        self.flexible.pop(node, None)

    def _neighbours(self) -> dict[Value, list[tuple[Value, bool]]]:
        found: dict[Value, list[tuple[Value, bool]]] = {}

        def join(left: Value, right: Value, turned: bool) -> None:
            found.setdefault(left, []).append((right, turned))
            found.setdefault(right, []).append((left, turned))

        for output, node in self.turns.items():
            assert node.inputs[0] is not None
            join(node.inputs[0], output, True)
        for node, places in self.flexible.items():
            first = node.inputs[places[0]]
            assert first is not None
            for other in (*(node.inputs[place] for place in places[1:]), *node.outputs):
                if other is not None and rank_of(other) == rank_of(first):
                    join(first, other, False)
        return found

    def _choose(self) -> dict[Node, str]:
        network = Network()

        def place(node: Node | None, value: Value) -> object:
            return node if node in self.flexible and value in self.side else self.side[value]

        users: dict[Value, set[object]] = {}
        for value in self.side:
            root = self.root(value)
            readers = users.setdefault(root, set())
            readers |= {place(node, value) for node, index in value.uses if node not in self.turns.values() and _is_read(self, node, index)}
            if value in self.graph.outputs:
                readers.add(self.side[value])
        for root, readers in users.items():
            if root.tensor is not None:
                continue
            weight = _weight(root)
            maker = place(root.producer, root)
            for reader in readers - {maker}:
                network.arc(("to first", root), reader, INFINITE)
                network.arc(reader, ("to last", root), INFINITE)
            network.arc(maker, ("to first", root), weight)
            network.arc(("to last", root), maker, weight)
        network.arc(LAST, FIRST, 0)
        last = network.side_of(LAST, FIRST)
        return {node: LAST if node in last else FIRST for node in self.flexible if any(value in self.side for value in _oriented(node, self.flexible))}


def _is_read(choice: _Choice, node: Node, index: int) -> bool:
    """Whether the order of axes matters to a node at an input."""
    if node.op_type == "Shape" and node.attribute("start", 0) == 0 and node.attribute("end", None) == 1:
        return False  # the size of the batch
    return node not in choice.flexible or index in choice.flexible[node]


def _oriented(node: Node, flexible: dict[Node, list[int]]) -> list[Value | None]:
    return [node.inputs[place] for place in flexible[node]]


def _moves_channels(node: Node) -> bool:
    rank = rank_of(node.inputs[0]) if node.op_type == "Transpose" else -1
    return rank >= 3 and list(node.attribute("perm") or ()) in (permutation(rank, FIRST), permutation(rank, LAST))


def _direction(node: Node) -> str:
    """The side to which a transposition of more than three axes brings the channels."""
    return FIRST if list(node.attribute("perm")) == permutation(rank_of(node.inputs[0]), FIRST) else LAST


def _weight(value: Value) -> int:
    """What a transposition of the value costs: nothing where only axes of extent 1 move."""
    assert isinstance(value.type, TensorType) and value.type.shape is not None
    extents = value.type.shape[1:]
    if sum(extent != 1 for extent in extents) <= 1:
        return 1
    return WEIGHT + int(math.log2(max(1, math.prod(extent for extent in extents if isinstance(extent, int)))))


def _reshape_where_nothing_moves(graph: Graph, value: Value, extents: Sequence[Dimension | None]) -> None:
    """A transposition of one row of channels for each element of the batch becomes a reshape, one with the reshape before it. `extents`
    are those of its input beside the batch."""
    node = value.producer
    source = None if node is None else node.inputs[0]
    if node is None or source is None:
        return
    known = [extent for extent in extents if isinstance(extent, int)]
    if len(known) < len(extents) or 0 in known or sum(extent != 1 for extent in known) > 1:
        return
    maker = source.producer
    if maker is not None and maker.op_type == "Reshape" and not maker.domain and len(source.uses) == 1 and source not in graph.outputs:
        source = maker.inputs[0]
    shape = [-1, *(known[axis - 1] for axis in node.attribute("perm")[1:])]
    target = graph.add_initializer(Tensor.of(np.array(shape, np.int64)), f"{node.name}_shape")
    node.op_type, node.name = "Reshape", graph.fresh_name("Reshape")
    node.attributes.clear()
    node.set_inputs([source, target])
    if maker is not None:
        remove_dead(graph, [maker])


class _Rewriting:
    """Puts the choice into the graph."""

    def __init__(self, choice: _Choice) -> None:
        self.choice = choice
        self.graph = choice.graph
        self.turned: dict[tuple[Value, str], Value] = {}
        self.made: dict[Value, str] = {}
        """The side of each value that no transposition makes, after the choice."""

    def run(self) -> None:
        """Turns the operators, then connects them with transpositions where sides differ."""
        choice = self.choice
        reads = [(node, place, value, choice.side_where(node, value)) for node, place, value in self._all_reads()]
        for value in choice.side:
            if value not in choice.turns:
                producer = value.producer
                self.made[value] = choice.side_where(producer, value) if producer is not None else choice.side[value]
        for node, side in choice.chosen.items():
            old = next(choice.side[value] for _, value in choice.reads(node))
            if side != old:
                rank = rank_of(node.inputs[choice.flexible[node][0]])
                TURNERS[node.op_type](Turning(node, permutation(rank, side), choice.flexible[node]))
                for value in node.outputs:  # whoever knows a value by name knows it with its axes in the order that it had
                    value.name = self.graph.fresh_name(f"{value.name}_{side.replace(' ', '_')}")
        for node, place, value, side in reads:
            node.replace_input(place, self._on_side(choice.root(value), side))
        for value in choice.turns:
            for node, place in value.uses:
                if not _is_read(choice, node, place) and node not in choice.flexible:
                    node.replace_input(place, choice.root(value))
        remove_dead(self.graph, list(choice.turns[value] for value in choice.turns))
        for (root, _), value in self.turned.items():
            _reshape_where_nothing_moves(self.graph, value, self._extents(root))
        self.graph.topological_sort()

    def _all_reads(self) -> list[tuple[Node, int, Value]]:
        return [
            (node, place, value)
            for value in self.choice.side
            for node, place in value.uses
            if value not in self.choice.turns or node not in self.choice.turns.values()
            if node not in self.choice.turns.values() and _is_read(self.choice, node, place)
        ]

    def _extents(self, root: Value) -> Sequence[Dimension | None]:
        """The extents beside the batch of a value, in the order that it has after the choice; its type still says that before."""
        assert isinstance(root.type, TensorType) and root.type.shape is not None
        shape = root.type.shape
        if self.made[root] != self.choice.side[root]:
            shape = tuple(shape[axis] for axis in permutation(len(shape), self.made[root]))
        return shape[1:]

    def _on_side(self, root: Value, side: str) -> Value:
        if self.made[root] == side:
            return root
        if (root, side) not in self.turned:
            order = permutation(rank_of(root), side)
            if root.tensor is not None and root not in self.graph.inputs:
                self.turned[root, side] = self.graph.add_initializer(Tensor.of(np.ascontiguousarray(root.tensor.numpy().transpose(order))), root.name)
            else:
                node = Node("Transpose", [root], [self.graph.new_value(hint="transpose")], {"perm": order}, name=self.graph.fresh_name("Transpose"))
                if root.producer is not None:
                    node.metadata = dict(root.producer.metadata)
                self.graph.append(node)
                self.turned[root, side] = node.outputs[0]
        return self.turned[root, side]
