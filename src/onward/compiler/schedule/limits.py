"""Between which limits a number lies, whatever the data are: what code need not guard against.

Sums and products of limits are those of doubles, so limits are good to a part in a million; NaN, which is no number, may come all the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from onward.ir.datatypes import DataType
from onward.program.array import Array
from onward.program.scalar import Cast, Literal, Operation, Read, Scalar

Limits = tuple[float, float]
Known = Callable[[Array], np.ndarray | None]
"""The elements of an array that are known ahead; None for others."""

ANY: Limits = (-math.inf, math.inf)


def limits_of(scalar: Scalar, known: Known) -> Limits:
    """The least and the greatest value of a scalar; infinities where nothing is known."""
    if scalar.dtype == DataType.FLOAT:
        return _limits(scalar, known)
    if not scalar.dtype.is_integer or scalar.dtype.bits not in (8, 16, 32):
        return ANY
    least, most = np.iinfo(scalar.dtype.numpy).min, np.iinfo(scalar.dtype.numpy).max
    low, high = _limits(scalar, known)
    return (low, high) if least <= low and high <= most else (float(least), float(most))


def _limits(scalar: Scalar, known: Known) -> Limits:
    match scalar:
        case Literal():
            return float(scalar.value), float(scalar.value)
        case Read():
            data = known(scalar.array)
            return ANY if data is None or not data.size or not np.all(np.isfinite(data)) else (float(data.min()), float(data.max()))
        case Cast():
            return limits_of(scalar.argument, known)
        case Operation() if scalar.name in _OPERATIONS:
            found = _OPERATIONS[scalar.name](*(limits_of(argument, known) for argument in scalar.arguments))
            return ANY if any(math.isnan(item) for item in found) else found
    return ANY


def _product(left: Limits, right: Limits) -> Limits:
    corners = [x * y for x in left for y in right]
    return ANY if any(map(math.isnan, corners)) else (min(corners), max(corners))


_OPERATIONS: dict[str, Callable[..., Limits]] = {
    "add": lambda left, right: (left[0] + right[0], left[1] + right[1]),
    "subtract": lambda left, right: (left[0] - right[1], left[1] - right[0]),
    "multiply": _product,
    "minimum": lambda left, right: (min(left[0], right[0]), min(left[1], right[1])),
    "maximum": lambda left, right: (max(left[0], right[0]), max(left[1], right[1])),
    "round_even": lambda only: only if math.inf in map(abs, only) else (float(round(only[0])), float(round(only[1]))),
}
