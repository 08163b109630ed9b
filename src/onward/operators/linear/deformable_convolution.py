"""DeformConv."""

from __future__ import annotations

from onward import program as P
from onward.errors import UnsupportedOperator
from onward.ir.datatypes import DataType
from onward.ir.expressions import Dimension
from onward.operators.numeric import computed_wide
from onward.operators.registry import operator


@operator("DeformConv", since=19)
@computed_wide
def deformable_convolution(
    x: P.Array,
    w: P.Array,
    offset: P.Array,
    b: P.Array | None = None,
    mask: P.Array | None = None,
    *,
    dilations: list[int] | None = None,
    group: int = 1,
    kernel_shape: list[int] | None = None,
    offset_group: int = 1,
    pads: list[int] | None = None,
    strides: list[int] | None = None,
) -> P.Array:
    """Convolution of an image whose taps are moved by `offset` and weighted by `mask`.

    ONNX DeformConv-19; Dai et al. 2017, Zhu et al. 2019. offset (N, groups * taps * 2, H, W), mask (N, groups * taps, H, W).
    """
    if x.rank != 4:
        raise UnsupportedOperator(f"DeformConv of {x}: only images (N, C, H, W) are supported")
    dilations, pads, strides = dilations or [1, 1], pads or [0] * 4, strides or [1, 1]
    taps = P.product(w.shape[2:])
    height, width = offset.shape[2:]
    shape = (x.shape[0], offset_group, taps, height, width)
    moves = P.reshape(offset, (x.shape[0], offset_group, taps, 2, height, width))
    weights = None if mask is None else P.reshape(mask, shape)

    def place(axis: int, n: Dimension, g: Dimension, k: Dimension, i: Dimension, j: Dimension) -> P.Scalar:
        tap = (k // w.shape[3], k % w.shape[3])[axis]
        still = (i, j)[axis] * strides[axis] + tap * dilations[axis] - pads[axis]
        return P.scalar(still, x.dtype) + moves[n, g, k, axis, i, j]

    rows, columns = (P.compute(shape, lambda *p, axis=axis: place(axis, *p)) for axis in (0, 1))
    channels = x.shape[1] // offset_group

    def sample(n: Dimension, c: Dimension, k: Dimension, i: Dimension, j: Dimension) -> P.Scalar:
        at = (n, c // channels, k, i, j)
        value = _bilinear(x, n, c, rows[at], columns[at])
        return value if weights is None else value * weights[at]

    samples = P.compute((x.shape[0], x.shape[1], taps, height, width), sample)
    depth, filters = w.shape[1], w.shape[0] // group
    parts = P.reshape(samples, (x.shape[0], group, depth, taps, height, width))
    bank = P.reshape(w, (group, filters, depth, taps))
    result = P.reduce(
        "sum",
        (x.shape[0], group, filters, height, width),
        (depth, taps),
        lambda n, g, m, i, j, c, k: parts[n, g, c, k, i, j] * bank[g, m, c, k],
    )
    result = P.reshape(result, (x.shape[0], w.shape[0], height, width))
    return result if b is None else result + P.expand_axes(b, [1, 2])


def _bilinear(x: P.Array, n: Dimension, c: Dimension, row: P.Scalar, column: P.Scalar) -> P.Scalar:
    """x between the four elements around a place; zeros outside."""
    total: P.Scalar | None = None
    for i, row_weight in _neighbours(row):
        for j, column_weight in _neighbours(column):
            inside = (i >= 0) & (i < P.scalar(x.shape[2])) & (j >= 0) & (j < P.scalar(x.shape[3]))
            part = P.where(inside, x[n, c, i, j] * (row_weight * column_weight), P.scalar(0.0, x.dtype))
            total = part if total is None else total + part
    assert total is not None
    return total


def _neighbours(place: P.Scalar) -> list[tuple[P.Scalar, P.Scalar]]:
    low = P.floor(place)
    first = P.cast(low, DataType.INT64)
    return [(first, 1.0 - (place - low)), (first + 1, place - low)]
