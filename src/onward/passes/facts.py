"""What is known of the values of a graph while it is rewritten: types, shapes, constants, symbolic contents.

All of it follows from the operators' own definitions: the graph is lowered to the tensor program once, and each new
node is lowered when it is made.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from onward import program as P
from onward.ir import DataType, Model, Node, TensorType, Value
from onward.ir.expressions import Dimension, Expression
from onward.operators import Schema, find_schema
from onward.operators.lowering import Lowering
from onward.passes.uniform import element_at, uniform_element


class Facts:
    """The knowledge about a model's main graph; the numbers of `trained` initialisers may change, so nothing is known of them.

    Raises InferenceError where the model contradicts itself.
    """

    def __init__(self, model: Model, trained: Iterable[Value] = ()) -> None:
        self.model = model
        self.opsets = {"" if domain == "ai.onnx" else domain: version for domain, version in model.opset_imports.items()}
        self.fed = frozenset((*model.graph.inputs, *trained))
        self.captured = frozenset(value for node in model.graph.nodes for graph in node.subgraphs() for value in _results(graph))
        self._uniform: dict[P.Array, Any] = {}
        self._lowering = Lowering(model)
        for value in self.fed:
            if isinstance(value.type, TensorType):  # sequences and the like are not followed
                self._lowering.enter(value)
        for node in model.graph.nodes:
            self.learn(node)

    def learn(self, node: Node) -> None:
        """Finds out about the outputs of a node whose inputs are known. Raises InferenceError if it refuses them."""
        if not self._lowering.extend(node):
            for value in node.outputs:  # no page, or no types: what the file declares is all there is
                if value.name and isinstance(value.type, TensorType) and value.type.shape is not None:
                    self._lowering.enter(value)
        for value in node.outputs:
            found = self._lowering.values.get(value)
            if value.type is None and isinstance(found, P.Array):
                value.type = value_type(found)

    def forget(self, node: Node) -> None:
        """Removes what is known of the outputs of a node."""
        for value in node.outputs:
            self._lowering.values.pop(value, None)

    def array(self, value: Value) -> P.Array | None:
        """The value in the tensor program, or None where it is not known (or no tensor)."""
        if value not in self._lowering.values and self.constant(value) is not None:
            assert value.tensor is not None
            self._lowering.values[value] = P.Constant(value.tensor, value.name)
        found = self._lowering.values.get(value)
        return found if isinstance(found, P.Array) else None

    def shape(self, value: Value) -> tuple[Dimension, ...] | None:
        """The shape, with a dimension for each axis, or None."""
        array = self.array(value)
        return None if array is None else array.shape

    def rank(self, value: Value) -> int | None:
        """The number of axes, or None."""
        shape = self.shape(value)
        return None if shape is None else len(shape)

    def dtype(self, value: Value) -> DataType | None:
        """The data type, or None."""
        array = self.array(value)
        return value.dtype if array is None else array.dtype

    def constant(self, value: Value | None) -> np.ndarray | None:
        """The data of a constant; None for anything that a caller may feed or that is computed."""
        if value is None or value.tensor is None or value in self.fed:
            return None
        return value.tensor.numpy()

    def is_constant(self, value: Value | None) -> bool:
        """As `constant`, without a look at the data."""
        return value is not None and value.tensor is not None and value not in self.fed

    def content(self, value: Value) -> np.ndarray | None:
        """The elements of a small array as numbers and expressions over the sizes, or None."""
        array = self.array(value)
        return None if array is None else array.content

    def known(self, value: Value, largest: int = 1 << 22) -> np.ndarray | None:
        """The data of a value that is computed from constants alone, if it has at most `largest` elements."""
        data = self.constant(value)
        if data is not None:
            return data
        array = self.array(value)
        if array is None or not isinstance(array.size, int) or array.size > largest:
            return None
        return array.known

    def uniform(self, value: Value) -> Any:
        """The number that every element of the value is, whatever the sizes; None where that is not proven."""
        array = self.array(value)
        if array is None:
            return None
        if array not in self._uniform:
            self._uniform[array] = uniform_element(array)
        return self._uniform[array]

    def element(self, value: Value, *last: int) -> tuple[list[Expression], Any]:
        """Indices that are symbols (but for the `last` of them) and the element there: a number, an expression, None where it is not known."""
        array = self.array(value)
        return ([], None) if array is None else element_at(array, *last)

    def schema(self, node: Node) -> Schema | None:
        """The schema of a node's operator."""
        domain = "" if node.domain == "ai.onnx" else node.domain
        return find_schema(domain, node.op_type, self.opsets.get(domain, 1))

    def option(self, node: Node, name: str, default: Any = None) -> Any:
        """An attribute, or a constant input of that name, or the schema's default. Lists for vectors.

        Raises LookupError when it is an input that is not constant.
        """
        attribute = node.attributes.get(name)
        if attribute is not None:
            value = attribute.value
            return value.decode() if isinstance(value, bytes) else list(value) if isinstance(value, (list, tuple)) else value
        schema = self.schema(node)
        if schema is None:
            return default
        index = option_index(schema, name)
        if index is not None and index < len(node.inputs) and node.inputs[index] is not None:
            data = self.constant(node.inputs[index])
            if data is None:
                raise LookupError(f"{name} is not constant")
            return data.tolist()
        if name in schema.attributes and schema.attributes[name].default is not None:
            return schema.attributes[name].default
        return default

    def is_pinned(self, value: Value) -> bool:
        """Whether a sub-graph gives the value as its output, so that it cannot be replaced."""
        return value in self.captured

    def has_same_type(self, left: Value, right: Value) -> bool:
        """Whether two values provably have the same data type and shape."""
        first, second = self.array(left), self.array(right)
        return first is not None and second is not None and first.dtype == second.dtype and first.shape == second.shape


def option_index(schema: Schema, name: str) -> int | None:
    """The position of the input of that name."""
    return next((index for index, parameter in enumerate(schema.inputs) if parameter.name == name), None)


def value_type(array: P.Array) -> TensorType:
    """The type of a value that became `array`. Sizes that have no simple name are unknown to the file."""
    shape = tuple(extent if isinstance(extent, int) or _is_named(extent) else None for extent in array.shape)
    return TensorType(array.dtype, shape)


def _is_named(extent: Expression) -> bool:
    return all(name.isidentifier() for name in extent.symbols)


def _results(graph: Any) -> list[Value]:
    found = list(graph.outputs)
    for node in graph.nodes:
        for inner in node.subgraphs():
            found.extend(_results(inner))
    return found
