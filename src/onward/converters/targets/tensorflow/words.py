"""TensorFlow's words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from onward.converters.targets.printing.storage import FLOATS as CODED
from onward.converters.targets.printing.storage import WHOLE
from onward.converters.targets.printing.words import INFIX, Words
from onward.ir.datatypes import DataType

FUNCTIONS = {
    "minimum": "minimum", "maximum": "maximum", "absolute": "abs", "sign": "sign", "exp": "exp", "log": "math.log", "sqrt": "sqrt", "sin": "sin",
    "cos": "cos", "tan": "tan", "asin": "asin", "acos": "acos", "atan": "atan", "sinh": "sinh", "cosh": "cosh", "tanh": "tanh",
    "asinh": "asinh", "acosh": "acosh", "atanh": "atanh", "expm1": "math.expm1", "log1p": "math.log1p", "floor": "floor", "ceil": "math.ceil",
    "round_even": "round", "is_nan": "math.is_nan", "is_infinite": "math.is_inf", "remainder": "math.floormod",
    "power": "pow", "erf": "math.erf", "sigmoid": "sigmoid",
}  # fmt: skip

COMPUTED = (DataType.FLOAT8E4M3FN, DataType.FLOAT8E5M2)
"""Small types that TensorFlow computes with; others it has by name, but not even conversions of them."""


class TensorflowWords(Words):
    """Tensors of TensorFlow, eager or in a graph where sizes are tensors, too. Weights are the variables of a dictionary."""

    prefix = "tf"
    counts_from_end = False
    functions = FUNCTIONS
    helping = frozenset({"truncate"})
    kept_in = {dtype: wide for dtype, wide in {**WHOLE, **CODED}.items() if dtype not in COMPUTED}
    reductions = {
        "sum": "reduce_sum", "prod": "reduce_prod", "max": "reduce_max", "min": "reduce_min", "argmax": "argmax", "argmin": "argmin",
    }  # fmt: skip

    def dtype(self, dtype: DataType) -> str:
        if dtype == DataType.STRING:
            return "tf.string"
        dtype = self.kept_in.get(dtype, dtype)
        return f"tf.{'dtypes.experimental.' if dtype in COMPUTED else ''}{dtype.numpy.name}"

    def mixes_numbers(self, operation: str, dtype: DataType) -> bool:
        return operation in INFIX and super().mixes_numbers(operation, dtype)

    def operation(self, name: str, arguments: Sequence[str], dtype: DataType) -> str:
        if name == "truncated_remainder" and dtype.is_float:
            return self.helper("float_remainder", *arguments)
        return super().operation(name, arguments, dtype)

    def weight(self, name: str, dtype: DataType) -> str:
        return f"weights[{name!r}]"

    def typed(self, value: Any, dtype: DataType) -> str:
        if not self.is_common(dtype) and dtype != DataType.BFLOAT16:
            return f"tf.cast({self.literal(value, dtype)}, {self.dtype(dtype)})"
        return f"tf.constant({self.literal(value, dtype)}, {self.dtype(dtype)})"

    def small_array(self, array: np.ndarray, dtype: DataType) -> str:
        if array.ndim == 0 or array.size == 0:
            return super().small_array(array, dtype)
        items = f"[{', '.join(self.literal(item, dtype) for item in array.reshape(-1))}]"
        shape = "" if array.ndim == 1 else f", shape={array.shape}"
        if not self.is_common(dtype) and dtype != DataType.BFLOAT16:
            return f"tf.cast(tf.constant({items}{shape}), {self.dtype(dtype)})"
        return f"tf.constant({items}, {self.dtype(dtype)}{shape})"

    def one_index(self, text: str) -> str:
        return f"tf.cast({text}, tf.int64)"

    def of_type(self, text: str, dtype: DataType) -> str:
        return f"tf.cast({text}, {self.dtype(dtype)})"

    def cast(self, text: str, source: DataType, target: DataType, saturate: bool) -> str:
        if target == DataType.BOOL:
            return f"tf.cast({text}, tf.bool)" if source.is_complex else f"({text} != 0)"
        if saturate and target in COMPUTED:
            return self.helper("saturated", text, self.dtype(target))
        if source.is_float and target.is_integer and target.bits < 32:
            text = f"tf.cast({text}, tf.int64)"
        return f"tf.cast({text}, {self.dtype(target)})"

    def full(self, shape: str, text: str, dtype: DataType) -> str:
        return f"tf.fill({shape}, {self.typed_text(text, dtype)})"

    def typed_text(self, text: str, dtype: DataType) -> str:
        """A number, given as its text, with its type."""
        return f"tf.constant({text}, {self.dtype(dtype)})" if self.is_common(dtype) else f"tf.cast({text}, {self.dtype(dtype)})"

    # -- sizes and indices ---------------------------------------------------------------------------------------------
    def size(self, text: str, axis: int) -> str:
        return self.helper("size", text, str(axis))

    def sizes(self, text: str) -> str:
        return f"tf.unstack(tf.cast({text}, tf.int64))"

    def arange(self, size: str) -> str:
        return f"tf.range({size}, dtype=tf.int64)"

    def clip(self, text: str, first: str, last: str) -> str:
        return f"tf.clip_by_value({text}, {first}, {last})"

    def extreme(self, name: str, left: str, right: str, varies: bool) -> str:
        return self.helper({"minimum": "smaller", "maximum": "larger"}[name], left, right)

    # -- places --------------------------------------------------------------------------------------------------------
    def take(self, text: str, index: str, axis: int) -> str:
        return f"tf.gather({text}, {index}, axis={axis})"

    def gather(self, text: str, indices: Sequence[str]) -> str:
        return self.helper("elements", text, *indices)

    def reshape(self, text: str, shape: str) -> str:
        return f"tf.reshape({text}, {'[]' if shape == '()' else shape})"

    def concatenate(self, parts: Sequence[str], axis: int) -> str:
        return f"tf.concat([{', '.join(parts)}], axis={axis})"

    def pad(self, text: str, amounts: Sequence[tuple[str, str]], value: str) -> str:
        return f"tf.pad({text}, [{', '.join(f'[{before}, {after}]' for before, after in amounts)}], constant_values={value})"

    def windows(self, text: str, lengths: Sequence[str], axes: Sequence[str]) -> str:
        return self.helper("windows", text, self.tuple(lengths), self.tuple(axes))

    # -- reductions ----------------------------------------------------------------------------------------------------
    def reduce(self, operation: str, text: str, axes: Sequence[int], dtype: DataType, empty: str | None) -> str:
        if dtype == DataType.BOOL and operation in ("max", "min"):
            return f"tf.reduce_{'any' if operation == 'max' else 'all'}({text}, axis={list(axes)})"
        axis = axes[0] if len(axes) == 1 else list(axes)
        return f"tf.{self.reductions[operation]}({text}, axis={axis})"

    # -- routines ------------------------------------------------------------------------------------------------------
    def cumulative(self, text: str, operation: str, axis: int, exclusive: bool, reverse: bool) -> str:
        function = {"sum": "cumsum", "prod": "cumprod"}[operation]
        return f"tf.math.{function}({text}, axis={axis}, exclusive={exclusive}, reverse={reverse})"
