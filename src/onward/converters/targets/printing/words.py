"""The words of a target's array language: what a target has to say, and what all languages that are like NumPy share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from onward.converters.targets.printing.naming import number, quoted
from onward.converters.targets.printing.storage import kept
from onward.ir.datatypes import DataType
from onward.program.array import Parameter

INFIX = {
    "add": "+", "subtract": "-", "multiply": "*", "divide": "/", "and": "&", "or": "|", "xor": "^", "equal": "==", "not_equal": "!=",
    "less": "<", "less_equal": "<=", "greater": ">", "greater_equal": ">=",
}  # fmt: skip

TESTS = frozenset({"equal", "not_equal", "less", "less_equal", "greater", "greater_equal", "is_nan", "is_infinite"})
"""Operations whose results are truth values."""

GROWING = frozenset({"add", "subtract", "multiply", "negate", "not", "power", "shift_left"})
"""Operations of whole numbers whose results may need more bits than their operands."""


class Words(ABC):
    """How a target says what the tensor program says.

    Each method gives the text of an expression; its arguments are such texts, those of sizes and indices without parentheses around
    them. Numbers of axes are plain. An array language that is like NumPy has these words from here and says what differs.

    A target's prelude defines the helper functions that are named here, and `tree_ensemble` and `recurrence`, as NumPy's does.
    """

    prefix: ClassVar[str]
    """The name by which the module knows the array library."""

    functions: ClassVar[Mapping[str, str]]
    """scalar operation -> function of the library, for those that are neither infix nor helper functions"""

    reductions: ClassVar[Mapping[str, str]] = {name: name for name in ("sum", "prod", "max", "min", "argmax", "argmin")}

    whole: ClassVar[Mapping[str, str]] = {
        "divide": "integer_divide", "remainder": "integer_remainder", "truncated_remainder": "truncated_remainder", "power": "integer_power",
        "shift_left": "shift_left", "shift_right": "shift_right",
    }  # fmt: skip
    """Operations of whole numbers that are helper functions."""

    helping: ClassVar[frozenset[str]] = frozenset()
    """Scalar operations of all types that are helper functions."""

    counts_from_end: ClassVar[bool] = True
    """Whether a negative index counts from the end of its axis."""

    kept_in: Mapping[DataType, DataType] = {}
    """Types of elements that the target lacks, and those in which they are kept (`storage.py`). `decoded`, `encoded` and `lowest_bits` are helper functions then."""

    traces_loops: ClassVar[bool] = False
    """Whether the number of a loop's step is traced, so that no slice begins there and no size is made of it."""

    def helper(self, name: str, *arguments: str) -> str:
        """A call of a function of the target's prelude."""
        return f"{name}({', '.join(arguments)})"

    # -- what every target says ----------------------------------------------------------------------------------------
    @abstractmethod
    def dtype(self, dtype: DataType) -> str:
        """The name of a type of elements."""

    @abstractmethod
    def weight(self, name: str, dtype: DataType) -> str:
        """The weight of that name: letters, digits, underscores, and dots between the names of scopes."""

    def trained_weight(self, name: str, dtype: DataType) -> str:
        """The weight of that name which training changes."""
        return self.weight(name, dtype)

    def parameter(self, array: Parameter) -> str | None:
        """A weight of the model, where the target tells them from other constants."""
        return None

    @abstractmethod
    def cast(self, text: str, source: DataType, target: DataType, saturate: bool) -> str:
        """A conversion as the ONNX operator Cast does it."""

    @abstractmethod
    def pad(self, text: str, amounts: Sequence[tuple[str, str]], value: str) -> str:
        """An array within numbers `value`; `amounts` before and after it on each axis."""

    @abstractmethod
    def windows(self, text: str, lengths: Sequence[str], axes: Sequence[str]) -> str:
        """All windows of the given lengths along axes: their places stay on these axes, what is in them comes last."""

    def knows(self, dtype: DataType) -> bool:
        """Whether there are arrays of such elements."""
        return True

    # -- numbers -------------------------------------------------------------------------------------------------------
    def is_common(self, dtype: DataType) -> bool:
        """Whether plain Python numbers keep arrays of this type as they are."""
        return dtype in self.kept_in or dtype.numpy.type.__module__ == "numpy"

    def has_codes(self, dtype: DataType) -> bool:
        """Whether arrays of this type of floats hold their codes."""
        return dtype in self.kept_in and dtype.is_float

    def mixes_numbers(self, operation: str, dtype: DataType) -> bool:
        """Whether a scalar operation, or `where`, takes plain Python numbers beside arrays of a type."""
        return not (dtype.is_integer and operation in self.whole)

    def literal(self, value: Any, dtype: DataType) -> str:
        """A number beside arrays of its type."""
        value = value.item() if isinstance(value, (np.ndarray, np.generic)) else value
        if dtype == DataType.STRING:
            return quoted(value.decode(errors="surrogateescape") if isinstance(value, bytes) else str(value))
        if dtype == DataType.BOOL:
            return repr(bool(value))
        if self.has_codes(dtype):
            return number(int(kept(np.asarray(value).astype(dtype.numpy), self.kept_in)))
        if dtype.is_complex:
            return number(complex(value))
        if dtype.is_integer:
            return number(int(value))
        exact = float(np.asarray(value).astype(dtype.numpy).astype(np.float64))
        short = float(str(np.float32(exact))) if dtype == DataType.FLOAT else exact  # 0.1, not 0.10000000149011612
        return number(short if np.float32(short) == exact and abs(short) <= float(np.finfo(np.float32).max) else exact)

    def typed(self, value: Any, dtype: DataType) -> str:
        """A number that keeps its type by itself."""
        return f"{self.dtype(dtype)}({self.literal(value, dtype)})"

    def one_index(self, text: str) -> str:
        """A size or index as an element of type int64."""
        return f"{self.dtype(DataType.INT64)}({text})"

    def small_array(self, array: np.ndarray, dtype: DataType) -> str:
        """A few elements, written out."""

        def nested(item: Any) -> str:
            if np.ndim(item) == 0:
                return self.literal(item, dtype)
            return f"[{', '.join(nested(part) for part in item)}]"

        if array.ndim == 0:
            return self.typed(array[()], dtype)
        if array.size == 0:
            return f"{self.prefix}.zeros({array.shape}, dtype={self.dtype(dtype)})"
        return f"{self.prefix}.array({nested(array)}, dtype={self.dtype(dtype)})"

    def full(self, shape: str, text: str, dtype: DataType) -> str:
        return f"{self.prefix}.full({shape}, {text}, dtype={self.dtype(dtype)})"

    # -- elements ------------------------------------------------------------------------------------------------------
    def converted(self, text: str, source: DataType, target: DataType, saturate: bool) -> str:
        """A conversion between any two types, those that are kept in others included."""
        if self.has_codes(source):
            text, source = self.decoded(text, source), DataType.FLOAT
        source = self.kept_in.get(source, source)
        if self.has_codes(target):
            return self.encoded(text if source == DataType.FLOAT else self.cast(text, source, DataType.FLOAT, False), target, saturate)
        if target in self.kept_in:
            return self.lowest_bits(self.cast(text, source, DataType.INT64, False), target)
        return text if source == target else self.cast(text, source, target, saturate)

    def decoded(self, text: str, dtype: DataType) -> str:
        """Codes of small floats as floats of 32 bits."""
        return self.helper("decoded", text, f"ml_dtypes.{dtype.numpy.name}")

    def encoded(self, text: str, dtype: DataType, saturate: bool) -> str:
        """Floats of 32 bits as codes of small ones."""
        return self.helper("encoded", text, f"ml_dtypes.{dtype.numpy.name}", str(saturate))

    def lowest_bits(self, text: str, dtype: DataType) -> str:
        """Whole numbers without what lies beyond the bits of a type that is kept in another."""
        return self.helper("lowest_bits", text, str(dtype.bits), str(dtype.is_signed), self.dtype(self.kept_in[dtype]))

    def fitted(self, text: str, dtype: DataType) -> str:
        """What was computed of numbers of a type: as they are in the type that they are kept in, results may be too large for their own."""
        return self.lowest_bits(text, dtype) if dtype in self.kept_in and dtype.is_integer else text

    def computed(self, name: str, arguments: Sequence[str], dtype: DataType) -> str:
        """An operation on operands of any type; codes of floats are decoded for it, and what is no truth value encoded."""
        if not self.has_codes(dtype):
            result = self.operation(name, arguments, dtype)
            return self.fitted(result, dtype) if name in GROWING else result
        result = self.operation(name, [self.decoded(item, dtype) for item in arguments], DataType.FLOAT)
        return result if name in TESTS else self.encoded(result, dtype, False)

    def operation(self, name: str, arguments: Sequence[str], dtype: DataType) -> str:
        """`dtype` is that of the operands."""
        if dtype.is_integer and name in self.whole:
            return self.helper(self.whole[name], *arguments)
        if name in self.helping:
            return self.helper(name, *arguments)
        if name == "divisor":
            return arguments[0]
        if name in INFIX:
            return f"({arguments[0]} {INFIX[name]} {arguments[1]})"
        if name == "not":
            return f"~{arguments[0]}"
        if name == "negate":
            return f"-{arguments[0]}"
        if name == "reciprocal":
            return f"(1 / {arguments[0]})"
        return f"{self.prefix}.{self.functions[name]}({', '.join(arguments)})"

    def of_type(self, text: str, dtype: DataType) -> str:
        """An expression, maybe of plain numbers, as an array of a type."""
        return f"{self.prefix}.asarray({text}, dtype={self.dtype(dtype)})"

    def where(self, condition: str, then: str, otherwise: str) -> str:
        return f"{self.prefix}.where({condition}, {then}, {otherwise})"

    # -- sizes and indices ---------------------------------------------------------------------------------------------
    def size(self, text: str, axis: int) -> str:
        """The extent of an array along an axis."""
        return f"{text}.shape[{axis}]"

    def sizes(self, text: str) -> str:
        """The elements of a vector as a sequence of sizes."""
        return f"{text}.tolist()"

    def tuple(self, items: Sequence[str]) -> str:
        """A tuple."""
        return f"({items[0]},)" if len(items) == 1 else f"({', '.join(items)})"

    def arange(self, size: str) -> str:
        return f"{self.prefix}.arange({size})"

    def clip(self, text: str, first: str, last: str) -> str:
        """Indices that are made to lie between `first` and `last`."""
        return f"{self.prefix}.clip({text}, {first}, {last})"

    def extreme(self, name: str, left: str, right: str, varies: bool) -> str:
        """`minimum` or `maximum` of sizes, or of indices that vary."""
        return f"{self.prefix}.{name}({left}, {right})" if varies else f"{name[:3]}({left}, {right})"

    # -- places --------------------------------------------------------------------------------------------------------
    def slice(self, text: str, items: Sequence[str]) -> str:
        """A view: each item is one index, `start:end` with a step above 0 maybe, or `None` for a new axis."""
        return text if all(item == ":" for item in items) else f"{text}[{', '.join(items)}]"

    def take(self, text: str, index: str, axis: int) -> str:
        """The places of an array of indices along one axis."""
        return f"{text}[{':, ' * axis}{index}]"

    def gather(self, text: str, indices: Sequence[str]) -> str:
        """The elements at indices of all axes, numbers and arrays that are broadcast against each other."""
        return f"{text}[{', '.join(indices)}]"

    def reshape(self, text: str, shape: str) -> str:
        return f"{self.prefix}.reshape({text}, {shape})"

    def broadcast(self, text: str, shape: str) -> str:
        return f"{self.prefix}.broadcast_to({text}, {shape})"

    def transpose(self, text: str, axes: Sequence[int]) -> str:
        return f"{self.prefix}.transpose({text}, {tuple(axes)})"

    def concatenate(self, parts: Sequence[str], axis: int) -> str:
        return f"{self.prefix}.concatenate({self.tuple(parts)}, axis={axis})"

    # -- reductions ----------------------------------------------------------------------------------------------------
    def reduce(self, operation: str, text: str, axes: Sequence[int], dtype: DataType, empty: str | None) -> str:
        """`empty` is what the greatest or least of nothing is, where there may be nothing."""
        axis = str(axes[0]) if len(axes) == 1 else str(tuple(axes))
        initial = f", initial={empty}" if empty is not None else ""
        kind = f", dtype={self.dtype(dtype)}" if operation in ("sum", "prod") and dtype.is_integer else ""
        return f"{self.prefix}.{self.reductions[operation]}({text}, axis={axis}{kind}{initial})"

    def product(self, factors: Sequence[str], letters: Sequence[str], result: str) -> str:
        """The sum of products over all letters that the result lacks."""
        left, right = letters if len(letters) == 2 else ("", "")
        if len(left) > 1 and len(right) > 1 and left[:-2] == right[:-2] and left[-1] == right[-2] and result == left[:-1] + right[-1] and left[-2] not in right:
            return f"({factors[0]} @ {factors[1]})"
        return self.einsum(f"{','.join(letters)}->{result}", factors)

    def einsum(self, equation: str, factors: Sequence[str]) -> str:
        return f"{self.prefix}.einsum({equation!r}, {', '.join(factors)})"

    # -- routines ------------------------------------------------------------------------------------------------------
    def cumulative(self, text: str, operation: str, axis: int, exclusive: bool, reverse: bool) -> str:
        """The running `sum` or `prod` along an axis."""
        return self.helper("cumulative", text, repr(operation), str(axis), str(exclusive), str(reverse))

    def top_k(self, text: str, count: str, largest: bool) -> str:
        """The first elements of the last axis in order, and their places."""
        return self.helper("top_k", text, count, str(largest))

    def scatter(self, data: str, rows: str, updates: str, reduction: str) -> str:
        """`data` with each update in its row, or combined with it by the `reduction` `add`, `mul`, `max` or `min`, not `none`."""
        return self.helper("scatter", data, rows, updates, repr(reduction))

    def non_zero(self, text: str) -> str:
        """The places of elements that are not 0, one column each, of type int64."""
        return self.helper("non_zero", text)

    def non_max_suppression(self, inputs: Sequence[str]) -> str:
        """The boxes that are kept, of boxes, scores, the most of a class, the greatest overlap and the least score."""
        return self.helper("non_max_suppression", *inputs)

    def bit_cast(self, text: str, source: DataType, target: DataType) -> str:
        """The same bits as elements of another type of the same width."""
        if source in self.kept_in and source.is_integer and source.bits >= 8:
            text = self.cast(text, self.kept_in[source], self._of_bits(source), False)
        result = self._of_bits(target)
        text = self.helper("bit_cast", text, self.dtype(result))
        return text if result == target else self.lowest_bits(self.cast(text, result, DataType.INT64, False), target)

    def _of_bits(self, dtype: DataType) -> DataType:
        """The type of the target's own whose bits are those of a type."""
        if dtype not in self.kept_in or not dtype.is_integer:
            return dtype
        return DataType[f"INT{dtype.bits}"] if dtype.bits >= 8 else self.kept_in[dtype]
