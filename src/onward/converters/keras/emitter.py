"""Writes an ONNX graph for what is said in Keras's terms: tensors with its names of data types, variables, numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np

from onward.converters.builder import ModelBuilder
from onward.converters.keras.promotion import result_type
from onward.errors import UnsupportedOperator
from onward.ir import Graph, Value
from onward.ir.datatypes import DataType
from onward.ir.graph import captured_values
from onward.operators.lowering import Lowering

OPSET = 23
"""The version that has Attention and RMSNormalization."""


@dataclass(frozen=True, eq=False)
class Tensor:
    """A tensor of the source: the ONNX value that holds it, Keras's name of its data type, its shape with None for open sizes."""

    value: Value
    dtype: str
    shape: tuple[int | None, ...]
    mask: Tensor | None = None
    """The mask that Keras attaches to it."""

    @property
    def rank(self) -> int:
        return len(self.shape)

    @property
    def is_float(self) -> bool:
        return "float" in self.dtype


def numpy_type(dtype: str) -> np.dtype:
    """NumPy's data type of that name; text is objects."""
    return np.dtype({"bfloat16": ml_dtypes.bfloat16, "string": object}.get(dtype, dtype))


def dtype_name(dtype: DataType) -> str:
    """Keras's name of a data type."""
    return "string" if dtype == DataType.STRING else str(dtype.numpy)


def onnx_type(dtype: str) -> DataType:
    """ONNX's data type of that name."""
    return DataType.STRING if dtype == "string" else DataType.of(numpy_type(dtype))


@dataclass(frozen=True, eq=False)
class Weight:
    """A variable of a layer as a file stores it."""

    path: str
    value: np.ndarray

    @property
    def shape(self) -> tuple[int, ...]:
        return self.value.shape


class Emitter(ModelBuilder):
    """A graph under construction; nodes note the layer that they come from. What Keras's settings say is as Keras ships them."""

    floatx = "float32"
    epsilon = 1e-7
    channels_first = False
    """Where the channels stand in images of layers that do not say it."""

    def __init__(self, name: str, opset: int) -> None:
        super().__init__(name, opset)
        self.origin: dict[str, str] = {}
        self.compute_dtype = self.floatx
        self._variables: dict[int, tuple[Any, Value]] = {}
        self._lowering = Lowering(Graph(name))
        self._lowering.opsets = self.domains

    def array(self, item: Any, dtype: str | None = None) -> np.ndarray:
        """A weight or what else Keras takes for a tensor as NumPy knows it; with `dtype` of that data type."""
        found = np.asarray(item.value if isinstance(item, Weight) else item)
        return found.astype(numpy_type(dtype)) if dtype else found

    def result_type(self, *kinds: Any) -> str:
        """The data type that Keras gives an operation of tensors of these types (names, or Python's types of numbers)."""
        return result_type(self.floatx, *kinds)

    def described(self, item: Any) -> Tensor:
        """A value with its data type and shape, as the nodes that made it say them.

        Raises UnsupportedOperator where they do not say it.
        """
        if isinstance(item, Tensor):
            return item
        if item is None:
            raise UnsupportedOperator("a part of it has no translation")
        pending = [item]
        while pending:
            value = pending[-1]
            if value in self._lowering.values:
                pending.pop()
            elif value.producer is None and value.tensor is None:
                self._lowering.enter(value)
            else:
                node = value.producer
                read = [] if node is None else [*filter(None, node.inputs), *captured_values(node)]
                needed = [other for other in read if other not in self._lowering.values and other.tensor is None]
                if not needed and (value.producer is None or not self._lowering.extend(value.producer)):
                    if self._lowering._value(value) is None:
                        raise UnsupportedOperator(f"nothing says the shape of '{value.name}'")
                pending += needed
        array = self._lowering.values[item]
        return Tensor(item, dtype_name(array.dtype), tuple(extent if isinstance(extent, int) else None for extent in array.shape))

    def op(self, operator: str, *inputs: Any, outputs: int = 1, domain: str = "", **attributes: Any) -> Any:
        """The output of a new node, or all of them when there are several. Inputs are values, tensors or arrays."""
        values = [self.value(item) for item in inputs]
        made = super().op(operator, *values, outputs=outputs, domain=domain, **attributes)
        node = (made if outputs == 1 else made[0]).producer
        node.metadata.update(self.origin)
        return made

    def value(self, item: Any) -> Value | None:
        """The ONNX value of a tensor, a variable, an array or a number."""
        if item is None or isinstance(item, Value):
            return item
        return item.value if isinstance(item, Tensor) else self.tensor(item).value

    def tensor(self, item: Any, dtype: str | None = None) -> Tensor:
        """A tensor of anything that Keras takes for one; with `dtype` also of that data type."""
        if isinstance(item, Tensor):
            made = item
        elif self.is_variable(item):
            made = self._variable(item)
        elif isinstance(item, Value):
            made = self.described(item)
        else:
            array = self.array(item)
            if isinstance(item, (bool, int, float)):
                array = array.astype(numpy_type(dtype or ("bool" if isinstance(item, bool) else "int32" if isinstance(item, int) else self.compute_dtype)))
            made = Tensor(self.constant(array), str(array.dtype), array.shape)
        return self.cast(made, dtype) if dtype else made

    def is_variable(self, item: Any) -> bool:
        """Whether something is a weight."""
        return isinstance(item, Weight)

    def stored_type(self, variable: Any) -> tuple[str, bool]:
        """The data type of a weight, and whether layers see it in the type that they compute in."""
        return str(variable.value.dtype), True

    def _variable(self, variable: Any) -> Tensor:
        """Shared variables are one initializer, which has the path of the variable."""
        stored, follows = self.stored_type(variable)
        if id(variable) not in self._variables:
            self._variables[id(variable)] = (variable, self.constant(self.array(variable.value, stored), variable.path))
        made = Tensor(self._variables[id(variable)][1], stored, tuple(variable.shape))
        return self.cast(made, self.compute_dtype) if follows and made.is_float else made

    def rewritten(self, variable: Any, how: Callable[[np.ndarray], np.ndarray]) -> Tensor:
        """A variable in another form: one initializer too, which has its path."""
        if id(variable) not in self._variables:
            self._variables[id(variable)] = (variable, self.constant(how(self.array(variable)), variable.path))
        return self.described(self._variables[id(variable)][1])

    def cast(self, item: Tensor, dtype: str) -> Tensor:
        """The tensor in another data type."""
        if item.dtype == dtype:
            return item
        return Tensor(self.op("Cast", item, to=int(onnx_type(dtype))), dtype, item.shape, item.mask)

    def integers(self, numbers: Iterable[int]) -> Value:
        """A constant vector."""
        return self.constant(np.array(list(numbers), np.int64))

    def number(self, number: Any, dtype: str) -> Value:
        """A constant of rank 0."""
        return self.constant(np.array(number, numpy_type(dtype)))

    def reshape(self, x: Any, shape: Sequence[int]) -> Value:
        """Another shape; 0 keeps an extent, -1 is what is left."""
        value: Value = self.op("Reshape", x, self.integers(shape))
        return value

    def squeeze(self, x: Any, *axes: int) -> Value:
        """Without axes of extent 1."""
        value: Value = self.op("Squeeze", x, self.integers(axes))
        return value

    def unsqueeze(self, x: Any, *axes: int) -> Value:
        """With axes of extent 1."""
        value: Value = self.op("Unsqueeze", x, self.integers(axes))
        return value
