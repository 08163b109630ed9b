"""Elements that a target lacks, kept in others: whole numbers as they are, floats of 8 bits and fewer as their codes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from onward.ir.datatypes import DataType

WHOLE = {DataType.INT4: DataType.INT8, DataType.UINT4: DataType.UINT8, DataType.INT2: DataType.INT8, DataType.UINT2: DataType.UINT8}
"""Types of whole numbers, and the type that has room for them."""

FLOATS = dict.fromkeys(
    (
        DataType.FLOAT8E4M3FN, DataType.FLOAT8E4M3FNUZ, DataType.FLOAT8E5M2, DataType.FLOAT8E5M2FNUZ, DataType.FLOAT8E8M0, DataType.FLOAT4E2M1,
        DataType.FLOAT6E2M3, DataType.FLOAT6E3M2,
    ),
    DataType.UINT8,
)  # fmt: skip
"""Types of small floats, and that of their codes."""

SMALL: Mapping[DataType, DataType] = {**WHOLE, **FLOATS}
"""Types that most targets lack."""


def kept(data: Any, types: Mapping[DataType, DataType]) -> np.ndarray:
    """An array with elements of one of the `types` in those that have room for them, others as they are."""
    array = np.asarray(data)
    dtype = None if array.dtype.kind in "OUS" else DataType.of(array.dtype)
    if dtype is None or dtype not in types:
        return array
    if dtype.is_integer:
        return array.astype(types[dtype].numpy)
    return np.ascontiguousarray(array).view(np.uint8).reshape(array.shape)


def restored(array: Any, dtype: DataType | None, types: Mapping[DataType, DataType] = SMALL) -> Any:
    """An array with the elements of type `dtype`, one of the `types`, that its own stand for; others as they are."""
    if not isinstance(array, np.ndarray) or dtype is None or array.dtype == dtype.numpy:
        return array
    if dtype not in types or array.dtype != types[dtype].numpy:
        return array
    return array.astype(dtype.numpy) if dtype.is_integer else np.ascontiguousarray(array).view(dtype.numpy).reshape(array.shape)
