"""PyTorch's words."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from onward.converters.targets.printing.forms import bare
from onward.converters.targets.printing.words import INFIX, Words
from onward.converters.targets.torch.modules import Modules
from onward.errors import UnsupportedOperator
from onward.ir.datatypes import DataType
from onward.program.array import Parameter

TYPES = {
    DataType.FLOAT: "float32", DataType.DOUBLE: "float64", DataType.FLOAT16: "float16", DataType.BFLOAT16: "bfloat16", DataType.INT8: "int8",
    DataType.INT16: "int16", DataType.INT32: "int32", DataType.INT64: "int64", DataType.UINT8: "uint8", DataType.UINT16: "uint16",
    DataType.UINT32: "uint32", DataType.UINT64: "uint64", DataType.BOOL: "bool", DataType.COMPLEX64: "complex64",
    DataType.COMPLEX128: "complex128", DataType.FLOAT8E4M3FN: "float8_e4m3fn", DataType.FLOAT8E5M2: "float8_e5m2",
    DataType.FLOAT8E4M3FNUZ: "float8_e4m3fnuz", DataType.FLOAT8E5M2FNUZ: "float8_e5m2fnuz", DataType.FLOAT8E8M0: "float8_e8m0fnu",
}  # fmt: skip

NARROW = {DataType.INT4: "int8", DataType.UINT4: "uint8", DataType.INT2: "int8", DataType.UINT2: "uint8"}
"""Whole numbers of fewer than 8 bits stand in a byte."""

WITHOUT_ARITHMETIC = frozenset({DataType.UINT16, DataType.UINT32, DataType.UINT64})
"""PyTorch only stores them: arithmetic is done with 64 bits."""

LIMITS = {"minimum": "max", "maximum": "min"}
"""What a number beside a tensor is for `clamp`."""

NUMBER = re.compile(r'-?\d[\d.e+-]*|-?float\("-?\w+"\)|True|False|complex\(.*\)')

SCALAR = re.compile(r"torch\.tensor\(([^()\[\],]+), dtype=[\w.]+, device=device\)")
"""A number with a type, which beside a tensor is just a number."""


class TorchWords(Words):
    """Tensors of PyTorch. `modules` is where weights stand; `main` the type that the model computes in: tensors of it follow `model.to(dtype)`."""

    prefix = "torch"
    functions = {
        "minimum": "minimum", "maximum": "maximum", "absolute": "abs", "sign": "sign", "exp": "exp", "log": "log", "sqrt": "sqrt", "sin": "sin",
        "cos": "cos", "tan": "tan", "asin": "asin", "acos": "acos", "atan": "atan", "sinh": "sinh", "cosh": "cosh", "tanh": "tanh",
        "asinh": "asinh", "acosh": "acosh", "atanh": "atanh", "expm1": "expm1", "log1p": "log1p", "floor": "floor", "ceil": "ceil",
        "round_even": "round", "truncate": "trunc", "is_nan": "isnan", "is_infinite": "isinf", "remainder": "remainder",
        "truncated_remainder": "fmod", "power": "pow", "erf": "erf", "sigmoid": "sigmoid",
    }  # fmt: skip
    reductions = {"sum": "sum", "max": "amax", "min": "amin", "argmax": "argmax", "argmin": "argmin"}

    def __init__(self, modules: Modules, main: DataType) -> None:
        self.modules = modules
        self.main = main

    def knows(self, dtype: DataType) -> bool:
        return dtype in TYPES or dtype in NARROW

    # -- types and weights -----------------------------------------------------------------------------------------------
    def dtype(self, dtype: DataType) -> str:
        name = TYPES.get(dtype) or NARROW.get(dtype)
        if name is None:
            raise UnsupportedOperator(f"PyTorch has no type of elements for {dtype.name.lower()}")
        return f"torch.{name}"

    def created(self, dtype: DataType) -> str:
        """The type of a tensor that the model makes out of nothing."""
        return "dtype" if dtype == self.main else self.dtype(dtype)

    def weight(self, name: str, dtype: DataType) -> str:
        return self.modules.constant(name)

    def parameter(self, array: Parameter) -> str:
        return self.modules.parameter(array)

    def is_common(self, dtype: DataType) -> bool:
        return dtype in TYPES and not dtype.name.startswith("FLOAT8")

    def typed(self, value: Any, dtype: DataType) -> str:
        return f"torch.tensor({self.literal(value, dtype)}, dtype={self.created(dtype)}, device=device)"

    def one_index(self, text: str) -> str:
        return f"torch.tensor({text}, device=device)"

    def small_array(self, array: np.ndarray, dtype: DataType) -> str:
        if array.size == 0:
            return f"torch.zeros({array.shape}, dtype={self.created(dtype)}, device=device)"
        return (
            super()
            .small_array(array, dtype)
            .replace("torch.array", "torch.tensor")
            .replace(f"dtype={self.dtype(dtype)})", f"dtype={self.created(dtype)}, device=device)")
        )

    def full(self, shape: str, text: str, dtype: DataType) -> str:
        return f"torch.full({shape}, {text}, dtype={self.created(dtype)}, device=device)"

    def cast(self, text: str, source: DataType, target: DataType, saturate: bool) -> str:
        if target == DataType.BOOL:
            return f"({text} != 0)"
        if target in NARROW:
            return self._narrowed(text, source, target)
        text = whole(text)
        if target.name.startswith("FLOAT8"):
            return self.helper("saturated" if saturate else "unsaturated", text, self.dtype(target))
        if source.is_float and target.is_integer and (target.bits < 32 or target in WITHOUT_ARITHMETIC):
            return f"{text}.to(torch.int64).to({self.dtype(target)})"
        if target == self.main and not source.is_float:
            return f"{text}.to(dtype)"
        return f"{text}.to({self.dtype(target)})"

    def _narrowed(self, text: str, source: DataType, target: DataType) -> str:
        """Whole numbers of few bits, the higher ones dropped."""
        mask, half = (1 << target.bits) - 1, 1 << (target.bits - 1)
        value = f"{whole(text)}.to(torch.int64)"
        low = f"({value} & {mask})" if target.name.startswith("U") else f"((({value} + {half}) & {mask}) - {half})"
        return f"{low}.to({self.dtype(target)})"

    # -- elements --------------------------------------------------------------------------------------------------------
    def operation(self, name: str, arguments: Sequence[str], dtype: DataType) -> str:
        if dtype in WITHOUT_ARITHMETIC and name not in ("equal", "not_equal", "divisor"):
            wide = [item if NUMBER.fullmatch(item) else f"{whole(item)}.to(torch.int64)" for item in arguments]
            text = self.operation(name, wide, DataType.INT64)
            return text if name in ("less", "less_equal", "greater", "greater_equal") else f"{whole(text)}.to({self.dtype(dtype)})"
        if dtype.is_integer and name.startswith("shift"):
            unsigned = "_unsigned" if name == "shift_right" and dtype.name.startswith("U") else ""
            return self.helper(name + unsigned, *arguments, str(dtype.bits))
        if dtype.is_integer and name in self.whole or name in LIMITS:
            literal = next((item for item in arguments if NUMBER.fullmatch(item)), None)
            other = next((item for item in arguments if item != literal), None)
            if literal is not None and other is not None and name in LIMITS:
                return f"{whole(other)}.clamp({LIMITS[name]}={literal})"
            arguments = [self._tensor(item, dtype) for item in arguments]
        if (
            name in INFIX
            and not (dtype.is_integer and name in self.whole)
            and any(SCALAR.fullmatch(item) is None and NUMBER.fullmatch(item) is None for item in arguments)
        ):
            arguments = [match[1] if (match := SCALAR.fullmatch(item)) else item for item in arguments]
        if name == "reciprocal":
            return f"torch.reciprocal({arguments[0]})"
        return super().operation(name, arguments, dtype)

    def _tensor(self, text: str, dtype: DataType) -> str:
        return f"torch.tensor({text}, dtype={self.dtype(dtype)}, device=device)" if NUMBER.fullmatch(text) else text

    def of_type(self, text: str, dtype: DataType) -> str:
        if dtype == DataType.INT64 and text.startswith("torch.tensor("):
            return text
        return f"torch.as_tensor({text}, device=device).to({self.created(dtype)})"

    # -- sizes and places ------------------------------------------------------------------------------------------------
    def arange(self, size: str) -> str:
        return f"torch.arange({size}, device=device)"

    def clip(self, text: str, first: str, last: str) -> str:
        return f"{whole(text)}.clamp({first}, {last})"

    def extreme(self, name: str, left: str, right: str, varies: bool) -> str:
        return self.helper(name, left, right) if varies else super().extreme(name, left, right, varies)

    def reshape(self, text: str, shape: str) -> str:
        return f"{whole(text)}.reshape{_listed(shape)}"

    def broadcast(self, text: str, shape: str) -> str:
        return f"torch.broadcast_to({text}, {shape})"

    def transpose(self, text: str, axes: Sequence[int]) -> str:
        moved = [place for place, axis in enumerate(axes) if place != axis]
        if len(moved) == 2:
            return f"{whole(text)}.transpose({moved[0]}, {moved[1]})"
        return f"{whole(text)}.permute({', '.join(map(str, axes))})"

    def concatenate(self, parts: Sequence[str], axis: int) -> str:
        return f"torch.cat([{', '.join(parts)}], {axis})"

    def pad(self, text: str, amounts: Sequence[tuple[str, str]], value: str) -> str:
        given = list(amounts)
        while given and given[0] == ("0", "0"):
            given.pop(0)
        turned = [item for pair in reversed(given) for item in pair]
        return f"F.pad({text}, ({', '.join(turned)})" + (")" if value in ("0", "0.0") else f", value={value})")

    def windows(self, text: str, lengths: Sequence[str], axes: Sequence[str]) -> str:
        return self.helper("windows", text, self.tuple(lengths), self.tuple(axes))

    # -- reductions ------------------------------------------------------------------------------------------------------
    def reduce(self, operation: str, text: str, axes: Sequence[int], dtype: DataType, empty: str | None) -> str:
        if dtype in WITHOUT_ARITHMETIC:
            wide = self.reduce(operation, f"{whole(text)}.to(torch.int64)", axes, DataType.INT64, empty)
            return wide if operation.startswith("arg") else f"{wide}.to({self.dtype(dtype)})"
        axis = str(axes[0]) if len(axes) == 1 else self.tuple(list(map(str, axes)))
        if operation == "prod":
            return self.helper("product_along", text, self.tuple(list(map(str, axes))))
        if empty is not None:
            return self.helper("extreme", f"torch.{self.reductions[operation]}", text, self.tuple(list(map(str, axes))), empty)
        kind = f", dtype={self.dtype(dtype)}" if operation == "sum" and dtype.is_integer else ""
        return f"torch.{self.reductions[operation]}({text}, {axis}{kind})"

    # -- routines --------------------------------------------------------------------------------------------------------
    def scatter(self, data: str, rows: str, updates: str, reduction: str) -> str:
        return self.helper("scatter", data, rows, updates, repr(reduction))

    def non_zero(self, text: str) -> str:
        return f"torch.nonzero({text}).transpose(0, 1)"


def whole(text: str) -> str:
    """An expression in parentheses, if a method could not be called on it without."""
    kind = ast.parse(text, mode="eval").body
    return text if isinstance(kind, (ast.Name, ast.Call, ast.Attribute, ast.Subscript)) or text.startswith("(") and bare(text) != text else f"({text})"


def _listed(shape: str) -> str:
    """The arguments of a method that takes sizes one by one."""
    return shape if not shape.endswith(",)") else shape[:-2] + ")"
