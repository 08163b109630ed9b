"""Shape and Size: what is known of a tensor without its elements."""

from __future__ import annotations

from onward import program as P
from onward.operators.registry import operator


@operator("Shape")
def shape(data: P.Array, *, start: int = 0, end: int | None = None) -> P.Array:
    """The extents of axes `start` to before `end`, int64. ONNX Shape-1, Shape-15 (start and end are clamped)."""
    first, last = (_clamp(axis, data.rank) for axis in (start, data.rank if end is None else end))
    return P.dimensions_array(data.shape[first:last])


@operator("Size")
def size(data: P.Array) -> P.Array:
    """The number of elements, an int64 scalar. ONNX Size-1."""
    return P.reshape(P.dimensions_array([data.size]), ())


def _clamp(axis: int, rank: int) -> int:
    return min(max(axis + rank if axis < 0 else axis, 0), rank)
