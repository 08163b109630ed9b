"""TensorScatter."""

from __future__ import annotations

from onward import program as P
from onward.errors import InvalidArgument
from onward.ir.datatypes import DataType
from onward.operators.registry import operator


@operator("TensorScatter", since=24)
def tensor_scatter(past_cache: P.Array, update: P.Array, write_indices: P.Array | None, *, axis: int = -2, mode: str = "linear") -> P.Array:
    """A cache with `update` written along `axis` from `write_indices[batch]` on. ONNX TensorScatter-24.

    In mode circular, positions beyond the end go on at the start.
    """
    if mode not in ("linear", "circular"):
        raise InvalidArgument(f"TensorScatter has no mode '{mode}'; known are linear and circular")
    place = P.normalize_axis(axis, past_cache.rank)
    extent, count = P.scalar(past_cache.shape[place]), P.scalar(update.shape[place])

    def element(*position: P.Dimension) -> P.Scalar:
        first = P.scalar(0) if write_indices is None else P.cast(write_indices[position[0]], DataType.INT64)
        offset = P.scalar(position[place]) - first
        if mode == "circular":
            offset = P.remainder(offset, extent)
        new = update[(*position[:place], offset, *position[place + 1 :])]
        return P.where(P.logical_and(offset >= 0, offset < count), new, past_cache[position])

    return P.compute(past_cache.shape, element)
