"""Unique: sorting brings equal elements together, so the first of each run is where it differs from the one before."""

from __future__ import annotations

from onward import program as P
from onward.errors import UnsupportedOperator
from onward.ir.datatypes import DataType
from onward.operators.movement.compress import non_zero
from onward.operators.registry import operator

INT64 = DataType.INT64


@operator("Unique", since=11)
def unique(data: P.Array, *, axis: int | None = None, sorted: int = 1) -> tuple[P.Array, ...]:  # noqa: A002
    """Distinct elements (slices along `axis`), where each first occurs, which one each element is, and how often.

    They are in ascending (lexicographic) order, or in that of first occurrence. ONNX Unique-11.
    """
    place = 0 if axis is None else P.normalize_axis(axis, data.rank)
    source = P.reshape(data, (data.size,)) if axis is None else data
    order = _sorted_order(source, place)
    first = P.cast(_differs_from_before(P.take(source, order, place), place), INT64)
    starts = _vector(non_zero(first), 0)
    group = _running(first)
    found = P.take(order, starts, 0)
    inverse = _scattered(order, group - 1)
    ends = P.compute(starts.shape, lambda i: _next(starts, i, source.shape[place]))
    counts = ends - starts
    if not sorted:
        appearance = _positions(found)
        rank = _scattered(appearance, P.indices(found.shape))
        found, counts = P.take(found, appearance, 0), P.take(counts, appearance, 0)
        inverse = P.take(rank, inverse, 0)
    return P.take(source, found, place), found, inverse, counts


def _vector(matrix: P.Array, row: int) -> P.Array:
    return P.compute((matrix.shape[1],), lambda i: matrix[row, i])


def _next(starts: P.Array, place: P.Dimension, extent: P.Dimension) -> P.Scalar:
    following = P.scalar(place) + 1
    return P.where(following < P.scalar(starts.shape[0]), starts[following], P.scalar(extent))


def _positions(vector: P.Array) -> P.Array:
    """The stable order that sorts a vector."""
    shape = vector.shape
    return P.routine("top_k", [vector], [(shape, vector.dtype), (shape, INT64)], largest=False, count=None)[1]


def _sorted_order(source: P.Array, axis: int) -> P.Array:
    """The stable lexicographic order of the slices along an axis: sorted by each column, the last one first."""
    if source.rank == 1:
        return _positions(source)
    rows = P.transpose(source, [axis, *(other for other in range(source.rank) if other != axis)])
    width = P.product(rows.shape[1:])
    if not isinstance(width, int) or width > 1024:
        raise UnsupportedOperator(f"Unique along an axis with slices of {width} elements")
    table = P.reshape(rows, (rows.shape[0], width))
    order: P.Array = P.indices((rows.shape[0],))
    for column in reversed(range(width)):
        key = P.compute(order.shape, lambda i, order=order, column=column: table[order[i], column])
        order = P.take(order, _positions(key), 0)
    return order


def _differs_from_before(source: P.Array, axis: int) -> P.Array:
    """Whether each slice along the axis differs from the one before it; the first one does."""
    others = [extent for place, extent in enumerate(source.shape) if place != axis]

    def differs(place: P.Dimension, *position: P.Dimension) -> P.Scalar:
        before = P.scalar(place) - 1
        here = source[(*position[:axis], place, *position[axis:])]
        there = source[(*position[:axis], before, *position[axis:])]
        return P.where(before >= 0, P.cast(P.not_equal(here, there), INT64), 1)

    return P.reduce("max", (source.shape[axis],), others, differs)


def _running(vector: P.Array) -> P.Array:
    outputs = [(vector.shape, vector.dtype)]
    (result,) = P.routine("cumulative", [vector], outputs, operation="sum", axis=0, exclusive=False, reverse=False)
    return result


def _scattered(places: P.Array, values: P.Array) -> P.Array:
    """The vector with `values[i]` at `places[i]`; the places are a permutation."""
    shape = places.shape
    (result,) = P.routine("scatter", [P.full(shape, 0, INT64), places, values], [(shape, INT64)], reduction="none")
    return result
