"""Trilu."""

from __future__ import annotations

from onward import program as P
from onward.operators.registry import operator


@operator("Trilu", since=14)
def trilu(data: P.Array, k: P.Array | None, *, upper: int = 1) -> P.Array:
    """The upper or lower triangle of each matrix, with zeros elsewhere; diagonal `k` belongs to it. ONNX Trilu-14."""
    if k is None:
        diagonal = P.scalar(0)
    else:
        diagonal = k.item() if k.content is None else P.scalar(k.content.reshape(-1)[0], k.dtype)

    def element(*position: P.Dimension) -> P.Scalar:
        offset = P.scalar(position[-1] - position[-2])
        inside = P.greater_equal(offset, diagonal) if upper else P.less_equal(offset, diagonal)
        return P.where(inside, data[position], P.scalar(0, data.dtype))

    return P.compute(data.shape, element)
