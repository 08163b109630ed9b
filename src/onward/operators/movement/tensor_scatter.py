"""TensorScatter."""

from __future__ import annotations

from onward import program as P
from onward.errors import InvalidArgument
from onward.ir.datatypes import DataType
from onward.operators.movement.scatter import row_number, scatter_rows
from onward.operators.registry import operator


@operator("TensorScatter", since=24)
def tensor_scatter(past_cache: P.Array, update: P.Array, write_indices: P.Array | None, *, axis: int = -2, mode: str = "linear") -> P.Array:
    """A cache with `update` written along `axis` from `write_indices[batch]` on. ONNX TensorScatter-24.

    past_cache (B, ..., T, ...) and update (B, ..., S, ...) of one type, write_indices (B). In mode circular, positions beyond the end go on
    at the start; in mode linear they are an error of the run.
    """
    if mode not in ("linear", "circular"):
        raise InvalidArgument(f"TensorScatter has no mode '{mode}'; known are linear and circular")
    place = P.normalize_axis(axis, past_cache.rank)
    if not 0 < place < past_cache.rank:
        raise InvalidArgument(f"TensorScatter writes along an axis after the first, got axis {axis} of {past_cache}")
    outer, inner = past_cache.shape[: place + 1], past_cache.shape[place + 1 :]
    extent, written = P.scalar(past_cache.shape[place]), update.shape[: place + 1]

    def row(*position: P.Dimension) -> P.Scalar:
        first = P.scalar(0) if write_indices is None else P.cast(write_indices[position[0]], DataType.INT64)
        index = first + P.scalar(position[place])
        if mode == "circular":
            index = P.remainder(index, extent)
        return row_number([*position[:place], index], outer)

    width = (P.product(inner),) if inner else ()
    rows = P.reshape(P.compute(written, row), (P.product(written),))
    return scatter_rows(past_cache, (P.product(outer), *width), rows, P.reshape(update, (P.product(written), *width)))
