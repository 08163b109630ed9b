"""Feeds of any type that a model may declare: tensors, text, sequences, optional values, maps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from onward.errors import InvalidInput
from onward.ir import DataType, MapType, OptionalType, SequenceType, TensorType, Value
from onward.ir.expressions import Expression
from onward.operators.schema import type_string


def convert_feed(value: Value, data: Any) -> Any:
    """The data of a feed as a model run in stages takes it: arrays, lists, maps, or None for an absent optional value.

    Text becomes an array of str objects. Raises InvalidInput for what does not fit the declared type.
    """
    return _convert(f"input '{value.name}'", value.type, data)


def _convert(where: str, kind: Any, data: Any) -> Any:
    match kind:
        case OptionalType():
            return None if data is None else _convert(where, kind.element, data)
        case SequenceType():
            if not isinstance(data, (list, tuple)):
                raise InvalidInput(f"{where} is a {type(data).__name__}; expected a list ({type_string(kind)})")
            return [_convert(f"element {place} of {where}", kind.element, item) for place, item in enumerate(data)]
        case MapType():
            if not isinstance(data, Mapping):
                raise InvalidInput(f"{where} is a {type(data).__name__}; expected a dictionary ({type_string(kind)})")
            return dict(data)
        case TensorType():
            return _convert_tensor(where, kind, data)
    return np.asarray(data) if kind is None else data


def _convert_tensor(where: str, kind: TensorType, data: Any) -> np.ndarray:
    data = data.numpy() if hasattr(data, "numpy") and not isinstance(data, np.ndarray) else data
    expected = kind.dtype.numpy
    if data is None or isinstance(data, dict):
        raise InvalidInput(f"{where} is a {type(data).__name__}; expected an array of {expected}")
    if kind.dtype == DataType.STRING:
        array = _as_text(where, np.asarray(data))
    elif isinstance(data, (np.ndarray, np.generic)):
        array = np.asarray(data)
        if array.dtype != expected:
            if array.dtype.newbyteorder("=") != expected:
                raise InvalidInput(f"{where} has dtype {array.dtype}, expected {expected}; convert it with .astype")
            array = array.astype(expected)
    else:
        array = np.asarray(data, expected)
    _check_shape(where, kind, array.shape)
    return np.asarray(array, order="C")


def _as_text(where: str, array: np.ndarray) -> np.ndarray:
    if array.dtype.kind not in "OUS":
        raise InvalidInput(f"{where} has dtype {array.dtype}, expected text (an array of str)")
    items = [item.decode() if isinstance(item, bytes) else item for item in array.reshape(-1).tolist()]
    odd = next((item for item in items if not isinstance(item, str)), None)
    if odd is not None:
        raise InvalidInput(f"{where} holds {odd!r}, expected text (an array of str)")
    result = np.empty(len(items), object)
    result[:] = items
    return result.reshape(array.shape)


def _check_shape(where: str, kind: TensorType, shape: tuple[int, ...]) -> None:
    if kind.shape is None:
        return
    shown = f"[{', '.join('?' if extent is None else str(extent) for extent in kind.shape)}]"
    if len(shape) != len(kind.shape):
        raise InvalidInput(f"{where} has rank {len(shape)} (shape {shape}), expected {len(kind.shape)}: {shown}")
    for axis, (extent, number) in enumerate(zip(kind.shape, shape)):
        if extent is not None and not isinstance(extent, Expression) and extent != number:
            raise InvalidInput(f"{where} has extent {number} along axis {axis} (shape {shape}), expected {extent}: {shown}")
