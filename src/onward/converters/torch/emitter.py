"""Writes an ONNX graph for what is said in PyTorch's terms: tensors with PyTorch's data types and sizes, run-time numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np
import torch

from onward.converters.builder import ModelBuilder
from onward.errors import UnsupportedOperator
from onward.ir import Value
from onward.ir.datatypes import DataType

DATA_TYPES = {
    torch.float32: DataType.FLOAT, torch.float64: DataType.DOUBLE, torch.float16: DataType.FLOAT16,
    torch.bfloat16: DataType.BFLOAT16, torch.int8: DataType.INT8, torch.int16: DataType.INT16, torch.int32: DataType.INT32,
    torch.int64: DataType.INT64, torch.uint8: DataType.UINT8, torch.uint16: DataType.UINT16, torch.uint32: DataType.UINT32,
    torch.uint64: DataType.UINT64, torch.bool: DataType.BOOL, torch.complex64: DataType.FLOAT,
    torch.complex128: DataType.DOUBLE, torch.float8_e4m3fn: DataType.FLOAT8E4M3FN,
    torch.float8_e4m3fnuz: DataType.FLOAT8E4M3FNUZ, torch.float8_e5m2: DataType.FLOAT8E5M2,
    torch.float8_e5m2fnuz: DataType.FLOAT8E5M2FNUZ,
}  # fmt: skip
"""PyTorch's data types in ONNX. A complex tensor is a real one with the two parts in a last dimension."""

REAL = {torch.complex64: torch.float32, torch.complex128: torch.float64}

Dimension = Any  # int or torch.SymInt


@dataclass(frozen=True, eq=False)
class Tensor:
    """A tensor of the source: the ONNX value that holds it, and what PyTorch knows of it."""

    value: Value
    dtype: torch.dtype
    shape: tuple[Dimension, ...]

    @property
    def rank(self) -> int:
        return len(self.shape)

    @property
    def is_complex(self) -> bool:
        return self.dtype.is_complex

    def axis(self, dim: int) -> int:
        """A dimension counted from the front."""
        return dim % self.rank if self.rank else 0


@dataclass(frozen=True, eq=False)
class Scalar:
    """A number that only the run knows (a size, an element): an ONNX value of rank 0."""

    value: Value
    dtype: torch.dtype


def is_static(dimension: Any) -> bool:
    """Whether an extent is known."""
    return isinstance(dimension, int) and not isinstance(dimension, bool)


def may_be_one(dimension: Any) -> bool:
    """Whether an open extent is 1 where all sizes are."""
    return not is_static(dimension) and dimension.node.expr.subs(dict.fromkeys(dimension.node.expr.free_symbols, 1)) == 1


@dataclass(frozen=True)
class Description:
    """What PyTorch knows of a tensor."""

    dtype: torch.dtype
    shape: tuple[Dimension, ...]


def described(meta: Any) -> Any:
    """Descriptions of tensors, in lists where there are several; numbers as they are, plain where they are known."""
    if isinstance(meta, (list, tuple)):
        return [described(item) for item in meta]
    if isinstance(meta, torch.Tensor):
        return Description(meta.dtype, extents(meta.shape))
    return _plain(meta)


def extents(shape: Sequence[Any]) -> tuple[Dimension, ...]:
    """A shape whose known extents are plain numbers."""
    return tuple(_plain(extent) for extent in shape)


def _plain(number: Any) -> Any:
    if isinstance(number, torch.SymInt):
        known = number.node.maybe_as_int()
        if known is None and number.node.expr.is_number:
            known = int(number.node.expr)
        return number if known is None else known
    return number


def to_numpy(tensor: torch.Tensor) -> np.ndarray:
    """The array of a tensor; types that NumPy lacks through ml_dtypes, complex numbers as pairs."""
    tensor = tensor.detach().cpu().resolve_conj().resolve_neg()
    if tensor.layout is not torch.strided:
        tensor = tensor.to_dense()
    if tensor.is_complex():
        tensor = torch.view_as_real(tensor)
    if tensor.dtype is torch.bfloat16:
        return tensor.contiguous().view(torch.int16).numpy().view(ml_dtypes.bfloat16)
    if tensor.dtype.itemsize == 1 and tensor.dtype.is_floating_point:
        return tensor.contiguous().view(torch.uint8).numpy().view(DATA_TYPES[tensor.dtype].numpy)
    return tensor.contiguous().numpy()


