"""What a column of pandas can do that an array of NumPy cannot."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from onward.converters.tracing.array import FUNCTIONS, METHODS_OF_COLUMNS, TEXT, Array, implements, refusal
from onward.converters.tracing.categories import places_of
from onward.converters.tracing.ufuncs import isnan


def method(name: str) -> Any:
    """Registers a method of columns by its name."""
    return implements(name, METHODS_OF_COLUMNS)


@method("isna")
@method("isnull")
def isna(x: Array) -> Any:
    return isnan(x) if x.dtype.kind in "fO" else FUNCTIONS[np.zeros_like](x, bool)


@method("notna")
@method("notnull")
def notna(x: Array) -> Any:
    return ~isna(x)


@method("fillna")
def fillna(x: Array, value: Any) -> Any:
    """Whole numbers and truth values are never missing."""
    if x.dtype.kind not in "fO":
        return x
    return np.where(isna(x), value if isinstance(value, Array) else np.asarray(value, x.dtype), x)


@method("where")
def where(x: Array, cond: Any, other: Any = np.nan) -> Any:
    return np.where(cond, x, other)


@method("mask")
def mask(x: Array, cond: Any, other: Any = np.nan) -> Any:
    return np.where(cond, other, x)


@method("between")
def between(x: Array, left: Any, right: Any, inclusive: str = "both") -> Any:
    above = x >= left if inclusive in ("both", "left") else x > left
    return above & (x <= right if inclusive in ("both", "right") else x < right)


@method("isin")
def isin(x: Array, values: Any) -> Any:
    return FUNCTIONS[np.isin](x, values)


@method("clip")
def clip(x: Array, lower: Any = None, upper: Any = None, **names: Any) -> Any:
    """Takes pandas' names of the bounds, and NumPy's."""
    return FUNCTIONS[np.clip](x, lower, upper, **names)


@method("abs")
def absolute(x: Array) -> Any:
    return np.abs(x)


@method("to_numpy")
def to_numpy(x: Array, dtype: Any = None, **_: Any) -> Any:
    return x if dtype is None else x.astype(dtype, copy=False)


@method("map")
def mapped(x: Array, arg: Any, **_: Any) -> Any:
    """Numbers for categories, NaN for others. Raises UnsupportedOperator for what is no mapping to numbers."""
    if not isinstance(arg, Mapping) or not all(isinstance(item, (int, float, np.number)) for item in arg.values()):
        raise refusal("map is called with something else than a dictionary of numbers")
    keys = np.array(list(arg), object)
    known = keys if x.dtype == TEXT else keys.astype(np.float64)
    return FUNCTIONS[np.take](np.array([*arg.values(), np.nan], np.float64), places_of(x, known), 0)
