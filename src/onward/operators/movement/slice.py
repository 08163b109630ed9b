"""Slice."""

from __future__ import annotations

from onward import program as P
from onward.errors import InvalidArgument
from onward.ir.datatypes import DataType
from onward.ir.expressions import is_nonnegative
from onward.operators.arguments import distinct_axes, known_integers
from onward.operators.registry import operator

UNBOUNDED = 2**31 - 1
"""A bound at least this large means 'to the end' to exporters; no axis is longer."""


@operator("Slice", since=1)
def slice_1(data: P.Array, *, starts: list[int], ends: list[int], axes: list[int] | None = None) -> P.Array:
    """The elements from `starts` to before `ends` along `axes`. ONNX Slice-1."""
    return _slice(data, list(starts), list(ends), _places(data, axes, len(starts)), [1] * len(starts))


@operator("Slice", since=10)
def slice_10(data: P.Array, starts: P.Array, ends: P.Array, axes: P.Array | None, steps: P.Array | None) -> P.Array:
    """Every `steps`-th element from `starts` to before `ends` along `axes`; negative bounds count from the end.

    ONNX Slice-10. `axes` must be known before the run; the others need not be.
    """
    if not isinstance(starts.size, int):
        raise InvalidArgument(f"starts of Slice {starts} have no known length")
    places = _places(data, None if axes is None else known_integers(axes, "axes of Slice"), starts.size)
    if starts.size != len(places) or ends.size != len(places) or (steps is not None and steps.size != len(places)):
        raise InvalidArgument(f"starts {starts}, ends {ends}, axes {places} and steps of Slice differ in length")
    strides = steps.content if steps is not None else [1] * len(places)
    known = strides is not None and all(isinstance(step, int) for step in strides)
    if starts.content is None or ends.content is None or strides is None or not known:
        return _slice_in_run(data, starts, ends, places, steps)
    return _slice(data, list(starts.content), list(ends.content), places, [int(step) for step in strides])


def _places(data: P.Array, axes: list[int] | None, count: int) -> list[int]:
    return distinct_axes(list(range(count)) if axes is None else axes, data.rank)


def _slice(data: P.Array, starts: list[P.Dimension], ends: list[P.Dimension], places: list[int], steps: list[int]) -> P.Array:
    begin: list[P.Dimension] = [0] * data.rank
    extents = list(data.shape)
    strides = [1] * data.rank
    for place, start, end, step in zip(places, starts, ends, steps):
        if step == 0:
            raise InvalidArgument("a step of Slice is 0")
        extent = data.shape[place]
        low, high = (0, extent) if step > 0 else (-1, extent - 1)
        begin[place] = _bound(start, extent, 0 if step > 0 else -1, high)
        last = _bound(end, extent, low, high)
        distance = last - begin[place] if step > 0 else begin[place] - last
        extents[place] = P.maximum_dimension(P.ceiling_divide(distance, abs(step)), 0)
        strides[place] = step
    if extents == list(data.shape) and all(stride == 1 for stride in strides):
        return data
    return P.slice(data, begin, extents, strides)


def _bound(value: P.Dimension, extent: P.Dimension, low: P.Dimension, high: P.Dimension) -> P.Dimension:
    """A start or end as an index between `low` and `high`."""
    if isinstance(value, int):
        if value >= UNBOUNDED:
            return high
        if value <= -UNBOUNDED:
            return low
    if not is_nonnegative(value):  # from the end where it is negative: -n are the last n elements, and -0 is 0
        value = value + extent * P.minimum_dimension(P.maximum_dimension(-value, 0), 1)
    return P.maximum_dimension(P.minimum_dimension(value, high), low)


def _slice_in_run(data: P.Array, starts: P.Array, ends: P.Array, places: list[int], steps: P.Array | None) -> P.Array:
    """Bounds that depend on the data of the run: the extents become symbols, the elements are gathered."""
    extent = P.dimensions_array([data.shape[place] for place in places])
    step = P.full(extent.shape, 1, DataType.INT64) if steps is None else P.cast(steps, DataType.INT64)
    forward = P.greater(step, 0)
    low, high = P.where(forward, 0, -1), P.where(forward, extent, extent - 1)
    begin, last = (_bound_in_run(P.cast(value, DataType.INT64), extent, low, high) for value in (starts, ends))
    distance = P.where(forward, last - begin, begin - last)
    count = P.maximum(P.divide(distance + abs(step) - 1, abs(step)), 0)
    extents = list(data.shape)
    for place, symbol in zip(places, P.dimensions(count, "the extents of Slice")):
        extents[place] = symbol

    def element(*position: P.Dimension) -> P.Scalar:
        indices: list[P.Dimension | P.Scalar] = list(position)
        for number, place in enumerate(places):
            indices[place] = begin[number] + step[number] * P.scalar(position[place])
        return data[tuple(indices)]

    return P.compute(extents, element)


def _bound_in_run(value: P.Array, extent: P.Array, low: P.Array, high: P.Array) -> P.Array:
    return P.maximum(P.minimum(P.where(P.less(value, 0), value + extent, value), high), low)