class Emitter(ModelBuilder):
    """A graph under construction, in PyTorch's terms."""

    def __init__(self, name: str, opset: int) -> None:
        super().__init__(name, opset)
        self._constants: dict[tuple[Any, ...], Value] = {}
        self.result: Any = None
        self.real = torch.float32
        """The type of the parts of the complex numbers at hand."""
        self.operator = ""
        """What PyTorch knows of the result of the operator at hand, and its name."""
        self.origin: dict[str, str] = {}
        """What is noted at each node: where in the source it stands."""
        self.replaced: list[Value] = []
        """Weights that something computed of them stands for; nobody may need them any more."""

    def value(self, item: Any) -> Value | None:
        """The ONNX value of a tensor, a run-time number, an array or a list of sizes."""
        if item is None or isinstance(item, Value):
            return item
        if isinstance(item, (Tensor, Scalar)):
            return item.value
        if isinstance(item, np.ndarray):
            return self.array(item)
        if isinstance(item, (list, tuple)):
            return self.sizes(item)
        raise TypeError(f"{type(item).__name__} is no value")

    def op(self, operator: str, *inputs: Any, outputs: int = 1, domain: str = "", **attributes: Any) -> Any:
        """Adds a node; inputs may be tensors, run-time numbers, arrays (constants) or lists of sizes."""
        results = super().op(operator, *(self.value(item) for item in inputs), outputs=outputs, domain=domain, **attributes)
        node = (results if outputs == 1 else results[0]).producer
        node.metadata.update(self.origin)
        return results

    def array(self, array: np.ndarray) -> Value:
        """A constant; equal small ones are one."""
        if array.size > 64:
            return self.outermost.add_initializer(_tensor(array), "constant")
        key = (array.dtype.str, str(array.dtype), array.shape, array.tobytes())
        if key not in self._constants:
            self._constants[key] = self.outermost.add_initializer(_tensor(array), "constant")
        return self._constants[key]

    def number(self, number: Any, dtype: torch.dtype) -> Value:
        """A number as a tensor of rank 0 of that type."""
        if isinstance(number, (Tensor, Scalar)):
            return self.cast(number, dtype)
        return self.array(np.array(number).astype(DATA_TYPES[dtype].numpy))

    def cast(self, item: Tensor | Scalar, dtype: torch.dtype) -> Value:
        """The value in another data type."""
        return item.value if item.dtype == dtype else self.convert(item.value, dtype)

    def convert(self, value: Value, dtype: torch.dtype) -> Value:
        """A Cast, whatever the value's type."""
        return self.op("Cast", value, to=int(DATA_TYPES[dtype]))

    def sizes(self, items: Sequence[Any]) -> Value:
        """A vector of int64 of numbers known and unknown."""
        if not any(isinstance(item, (Scalar, Tensor)) for item in items):
            return self.array(np.array([int(item) for item in items], np.int64))
        parts: list[Value] = []
        known: list[int] = []
        for item in items:
            if isinstance(item, (Scalar, Tensor)):
                if known:
                    parts.append(self.array(np.array(known, np.int64)))
                    known = []
                parts.append(self.op("Reshape", self.cast(item, torch.int64), np.array([1])))
            else:
                known.append(int(item))
        if known:
            parts.append(self.array(np.array(known, np.int64)))
        return parts[0] if len(parts) == 1 else self.op("Concat", *parts, axis=0)

    def size(self, x: Tensor, dim: int) -> int | Scalar:
        """An extent: a number where it is known."""
        dim = x.axis(dim)
        if is_static(x.shape[dim]):
            return x.shape[dim]
        taken = self.op("Shape", x, start=dim, end=dim + 1)
        return Scalar(self.op("Squeeze", taken, np.array([0])), torch.int64)

    def shape(self, x: Tensor) -> Value:
        """All extents as a vector."""
        if all(is_static(extent) for extent in x.shape):
            return self.sizes(x.shape)
        taken = self.op("Shape", x)
        return self.op("Slice", taken, [0], [x.rank], [0]) if x.is_complex else taken

    def known_sizes(self, wanted: Sequence[Any], result: Sequence[Dimension] | None) -> list[Any]:
        """Sizes with those known from the result's shape filled in."""
        if result is None:
            return list(wanted)
        return [known if is_static(known) else item for item, known in zip(wanted, result, strict=True)]

    def unsqueeze(self, value: Any, *axes: int) -> Value:
        return self.op("Unsqueeze", value, np.array(axes)) if axes else self.value(value)  # type: ignore[return-value]

    def squeeze(self, value: Any, *axes: int) -> Value:
        return self.op("Squeeze", value, np.array(axes)) if axes else self.value(value)  # type: ignore[return-value]

    def reshape(self, value: Any, sizes: Sequence[Any]) -> Value:
        """A Reshape to sizes of which one may be -1. A zero is a size of zero."""
        if any(isinstance(item, int) and item == -1 for item in sizes):
            return self.op("Reshape", value, list(sizes))
        return self.op("Reshape", value, list(sizes), allowzero=1)

    def transpose(self, value: Any, order: Sequence[int]) -> Value:
        if list(order) == list(range(len(order))):
            return self.value(value)  # type: ignore[return-value]
        return self.op("Transpose", value, perm=list(order))

    def slice(self, value: Any, axis: int, start: Any, end: Any, step: Any = 1) -> Value:
        """A Slice of one axis."""
        return self.op("Slice", value, [start], [end], [axis], [step])

    def promoted(self, *items: Any, dtype: torch.dtype | None = None) -> tuple[list[Value], torch.dtype]:
        """Operands in the type that PyTorch computes in, and the type."""
        common = dtype or result_type(*items)
        return [self.number(item, common) for item in items], common

    def static(self, x: Tensor, what: str) -> list[int]:
        """The sizes of a tensor. Raises UnsupportedOperator where they are not known."""
        if not all(is_static(extent) for extent in x.shape):
            raise UnsupportedOperator(f"{what} needs sizes that are known; these are {list(map(str, x.shape))}")
        return list(x.shape)


