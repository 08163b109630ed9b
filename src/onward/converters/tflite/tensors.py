"""Tensors of a TFLite file: their types, shapes, quantisation and data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np

from onward.converters.tflite.reader import Record
from onward.errors import FormatError
from onward.ir import Value

TYPES: dict[str, Any] = {
    "FLOAT32": np.float32, "FLOAT16": np.float16, "FLOAT64": np.float64, "BFLOAT16": ml_dtypes.bfloat16, "INT8": np.int8,
    "INT16": np.int16, "INT32": np.int32, "INT64": np.int64, "UINT8": np.uint8, "UINT16": np.uint16, "UINT32": np.uint32,
    "UINT64": np.uint64, "BOOL": np.bool_, "STRING": np.object_, "INT4": np.int8, "UINT4": np.uint8, "INT2": np.int8,
    "COMPLEX64": np.complex64, "COMPLEX128": np.complex128,
}  # fmt: skip
"""The schema's types in NumPy; numbers of less than a byte are read into bytes."""

NARROW = {"INT4": (4, True), "UINT4": (4, False), "INT2": (2, True)}
"""Types of less than a byte: their bits, and whether they are signed."""

QUANTIZED = {"INT8", "UINT8", "INT16", "INT32", "INT64", "INT4", "UINT4", "INT2"}


@dataclass(frozen=True)
class Quantization:
    """real = scale * (code - zero): one pair, or one for each slice along `axis`."""

    scale: np.ndarray
    zero: np.ndarray
    axis: int

    @property
    def each(self) -> bool:
        """Whether every slice has its own."""
        return self.scale.size > 1


@dataclass
class Laid:
    """A value as TFLite lays it out (`last`, channels last) or with channels first; at least one is there, the other is made when
    it is asked for."""

    last: Value | None = None
    first: Value | None = None


@dataclass(eq=False)
class Tensor:
    """A tensor of a subgraph. `shape` has -1 for open sizes. `held` is the ONNX value of its real numbers; `source` the tensor
    that an operator only turned into another type."""

    name: str
    type: str
    shape: tuple[int, ...]
    quantization: Quantization | None = None
    data: np.ndarray | None = None
    held: Laid | None = None
    source: Tensor | None = None
    variable: bool = False
    handle: Any = None
    """Which table or variable a resource is."""

    @property
    def rank(self) -> int:
        return len(self.shape)

    @property
    def dtype(self) -> np.dtype:
        """The type of the elements that handlers see: that of real numbers for quantised tensors."""
        return np.dtype(np.float32) if self.quantization else np.dtype(TYPES[self.type])

    def axis(self, number: int) -> int:
        """An axis counted from the front."""
        return int(number) % self.rank if self.rank else 0


def tensor_of(record: Record, model: Record, file: bytes) -> Tensor:
    """A tensor with its data. Raises FormatError for one that contradicts itself."""
    name = record.name or ""
    if record.type not in TYPES and record.type not in ("RESOURCE", "VARIANT"):
        raise FormatError(f"tensor '{name}' has the unknown type {record.type}")
    signature = record.shape_signature if len(record.shape_signature) == len(record.shape) else record.shape
    shape = tuple(int(extent) for extent in signature)
    if len(shape) > 32 or any(extent < -1 for extent in shape):
        raise FormatError(f"tensor '{name}' has the shape {list(shape)[:40]}")
    made = Tensor(name, record.type, shape, _quantization(record), variable=record.is_variable)
    content = _content(record, model, file)
    if len(content) and record.type in TYPES:
        made.data = _array(made, record, content)
        made.shape = made.data.shape
    return made


