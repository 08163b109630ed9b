"""TopK."""

from __future__ import annotations

from onward import program as P
from onward.ir.datatypes import DataType
from onward.operators.registry import operator


@operator("TopK", since=1)
def top_k_1(data: P.Array, *, k: int, axis: int = -1) -> tuple[P.Array, ...]:
    """The k largest elements along an axis, in order, and their positions. ONNX TopK-1."""
    return _top_k(data, k, axis, True)


@operator("TopK", since=10)
def top_k(
    data: P.Array,
    k: P.Array,
    *,
    axis: int = -1,
    largest: int = 1,
    sorted: int = 1,  # noqa: A002 (ONNX's name)
) -> tuple[P.Array, ...]:
    """The k largest or least elements along an axis and their positions; always in order. ONNX TopK-10, TopK-11."""
    (count,) = P.dimensions(k, "k of TopK")
    return _top_k(data, count, axis, bool(largest))


def _top_k(data: P.Array, count: P.Dimension, axis: int, largest: bool) -> tuple[P.Array, ...]:
    place = P.normalize_axis(axis, data.rank)
    extent = data.shape[place]
    P.require_at_least(extent, count, f"TopK asks for more elements than there are along axis {axis} of {data}")
    order = [*range(place), *range(place + 1, data.rank), place]
    source = P.transpose(data, order)
    kept = count if isinstance(count, int) else extent
    shape = (*source.shape[:-1], kept)
    results: tuple[P.Array, ...] = P.routine(
        "top_k",
        [source],
        [(shape, data.dtype), (shape, DataType.INT64)],
        largest=largest,
        count=count if isinstance(count, int) else None,
    )
    if not isinstance(count, int):  # a count of the run: the whole axis is sorted, then cut
        cut = (*source.shape[:-1], count)
        results = tuple(P.slice(result, [0] * data.rank, cut) for result in results)
    back = [order.index(number) for number in range(data.rank)]
    return tuple(P.transpose(result, back) for result in results)
