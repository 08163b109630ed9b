"""LabelEncoder and CategoryMapper: values found in a list of keys and replaced."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from onward import program as P
from onward.errors import InvalidArgument
from onward.ir.datatypes import DataType
from onward.ir.tensor import Tensor
from onward.operators.registry import operator

_TYPES = {"strings": DataType.STRING, "int64s": DataType.INT64, "floats": DataType.FLOAT}


@operator("LabelEncoder", domain="ai.onnx.ml", since=2)
def label_encoder(
    x: P.Array,
    *,
    default_float: float = -0.0,
    default_int64: int = -1,
    default_string: str = "_Unused",
    default_tensor: Tensor | None = None,
    keys_floats: list[float] | None = None,
    keys_int64s: list[int] | None = None,
    keys_strings: list[str] | None = None,
    keys_tensor: Tensor | None = None,
    values_floats: list[float] | None = None,
    values_int64s: list[int] | None = None,
    values_strings: list[str] | None = None,
    values_tensor: Tensor | None = None,
) -> P.Array:
    """The value that stands where x stands among the keys, else the default. ONNX LabelEncoder-2, LabelEncoder-4."""
    keys = _table({"tensor": keys_tensor, "floats": keys_floats, "int64s": keys_int64s, "strings": keys_strings})
    values = _table({"tensor": values_tensor, "floats": values_floats, "int64s": values_int64s, "strings": values_strings})
    fallback: Any = {DataType.FLOAT: default_float, DataType.INT64: default_int64, DataType.STRING: default_string}
    default = fallback.get(values.dtype, 0) if default_tensor is None else default_tensor.numpy().reshape(-1)[0]
    return _replaced(x, keys, values, default)


@operator("LabelEncoder", domain="ai.onnx.ml", since=1)
def label_encoder_1(x: P.Array, *, classes_strings: list[str], default_int64: int = -1, default_string: str = "_Unused") -> P.Array:
    """Strings as their positions in a list, or positions as strings. ONNX LabelEncoder-1."""
    names, numbers = _strings(classes_strings), P.constant(np.arange(len(classes_strings)))
    if x.dtype == DataType.STRING:
        return _replaced(x, names, numbers, default_int64)
    return _replaced(x, numbers, names, default_string)


@operator("CategoryMapper", domain="ai.onnx.ml")
def category_mapper(
    x: P.Array,
    *,
    cats_int64s: list[int],
    cats_strings: list[str],
    default_int64: int = -1,
    default_string: str = "_Unused",
) -> P.Array:
    """Strings as integers or integers as strings, by two lists of equal length. ONNX CategoryMapper-1."""
    names, numbers = _strings(cats_strings), P.constant(np.array(cats_int64s, np.int64))
    if x.dtype == DataType.STRING:
        return _replaced(x, names, numbers, default_int64)
    return _replaced(x, numbers, names, default_string)


def _strings(items: Sequence[str]) -> P.Array:
    return P.constant(np.array(items, object))


def _table(given: dict[str, Any]) -> P.Array:
    for kind, items in given.items():
        if items is not None and kind == "tensor":
            return P.constant(items.numpy().reshape(-1))
        if items is not None:
            return _strings(items) if kind == "strings" else P.constant(items, _TYPES[kind])
    raise InvalidArgument(f"LabelEncoder needs one of the attributes {', '.join(given)} for its keys and its values")


def _replaced(x: P.Array, keys: P.Array, values: P.Array, default: Any) -> P.Array:
    """The last key that x equals says which value; NaN equals NaN."""
    missing = P.scalar(default.item() if isinstance(default, np.generic) else default, values.dtype)

    def found(*position: P.Dimension) -> P.Scalar:
        *place, number = position
        element, key = x[tuple(place)], keys[number]
        same = P.equal(element, key)
        if x.dtype.is_float:
            same = same | (P.is_nan(element) & P.is_nan(key))
        return P.where(same, P.scalar(number), P.scalar(-1))

    where: P.Array = P.reduce("max", x.shape, keys.shape, found)
    if x.dtype == DataType.STRING and keys.known is not None:
        places = {key: place for place, key in enumerate(keys.known.tolist())}

        def looked_up(text: np.ndarray) -> tuple[np.ndarray, ...]:
            numbers = np.fromiter((places.get(item, -1) for item in text.flat), np.int64, text.size)
            return (numbers.reshape(text.shape),)

        (where,) = P.routine("host", [x], [(x.shape, DataType.INT64)], function=looked_up, definition=where)
    return P.compute(x.shape, lambda *i: P.where(where[i] < 0, missing, values[where[i]]))
