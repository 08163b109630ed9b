"""Writes an ONNX graph for what is said in JAX's terms: arrays with JAX's data types and sizes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from onward.converters.builder import ModelBuilder
from onward.converters.jax.sizes import Extent, SizeWriter, is_static
from onward.errors import ConversionError, UnsupportedOperator
from onward.ir import TensorType, Value
from onward.ir.datatypes import DataType
from onward.ir.tensor import Tensor
from onward.operators.schema import schema

WIDER = {
    DataType.BOOL: (DataType.INT32, DataType.INT64, DataType.FLOAT),
    DataType.INT8: (DataType.INT32, DataType.INT64), DataType.INT16: (DataType.INT32, DataType.INT64),
    DataType.INT32: (DataType.INT64,), DataType.UINT8: (DataType.INT32, DataType.UINT32, DataType.INT64),
    DataType.UINT16: (DataType.INT32, DataType.UINT32, DataType.INT64), DataType.UINT32: (DataType.INT64, DataType.UINT64),
    DataType.FLOAT16: (DataType.FLOAT,), DataType.BFLOAT16: (DataType.FLOAT,), DataType.FLOAT: (DataType.DOUBLE,),
}  # fmt: skip
"""For a type that an operator lacks, those that it may be computed in, the first that the operator has."""

REAL: dict[Any, np.dtype] = {np.dtype(np.complex64): np.dtype(np.float32), np.dtype(np.complex128): np.dtype(np.float64)}
SMALL = 64
"""Constants of at most so many elements are one where they are equal."""


def is_key(dtype: Any) -> bool:
    """Whether the elements are keys of random numbers."""
    return not isinstance(dtype, np.dtype) and jax.dtypes.issubdtype(dtype, jax.dtypes.prng_key)


def stored(dtype: Any) -> np.dtype:
    """The type of the numbers that hold elements of a type: the parts of complex numbers, the words of keys."""
    if is_key(dtype):
        return np.dtype(np.uint32)
    kind: np.dtype = np.dtype(dtype)
    return REAL.get(kind, kind)


@dataclass(frozen=True, eq=False)
class Array:
    """An array of the source: the ONNX value that holds it, or the numbers themselves, and what JAX knows of it."""

    held: Value | np.ndarray
    dtype: Any
    shape: tuple[Extent, ...]
    parameter: bool = False
    """Numbers that keep their name, so that nothing is computed from them while converting."""

    @property
    def tail(self) -> tuple[int, ...]:
        """The axes that the elements bring along: the parts of complex numbers, the words of keys."""
        return tuple(self.dtype._impl.key_shape) if is_key(self.dtype) else (2,) if self.is_complex else ()

    @property
    def rank(self) -> int:
        return len(self.shape)

    @property
    def known(self) -> np.ndarray | None:
        """The numbers, where they are constants."""
        return self.held if isinstance(self.held, np.ndarray) else None

    @property
    def is_complex(self) -> bool:
        return not is_key(self.dtype) and np.dtype(self.dtype) in REAL

    @property
    def is_float(self) -> bool:
        return is_float(self.dtype)

    @property
    def is_bool(self) -> bool:
        return not is_key(self.dtype) and np.dtype(self.dtype) == np.bool_

    @property
    def is_static(self) -> bool:
        return all(map(is_static, self.shape))


def is_float(dtype: Any) -> bool:
    """Whether a type is one of real numbers."""
    return not is_key(dtype) and bool(jax.numpy.issubdtype(dtype, jax.numpy.floating))


class Emitter(ModelBuilder, SizeWriter):
    """A graph under construction, in JAX's terms."""

    def __init__(self, name: str, opset: int) -> None:
        super().__init__(name, opset)
        self._constants: dict[tuple[Any, ...], Value] = {}
        self.types: dict[Value, DataType] = {}
        self.results: list[Array] = []
        """What JAX knows of the results of the primitive at hand; its name."""
        self.primitive = ""
        self.origin: dict[str, str] = {}
        """What is noted at each node: where in the source it stands."""
        self.symbols: dict[str, tuple[Value, int]] = {}
        """For each open size an input and its axis."""
        self._held: dict[int, tuple[np.ndarray, Value | None, str]] = {}
        """By identity arrays that are initializers (or will be, once they are used) and their names."""
        self.walker: Any = None

    @property
    def result(self) -> Array:
        """What JAX knows of the only result."""
        return self.results[0]

    def value(self, item: Any) -> Value | None:
        """The ONNX value of an array, of numbers or of a list of sizes."""
        if item is None or isinstance(item, Value):
            return item
        if isinstance(item, Array):
            return self.array(item.held) if isinstance(item.held, np.ndarray) else item.held
        if isinstance(item, (np.ndarray, np.generic)):
            return self.array(np.asarray(item))
        if isinstance(item, (list, tuple)):
            return self.sizes(item)
        raise TypeError(f"{type(item).__name__} is no value")

    def op(self, operator: str, *inputs: Any, outputs: int = 1, domain: str = "", types: Sequence[DataType] = (), **attributes: Any) -> Any:
        """Adds a node; inputs may be arrays, numbers (constants) or lists of sizes. Where the operator lacks a type, it is computed
        in a wider one and the result cast back. `types` are those of the results where the inputs do not say them."""
        values = [self.value(item) for item in inputs]
        signature = schema(domain, operator, self.opset)
        bound: dict[str, tuple[DataType, DataType]] = {}
        for place, value in enumerate(values):
            if value is None or types:
                continue
            parameter = signature.input(place)
            given = self.types[value]
            if parameter.type not in bound:
                bound[parameter.type] = (given, _allowed(given, signature.allowed_types(parameter), operator))
            values[place] = self._cast(value, bound[parameter.type][1])
        attributes = {name: _plain_numbers(item) for name, item in attributes.items()}
        made = super().op(operator, *values, outputs=outputs, domain=domain, **attributes)
        results = [made] if outputs == 1 else list(made)
        results[0].producer.metadata.update(self.origin)
        for place, value in enumerate(results):
            if types:
                self.types[value] = types[place]
                continue
            parameter = signature.output(place)
            if operator in ("Cast", "BitCast"):
                self.types[value] = DataType(attributes["to"])
            elif parameter.type in bound:
                given, used = bound[parameter.type]
                self.types[value] = used
                results[place] = self._cast(value, given)
            else:
                self.types[value] = _only(signature.allowed_types(parameter), operator)
        return results[0] if outputs == 1 else results

    def _cast(self, value: Value, dtype: DataType) -> Value:
        if self.types[value] == dtype:
            return value
        result = super().op("Cast", value, to=int(dtype))
        result.producer.metadata.update(self.origin)
        self.types[result] = dtype
        return result

    def array(self, array: np.ndarray) -> Value:
        """A constant; equal small ones are one."""
        _, value, name = self._held.get(id(array), (array, None, "constant"))
        if value is not None:
            return value
        plain = _plain(array)
        key = (str(plain.dtype), plain.shape, plain.tobytes()) if plain.size <= SMALL and id(array) not in self._held else ()
        if key in self._constants:
            return self._constants[key]
        value = self._initializer(plain, name)
        if key:
            self._constants[key] = value
        else:
            self._held[id(array)] = (array, value, name)
        return value

    def name_constant(self, array: np.ndarray, name: str) -> None:
        """These numbers become the initializer of that name when they are used."""
        self._held[id(array)] = (array, None, name)

    def _initializer(self, array: np.ndarray, name: str) -> Value:
        outermost = self.outermost
        value = outermost.add_initializer(Tensor.of(np.ascontiguousarray(array).reshape(array.shape)), name)
        self.types[value] = DataType.of(array.dtype)
        return value

    def number(self, number: Any, dtype: Any) -> Value:
        """A number as a tensor of rank 0 of that type."""
        return self.array(np.array(number).astype(stored(dtype)))

    def convert(self, item: Any, dtype: Any) -> Value:
        """The value in another data type, as ONNX's Cast does it."""
        value = self.value(item)
        assert value is not None
        return self._cast(value, DataType.of(stored(dtype)))

    def dtype_of(self, value: Value) -> np.dtype:
        return self.types[value].numpy

    def unsqueeze(self, item: Any, *axes: int) -> Value:
        return self.op("Unsqueeze", item, np.array(axes, np.int64)) if axes else self.value(item)  # type: ignore[return-value]

    def unsqueeze_last(self, item: Any) -> Value:
        """With a last axis of extent 1."""
        return self.op("Unsqueeze", item, np.array([-1]))

    def squeeze(self, item: Any, *axes: int) -> Value:
        return self.op("Squeeze", item, np.array(axes, np.int64)) if axes else self.value(item)  # type: ignore[return-value]

    def transpose(self, item: Any, order: Sequence[int]) -> Value:
        order = [int(axis) for axis in order]
        if order == list(range(len(order))):
            return self.value(item)  # type: ignore[return-value]
        return self.op("Transpose", item, perm=order)

    def slice(self, item: Any, axis: int, start: Any, end: Any, step: int = 1) -> Value:
        """A Slice of one axis."""
        return self.op("Slice", item, [start], [end], [axis], [step])

    def reshape(self, item: Any, sizes: Sequence[Extent]) -> Value:
        """A Reshape; one open size is left to the operator."""
        opened = [place for place, size in enumerate(sizes) if not is_static(size)]
        if len(opened) == 1 and 0 not in [size for size in sizes if is_static(size)]:
            sizes = [-1 if place == opened[0] else size for place, size in enumerate(sizes)]
            return self.op("Reshape", item, self._vector(sizes))
        return self.op("Reshape", item, list(sizes), allowzero=1 if 0 in [s for s in sizes if is_static(s)] else None)

    def _vector(self, sizes: Sequence[Any]) -> np.ndarray:
        return np.array(sizes, np.int64)

    def expand(self, item: Any, sizes: Sequence[Extent]) -> Value:
        return self.op("Expand", item, list(sizes))

    def where(self, condition: Any, yes: Any, no: Any) -> Value:
        return self.op("Where", condition, yes, no)

    def static(self, x: Array, what: str) -> list[int]:
        """The sizes of an array. Raises UnsupportedOperator where they are open."""
        if not x.is_static:
            raise UnsupportedOperator(f"{what} needs sizes that are known; these are {list(map(str, x.shape))}")
        return [int(extent) for extent in x.shape]

    def graph_output(self, value: Value, name: str) -> None:
        """Makes a value an output of the graph."""
        self.origin = {}
        self.output(value, name)

    def port(self, name: str, dtype: Any, shape: Sequence[Extent]) -> Value:
        """A new input of the graph at hand."""
        kind = dtype if isinstance(dtype, DataType) else DataType.of(stored(dtype))
        value = self.graph.new_value(TensorType(kind, tuple(extent if is_static(extent) else None for extent in shape)), name)
        self.graph.inputs.append(value)
        self.types[value] = kind
        return value

    def give_back(self, values: Sequence[Value]) -> list[DataType]:
        """Makes values the outputs of the inner graph, each through a node of that graph; returns their types."""
        self.graph.outputs.extend(self.op("Identity", value) for value in values)
        return [self.types[value] for value in values]


def _allowed(given: DataType, allowed: frozenset[str], operator: str) -> DataType:
    """The type itself, or the first wider one that the operator has."""
    for kind in (given, *WIDER.get(given, ()), *((DataType.FLOAT,) if given.is_float else ())):
        if f"tensor({kind.name.lower()})" in allowed:
            return kind
    raise UnsupportedOperator(f"{operator} of ONNX does not take {given.name.lower()}, nor anything wider")


def _only(allowed: frozenset[str], operator: str) -> DataType:
    if len(allowed) != 1:
        raise ConversionError(f"the type of what {operator} gives is not known")
    (name,) = allowed
    return DataType[name.removeprefix("tensor(").removesuffix(")").upper()]


def _plain_numbers(item: Any) -> Any:
    """Attributes without NumPy's numbers."""
    if isinstance(item, (list, tuple)):
        return [_plain_numbers(part) for part in item]
    return item.item() if isinstance(item, np.generic) else item


def _plain(array: np.ndarray) -> np.ndarray:
    """Complex numbers as pairs."""
    if array.dtype in REAL:
        return np.stack([array.real, array.imag], -1)
    return array
