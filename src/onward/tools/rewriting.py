"""A node and what may be put in its place."""

from __future__ import annotations

from typing import Any

import numpy as np

from onward.ir import DataType, Model, Node, Tensor, TensorType, Value


class CannotConvert(Exception):
    """Why a node has no equal in another version; the conversion lists all of them in one error of the user's."""


class Place:
    """Where a node stands. Helper nodes are added before it; the node itself makes the last result."""

    def __init__(self, model: Model, node: Node) -> None:
        assert node.graph is not None
        self.model, self.node, self.graph = model, node, node.graph
        self.op_type = node.op_type
        self.added: list[Node] = []

    # -- reading -----------------------------------------------------------------------------------------------
    def input(self, index: int) -> Value:
        """An input that must be there."""
        value = self.optional(index)
        if value is None:
            raise CannotConvert(f"input {index} is missing")
        return value

    def optional(self, index: int) -> Value | None:
        """An input, or None."""
        return self.node.inputs[index] if index < len(self.node.inputs) else None

    def attribute(self, name: str, default: Any = None) -> Any:
        """The value of an attribute; text as str."""
        value = self.node.attribute(name, default)
        return value.decode() if isinstance(value, bytes) else value

    def rank(self, value: Value) -> int:
        """The rank, which must be known."""
        if value.shape is None:
            raise CannotConvert(f"the rank of '{value.name}' is not known")
        return len(value.shape)

    def dtype(self, value: Value) -> DataType:
        """The element type, which must be known."""
        if value.dtype is None:
            raise CannotConvert(f"the type of '{value.name}' is not known")
        return value.dtype

    def constant_of(self, value: Value) -> np.ndarray:
        """The data of a value that must be a constant."""
        if value.tensor is not None:
            return value.tensor.numpy()
        producer = value.producer
        if producer is not None and producer.op_type == "Identity" and producer.inputs[0] is not None:
            return self.constant_of(producer.inputs[0])
        if producer is not None and producer.op_type == "Constant":
            for name, kind in (("value", None), ("value_ints", np.int64), ("value_int", np.int64),
                               ("value_floats", np.float32), ("value_float", np.float32)):  # fmt: skip
                data = producer.attribute(name)
                if data is not None:
                    return data.numpy() if isinstance(data, Tensor) else np.array(data, kind)
        raise CannotConvert(f"'{value.name}' is computed during the run, and an attribute must be a constant")

    # -- writing -----------------------------------------------------------------------------------------------
    def constant(self, data: Any, dtype: DataType = DataType.INT64, hint: str = "constant") -> Value:
        """A new initialiser of the main graph, which sub-graphs see as well."""
        array = np.asarray(data, dtype.numpy)
        return self.model.graph.add_initializer(Tensor.of(array), f"{self.node.name or self.op_type}/{hint}")

    def add(self, op_type: str, *inputs: Value | None, type: Any = None, **attributes: Any) -> Value:  # noqa: A002
        """A node before this one; its output, whose type is the given one or what follows for elementwise operators."""
        kind = type if type is not None else _elementwise_type(op_type, [item for item in inputs if item is not None])
        value = self.graph.new_value(kind, f"{self.node.name or self.op_type}/{op_type}")
        node = Node(op_type, inputs, [value], attributes, domain=self.node.domain, name=value.name)
        self.graph.insert_before(node, self.node)
        self.added.append(node)
        return value

    def give(self, index: int, op_type: str, *inputs: Value | None, **attributes: Any) -> None:
        """Lets a node of its own make output number `index`, which must be the last one the node still has."""
        value = self.node.outputs[index]
        self.node.set_outputs(self.node.outputs[:index])
        if value.name:
            node = Node(op_type, inputs, [value], attributes, domain=self.node.domain, name=value.name)
            self.graph.insert_before(node, self.node)
            self.added.append(node)

    def become(self, op_type: str, *inputs: Value | None, **attributes: Any) -> None:
        """Makes another operator of the node; its outputs stay."""
        kept = {name: item for name, item in self.node.attributes.items() if attributes.get(name) is item}
        self.node.op_type = op_type
        self.node.set_inputs(inputs)
        plain = Node(op_type, [], 0, {name: item for name, item in attributes.items() if name not in kept})
        self.node.attributes = {**kept, **plain.attributes}

    def set_attribute(self, name: str, value: Any) -> None:
        """Sets one attribute; None removes it."""
        self.node.attributes.pop(name, None)
        if value is not None:
            self.node.attributes.update(Node("", [], 0, {name: value}).attributes)

    def shape_type(self, count: int) -> TensorType:
        """The type of a shape of `count` extents."""
        return TensorType(DataType.INT64, (count,))


RESHAPING = ("Flatten", "Gather", "ReduceMean", "Reshape", "Transpose", "Unsqueeze")


def _elementwise_type(op_type: str, inputs: list[Value]) -> TensorType | None:
    """The type of the first input, without its shape where another input or the operator may change it."""
    first = inputs[0]
    if not isinstance(first.type, TensorType):
        return None
    others = [item for item in inputs[1:] if item.shape != first.shape and (item.tensor is None or item.tensor.shape)]
    return TensorType(first.type.dtype) if others or op_type in RESHAPING else first.type
