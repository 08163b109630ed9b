"""JAX's words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from onward.converters.targets.numpy.words import NumpyWords
from onward.converters.targets.printing.words import Words
from onward.ir.datatypes import DataType

DEFAULT = {DataType.INT64: "int", DataType.DOUBLE: "float", DataType.COMPLEX128: "complex"}
"""Types of 64 bits by the names that JAX reads as 32 bits, without a warning, unless `jax_enable_x64` is set."""


class JaxWords(Words):
    """Arrays of `jax.numpy`. Loops are traced once; weights are leaves of the trees `parameters` and `constants`.

    `trained` are the names of those among the parameters.
    """

    prefix = "jnp"
    traces_loops = True
    functions = {
        **NumpyWords.functions, "erf": "erf", "sigmoid": "sigmoid", "shift_left": "left_shift", "shift_right": "right_shift",
    }  # fmt: skip
    whole = {"divide": "integer_divide", "remainder": "integer_remainder", "truncated_remainder": "truncated_remainder", "power": "integer_power"}

    def knows(self, dtype: DataType) -> bool:
        return dtype != DataType.STRING

    def is_common(self, dtype: DataType) -> bool:
        return True

    def dtype(self, dtype: DataType) -> str:
        return DEFAULT.get(dtype) or f"jnp.{'bool_' if dtype == DataType.BOOL else dtype.numpy.name}"

    def literal(self, value: Any, dtype: DataType) -> str:
        text = super().literal(value, dtype)
        if dtype == DataType.INT64 and not -(2**31) <= int(value) < 2**31:
            return self.helper("nearest", text)
        return f"np.uint64({text})" if dtype == DataType.UINT64 and int(value) >= 2**63 else text  # JAX reads plain numbers as int64

    def typed(self, value: Any, dtype: DataType) -> str:
        return f"jnp.array({self.literal(value, dtype)}, dtype={self.dtype(dtype)})"

    def one_index(self, text: str) -> str:
        return f"jnp.asarray({text}, dtype=int)"

    def __init__(self) -> None:
        self.trained: set[str] = set()

    def weight(self, name: str, dtype: DataType) -> str:
        return f"jnp.asarray(constants{_path(name)})"

    def trained_weight(self, name: str, dtype: DataType) -> str:
        self.trained.add(name)
        return f"parameters{_path(name)}"

    def cast(self, text: str, source: DataType, target: DataType, saturate: bool) -> str:
        if target == DataType.BOOL:
            return f"({text} != 0)"
        if saturate and target.name.startswith(("FLOAT8", "FLOAT4", "FLOAT6")):
            return self.helper("saturated", text, self.dtype(target))
        if source.is_float and target.is_integer and target.bits < 32:
            text = f"{text}.astype(int)"
        return f"{text}.astype({self.dtype(target)})"

    def operation(self, name: str, arguments: Sequence[str], dtype: DataType) -> str:
        library = {"erf": "jax.scipy.special", "sigmoid": "jax.nn"}.get(name)
        return f"{library}.{name}({arguments[0]})" if library else super().operation(name, arguments, dtype)

    def clip(self, text: str, first: str, last: str) -> str:
        return text  # JAX does that itself

    def extreme(self, name: str, left: str, right: str, varies: bool) -> str:
        """Sizes may be those of an export for any size, which Python cannot compare."""
        return super().extreme(name, left, right, varies) if varies else f"jax.core.{name[:3]}_dim({left}, {right})"

    def sizes(self, text: str) -> str:
        return self.helper("sizes", text)

    def pad(self, text: str, amounts: Sequence[tuple[str, str]], value: str) -> str:
        return f"jnp.pad({text}, ({', '.join(map(self.tuple, amounts))},), constant_values={value})"

    def windows(self, text: str, lengths: Sequence[str], axes: Sequence[str]) -> str:
        return self.helper("windows", text, self.tuple(lengths), self.tuple(axes))

    def non_max_suppression(self, inputs: Sequence[str]) -> str:
        """NumPy's: how many boxes are kept is not known under jit."""
        return f"jnp.asarray({self.helper('non_max_suppression', *(f'np.asarray({item})' for item in inputs))}, int)"

    def einsum(self, equation: str, factors: Sequence[str]) -> str:
        """Products of numbers that stand in the same places are no matrix products, which would be slower."""
        operands, result = equation.split("->")
        letters = operands.split(",")
        if len({*letters}) == 1 and letters[0].startswith(result):
            return self.reduce("sum", " * ".join(factors), range(len(result), len(letters[0])), DataType.FLOAT, None)
        return super().einsum(equation, factors)


def _path(name: str) -> str:
    return "".join(f"[{part!r}]" for part in name.split("."))