def _tensor(array: np.ndarray) -> Any:
    from onward.ir.tensor import Tensor as Constant

    return Constant.of(np.ascontiguousarray(array).reshape(array.shape))


def result_type(*items: Any) -> torch.dtype:
    """PyTorch's rule of type promotion: tensors with dimensions, then those without, then numbers."""
    stand_ins: list[Any] = []
    for item in items:
        if isinstance(item, Tensor):
            stand_ins.append(torch.empty([0] if item.rank else [], dtype=item.dtype, device="meta"))
        elif isinstance(item, Scalar):
            stand_ins.append({torch.int64: 1, torch.bool: True}.get(item.dtype, 1.0))
        else:
            stand_ins.append(item)
    found = stand_ins[0] if len(stand_ins) > 1 or isinstance(stand_ins[0], torch.Tensor) else torch.as_tensor(stand_ins[0])
    if len(stand_ins) == 1:
        return found.dtype
    # Categories bind before widths, so all are compared with the promoted type of those before.
    dimensioned = [item for item in stand_ins if isinstance(item, torch.Tensor) and item.dim()]
    others = [item for item in stand_ins if not (isinstance(item, torch.Tensor) and item.dim())]
    tensors = [item for item in others if isinstance(item, torch.Tensor)]
    numbers = [item for item in others if not isinstance(item, torch.Tensor)]
    ordered = dimensioned + tensors + numbers
    common = torch.result_type(ordered[0], ordered[1])
    for item in ordered[2:]:
        common = torch.result_type(torch.empty([0], dtype=common, device="meta"), item)
    return common
