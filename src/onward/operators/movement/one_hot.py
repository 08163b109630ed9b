"""OneHot."""

from __future__ import annotations

from onward import program as P
from onward.ir.datatypes import DataType
from onward.operators.registry import operator


@operator("OneHot", since=9)
def one_hot(indices: P.Array, depth: P.Array, values: P.Array, *, axis: int = -1) -> P.Array:
    """A new axis of extent `depth` that holds `values[1]` at the index and `values[0]` elsewhere.

    Negative indices count from the end; those outside [-depth, depth) give no `values[1]`. ONNX OneHot-9, OneHot-11.
    """
    place = P.normalize_axis(axis, indices.rank + 1)
    (extent,) = P.dimensions(P.cast(depth, DataType.INT64), "the depth of OneHot")
    off, on = values[0], values[1]

    def element(*position: P.Dimension) -> P.Scalar:
        index = P.wrap_index(indices[position[:place] + position[place + 1 :]], extent)
        return P.where(P.equal(index, P.scalar(position[place])), on, off)

    return P.compute((*indices.shape[:place], extent, *indices.shape[place:]), element)
