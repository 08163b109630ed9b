"""Where values stand among categories, which are numbers or text."""

from __future__ import annotations

from typing import Any

import numpy as np

from onward.converters.tracing.array import TEXT, Array
from onward.converters.tracing.ufuncs import isnan
from onward.errors import UnsupportedOperator


def is_missing(item: Any) -> bool:
    """Whether a category stands for a missing value: None, or what is unequal to itself."""
    return item is None or not isinstance(item, str) and bool(item != item)


def places_of(values: Array, categories: np.ndarray) -> Array:
    """(rows,) int64: where each value stands among the categories, -1 for others; a missing value is a category of its own.

    Raises UnsupportedOperator for categories of another kind than the values.
    """
    known = [None if is_missing(item) else item for item in categories.tolist()]
    text = any(isinstance(item, str) for item in known)
    if known.count(None) > 1:
        raise UnsupportedOperator("categories with two kinds of missing values, None and NaN")
    if (text and values.dtype != TEXT) or (not text and values.dtype == TEXT and any(item is not None for item in known)):
        raise UnsupportedOperator(f"categories that are {'text' if text else 'numbers'} in a column of {'numbers' if text else 'text'}")
    if values.dtype == TEXT:
        if None in known and not values.trace.empty_is_missing:
            raise UnsupportedOperator("categories with a missing value for text whose missing values are not told: pass an example with some")
        keys = ["" if item is None else str(item) for item in known]
        return values.trace.op(
            "LabelEncoder", values, dtype=np.int64, shape=values.shape, domain="ai.onnx.ml", keys_strings=keys,
            values_int64s=list(range(len(keys))), default_int64=-1,
        )  # fmt: skip
    hits = _hits(values, np.array([np.nan if item is None else item for item in known], np.float64 if None in known else categories.dtype))
    return np.where(np.any(hits, axis=1), np.argmax(hits, axis=1), -1)  # type: ignore[no-any-return]


def _hits(values: Array, categories: np.ndarray) -> Array:
    """(rows, categories): which category each number is; NaN is one of its own."""
    wide = np.expand_dims(values, 1)
    if categories.dtype == TEXT:
        categories = categories.astype(np.float64)
    found = wide == categories
    absent = np.isnan(categories.astype(np.float64))
    return np.where(absent, isnan(wide), found) if absent.any() else found
