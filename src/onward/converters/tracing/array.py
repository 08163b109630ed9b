"""An array whose operations are written down."""

from __future__ import annotations

import operator
import sys
import traceback
from collections.abc import Callable, Sequence
from functools import partial
from types import FrameType
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from onward.converters.builder import ModelBuilder
from onward.errors import UnsupportedOperator
from onward.ir import Value
from onward.ir.datatypes import DataType

UFUNCS: dict[Any, Callable[..., Any]] = {}
FUNCTIONS: dict[Any, Callable[..., Any]] = {}
"""What can be traced: ufuncs, and functions that NumPy dispatches (NEP 13 and NEP 18)."""

TEXT = np.dtype(object)
BOUNDARY = "sklearn/places.py"
"""Code beyond this file calls the method that is traced."""

Extent = Any  # int | RowCount


class RowCount:
    """The number of rows, which only the run knows."""

    def __init__(self, array: Array, axis: int) -> None:
        self.array, self.axis = array, axis

    def vector(self) -> Value:
        """The number as an int64 vector of one element."""
        return self.array.trace.b.op("Shape", self.array.value, start=self.axis, end=self.axis + 1)

    def number(self) -> Array:
        """The number as a traced int64 scalar."""
        trace = self.array.trace
        return Array(trace, trace.b.op("Squeeze", self.vector(), trace.vector([0])), np.dtype(np.int64), ())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RowCount)

    def __hash__(self) -> int:
        return 1

    def __repr__(self) -> str:
        return "rows"

    def _arithmetic(name: str) -> Any:  # type: ignore[misc]  # noqa: N805 (makes the methods below)
        return lambda self, *others: getattr(self.number(), name)(*others)

    for _name in ("add", "radd", "sub", "rsub", "mul", "rmul", "truediv", "rtruediv", "pow", "neg"):
        locals()[f"__{_name}__"] = _arithmetic(f"__{_name}__")

    def __bool__(self) -> bool:
        return True

    def _compared(result: bool) -> Any:  # type: ignore[misc]  # noqa: N805
        return lambda self, other: result

    __lt__, __le__, __gt__, __ge__ = _compared(False), _compared(False), _compared(True), _compared(True)


def refusal(what: str) -> UnsupportedOperator:
    """The error for code that cannot be traced, with the innermost line that is not ours."""
    frames = [frame for frame in traceback.extract_stack() if "onward/converters/" not in frame.filename.replace("\\", "/")]
    inner = next((frame for frame in reversed(frames) if "numpy" not in frame.filename), None)
    place = f" at {inner.filename}:{inner.lineno} ({inner.line})" if inner else ""
    return UnsupportedOperator(f"{what}, which a graph cannot say{place}")


def _place() -> str:
    """file:line of the code that an operation is written down for, "" where that is a translation."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        name = frame.f_code.co_filename.replace("\\", "/")
        if "onward/converters/" in name:
            if name.endswith(BOUNDARY):
                return ""
        elif "/numpy/" not in name:
            return f"{frame.f_code.co_filename}:{frame.f_lineno}"
        frame = frame.f_back
    return ""


class Trace:
    """A graph under construction, and the constants that it shares."""

    def __init__(self, builder: ModelBuilder) -> None:
        self.b = builder
        self.empty_is_missing = False
        """Whether empty text stands for a missing value: a graph's text cannot be missing."""
        self._constants: dict[tuple[str, tuple[int, ...], bytes], Value] = {}

    def constant(self, array: np.ndarray) -> Value:
        """An initializer; equal small ones are one."""
        array = np.ascontiguousarray(array) if array.ndim else np.asarray(array)
        if array.dtype.kind in "US":
            array = array.astype(object)
        if array.dtype == TEXT or array.size > 64:
            return self.b.constant(array)
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._constants:
            self._constants[key] = self.b.constant(array)
        return self._constants[key]

    def rows(self, value: Value, dtype: Any) -> Array:
        """A vector in the graph, of a length that the run knows, as a traced array."""
        made = Array(self, value, np.dtype(dtype), ())
        made._shape = (RowCount(made, 0),)
        return made

    def vector(self, numbers: Sequence[int]) -> Value:
        """A constant vector of int64."""
        return self.constant(np.array(numbers, np.int64))

    def op(self, name: str, *inputs: Any, dtype: Any, shape: Sequence[Extent], **attributes: Any) -> Array:
        """A traced array from one node; inputs may be traced arrays, values, or NumPy arrays."""
        values = [as_value(self, item) for item in inputs]
        made = Array(self, self.b.op(name, *values, **attributes), np.dtype(dtype), tuple(shape))
        place = _place()
        if place and made.value.producer is not None:
            made.value.producer.metadata["onward.source"] = place
        return made

    def sizes(self, shape: Sequence[Extent]) -> Value:
        """The extents as an int64 vector."""
        if all(not isinstance(extent, (RowCount, Array)) for extent in shape):
            return self.vector([operator.index(extent) for extent in shape])
        parts = [
            extent.vector() if isinstance(extent, RowCount)
            else self.b.op("Reshape", extent.value, self.vector([1])) if isinstance(extent, Array)
            else self.vector([operator.index(extent)])
            for extent in shape
        ]  # fmt: skip
        return parts[0] if len(parts) == 1 else self.b.op("Concat", *parts, axis=0)


