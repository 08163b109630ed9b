"""ReverseSequence."""

from __future__ import annotations

from onward import program as P
from onward.ir.datatypes import DataType
from onward.operators.registry import operator


@operator("ReverseSequence", since=10)
def reverse_sequence(data: P.Array, lengths: P.Array, *, batch_axis: int = 1, time_axis: int = 0) -> P.Array:
    """The first `lengths[b]` elements along the time axis in reverse, then the others. ONNX ReverseSequence-10."""
    batch, time = (P.normalize_axis(axis, data.rank) for axis in (batch_axis, time_axis))

    def element(*position: P.Dimension) -> P.Scalar:
        step, length = P.scalar(position[time]), P.cast(lengths[position[batch]], DataType.INT64)
        indices: list[P.Dimension | P.Scalar] = list(position)
        indices[time] = P.where(P.less(step, length), length - 1 - step, step)
        return data[tuple(indices)]

    return P.compute(data.shape, element)
