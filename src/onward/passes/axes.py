"""Operators that may work on their axes in another order, and how they are told: one small function for each kind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from onward.ir import Graph, Node, TensorType, Value
from onward.ir.tensor import Tensor


@dataclass(frozen=True)
class Turning:
    """A node whose oriented inputs, at `places`, get their axes in the order of `permutation`."""

    node: Node
    permutation: list[int]
    places: list[int]

    @property
    def rank(self) -> int:
        return len(self.permutation)

    def axis(self, axis: int) -> int:
        """Where an axis is found after the turn."""
        return self.permutation.index(axis % self.rank)

    def replace(self, place: int, array: np.ndarray) -> None:
        """Another constant at an input."""
        graph, old = self.node.graph, self.node.inputs[place]
        assert graph is not None
        name = old.name if old is not None else f"{self.node.name or self.node.op_type}_{place}"
        new = graph.add_initializer(Tensor.of(np.asarray(array, order="C")), name)
        self.node.replace_input(place, new)
        if old is not None:
            succeed(graph, old, new)


def succeed(graph: Graph, old: Value, new: Value) -> None:
    """Gives an initialiser the name of another, which goes, unless something reads that still."""
    if old.uses or old in graph.outputs or old in graph.inputs or graph.initializers.get(old.name) is not old:
        return
    del graph.initializers[old.name], graph.initializers[new.name]
    new.name = old.name
    graph.initializers[new.name] = new


def shape_of(value: Value | None) -> tuple[object, ...] | None:
    """The shape, or None where it is not known."""
    return value.type.shape if value is not None and isinstance(value.type, TensorType) else None


def constant_of(node: Node, place: int) -> np.ndarray | None:
    """The data of a constant input; None for what is absent, computed or fed."""
    value = node.inputs[place] if place < len(node.inputs) else None
    return None if value is None or value.tensor is None or node.graph is None or value in node.graph.inputs else value.tensor.numpy()


TURNERS: dict[str, Callable[[Turning], None]] = {}
PLACES: dict[str, Callable[[Node], Sequence[int]]] = {}


def oriented_inputs(node: Node) -> list[int]:
    """The places of the inputs whose axes turn together with the node; none where it cannot be turned."""
    ranks = {len(shape) for place in range(len(node.outputs)) if (shape := shape_of(node.outputs[place])) is not None}
    return list(PLACES[node.op_type](node)) if len(ranks) == 1 and max(ranks) >= 2 else []


def turner(*names: str, places: Callable[[Node], Sequence[int]]) -> Callable[[Callable[[Turning], None]], Callable[[Turning], None]]:
    """Registers how operators are turned, and which of their inputs turn."""

    def register(function: Callable[[Turning], None]) -> Callable[[Turning], None]:
        for name in names:
            TURNERS[name], PLACES[name] = function, places
        return function

    return register


def _only_first(node: Node) -> Sequence[int]:
    return [0] if len(shape_of(node.inputs[0]) or ()) >= 3 else []


def _broadcast(node: Node) -> Sequence[int]:
    """Inputs with all axes; none of the others may have axes, unless they are constant."""
    rank = len(shape_of(node.outputs[0]) or ())
    found = []
    for place in range(len(node.inputs)):
        shape = shape_of(node.inputs[place])
        if shape is None:
            return []
        if constant_of(node, place) is not None or all(extent == 1 for extent in shape) and len(shape) < rank:
            continue
        if len(shape) != rank:
            return []
        found.append(place)
    return found if rank >= 3 else []


@turner(
    "Abs", "Cast", "Ceil", "Celu", "Clip", "Cos", "Dropout", "Elu", "Erf", "Exp", "Floor", "Gelu", "HardSigmoid", "HardSwish", "IsInf", "IsNaN",
    "LeakyRelu", "Log", "Mish", "Neg", "Not", "Reciprocal", "Relu", "Round", "Selu", "Shrink", "Sigmoid", "Sign", "Sin", "Softplus",
    "Softsign", "Sqrt", "Swish", "Tanh", "ThresholdedRelu", "Identity", places=_only_first,
)  # fmt: skip
def _nothing(turning: Turning) -> None:
    """Nothing in the node speaks of axes."""


@turner(
    "Add", "Sub", "Mul", "Div", "Pow", "Max", "Min", "Mean", "Sum", "And", "Or", "Xor", "Equal", "Less", "LessOrEqual", "Greater",
    "GreaterOrEqual", "Where", "PRelu", "Mod", places=_broadcast,
)  # fmt: skip
def _constants(turning: Turning) -> None:
    """Constants get all axes, in the new order."""
    for place in range(len(turning.node.inputs)):
        data = constant_of(turning.node, place)
        if data is not None and data.size != 1:
            data = data.reshape((1,) * (turning.rank - data.ndim) + data.shape)
            turning.replace(place, data.transpose(turning.permutation))
        elif data is not None and data.ndim > 1:
            turning.replace(place, data.reshape(()))


def _whole_tensor(node: Node) -> Sequence[int]:
    """One scale for all elements."""
    scale = constant_of(node, 1)
    return _only_first(node) if scale is not None and scale.size == 1 and not node.attribute("block_size", 0) else []


@turner("QuantizeLinear", "DequantizeLinear", places=_whole_tensor)
def _scaled(turning: Turning) -> None:
    """One scale knows no axes."""


@turner("Softmax", "LogSoftmax", "Hardmax", places=_only_first)
def _axis(turning: Turning) -> None:
    turning.node.attributes["axis"].value = turning.axis(turning.node.attribute("axis"))


def _with_axis(node: Node) -> Sequence[int]:
    return _only_first(node) if "axis" in node.attributes else []


PLACES.update(dict.fromkeys(("Softmax", "LogSoftmax", "Hardmax"), _with_axis))


@turner("Concat", places=lambda node: range(len(node.inputs)) if len(shape_of(node.outputs[0]) or ()) >= 3 else [])
def _concatenation(turning: Turning) -> None:
    _axis(turning)


@turner("Split", places=_with_axis)
def _split(turning: Turning) -> None:
    _axis(turning)


def _with_pads(node: Node) -> Sequence[int]:
    return _only_first(node) if constant_of(node, 1) is not None and len(node.inputs) < 4 else []


@turner("Pad", places=_with_pads)
def _pad(turning: Turning) -> None:
    pads = constant_of(turning.node, 1)
    assert pads is not None
    turning.replace(1, pads.reshape(2, turning.rank)[:, turning.permutation].reshape(-1))


def _with_axes(node: Node) -> Sequence[int]:
    """Reductions that keep all axes, or only the batch and one more, whose order no turn changes."""
    axes = constant_of(node, 1)
    rank = len(shape_of(node.inputs[0]) or ())
    if axes is None or node.attribute("keepdims", 1) == 0 and {axis % rank for axis in axes.reshape(-1).tolist()} not in _all_but_one(rank):
        return []
    return _only_first(node)


def _all_but_one(rank: int) -> list[set[int]]:
    return [set(range(1, rank)) - {kept} for kept in range(1, rank)]


@turner("ReduceMean", "ReduceMax", "ReduceMin", "ReduceSum", "ReduceProd", "ReduceL1", "ReduceL2", "ReduceSumSquare", places=_with_axes)
def _reduction(turning: Turning) -> None:
    axes = constant_of(turning.node, 1)
    assert axes is not None
    turning.replace(1, np.array(sorted(turning.axis(int(axis)) for axis in axes.reshape(-1)), np.int64))


def _with_slices(node: Node) -> Sequence[int]:
    return _only_first(node) if len(node.inputs) > 3 and constant_of(node, 3) is not None else []


@turner("Slice", places=_with_slices)
def _slice(turning: Turning) -> None:
    axes = constant_of(turning.node, 3)
    assert axes is not None
    turning.replace(3, np.array([turning.axis(int(axis)) for axis in axes.reshape(-1)], np.int64))


def _resized(node: Node) -> Sequence[int]:
    """Those by constant scales or any sizes of named axes; `roi` has no meaning but for one way of cutting out."""
    named = bool(node.attribute("axes", None))
    scales, sizes = (place < len(node.inputs) and node.inputs[place] is not None for place in (2, 3))
    known = all(constant_of(node, place) is not None for place, given in ((2, scales), (3, sizes)) if given)
    cut = node.attribute("coordinate_transformation_mode", "") == "tf_crop_and_resize"
    return _only_first(node) if (named or known) and not cut else []


@turner("Resize", places=_resized)
def _resize(turning: Turning) -> None:
    node = turning.node
    axes = node.attribute("axes", None)
    if axes:
        node.attributes["axes"].value = [turning.axis(axis) for axis in axes]
        return
    for place in (2, 3):
        if (given := constant_of(node, place)) is not None and given.size:
            turning.replace(place, given[turning.permutation])