def as_value(trace: Trace, item: Any) -> Value | None:
    if item is None or isinstance(item, Value):
        return item
    return as_array(trace, item).value


def as_array(trace: Trace, item: Any, dtype: Any = None) -> Array:
    """Anything that NumPy takes for an array, as a traced one."""
    if isinstance(item, RowCount):
        item = item.number()
    if isinstance(item, (list, tuple)) and any(isinstance(part, (Array, RowCount, list, tuple)) for part in item):
        parts = [as_array(trace, part) for part in item]
        item = FUNCTIONS[np.stack](parts)
    if not isinstance(item, Array):
        array = np.asarray(item.toarray() if hasattr(item, "toarray") else item, dtype)
        if array.dtype.kind in "US":
            array = array.astype(object)
        item = Array(trace, trace.constant(array), array.dtype, array.shape)
    return item if dtype is None else item.astype(dtype)


def onnx_type(dtype: np.dtype) -> DataType:
    """The ONNX data type of a NumPy one; object stands for text."""
    return DataType.STRING if dtype == TEXT else DataType.of(dtype)


class _Flags:
    writeable = True
    c_contiguous = True
    f_contiguous = False


class Array(NDArrayOperatorsMixin):
    """A NumPy array in the making: an ONNX value with its data type and extents."""

    __array_priority__ = 1000
    flags = _Flags()

    def __init__(self, trace: Trace, value: Value, dtype: np.dtype, shape: tuple[Extent, ...]) -> None:
        self.trace, self.value, self.dtype, self._shape = trace, value, dtype, shape

    @property
    def shape(self) -> tuple[Extent, ...]:
        """Extents; those that only the run knows are RowCounts of this array."""
        return tuple(RowCount(self, axis) if isinstance(extent, RowCount) else extent for axis, extent in enumerate(self._shape))

    @property
    def ndim(self) -> int:
        return len(self._shape)

    @property
    def size(self) -> Any:
        size: Any = 1
        for extent in self.shape:
            size = extent * size if isinstance(extent, RowCount) else size * extent
        return size

    @property
    def T(self) -> Array:  # noqa: N802 (NumPy's name)
        return np.transpose(self)  # type: ignore[no-any-return, call-overload]

    device = "cpu"

    @property
    def flat(self) -> Array:
        return self.reshape(-1)

    # -- NumPy's protocols -------------------------------------------------------------------------------------

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, out: Any = None, where: Any = True, **options: Any) -> Any:
        if method == "reduce":
            reduction = {"add": np.sum, "multiply": np.prod, "maximum": np.max, "minimum": np.min, "logical_or": np.any,
                         "logical_and": np.all}.get(ufunc.__name__)  # fmt: skip
            if reduction is None:
                raise refusal(f"{ufunc.__name__}.reduce")
            return FUNCTIONS[reduction](inputs[0], **{key: item for key, item in options.items() if key != "dtype"})
        if method == "outer":
            left, right = (as_array(self.trace, item) for item in inputs)
            return ufunc(left.reshape(*left.shape, *(1,) * right.ndim), right)
        if method != "__call__" or ufunc not in UFUNCS:
            raise refusal(f"the ufunc {ufunc.__name__}{'.' + method if method != '__call__' else ''} is used")
        from onward.converters.tracing.ufuncs import apply

        result = apply(self.trace, ufunc, inputs)
        if where is not True:
            before = out[0] if out else np.zeros((), result.dtype)
            result = np.where(where, result, before)
        return result if not out else assigned(out[0], result)

    def __array_function__(self, function: Any, types: Any, arguments: Any, options: Any) -> Any:
        if function not in FUNCTIONS:
            raise refusal(f"numpy.{function.__name__} is used")
        return FUNCTIONS[function](*arguments, **options)

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        raise refusal("the code asks for the data")

    def __bool__(self) -> bool:
        raise refusal("the code branches on a value")

    def __float__(self) -> float:
        raise refusal("the code asks for a value as a plain number")

    __int__ = __index__ = __float__  # type: ignore[assignment]

    def __len__(self) -> int:
        if isinstance(self._shape[0], RowCount):
            raise refusal("the code asks for the number of rows as a plain number")
        return int(self._shape[0])

    def __iter__(self) -> Any:
        for place in range(len(self)):
            yield self[place]

    def __repr__(self) -> str:
        return f"Array({self.dtype}, {self._shape})"

    # -- elements ----------------------------------------------------------------------------------------------

    def __getitem__(self, key: Any) -> Array:
        from onward.converters.tracing.indexing import read

        return read(self, key)

    def __setitem__(self, key: Any, item: Any) -> None:
        from onward.converters.tracing.indexing import written

        assigned(self, written(self, key, as_array(self.trace, item)))

    # -- methods -----------------------------------------------------------------------------------------------

    def astype(self, dtype: Any, copy: bool = True, **_: Any) -> Array:
        """The elements in another data type, as NumPy casts them."""
        wanted = np.dtype(dtype)
        if wanted == self.dtype:
            return self.copy() if copy else self
        if wanted.kind in "US":
            wanted = TEXT
        return self.trace.op("Cast", self, dtype=wanted, shape=self.shape, to=int(onnx_type(wanted)))

    def copy(self, order: str = "C") -> Array:
        return Array(self.trace, self.value, self.dtype, self._shape)

    __copy__ = copy

    def __deepcopy__(self, memo: Any) -> Array:
        return self.copy()

    def reshape(self, *shape: Any, order: str = "C", copy: Any = None) -> Array:
        wanted = shape[0] if len(shape) == 1 and isinstance(shape[0], (tuple, list)) else shape
        return FUNCTIONS[np.reshape](self, tuple(wanted))

    def transpose(self, *axes: Any) -> Array:
        order = axes[0] if len(axes) == 1 and isinstance(axes[0], (tuple, list)) else axes
        return FUNCTIONS[np.transpose](self, tuple(order) or None)

    def ravel(self, order: str = "C") -> Array:
        return self.reshape(-1)

    flatten = ravel

    def dot(self, other: Any, out: Any = None) -> Array:
        return FUNCTIONS[np.dot](self, other)

    def fill(self, number: Any) -> None:
        assigned(self, FUNCTIONS[np.full_like](self, number))

    def toarray(self) -> Array:
        return self

    @property
    def values(self) -> Array:
        return self

    def view(self, *_: Any) -> Array:
        return self

    def __getattr__(self, name: str) -> Any:
        if name in METHODS_OF_COLUMNS:
            return partial(METHODS_OF_COLUMNS[name], self)
        function = {"argsort": np.argsort, "round": np.round}.get(name) or (getattr(np, name, None) if name in METHODS else None)
        if function is None:
            raise AttributeError(f"a traced array has no attribute '{name}'")
        return lambda *arguments, **options: FUNCTIONS[function](self, *arguments, **options)


METHODS_OF_COLUMNS: dict[str, Callable[..., Any]] = {}
"""What columns of pandas have beside NumPy's methods (`columns.py`)."""

METHODS = frozenset({
    "sum", "mean", "var", "std", "max", "min", "prod", "any", "all", "argmax", "argmin", "cumsum", "squeeze", "take",
    "swapaxes", "repeat", "nonzero", "diagonal",
})  # fmt: skip


def assigned(target: Any, result: Array) -> Array:
    """What an operation in place leaves behind: the target stands for the result from now on."""
    if not isinstance(target, Array):
        raise refusal("a traced value is written into an array that is not traced")
    result = result.astype(target.dtype, copy=False)
    if result.ndim < target.ndim or any(isinstance(wide, RowCount) or wide != have for wide, have in zip(target._shape, result._shape) if have == 1):
        result = FUNCTIONS[np.broadcast_to](result, target.shape)
    target.value = result.value
    return target


def implements(function: Any, table: dict[Any, Callable[..., Any]] = FUNCTIONS) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Registers what a NumPy function becomes."""

    def register(translation: Callable[..., Any]) -> Callable[..., Any]:
        table[function] = translation
        return translation

    return register
