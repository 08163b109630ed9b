"""NumPy's words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from onward.converters.targets.printing.words import Words
from onward.ir.datatypes import DataType


class NumpyWords(Words):
    """Arrays of NumPy, and of ml_dtypes where a type is none of NumPy's own."""

    prefix = "np"
    helping = frozenset({"erf", "sigmoid"})
    functions = {
        "minimum": "minimum", "maximum": "maximum", "absolute": "abs", "sign": "sign", "exp": "exp", "log": "log", "sqrt": "sqrt", "sin": "sin",
        "cos": "cos", "tan": "tan", "asin": "arcsin", "acos": "arccos", "atan": "arctan", "sinh": "sinh", "cosh": "cosh", "tanh": "tanh",
        "asinh": "arcsinh", "acosh": "arccosh", "atanh": "arctanh", "expm1": "expm1", "log1p": "log1p", "floor": "floor", "ceil": "ceil",
        "round_even": "rint", "truncate": "trunc", "is_nan": "isnan", "is_infinite": "isinf", "remainder": "mod", "truncated_remainder": "fmod",
        "power": "power",
    }  # fmt: skip

    def dtype(self, dtype: DataType) -> str:
        kind = dtype.numpy
        if dtype == DataType.STRING:
            return "object"
        return f"np.{'bool_' if kind == np.bool_ else kind.name}" if self.is_common(dtype) else f"ml_dtypes.{kind.name}"

    def typed(self, value: Any, dtype: DataType) -> str:
        return self.literal(value, dtype) if dtype == DataType.STRING else super().typed(value, dtype)

    def weight(self, name: str, dtype: DataType) -> str:
        text = f"weights[{name!r}]"
        return text if self.is_common(dtype) else f"{text}.view({self.dtype(dtype)})"

    def cast(self, text: str, source: DataType, target: DataType, saturate: bool) -> str:
        if target == DataType.BOOL:
            return f"({text} != 0)"
        if target.name.startswith(("FLOAT8", "FLOAT4", "FLOAT6")):
            return self.helper("saturated", text, self.dtype(target)) if saturate else f"{text}.astype(np.float32).astype({self.dtype(target)})"
        if source.is_float and target.is_integer and target.bits < 32:
            return f"{text}.astype(np.float64).astype(np.int64).astype({self.dtype(target)})"
        if not (self.is_common(source) or self.is_common(target)) or source.is_float and not self.is_common(source):
            return f"{text}.astype(np.float32).astype({self.dtype(target)})"
        return f"{text}.astype({self.dtype(target)})"

    def operation(self, name: str, arguments: Sequence[str], dtype: DataType) -> str:
        if dtype == DataType.STRING:  # beside a plain text NumPy would drop zeros at its end
            arguments = [f"np.asarray({item}, object)" for item in arguments]
        return super().operation(name, arguments, dtype)

    def of_type(self, text: str, dtype: DataType) -> str:
        return f"np.asarray({text}).astype({self.dtype(dtype)})"

    def pad(self, text: str, amounts: Sequence[tuple[str, str]], value: str) -> str:
        return f"np.pad({text}, [{', '.join(map(self.tuple, amounts))}], constant_values={value})"

    def windows(self, text: str, lengths: Sequence[str], axes: Sequence[str]) -> str:
        size, axis = (items[0] if len(axes) == 1 else self.tuple(items) for items in (lengths, axes))
        return f"np.lib.stride_tricks.sliding_window_view({text}, {size}, axis={axis})"

    def einsum(self, equation: str, factors: Sequence[str]) -> str:
        return f"np.einsum({equation!r}, {', '.join(factors)}, optimize=True)"
