"""Keras's words: `keras.ops`, which compute alike on all its backends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from onward.converters.targets.printing.storage import SMALL
from onward.converters.targets.printing.words import Words
from onward.errors import UnsupportedOperator
from onward.ir.datatypes import DataType

FUNCTIONS = {
    "minimum": "minimum", "maximum": "maximum", "absolute": "absolute", "sign": "sign", "exp": "exp", "log": "log", "sqrt": "sqrt", "sin": "sin",
    "cos": "cos", "tan": "tan", "asin": "arcsin", "acos": "arccos", "atan": "arctan", "sinh": "sinh", "cosh": "cosh", "tanh": "tanh",
    "asinh": "arcsinh", "acosh": "arccosh", "atanh": "arctanh", "expm1": "expm1", "log1p": "log1p", "floor": "floor", "ceil": "ceil",
    "round_even": "round", "truncate": "trunc", "is_nan": "isnan", "is_infinite": "isinf", "remainder": "mod", "truncated_remainder": "fmod",
    "power": "power", "erf": "erf", "sigmoid": "sigmoid",
}  # fmt: skip
FLOATS = (DataType.FLOAT, DataType.DOUBLE, DataType.FLOAT16, DataType.BFLOAT16)
INTEGERS = tuple(DataType[f"{sign}INT{bits}"] for sign in ("", "U") for bits in (8, 16, 32, 64))
WIDER = {DataType.UINT16: DataType.INT32, DataType.UINT32: DataType.INT64, DataType.UINT64: DataType.INT64}
"""What unsigned numbers are kept in on PyTorch's backend, which has no arithmetic of them."""


def storage() -> dict[DataType, DataType]:
    """Types of elements that Keras lacks on its backend, and those in which they are kept."""
    import keras

    return {**SMALL, **(WIDER if keras.backend.backend() == "torch" else {})}


class KerasWords(Words):
    """Tensors of any backend inside the call of a layer, whose weights are its attributes."""

    prefix = "ops"
    counts_from_end = False
    functions = FUNCTIONS
    reductions = {"sum": "sum", "prod": "prod", "max": "max", "min": "min", "argmax": "argmax", "argmin": "argmin"}

    def __init__(self) -> None:
        self.kept_in = storage()

    def dtype(self, dtype: DataType) -> str:
        return repr(self.kept_in.get(dtype, dtype).numpy.name)

    def knows(self, dtype: DataType) -> bool:
        return dtype in FLOATS or dtype in INTEGERS or dtype in self.kept_in or dtype == DataType.BOOL

    def weight(self, name: str, dtype: DataType) -> str:
        """An argument of the function of a layer."""
        return name

    def typed(self, value: Any, dtype: DataType) -> str:
        return f"ops.convert_to_tensor({self.literal(value, dtype)}, {self.dtype(dtype)})"

    def literal(self, value: Any, dtype: DataType) -> str:
        text = super().literal(value, dtype)
        if dtype == DataType.UINT64 and int(text) >= 2**32:
            raise UnsupportedOperator(f"Keras computes with unsigned whole numbers of 32 bits at most, and {text} is larger (random numbers need such)")
        is_signed = dtype.is_integer and self.kept_in.get(dtype, dtype).is_signed
        return f"ops.convert_to_tensor({text}, 'int64')" if is_signed and abs(int(text)) > 2**31 - 1 else text

    def small_array(self, array: np.ndarray, dtype: DataType) -> str:
        if array.ndim == 0 or array.size == 0:
            return super().small_array(array, dtype)
        return super().small_array(array, dtype).replace("ops.array(", "ops.convert_to_tensor(", 1)

    def one_index(self, text: str) -> str:
        return f"ops.convert_to_tensor({text}, 'int64')"

    def of_type(self, text: str, dtype: DataType) -> str:
        return f"ops.cast({text}, {self.dtype(dtype)})"

    def cast(self, text: str, source: DataType, target: DataType, saturate: bool) -> str:
        if target == DataType.BOOL:
            return f"ops.not_equal({text}, 0)" if source != DataType.BOOL else text
        if source.is_float and target.is_integer and target.bits < 32:
            text = f"ops.cast({text}, 'int64')"
        return f"ops.cast({text}, {self.dtype(target)})"

    def operation(self, name: str, arguments: Sequence[str], dtype: DataType) -> str:
        if name in ("and", "or", "xor", "not"):
            kind = "logical" if dtype == DataType.BOOL else "bitwise"
            return f"ops.{kind}_{name}({', '.join(arguments)})"
        if name in ("equal", "not_equal"):  # symbolic tensors have no == of their own
            return f"ops.{name}({', '.join(arguments)})"
        return super().operation(name, arguments, dtype)

    # -- sizes and indices ---------------------------------------------------------------------------------------------
    def size(self, text: str, axis: int) -> str:
        return self.helper("size", text, str(axis))

    def sizes(self, text: str) -> str:
        return self.helper("sizes", text)

    def arange(self, size: str) -> str:
        return f"ops.arange({size}, dtype='int64')"

    def extreme(self, name: str, left: str, right: str, varies: bool) -> str:
        return self.helper({"minimum": "smaller", "maximum": "larger"}[name], left, right)

    # -- places --------------------------------------------------------------------------------------------------------
    def take(self, text: str, index: str, axis: int) -> str:
        return f"ops.take({text}, {index}, axis={axis})"

    def gather(self, text: str, indices: Sequence[str]) -> str:
        return self.helper("elements", text, *indices)

    def concatenate(self, parts: Sequence[str], axis: int) -> str:
        return f"ops.concatenate([{', '.join(parts)}], axis={axis})"

    def pad(self, text: str, amounts: Sequence[tuple[str, str]], value: str) -> str:
        return f"ops.pad({text}, [{', '.join(f'[{before}, {after}]' for before, after in amounts)}], constant_values={value})"

    def windows(self, text: str, lengths: Sequence[str], axes: Sequence[str]) -> str:
        return self.helper("windows", text, self.tuple(lengths), self.tuple(axes))

    def non_max_suppression(self, inputs: Sequence[str]) -> str:
        """NumPy's, so not in a graph."""
        return f"ops.convert_to_tensor({self.helper('non_max_suppression', *(f'ops.convert_to_numpy({item})' for item in inputs))})"

    # -- reductions ----------------------------------------------------------------------------------------------------
    def reduce(self, operation: str, text: str, axes: Sequence[int], dtype: DataType, empty: str | None) -> str:
        """Keras widens sums of small integers, and gives places in 32 bits."""
        axis = str(axes[0]) if len(axes) == 1 else str(tuple(axes))
        if dtype == DataType.BOOL and operation in ("max", "min"):
            return f"ops.{'any' if operation == 'max' else 'all'}({text}, axis={axis})"
        initial = f", initial={empty}" if empty is not None and operation in ("max", "min") else ""
        result = f"ops.{self.reductions[operation]}({text}, axis={axis}{initial})"
        if operation.startswith("arg"):
            return f"ops.cast({result}, 'int64')"
        return f"ops.cast({result}, {self.dtype(dtype)})" if dtype.is_integer and dtype.bits < 64 else result

    def product(self, factors: Sequence[str], letters: Sequence[str], result: str) -> str:
        text = super().product(factors, letters, result)
        left, _, right = text[1:-1].partition(" @ ")
        return f"ops.matmul({left}, {right})" if text.startswith("(") and text == f"({factors[0]} @ {factors[1]})" else text
