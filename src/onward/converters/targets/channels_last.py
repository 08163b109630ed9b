"""Convolutions and their like with the channels last, for the targets whose data is so: each is brought to that order between two
transpositions, and a minimum cut (`passes/orientation.py`) moves these to where fewest are left, at the edges of a stack as a rule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from onward.ir import Model, Node, TensorType, Value
from onward.ir.datatypes import DataType
from onward.ir.expressions import Dimension, Expression
from onward.ir.tensor import Tensor
from onward.operators import infer
from onward.operators.layout.channels_last import DOMAIN, channels_first
from onward.operators.native import Call
from onward.operators.pooling.window import window_over
from onward.operators.schema import find_schema
from onward.passes.axes import succeed
from onward.passes.orientation import FIRST, LAST, fewest_transpositions, permutation, rank_of
from onward.passes.preparation import constants_are_initializers
from onward.passes.rewrite import remove_dead

TURNED = ("Conv", "ConvTranspose", "MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool", "BatchNormalization", "LRN")
MOST_REPETITIONS = 33
FLOATS = (DataType.FLOAT, DataType.DOUBLE, DataType.FLOAT16, DataType.BFLOAT16)


def with_channels_last(model: Model) -> Model:
    """The model itself where it has no such operator at its outer level; else a copy that has them in `DOMAIN`, computing the same.

    Kernels that are initialisers keep their names and are in TensorFlow's order of axes.
    """
    if not any(node.op_type in TURNED and not node.domain for node in model.graph.nodes):
        return model
    result = model.copy()
    constants_are_initializers(result)
    infer(result)
    turning = _Turning(result)
    for node in list(result.graph.nodes):
        turning.shape(node)
        turning.shuffle(node)
    for node in list(result.graph.nodes):
        if node.op_type in TURNED and not node.domain:
            turning.turn(node)
    result.opset_imports[DOMAIN] = 1
    result.graph.topological_sort()
    infer(result)
    fewest_transpositions(result)
    turning.rename()
    return result


def moments_of(model: Model) -> list[np.ndarray]:
    """The running means and variances, which are no weights that gradients change."""
    found = [value for node in model.graph.nodes if node.op_type == "BatchNormalization" for value in node.inputs[3:5]]
    return [value.tensor.numpy() for value in found if value is not None and value.tensor is not None]


class _Turning:
    """Brings the nodes of a graph to the other order."""

    def __init__(self, model: Model) -> None:
        self.graph = model.graph
        self.version = model.opset_imports.get("", 1)
        self.kernels: dict[tuple[Value, tuple[int, ...]], Value] = {}

    def shape(self, node: Node) -> None:
        """Makes one weight of a weight and the node that gives it more axes: then its order of axes can be another. Axes before its own are none of it."""
        if node.op_type not in ("Unsqueeze", "Reshape") or node.domain or node.outputs[0] in self.graph.outputs:
            return
        value, extents = node.inputs[0], node.outputs[0].shape
        if value is None or value.tensor is None or value in self.graph.inputs or value.dtype not in FLOATS or extents is None:
            return
        shape = tuple(extent for extent in extents if isinstance(extent, int))
        if len(shape) < len(extents) or shape == (*[1] * (len(shape) - len(value.tensor.shape)), *value.tensor.shape):
            return
        made = self.graph.add_initializer(Tensor.of(value.tensor.numpy().reshape(shape)), value.name)
        self.graph.replace_value(node.outputs[0], made)
        self.graph.remove(node)
        succeed(self.graph, value, made)

    def shuffle(self, node: Node) -> None:
        """Makes one operator of the three that shuffle the channels: a transposition of the two axes into which they are reshaped, and back."""
        chain = [node]
        for kind in ("Reshape", "Transpose", "Reshape"):
            if chain[-1].op_type != kind or chain[-1].domain:
                return
            result = chain[-1].outputs[0]
            if len(chain) < 3:
                if len(result.uses) != 1 or result in self.graph.outputs:
                    return
                chain.append(result.uses[0][0])
        x, parts = node.inputs[0], node.outputs[0].shape
        if x is None or x.shape is None or parts is None or x.shape != result.shape or len(parts) != len(x.shape) + 1:
            return
        (batch, groups, _, *places), order = parts, [0, 2, 1, *range(3, len(parts))]
        if not isinstance(groups, int) or (batch, *places) != (x.shape[0], *x.shape[2:]) or chain[1].attribute("perm", None) != order:
            return
        made = self.graph.insert_before(Node("ChannelShuffle", [self.turned(x, LAST, node)], [self.graph.new_value()], {"groups": groups}, domain=DOMAIN), node)
        after = self.turned(made.outputs[0], FIRST, node, len(x.shape))
        after.type = result.type
        self.graph.replace_value(result, after)
        remove_dead(self.graph, [chain[-1]])

    def turn(self, node: Node) -> None:
        """Does so with one node, unless it has more results than its first or moments of its own."""
        x, *others = node.inputs
        kind = x.type if x is not None else None
        if not isinstance(kind, TensorType) or kind.shape is None or len(kind.shape) < 3 or kind.dtype not in FLOATS:
            return
        if len(node.outputs) > 1 or node.attribute("training_mode", 0) or not node.attribute("spatial", 1):
            return
        assert x is not None
        name, rank = node.op_type, len(kind.shape)
        if name in ("Conv", "ConvTranspose"):
            kernel = others[0]
            if kernel is None or not isinstance(kernel.type, TensorType) or kernel.type.shape is None:
                return
            group, (_, depth, *_) = node.attribute("group", 1), kernel.type.shape
            if name == "Conv" and group > 1 and depth == 1 and kernel.tensor is not None and rank == 4:
                name = "DepthwiseConv"
                others[0] = self.kernel(kernel, (*kernel.tensor.shape[2:], group, -1))
            else:
                others[0] = self.kernel(kernel, ())
        attributes = self.attributes(node)
        made = self.graph.insert_before(Node(name, [self.turned(x, LAST, node), *others], [self.graph.new_value()], attributes, domain=DOMAIN), node)
        result, after = node.outputs[0], self.turned(made.outputs[0], FIRST, node, rank)
        after.type = result.type
        self.graph.replace_value(result, after)
        self.graph.remove(node)
        made.name = node.name
        made.outputs[0].name, after.name = self.graph.fresh_name(f"{result.name}_last"), result.name

    def attributes(self, node: Node) -> dict[str, Any]:
        """All of them, with their defaults."""
        schema = find_schema("", node.op_type, self.version)
        assert schema is not None
        found = {name: item.default for name, item in schema.attributes.items() if item.default is not None}
        found |= {name: item.value for name, item in node.attributes.items()}
        if node.op_type == "BatchNormalization":
            return {"epsilon": found["epsilon"]}
        return {name: value for name, value in found.items() if name != "storage_order"}

    def turned(self, x: Value, to: str, anchor: Node, rank: int = 0) -> Value:
        """The value with its channels moved."""
        order = permutation(rank or rank_of(x), to)
        return self.graph.insert_before(Node("Transpose", [x], [self.graph.new_value()], {"perm": order}), anchor).outputs[0]

    def kernel(self, value: Value, shape: tuple[int, ...]) -> Value:
        """A kernel (M, C, ...) as (..., C, M), in another shape if one is given."""
        if (value, shape) not in self.kernels:
            assert isinstance(value.type, TensorType) and value.type.shape is not None
            rank = len(value.type.shape)
            order = [*range(2, rank), 1, 0]
            if value.tensor is not None and value not in self.graph.inputs:
                data = np.ascontiguousarray(value.tensor.numpy().transpose(order))
                made = self.graph.add_initializer(Tensor.of(data.reshape(shape or data.shape)), value.name)
            else:
                node = Node("Transpose", [value], [self.graph.new_value(hint=value.name)], {"perm": order})
                self.graph.append(node)
                made = node.outputs[0]
            self.kernels[value, shape] = made
        return self.kernels[value, shape]

    def rename(self) -> None:
        """Gives turned kernels the names of what they were made of, where that is gone."""
        initializers = self.graph.initializers
        for (old, _), new in self.kernels.items():
            if new.tensor is not None and not old.uses and initializers.pop(old.name, None) is not None:
                del initializers[new.name]
                new.name = old.name
                initializers[new.name] = new
        self.graph.forget_names()


@dataclass(frozen=True)
class Padding:
    """What stands around data before a window slides over it: `name` is "SAME", "VALID" or, where only numbers say it, "".

    `amounts` are those before and after each spatial axis.
    """

    name: str
    amounts: tuple[tuple[Dimension, Dimension], ...]


def padding_of(call: Call, kernel: Sequence[Dimension]) -> Padding:
    """The padding of a call of an operator of `DOMAIN` that slides windows of the extents `kernel`."""
    x, given = call.inputs[0], call.attributes
    assert x is not None
    options: dict[str, Any] = {name: given.get(name) for name in ("strides", "dilations")}
    data = channels_first(x)
    window = window_over(data, kernel, pads=given.get("pads"), auto_pad=given.get("auto_pad", "NOTSET"), ceil_mode=bool(given.get("ceil_mode")), **options)
    amounts = tuple(zip(window.before, window.after))
    same = window_over(data, kernel, pads=None, auto_pad="SAME_UPPER", **options)
    if not any(isinstance(amount, Expression) or amount for pair in amounts for amount in pair):
        return Padding("VALID", amounts)
    return Padding("SAME" if amounts == tuple(zip(same.before, same.after)) else "", amounts)


def repetitions(call: Call) -> dict[int, int] | None:
    """How often a Resize repeats the elements along each axis that it changes, if that is all it does."""
    x, result, given = call.inputs[0], call.results[0], call.attributes
    how = given.get("coordinate_transformation_mode"), given.get("nearest_mode")
    plain = how == ("asymmetric", "floor") or how[0] == "half_pixel" and str(how[1]).startswith("round_prefer")
    if x is None or given.get("mode") != "nearest" or not plain or given.get("antialias"):
        return None
    found = {}
    for axis, (before, after) in enumerate(zip(x.shape, result.shape)):
        if before != after:
            times = next((count for count in range(2, MOST_REPETITIONS) if after == before * count), None)
            if times is None:
                return None
            found[axis] = times
    return found