def _content(record: Record, model: Record, file: bytes) -> np.ndarray:
    if record.external_buffer:
        raise FormatError(f"tensor '{record.name}' has its data in another file")
    if record.buffer >= len(model.buffers):
        raise FormatError(f"tensor '{record.name}' has buffer {record.buffer} of {len(model.buffers)}")
    buffer = model.buffers[record.buffer]
    if buffer.offset > 1:  # 0 and 1 stand for data within the table
        if buffer.offset + buffer.size > len(file):
            raise FormatError(f"the data of tensor '{record.name}' is beyond the end of the file")
        return np.frombuffer(file, np.uint8, buffer.size, buffer.offset) if buffer.size else np.empty(0, np.uint8)
    return buffer.data


def _array(tensor: Tensor, record: Record, content: np.ndarray) -> np.ndarray:
    if tensor.type == "STRING":
        return _strings(tensor, content)
    shape = tuple(int(extent) for extent in record.shape)
    if record.sparsity is not None:
        from onward.converters.tflite.sparsity import densified

        return densified(tensor.name, record.sparsity, shape, _elements(tensor, content))
    elements = _elements(tensor, content)
    count = 1
    for extent in shape:
        count *= extent
    if tensor.type in NARROW:
        elements = elements[:count] if count >= 0 else elements
    if count != elements.size:
        raise FormatError(f"tensor '{tensor.name}' of shape {list(shape)} has {elements.size} elements")
    return elements.reshape(shape)


def _elements(tensor: Tensor, content: np.ndarray) -> np.ndarray:
    if tensor.type in NARROW:
        return _unpacked(content, *NARROW[tensor.type])
    dtype = np.dtype(TYPES[tensor.type])
    if len(content) % dtype.itemsize:
        raise FormatError(f"the data of tensor '{tensor.name}' is cut off")
    return np.frombuffer(content.tobytes(), dtype)


def _unpacked(content: np.ndarray, bits: int, signed: bool) -> np.ndarray:
    """Numbers of 4 or 2 bits, the low ones first."""
    parts = np.stack([content >> shift & (1 << bits) - 1 for shift in range(0, 8, bits)], -1).reshape(-1)
    return (parts.astype(np.int8) ^ 1 << bits - 1) - (1 << bits - 1) if signed else parts


def _strings(tensor: Tensor, content: np.ndarray) -> np.ndarray:
    """Text: a count, offsets and bytes."""
    raw = content.tobytes()
    heads = np.frombuffer(raw, "<i4", len(raw) // 4)
    count = int(heads[0]) if heads.size else 0
    expected = 1
    for extent in tensor.shape:
        expected *= max(extent, 0)
    if not 0 <= count < heads.size - 1 or count != expected:
        raise FormatError(f"the text of tensor '{tensor.name}' is damaged")
    offsets = heads[1 : count + 2]
    if count and (np.any(np.diff(offsets) < 0) or offsets[0] < 0 or offsets[-1] > len(raw)):
        raise FormatError(f"the text of tensor '{tensor.name}' is damaged")
    made = np.empty(count, object)
    for place in range(count):
        made[place] = raw[offsets[place] : offsets[place + 1]].decode("utf-8", "replace")
    return made.reshape(tensor.shape)


def _quantization(record: Record) -> Quantization | None:
    found = record.quantization
    if found is None or record.type not in QUANTIZED or not len(found.scale):
        return None
    if found.details is not None:
        raise FormatError(f"tensor '{record.name}' is quantised by {found.details.table}, which nothing here reads")
    scale = found.scale.astype(np.float32)
    zero = found.zero_point.astype(np.int64) if len(found.zero_point) else np.zeros(1, np.int64)
    axis = int(found.quantized_dimension)
    if not np.all(np.isfinite(scale)) or np.any(scale < 0):
        raise FormatError(f"tensor '{record.name}' has a scale that is no positive number")
    if scale.size > 1 and not (0 <= axis < len(record.shape) and record.shape[axis] == scale.size):
        raise FormatError(f"tensor '{record.name}' has {scale.size} scales along axis {axis} of {list(record.shape)}")
    if zero.size not in (1, scale.size):
        raise FormatError(f"tensor '{record.name}' has {scale.size} scales and {zero.size} zero points")
    return Quantization(scale, np.broadcast_to(zero, scale.shape), axis)
