"""Writes an ONNX graph for what is said in Keras's terms: tensors with its names of data types, variables, numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import ml_dtypes
import numpy as np

from onward.converters.builder import ModelBuilder
from onward.ir import Value
from onward.ir.datatypes import DataType


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
    """NumPy's data type of that name."""
    return np.dtype(ml_dtypes.bfloat16) if dtype == "bfloat16" else np.dtype(dtype)


def onnx_type(dtype: str) -> DataType:
    """ONNX's data type of that name."""
    return DataType.STRING if dtype == "string" else DataType.of(numpy_type(dtype))


class Emitter(ModelBuilder):
    """A graph under construction; nodes note the layer that they come from."""

    def __init__(self, name: str, opset: int) -> None:
        super().__init__(name, opset)
        self.origin: dict[str, str] = {}
        self.compute_dtype = keras.config.floatx()
        self._variables: dict[int, tuple[Any, Value]] = {}

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
        if isinstance(item, keras.Variable):
            made = self._variable(item)
        elif isinstance(item, Tensor):
            made = item
        else:
            array = np.asarray(item if isinstance(item, (bool, int, float, list, tuple)) else keras.ops.convert_to_numpy(item))
            if isinstance(item, (bool, int, float)):
                array = array.astype(numpy_type(dtype or ("bool" if isinstance(item, bool) else "int32" if isinstance(item, int) else self.compute_dtype)))
            made = Tensor(self.constant(array), str(array.dtype), array.shape)
        return self.cast(made, dtype) if dtype else made

    def _variable(self, variable: Any) -> Tensor:
        """Shared variables are one initializer, which has the path of the variable."""
        if id(variable) not in self._variables:
            array = keras.ops.convert_to_numpy(variable.value)
            array = np.asarray(array, numpy_type(keras.backend.standardize_dtype(variable._dtype)))
            self._variables[id(variable)] = (variable, self.constant(array, variable.path))
        stored = keras.backend.standardize_dtype(variable._dtype)
        made = Tensor(self._variables[id(variable)][1], stored, tuple(variable.shape))
        return self.cast(made, self.compute_dtype) if getattr(variable, "_autocast", False) and made.is_float else made

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
