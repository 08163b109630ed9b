"""Tensor: data with a dtype and a shape, read only when somebody looks."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from onward.errors import FormatError
from onward.ir.datatypes import DataType

Source = Callable[[], Any]


class Tensor:
    """`shape` elements of `dtype`. `data` is an array, raw ONNX bytes (little endian, sub-byte types packed low half
    first), a list of bytes for strings, or a function that gives one of these when first needed."""

    __slots__ = ("dtype", "shape", "name", "doc_string", "metadata", "_data", "_array", "message")

    def __init__(self, dtype: DataType, shape: Sequence[int], data: Any, name: str = "") -> None:
        self.dtype = dtype
        self.shape = tuple(int(extent) for extent in shape)
        self.name = name
        self.doc_string = ""
        self.metadata: dict[str, str] = {}
        self._data = data
        self._array: np.ndarray | None = None
        self.message: Any = None

    @classmethod
    def of(cls, array: np.ndarray, name: str = "") -> Tensor:
        """A tensor over an array's memory."""
        array = np.asarray(array)
        kind = DataType.STRING if array.dtype.kind in "OUS" else DataType.of(array.dtype)
        return cls(kind, array.shape, array, name)

    @property
    def size(self) -> int:
        """The number of elements."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes in the ONNX raw layout."""
        return (self.size * self.dtype.bits + 7) // 8

    def numpy(self) -> np.ndarray:
        """The elements: a view of the file where the layout allows, else unpacked once. Not to be written to."""
        if self._array is None:
            data = self._data() if callable(self._data) else self._data
            self._array = self._view(data)
        return self._array

    def _view(self, data: Any) -> np.ndarray:
        if isinstance(data, np.ndarray):
            return data.reshape(self.shape)
        if isinstance(data, list):
            array = np.empty(len(data), object)
            array[:] = [item.decode("utf-8", "surrogateescape") if isinstance(item, bytes) else item for item in data]
            return array.reshape(self.shape)
        return unpack(memoryview(data), self.dtype, self.shape, self.name)

    def raw(self) -> memoryview:
        """The elements in the ONNX raw layout, without a copy where possible."""
        data = self._data() if callable(self._data) else self._data
        if isinstance(data, (bytes, bytearray, memoryview)):
            return memoryview(data).cast("B")
        return memoryview(pack(self.numpy(), self.dtype)).cast("B")

    def __repr__(self) -> str:
        return f"Tensor({self.name!r}, {self.dtype.name}, {list(self.shape)})"


def unpack(data: memoryview, dtype: DataType, shape: Sequence[int], name: str = "") -> np.ndarray:
    """An array over raw ONNX bytes. Raises FormatError when the size does not fit the shape."""
    size = math.prod(shape)
    expected = (size * dtype.bits + 7) // 8
    if data.nbytes != expected:
        raise FormatError(f"tensor '{name}' of {dtype.name}{list(shape)} needs {expected} bytes of data, but the file holds {data.nbytes}")
    if dtype.bits in (2, 4):
        packed = np.frombuffer(data, np.uint8)
        per_byte = 8 // dtype.bits
        shifts = np.arange(per_byte, dtype=np.uint8) * dtype.bits
        parts = (packed[:, None] >> shifts) & ((1 << dtype.bits) - 1)
        return _from_codes(parts.reshape(-1)[:size].astype(np.uint8), dtype).reshape(shape)
    if dtype.bits == 6:
        bits = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little")[: size * 6].reshape(-1, 6)
        return (bits << np.arange(6, dtype=np.uint8)).sum(1, dtype=np.uint8).view(dtype.numpy).reshape(shape)
    kind = dtype.numpy
    if sys.byteorder == "big":
        return np.frombuffer(data, kind.newbyteorder("<")).astype(kind).reshape(shape)
    return np.frombuffer(data, kind).reshape(shape)


def _from_codes(codes: np.ndarray, dtype: DataType) -> np.ndarray:
    """Elements from their bit patterns, one in the low bits of each byte."""
    if dtype.name.startswith("INT"):
        half = 1 << (dtype.bits - 1)
        return ((codes.astype(np.int8) ^ half) - half).astype(np.int8).astype(dtype.numpy)
    if dtype.name.startswith("UINT"):
        return codes.astype(dtype.numpy)
    return codes.view(dtype.numpy)


def pack(array: np.ndarray, dtype: DataType) -> bytes:
    """The raw ONNX bytes of an array."""
    array = np.ascontiguousarray(array)
    if dtype.bits in (2, 4):
        bytes_ = array.astype(np.int8).view(np.uint8) if dtype.is_integer else array.view(np.uint8)
        codes = (bytes_.reshape(-1) & ((1 << dtype.bits) - 1)).astype(np.uint8)
        per_byte = 8 // dtype.bits
        codes = np.concatenate([codes, np.zeros(-len(codes) % per_byte, np.uint8)]).reshape(-1, per_byte)
        return (codes << (np.arange(per_byte, dtype=np.uint8) * dtype.bits)).sum(1, dtype=np.uint8).tobytes()
    if dtype.bits == 6:
        column = array.view(np.uint8).reshape(-1, 1)
        bits = (column >> np.arange(6, dtype=np.uint8)) & 1
        return np.packbits(bits.reshape(-1), bitorder="little").tobytes()
    if sys.byteorder == "big":
        array = array.astype(array.dtype.newbyteorder("<"))
    return array.tobytes()
