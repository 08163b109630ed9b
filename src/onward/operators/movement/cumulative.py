"""CumSum and CumProd."""

from __future__ import annotations

from onward import program as P
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
