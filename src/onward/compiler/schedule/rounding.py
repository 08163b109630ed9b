"""Numbers on their way to bytes and back, found in the expressions of elements."""

from __future__ import annotations

import numpy as np

from onward.compiler.operations import SMALL
from onward.ir.datatypes import DataType
from onward.program.scalar import Cast, Literal, Operation, Scalar


def small_integer(scalar: Scalar) -> tuple[Scalar, int, int, int] | None:
    """`limited`, the limits and `shift` of int32(round_even(limited)) + shift, which is how a number is quantised.

    `limited` is maximum(minimum(x, most), least) with small literals.
    """
    shift = 0
    if _is_call(scalar, "add"):
        scalar, addend = scalar.arguments
        if not isinstance(addend, Literal):
            return None
        shift = int(addend.value)
    if not isinstance(scalar, Cast) or scalar.dtype != DataType.INT32:
        return None
    rounded = scalar.argument
    if not _is_call(rounded, "round_even") or rounded.dtype != DataType.FLOAT:
        return None
    (limited,) = rounded.arguments
    if not _is_call(limited, "maximum") or not _is_call(limited.arguments[0], "minimum"):
        return None
    least, most = limited.arguments[1], limited.arguments[0].arguments[1]
    if not isinstance(least, Literal) or not isinstance(most, Literal) or max(abs(least.value), abs(most.value)) > SMALL:
        return None
    return limited, int(least.value), int(most.value), shift


def saturated(scalar: Cast) -> tuple[Scalar, int] | None:
    """`number` and `shift` of a number that is quantised to bytes, int32(round_even(limited number)) + shift: its limits are those of the byte."""
    found = small_integer(scalar.argument) if scalar.dtype in (DataType.UINT8, DataType.INT8) else None
    if found is None:
        return None
    limited, least, most, shift = found
    limits = np.iinfo(scalar.dtype.numpy)
    if (least + shift, most + shift) != (limits.min, limits.max):
        return None
    return limited.arguments[0].arguments[0], shift


def requantized(scalar: Cast) -> Scalar | None:
    """A quantised number that becomes a float again, without the way through bytes: round_even(limited) + shift."""
    narrow = scalar.argument
    if scalar.dtype != DataType.FLOAT or not isinstance(narrow, Cast) or narrow.dtype not in (DataType.UINT8, DataType.INT8):
        return None
    found = small_integer(narrow.argument)
    if found is None:
        return None
    limited, least, most, shift = found
    limits = np.iinfo(narrow.dtype.numpy)
    if least + shift < limits.min or most + shift > limits.max:
        return None
    rounded = Operation("round_even", (limited,), DataType.FLOAT)
    return Operation("add", (rounded, Literal(float(shift), DataType.FLOAT)), DataType.FLOAT) if shift else rounded


def without_shift(scalar: Operation) -> Scalar | None:
    """(x + c) - c of what is dequantised at once: whole numbers, so that it is x."""
    left, right = scalar.arguments
    back = requantized(left) if isinstance(left, Cast) and isinstance(right, Literal) else None
    if back is None or not _is_call(back, "add"):
        return None
    shift = back.arguments[1]
    assert isinstance(right, Literal) and isinstance(shift, Literal)
    return back.arguments[0] if shift.value == right.value else None


def _is_call(scalar: Scalar, name: str) -> bool:
    return isinstance(scalar, Operation) and scalar.name == name
