"""Writes an ONNX graph for what is said in TensorFlow's terms: tensors with TensorFlow's data types and shapes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.python.client import pywrap_tf_session

from onward.converters.builder import ModelBuilder
from onward.errors import UnsupportedOperator
from onward.ir import Node, Value
from onward.ir.datatypes import DataType
from onward.ir.tensor import Tensor as Constant

EVALUATED = 4096
"""Elements up to which TensorFlow is asked whether a result is a constant."""

QUANTIZED = {tf.qint8: np.int8, tf.quint8: np.uint8, tf.qint32: np.int32, tf.qint16: np.int16, tf.quint16: np.uint16}
REAL = {tf.complex64: tf.float32, tf.complex128: tf.float64}


def data_type(dtype: tf.DType) -> DataType:
    """The ONNX data type; that of the parts for a complex one."""
    if dtype == tf.string:
        return DataType.STRING
    dtype = REAL.get(dtype, dtype)
    return DataType.of(np.dtype(QUANTIZED.get(dtype, dtype.as_numpy_dtype)))


class Tensor:
    """A tensor of the source. `shadow` is its counterpart in a graph of TensorFlow that exists for the sake of shapes, data
    types and constants; the ONNX value is made when first needed where the content is known."""

    def __init__(self, c: Emitter, shadow: Any, value: Value | None = None, array: np.ndarray | None = None, name: str = "") -> None:
        self._c = c
        self.shadow = shadow
        self._value = value
        self._array = array
        self._evaluated = array is not None
        self.name = name

    @property
    def value(self) -> Value:
        if self._value is None:
            assert self._array is not None
            self._value = self._c.array(self._array, self.name)
        return self._value

    @property
    def computed(self) -> Value | None:
        """The ONNX value, if there is one already."""
        return self._value

    @property
    def known(self) -> np.ndarray | None:
        """The content where it is a constant."""
        if not self._evaluated:
            self._evaluated = True
            self._array = constant_of(self.shadow)
        return self._array

    @property
    def dtype(self) -> tf.DType:
        return self.shadow.dtype

    @property
    def is_complex(self) -> bool:
        return bool(self.dtype.is_complex)

    @property
    def has_rank(self) -> bool:
        return self.shadow.shape.rank is not None

    @property
    def shape(self) -> list[int | None]:
        """Extents, None for open ones. Raises UnsupportedOperator for an unknown rank."""
        if self.shadow.shape.rank is None:
            raise UnsupportedOperator(f"the number of axes of '{self.shadow.name}' is not known")
        return self.shadow.shape.as_list()

    @property
    def rank(self) -> int:
        return len(self.shape)


class Resource:
    """A variable or table of the source: its handle, and the name of the variable."""

    def __init__(self, handle: Any, name: str = "") -> None:
        self.handle = handle
        self.name = name


def constant_of(shadow: Any) -> np.ndarray | None:
    """The content of a tensor of the shadow graph where TensorFlow finds it to be a constant."""
    count = shadow.shape.num_elements()
    if count is None or count > EVALUATED or shadow.dtype in (tf.resource, tf.variant):
        return None
    with shadow.graph._c_graph.get() as graph:
        found = pywrap_tf_session.TF_TryEvaluateConstant_wrapper(graph, shadow._as_tf_output())
    return None if found is None else as_array(found)


def as_array(array: Any) -> np.ndarray:
    """An array of TensorFlow as one of ONNX: text as str, complex numbers as pairs."""
    array = np.asarray(array)
    if array.dtype.kind in "OSU":
        return np.array([text_of(item) for item in array.ravel()], object).reshape(array.shape)
    if array.dtype.kind == "c":
        return np.stack([array.real, array.imag], -1)
    if array.dtype.fields:
        return array.astype(array.dtype[0])
    return array


def text_of(item: Any) -> str:
    """Bytes as text. Raises UnsupportedOperator for bytes that are no UTF-8."""
    if not isinstance(item, bytes):
        return str(item)
    try:
        return item.decode()
    except UnicodeDecodeError as problem:
        raise UnsupportedOperator(f"ONNX has text in UTF-8 only, not {item[:20]!r}") from problem


class Emitter(ModelBuilder):
    """A graph under construction, in TensorFlow's terms."""

    def __init__(self, name: str, opset: int) -> None:
        super().__init__(name, opset)
        self._constants: dict[tuple[Any, ...], Value] = {}
        self.origin: dict[str, str] = {}
        """What is noted at each node: where in the source it stands."""
        self.notes: list[str] = []
        """What the certificate is to say."""
        self.vocabulary: list[str] = []
        """Some of the texts that tables know."""
        self.variables: dict[int, Tensor] = {}
        """By the handle's identity."""

    def of(self, item: Any) -> Value | None:
        """The ONNX value of a tensor, an array or a list of sizes."""
        if item is None or isinstance(item, Value):
            return item
        if isinstance(item, Tensor):
            return item.value
        if isinstance(item, np.ndarray):
            return self.array(item)
        if isinstance(item, (list, tuple)):
            return self.sizes(item)
        raise TypeError(f"{type(item).__name__} is no value")

    def op(self, operator: str, *inputs: Any, outputs: int = 1, domain: str = "", **attributes: Any) -> Any:
        """Adds a node; inputs may be tensors, arrays (constants) or lists of sizes."""
        results = super().op(operator, *(self.of(item) for item in inputs), outputs=outputs, domain=domain, **attributes)
        node: Node = (results if outputs == 1 else results[0]).producer
        node.metadata.update(self.origin)
        return results

    def array(self, array: np.ndarray, name: str = "") -> Value:
        """A constant of the outermost graph; equal small ones are one."""
        array = np.ascontiguousarray(array).reshape(array.shape)
        graph = self.outermost
        content = str(array.tolist()) if array.dtype.kind == "O" else array.tobytes() if array.size <= 64 else id(array)
        key = (str(array.dtype), array.shape, content)
        if array.size > 64 or key not in self._constants:
            made = graph.add_initializer(Constant.of(array), name or "constant")
            if array.size > 64:
                return made
            self._constants[key] = made
        return self._constants[key]

    def number(self, number: Any, like: Tensor | tf.DType) -> Value:
        """A number, or an array of them, in a tensor's type (that of the parts for a complex one)."""
        return self.array(np.asarray(number).astype(data_type(getattr(like, "dtype", like) if isinstance(like, Tensor) else like).numpy))

    def cast(self, value: Any, dtype: tf.DType) -> Value:
        """The value in another data type."""
        if isinstance(value, Tensor):
            if value.known is not None and value.dtype != tf.string and dtype != tf.string:
                return self.array(value.known.astype(data_type(dtype).numpy))
            if data_type(value.dtype) == data_type(dtype):
                return value.value
        return self.op("Cast", value, to=int(data_type(dtype)))

    def sizes(self, items: Any) -> Value:
        """A vector of int64: of a vector of the source, or of numbers and values of rank 0 or 1."""
        if isinstance(items, Tensor):
            made = self.cast(items, tf.int64)
            return made if items.rank == 1 else self.op("Reshape", made, np.array([-1]))
        if not any(isinstance(item, (Tensor, Value)) for item in items):
            return self.array(np.array([int(item) for item in items], np.int64).reshape(-1))
        parts = []
        for item in items:
            part = np.array([item], np.int64) if isinstance(item, (int, np.integer)) else self.cast(item, tf.int64) if isinstance(item, Tensor) else item
            parts.append(self.op("Reshape", part, np.array([-1])) if not isinstance(part, np.ndarray) else self.array(part))
        return self.op("Concat", *parts, axis=0)

    def size(self, x: Tensor, axis: int) -> Any:
        """An extent: a number where it is known, else a vector of one element."""
        axis %= x.rank
        known = x.shape[axis]
        return known if known is not None else self.op("Shape", x, start=axis, end=axis + 1)

    def shape(self, x: Tensor) -> Value:
        """All extents as a vector of int64."""
        if x.has_rank and None not in x.shape:
            return self.sizes(x.shape)
        taken = self.op("Shape", x)
        return self.op("Slice", taken, [0], [-1], [0]) if x.is_complex else taken

    def known(self, x: Tensor, what: str) -> np.ndarray:
        """The content of an input that ONNX wants to know. Raises UnsupportedOperator where only the run knows it."""
        if x.known is None:
            raise UnsupportedOperator(f"{what} is computed at run time, which ONNX does not allow")
        return x.known

    def reshape(self, value: Any, sizes: Any) -> Value:
        """A Reshape to sizes of which one may be -1. A zero is a size of zero."""
        if isinstance(sizes, (list, tuple)) and any(isinstance(item, int) and item == -1 for item in sizes):
            return self.op("Reshape", value, self.sizes(sizes))
        return self.op("Reshape", value, self.sizes(sizes) if not isinstance(sizes, Value) else sizes, allowzero=1)

    def transpose(self, value: Any, order: Sequence[int]) -> Value:
        if list(order) == list(range(len(order))):
            return self.of(value)  # type: ignore[return-value]
        return self.op("Transpose", value, perm=[int(axis) for axis in order])

    def unsqueeze(self, value: Any, *axes: int) -> Value:
        return self.op("Unsqueeze", value, np.array(axes, np.int64))

    def squeeze(self, value: Any, *axes: int) -> Value:
        return self.op("Squeeze", value, np.array(axes, np.int64))

    def slice(self, value: Any, axis: int, start: Any, end: Any, step: int = 1) -> Value:
        """A Slice of one axis."""
        return self.op("Slice", value, self.sizes([start]), self.sizes([end]), [axis], [step])
