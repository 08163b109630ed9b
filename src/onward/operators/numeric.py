"""What operator pages share about numbers: the precision that narrow floats compute in, and limits of data types."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from onward import program as P
from onward.errors import InvalidArgument
from onward.ir.datatypes import DataType

Definition = TypeVar("Definition", bound=Callable[..., Any])
Value = TypeVar("Value", P.Array, P.Scalar)

NARROW = frozenset({DataType.FLOAT16, DataType.BFLOAT16})
"""Floats that are computed with in float32 and rounded once."""


def wide(value: Value) -> Value:
    """`value` (array or scalar) in the precision it is computed in: float16 and bfloat16 become float32."""
    return P.cast(value, DataType.FLOAT) if value.dtype in NARROW else value


def pointwise(function: Callable[..., P.Scalar], *operands: P.Array) -> P.Array:
    """`function` of the operands' elements (broadcast), computed wide and rounded once to the first operand's dtype."""
    dtype = operands[0].dtype
    return P.elementwise(lambda *elements: P.cast(function(*map(wide, elements)), dtype), *operands)


def computed_wide(definition: Definition) -> Definition:
    """A definition whose narrow inputs are widened; float32 results are rounded to the first narrow input's dtype."""

    @functools.wraps(definition)
    def wrapped(*inputs: P.Array | None, **attributes: Any) -> Any:
        narrow = next((item.dtype for item in inputs if isinstance(item, P.Array) and item.dtype in NARROW), None)
        if narrow is None:
            return definition(*inputs, **attributes)
        result = definition(*(wide(item) if isinstance(item, P.Array) else item for item in inputs), **attributes)
        if isinstance(result, tuple):
            return tuple(_rounded(item, narrow) for item in result)
        return _rounded(result, narrow)

    return wrapped  # type: ignore[return-value]


def _rounded(array: P.Array, dtype: DataType) -> P.Array:
    return P.cast(array, dtype) if array.dtype == DataType.FLOAT else array


def only_element(array: P.Array) -> P.Scalar:
    """The element of a one-element array: a literal when it is known, else a read. Raises InvalidArgument for others."""
    if isinstance(array.size, int) and array.size != 1:
        raise InvalidArgument(f"expected one element, got {array}")
    known = array.known
    return array.item() if known is None else P.scalar(known.reshape(-1)[0].item(), array.dtype)


def lowest(dtype: DataType) -> P.Scalar:
    """The least value of a data type: minus infinity for floats."""
    if dtype == DataType.BOOL:
        return P.scalar(False)
    return P.scalar(-np.inf if dtype.is_float else int(np.iinfo(dtype.numpy).min), dtype)
