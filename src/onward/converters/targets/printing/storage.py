"""Elements that a target lacks, kept in bytes: whole numbers of fewer than 8 bits as they are, floats of 8 bits and fewer as their codes."""

from __future__ import annotations

from collections.abc import Container
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


def kept(data: Any, types: Container[DataType]) -> np.ndarray:
    """An array with elements of one of the `types` in bytes, others as they are."""
    array = np.asarray(data)
    dtype = None if array.dtype.type.__module__ == "numpy" else DataType.of(array.dtype)
    if dtype is None or dtype not in types:
        return array
    if dtype in WHOLE:
        return array.astype(WHOLE[dtype].numpy)
    return np.ascontiguousarray(array).view(np.uint8).reshape(array.shape)


def restored(array: Any, dtype: DataType | None) -> Any:
    """An array of bytes with the elements of type `dtype` that they stand for; others as they are."""
    if not isinstance(array, np.ndarray) or dtype is None or array.dtype == dtype.numpy:
        return array
    if dtype in WHOLE and array.dtype == WHOLE[dtype].numpy:
        return array.astype(dtype.numpy)
    if dtype in FLOATS and array.dtype == np.uint8:
        return np.ascontiguousarray(array).view(dtype.numpy).reshape(array.shape)
    return array
