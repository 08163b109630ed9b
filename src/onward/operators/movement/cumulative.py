"""CumSum and CumProd."""

from __future__ import annotations

import numpy as np

from onward import program as P
from onward.ir.datatypes import DataType
from onward.operators.arguments import known_integer
from onward.operators.registry import operator


@operator("CumSum", since=11)
def cum_sum(data: P.Array, axis: P.Array, *, exclusive: int = 0, reverse: int = 0) -> P.Array:
    """The running sum along one axis; `exclusive` leaves the element itself out. ONNX CumSum-11."""
    return _cumulative("sum", data, axis, exclusive, reverse)


@operator("CumProd", since=26)
def cum_prod(data: P.Array, axis: P.Array, *, exclusive: int = 0, reverse: int = 0) -> P.Array:
    """The running product along one axis; `exclusive` leaves the element itself out. ONNX CumProd-26."""
    return _cumulative("prod", data, axis, exclusive, reverse)


def _cumulative(operation: str, data: P.Array, axis: P.Array, exclusive: int, reverse: int) -> P.Array:
    if axis.known is None and axis.content is None:
        return _along_a_fed_axis(operation, data, axis, exclusive, reverse)
    (result,) = P.routine(
        "cumulative",
        [data],
        [(data.shape, data.dtype)],
        operation=operation,
        axis=P.normalize_axis(known_integer(axis, "the axis of a running sum or product"), data.rank),
        exclusive=bool(exclusive),
        reverse=bool(reverse),
    )
    return result


def _along_a_fed_axis(operation: str, data: P.Array, axis: P.Array, exclusive: int, reverse: int) -> P.Array:
    """Along every axis, and of these the one that the run names."""
    number = P.reshape(P.cast(axis, DataType.INT64), ())
    axes = P.constant(np.arange(data.rank))
    place = P.compute((), lambda: axes[P.wrap_index(number[()], data.rank)])
    result = _cumulative(operation, data, P.constant(0), exclusive, reverse)
    for other in range(1, data.rank):
        along = _cumulative(operation, data, P.constant(other), exclusive, reverse)
        result = P.where(P.equal(place, other), along, result)
    return result
