"""Optional, OptionalHasElement, OptionalGetElement. Whether a value is there is known while the program is written."""

from __future__ import annotations

from typing import Any

from onward import program as P
from onward.errors import InvalidArgument
from onward.ir.datatypes import DataType
from onward.operators.arguments import ABSENT
from onward.operators.registry import operator


@operator("Optional", since=15)
def optional(value: Any, *, type: object = None) -> Any:  # noqa: A002 (ONNX's name)
    """The value, or nothing without an input. ONNX Optional-15."""
    return ABSENT if value is None else value


@operator("OptionalHasElement", since=15)
def optional_has_element(value: Any) -> P.Array:
    """Whether there is a value, a boolean scalar; without an input there is none. ONNX OptionalHasElement-15, -18."""
    return P.constant(value is not None and value is not ABSENT, DataType.BOOL)


@operator("OptionalGetElement", since=15)
def optional_get_element(value: Any) -> Any:
    """The value. Raises InvalidArgument where there is none. ONNX OptionalGetElement-15, -18."""
    if value is ABSENT:
        raise InvalidArgument("the optional value is absent")
    return value
