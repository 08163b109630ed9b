"""AffineGrid."""

from __future__ import annotations

from onward import program as P
from onward.ir.expressions import Dimension
from onward.operators.numeric import computed_wide
from onward.operators.registry import operator


@operator("AffineGrid", since=20)
@computed_wide
def affine_grid(theta: P.Array, size: P.Array, *, align_corners: int = 0) -> P.Array:
    """The places of a regular grid moved by theta (N, r, r + 1), as GridSample takes them. ONNX AffineGrid-20.

    `size` is (N, C, D1, ..., Dr); the result (N, D1, ..., Dr, r) names the last axis first.
    """
    _, _, *extents = P.dimensions(size, "the size of AffineGrid")
    rank = len(extents)

    def coordinate(place: Dimension, extent: Dimension) -> P.Scalar:
        i, count = P.scalar(place, theta.dtype), P.scalar(extent, theta.dtype)
        return 2.0 * i / (count - 1.0) - 1.0 if align_corners else (2.0 * i + 1.0) / count - 1.0

    def element(n: Dimension, *position: Dimension) -> P.Scalar:
        *place, row = position
        total = theta[n, row, rank]
        for column in range(rank):
            axis = rank - 1 - column
            total = total + theta[n, row, column] * coordinate(place[axis], extents[axis])
        return total

    return P.compute((theta.shape[0], *extents, rank), element)
