"""NonZero and Compress: results whose extent is a count found in the data."""

from __future__ import annotations

import numpy as np

from onward import program as P
from onward.ir.datatypes import DataType
from onward.operators.registry import operator


@operator("NonZero", since=9)
def non_zero(data: P.Array) -> P.Array:
    """Positions of the elements that are not zero, (rank, count), row-major; a scalar has one axis. ONNX NonZero-9."""
    source = data if data.rank else P.reshape(data, (1,))
    if source.known is not None:
        return P.constant(np.array(np.nonzero(source.known), np.int64).reshape(source.rank, -1))
    count = P.fresh_symbol("count")
    (positions,) = P.routine("non_zero", [source], [((source.rank, count), DataType.INT64)], [count])
    return positions


@operator("Compress", since=9)
def compress(data: P.Array, condition: P.Array, *, axis: int | None = None) -> P.Array:
    """The slices along `axis` (elements of the flat data without it) where `condition` holds. ONNX Compress-9."""
    source = P.reshape(data, (data.size,)) if axis is None else data
    place = 0 if axis is None else P.normalize_axis(axis, data.rank)
    positions = non_zero(condition)
    chosen = P.compute((positions.shape[1],), lambda i: positions[0, i])
    return P.take(source, chosen, place)
