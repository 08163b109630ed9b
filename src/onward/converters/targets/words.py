"""The words of a target's array language. NumPy's are the base; other targets say what differs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from onward.converters.targets.naming import number, quoted
from onward.ir.datatypes import DataType

INFIX = {
    "add": "+", "subtract": "-", "multiply": "*", "divide": "/", "and": "&", "or": "|", "xor": "^", "equal": "==", "not_equal": "!=",
    "less": "<", "less_equal": "<=", "greater": ">", "greater_equal": ">=",
}  # fmt: skip

FUNCTIONS = {
    "minimum": "minimum", "maximum": "maximum", "absolute": "abs", "sign": "sign", "exp": "exp", "log": "log", "sqrt": "sqrt", "sin": "sin",
    "cos": "cos", "tan": "tan", "asin": "arcsin", "acos": "arccos", "atan": "arctan", "sinh": "sinh", "cosh": "cosh", "tanh": "tanh",
    "asinh": "arcsinh", "acosh": "arccosh", "atanh": "arctanh", "expm1": "expm1", "log1p": "log1p", "floor": "floor", "ceil": "ceil",
    "round_even": "rint", "truncate": "trunc", "is_nan": "isnan", "is_infinite": "isinf", "remainder": "mod", "truncated_remainder": "fmod",
    "power": "power",
}  # fmt: skip

WHOLE = {
    "divide": "integer_divide", "remainder": "integer_remainder", "truncated_remainder": "truncated_remainder", "power": "integer_power",
    "shift_left": "shift_left", "shift_right": "shift_right", "erf": "erf", "sigmoid": "sigmoid",
}  # fmt: skip
"""Operations that are helper functions; the first four for whole numbers only."""

REDUCTIONS = {"sum": "sum", "prod": "prod", "max": "max", "min": "min", "argmax": "argmax", "argmin": "argmin"}


class Words:
    """How NumPy says what the tensor program says. Each method gives the text of an expression; arguments are such texts."""

    module = "np"
    imports = ("import numpy as np",)

    def __init__(self) -> None:
        self.helpers: dict[str, None] = {}
        self.needs_small_types = False

    def helper(self, name: str, *arguments: str) -> str:
        """A call of a helper function, which the module will contain."""
        self.helpers[name] = None
        return f"{name}({', '.join(arguments)})"

    def dtype(self, dtype: DataType) -> str:
        kind = dtype.numpy
        if dtype == DataType.STRING:
            return "object"
        if kind.type.__module__ == "numpy":
            return f"np.{'bool_' if kind == np.bool_ else kind.name}"
        self.needs_small_types = True
        return f"ml_dtypes.{kind.name}"

    def is_common(self, dtype: DataType) -> bool:
        """Whether plain Python numbers keep arrays of this type as they are."""
        return dtype.numpy.type.__module__ == "numpy"

    def literal(self, value: Any, dtype: DataType) -> str:
        """A number beside arrays of its type."""
        value = value.item() if isinstance(value, (np.ndarray, np.generic)) else value
        if dtype == DataType.STRING:
            return quoted(value.decode(errors="surrogateescape") if isinstance(value, bytes) else str(value))
        if dtype == DataType.BOOL:
            return repr(bool(value))
        if dtype.is_complex:
            return number(complex(value))
        if dtype.is_integer:
            return number(int(value))
        return number(float(np.asarray(value).astype(dtype.numpy).astype(np.float64)))

    def typed(self, value: Any, dtype: DataType) -> str:
        """A number that keeps its type by itself."""
        text = self.literal(value, dtype)
        return text if dtype == DataType.STRING else f"{self.dtype(dtype)}({text})"

    def small_array(self, array: np.ndarray, dtype: DataType) -> str:
        """A few elements, written out."""
        def nested(item: Any) -> str:
            if np.ndim(item) == 0:
                return self.literal(item, dtype)
            return f"[{', '.join(nested(part) for part in item)}]"

        if array.ndim == 0:
            return self.typed(array[()], dtype)
        if array.size == 0:
            return f"np.zeros({array.shape}, {self.dtype(dtype)})"
        return f"np.array({nested(array)}, {self.dtype(dtype)})"

    def weight(self, name: str, dtype: DataType) -> str:
        """The weight of that name (a literal)."""
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
        """`dtype` is that of the operands."""
        whole = dtype.is_integer
        if name in WHOLE and (whole or name in ("erf", "sigmoid")):
            return self.helper(WHOLE[name], *arguments)
        if name == "divisor":
            return arguments[0]
        if dtype == DataType.STRING:  # beside a plain text NumPy would drop zeros at its end
            arguments = [f"np.asarray({item}, object)" for item in arguments]
        if name in INFIX:
            return f"({arguments[0]} {INFIX[name]} {arguments[1]})"
        if name == "not":
            return f"~{arguments[0]}"
        if name == "negate":
            return f"-{arguments[0]}"
        if name == "reciprocal":
            return f"(1 / {arguments[0]})"
        return f"np.{FUNCTIONS[name]}({', '.join(arguments)})"

    def where(self, condition: str, then: str, otherwise: str) -> str:
        return f"np.where({condition}, {then}, {otherwise})"

    def arange(self, size: str) -> str:
        return f"np.arange({size})"

    def clip(self, text: str, last: str) -> str:
        return f"np.clip({text}, 0, {last})"

    def extreme(self, name: str, left: str, right: str) -> str:
        """minimum or maximum of indices."""
        return f"np.{name}({left}, {right})"

    def full(self, shape: str, text: str, dtype: DataType) -> str:
        return f"np.full({shape}, {text}, {self.dtype(dtype)})"

    def broadcast(self, text: str, shape: str) -> str:
        return f"np.broadcast_to({text}, {shape})"

    def pad(self, text: str, amounts: Sequence[str], value: str) -> str:
        """`amounts`: (before, after) of each axis."""
        return f"np.pad({text}, [{', '.join(amounts)}], constant_values={value})"

    def windows(self, text: str, lengths: Sequence[str], axes: Sequence[str]) -> str:
        """All windows of the given lengths along axes: their places stay on these axes, what is in them comes last."""
        one = len(axes) == 1
        size, axis = (items[0] if one else f"({', '.join(items)})" for items in (lengths, axes))
        return f"np.lib.stride_tricks.sliding_window_view({text}, {size}, axis={axis})"

    def reshape(self, text: str, shape: str) -> str:
        return f"np.reshape({text}, {shape})"

    def transpose(self, text: str, axes: Sequence[int]) -> str:
        return f"np.transpose({text}, {tuple(axes)})"

    def concatenate(self, parts: Sequence[str], axis: int) -> str:
        return f"np.concatenate([{', '.join(parts)}], axis={axis})"

    def stack(self, name: str) -> str:
        return f"np.stack({name})"

    def reduce(self, operation: str, text: str, axes: Sequence[int], dtype: DataType, empty: str | None) -> str:
        """`empty` is what the greatest or least of nothing is, where there may be nothing."""
        axis = str(axes[0]) if len(axes) == 1 else str(tuple(axes))
        initial = f", initial={empty}" if empty is not None else ""
        kind = f", dtype={self.dtype(dtype)}" if operation in ("sum", "prod") and dtype.is_integer else ""
        return f"np.{REDUCTIONS[operation]}({text}, axis={axis}{kind}{initial})"

    def product(self, factors: Sequence[str], letters: Sequence[str], result: str) -> str:
        """The sum of products over all letters that the result lacks."""
        left, right = letters if len(letters) == 2 else ("", "")
        if len(left) > 1 and len(right) > 1 and left[:-2] == right[:-2] and left[-1] == right[-2] and result == left[:-1] + right[-1] and left[-2] not in right:
            return f"({factors[0]} @ {factors[1]})"
        return f"np.einsum({','.join(letters) + '->' + result!r}, {', '.join(factors)}, optimize=True)"
