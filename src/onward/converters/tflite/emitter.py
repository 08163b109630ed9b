"""Writes an ONNX graph for what is said in TFLite's terms: quantised tensors as real numbers, pictures with channels last."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from onward.converters.builder import ModelBuilder
from onward.converters.tflite.reader import Record
from onward.converters.tflite.tensors import Laid, Tensor
from onward.errors import UnsupportedOperator
from onward.ir import Value
from onward.ir.datatypes import DataType
from onward.ir.tensor import Tensor as Constant


@dataclass(frozen=True, eq=False)
class First:
    """A result whose channels stand right after the batch."""

    value: Value


@dataclass(frozen=True)
class Node:
    """An operator of a subgraph: its schema's name, options, and the tensors that it writes."""

    name: str
    options: Record
    outputs: list[Tensor]
    custom: np.ndarray


def channels_first(rank: int) -> list[int]:
    """The order of axes that moves the last one behind the first."""
    return [0, rank - 1, *range(1, rank - 1)]


def channels_last(rank: int) -> list[int]:
    """The order of axes that moves the second one to the end."""
    return [0, *range(2, rank), 1]


class Emitter(ModelBuilder):
    """A graph under construction, in TFLite's terms."""

    def __init__(self, name: str, opset: int | None, exact: bool = False) -> None:
        super().__init__(name, opset)
        self.exact = exact
        """Write what the codes of the file stand for: quantised results are bounded, but not rounded."""
        self._constants: dict[tuple[Any, ...], Value] = {}
        self.origin: dict[str, str] = {}
        """What is noted at each node: the tensor that it belongs to, and the operator."""
        self.walk: Any = None
        """Writes another subgraph of the file: set by the one who walks them."""

    def op(self, operator: str, *inputs: Any, outputs: int = 1, domain: str = "", **attributes: Any) -> Any:
        """Adds a node; inputs may be values, arrays (constants) or lists of integers."""
        given = [self.array(item) if isinstance(item, (np.ndarray, np.generic, list)) else item for item in inputs]
        results = super().op(operator, *given, outputs=outputs, domain=domain, **attributes)
        (results if outputs == 1 else results[0]).producer.metadata.update(self.origin)
        return results

    def array(self, array: Any, name: str = "constant") -> Value:
        """A constant; equal small ones are one. Lists are of int64. Constants of inner graphs stand in the outermost."""
        array = np.asarray(array, np.int64) if isinstance(array, list) else np.asarray(array)
        graph = self.outermost
        if array.size > 64 or array.dtype == object:
            return graph.add_initializer(Constant.of(np.asarray(array, order="C")), name)
        key = (str(array.dtype), array.shape, array.tobytes())
        if key not in self._constants:
            self._constants[key] = graph.add_initializer(Constant.of(np.asarray(array, order="C")), name)
        return self._constants[key]

    def value(self, x: Tensor) -> Value:
        """The tensor's real numbers as TFLite lays them out."""
        held = self.held(x)
        if held.last is None:
            assert held.first is not None
            held.last = self.op("Transpose", held.first, perm=channels_last(x.rank))
        return held.last

    def first(self, x: Tensor) -> Value:
        """The tensor's real numbers with channels first."""
        held = self.held(x)
        if held.first is None:
            if x.data is not None:
                held.first = self.constant_of(x, channels_first(x.rank))
            else:
                held.first = self.op("Transpose", held.last, perm=channels_first(x.rank))
        return held.first

    def held(self, x: Tensor) -> Laid:
        if x.held is None:
            if x.data is None:
                raise UnsupportedOperator(f"tensor '{x.name}' is read before it is written")
            x.held = Laid(self.constant_of(x, list(range(x.rank))))
        return x.held

    def constant_of(self, x: Tensor, order: Sequence[int]) -> Value:
        """A constant with its axes in another order, as real numbers: the codes stay as they are."""
        assert x.data is not None
        data = np.ascontiguousarray(x.data.transpose(order)).reshape([x.data.shape[axis] for axis in order])
        if x.quantization is None:
            return self.array(data, x.name or "constant")
        scale, zero = x.quantization.scale, x.quantization.zero
        axis = list(order).index(x.quantization.axis) if x.quantization.each else None
        if x.type == "INT64" or (x.type == "INT32" and np.any(zero)):  # DequantizeLinear has no such codes
            spread = [-1 if place == axis else 1 for place in range(x.rank)]
            wide = (data.astype(np.float64) - zero.reshape(spread)) * scale.astype(np.float64).reshape(spread)
            return self.array(wide.astype(np.float32), x.name or "constant")
        scales, zeros = (scale, zero) if x.quantization.each else (scale[0], zero[0])
        codes = self.array(data, x.name or "constant")
        return self.op("DequantizeLinear", codes, np.asarray(scales), None if x.type == "INT32" else np.asarray(zeros).astype(data.dtype), axis=axis)

    def weights(self, x: Tensor, order: Sequence[int]) -> Value:
        """A tensor with its axes in another order, without a Transpose where it is a constant."""
        if x.data is not None:
            return self.constant_of(x, order)
        if x.source is not None and x.source.data is not None:
            return self.cast(self.constant_of(x.source, order), x.dtype)
        return self.transpose(self.value(x), order)

    def transpose(self, value: Value, order: Sequence[int]) -> Value:
        return value if list(order) == list(range(len(order))) else self.op("Transpose", value, perm=list(order))

    def known(self, x: Tensor, what: str) -> np.ndarray:
        """The array of a constant. Raises UnsupportedOperator for anything else."""
        if x.data is None:
            raise UnsupportedOperator(f"{what} must be a constant; '{x.name}' is computed")
        return x.data

    def cast(self, value: Value, dtype: Any) -> Value:
        return self.op("Cast", value, to=int(DataType.of(np.dtype(dtype))))

    def long(self, x: Tensor) -> Value:
        """Sizes, axes or indices in ONNX's type for them."""
        if x.data is not None:
            return self.array(x.data.astype(np.int64))
        return self.value(x) if x.type == "INT64" else self.cast(self.value(x), np.int64)

    def number(self, number: Any, like: Tensor | np.dtype) -> Value:
        """A number of rank 0 in a tensor's type."""
        return self.array(np.array(number).astype(like.dtype if isinstance(like, Tensor) else like))

    def together(self, *tensors: Tensor) -> tuple[list[Value], Any]:
        """Operands of an elementwise operator in one layout, and what marks the result as of this layout."""
        rank = max(x.rank for x in tensors)
        leads = any(x.held is not None and x.held.first is not None and x.held.last is None for x in tensors)
        if rank < 3 or not leads or any(x.rank != rank and x.data is None for x in tensors):
            return [self.value(x) for x in tensors], _same
        return [self.first(x if x.rank == rank else _raised(x, rank)) for x in tensors], First

    def extent(self, x: Tensor, axis: int) -> int | Value:
        """An extent: a number where it is known, else a vector of one."""
        axis = x.axis(axis)
        if x.shape[axis] >= 0:
            return x.shape[axis]
        return self.op("Shape", self.value(x), start=axis, end=axis + 1)

    def sizes(self, items: Sequence[int | Value]) -> Value:
        """A vector of int64 of numbers known and unknown (vectors of one)."""
        if all(isinstance(item, int) for item in items):
            return self.array(list(items))
        return self.op("Concat", *([item] if isinstance(item, int) else item for item in items), axis=0)

    def reshape(self, value: Value, sizes: Sequence[int | Value]) -> Value:
        return self.op("Reshape", value, self.sizes(sizes), allowzero=1 if 0 in [item for item in sizes if isinstance(item, int)] else None)

    def activated(self, value: Value, name: str, dtype: Any = np.float32) -> Value:
        """A fused activation. Raises UnsupportedOperator for one that no kernel of TFLite has."""
        if name == "NONE":
            return value
        if name == "TANH":
            return self.op("Tanh", value)
        if name not in RANGES:
            raise UnsupportedOperator(f"the fused activation {name}")
        low, high = (None if limit is None else np.array(limit, dtype) for limit in RANGES[name])
        return self.op("Relu", value) if high is None else self.op("Clip", value, low, high)


RANGES: dict[str, tuple[int, int | None]] = {"RELU": (0, None), "RELU_N1_TO_1": (-1, 1), "RELU6": (0, 6)}


def _same(value: Value) -> Value:
    return value


def _raised(x: Tensor, rank: int) -> Tensor:
    """A constant with leading axes of one."""
    assert x.data is not None
    data = x.data.reshape((1,) * (rank - x.rank) + x.data.shape)
    found = x.quantization
    if found is not None:
        found = replace(found, axis=found.axis + rank - x.rank)
    return Tensor(x.name, x.type, data.shape, found, data)
