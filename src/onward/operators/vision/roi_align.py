"""RoiAlign and MaxRoiPool: regions of a feature map pooled to one size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from onward import program as P
from onward.errors import InvalidArgument
from onward.ir.datatypes import DataType
from onward.ir.expressions import Dimension
from onward.operators.numeric import computed_wide
from onward.operators.registry import operator


@operator("RoiAlign", since=16)
@computed_wide
def roi_align(
    x: P.Array,
    rois: P.Array,
    batch_indices: P.Array,
    *,
    coordinate_transformation_mode: str = "half_pixel",
    mode: str = "avg",
    output_height: int = 1,
    output_width: int = 1,
    sampling_ratio: int = 0,
    spatial_scale: float = 1.0,
) -> P.Array:
    """Each region (x1, y1, x2, y2) as a grid of bins, each the mean or maximum of bilinear samples.

    ONNX RoiAlign-16; He et al. 2017. Without a sampling ratio a bin takes as many samples as it covers elements.
    """
    if mode not in ("avg", "max"):
        raise InvalidArgument(f"RoiAlign has the modes 'avg' and 'max', got '{mode}'")
    half = coordinate_transformation_mode == "half_pixel"
    rows = _axis(x, rois, 1, 2, output_height, spatial_scale, half, sampling_ratio)
    columns = _axis(x, rois, 0, 3, output_width, spatial_scale, half, sampling_ratio)

    def taps(n: Dimension, c: Dimension, i: Dimension, j: Dimension, k: Dimension, m: Dimension) -> list[P.Scalar]:
        batch = P.cast(batch_indices[n], DataType.INT64)
        return [
            x[batch, c, rows.place(n, i, k, down), columns.place(n, j, m, right)] * rows.weight(n, i, k, down) * columns.weight(n, j, m, right)
            for down in (0, 1)
            for right in (0, 1)
        ]

    def combined(n: Dimension, c: Dimension, i: Dimension, j: Dimension, k: Dimension, m: Dimension) -> P.Scalar:
        parts = taps(n, c, i, j, k, m)
        inside = (P.scalar(k) < rows.count[n]) & (P.scalar(m) < columns.count[n])
        if mode == "avg":
            return P.where(inside, parts[0] + parts[1] + parts[2] + parts[3], 0.0)
        greatest = P.maximum(P.maximum(parts[0], parts[1]), P.maximum(parts[2], parts[3]))
        return P.where(inside, greatest, P.scalar(float("-inf"), x.dtype))

    shape = (rois.shape[0], x.shape[1], output_height, output_width)
    result = P.reduce("sum" if mode == "avg" else "max", shape, (rows.largest, columns.largest), combined)
    return P.compute(shape, lambda n, c, i, j: _finished(result[n, c, i, j], rows.count[n] * columns.count[n], mode))


@operator("RoiAlign", since=10)
def roi_align_10(
    x: P.Array,
    rois: P.Array,
    batch_indices: P.Array,
    *,
    mode: str = "avg",
    output_height: int = 1,
    output_width: int = 1,
    sampling_ratio: int = 0,
    spatial_scale: float = 1.0,
) -> P.Array:
    """As RoiAlign-16 with coordinates that name corners. ONNX RoiAlign-10."""
    return roi_align(
        x,
        rois,
        batch_indices,
        coordinate_transformation_mode="output_half_pixel",
        mode=mode,
        output_height=output_height,
        output_width=output_width,
        sampling_ratio=sampling_ratio,
        spatial_scale=spatial_scale,
    )


def _finished(value: P.Scalar, count: P.Scalar, mode: str) -> P.Scalar:
    if mode == "avg":
        return value / P.cast(P.maximum(count, 1), value.dtype)
    return P.where(count > 0, value, 0.0)


@dataclass(frozen=True)
class _Samples:
    """The samples along one axis: how many a bin of each region takes, the `largest` number, and where they lie."""

    count: P.Array
    largest: Dimension
    indices: P.Array
    weights: P.Array

    def place(self, region: Dimension, bin_: Dimension, sample: Dimension, tap: int) -> P.Scalar:
        return self.indices[region, bin_, sample, tap]

    def weight(self, region: Dimension, bin_: Dimension, sample: Dimension, tap: int) -> P.Scalar:
        return self.weights[region, bin_, sample, tap]


def _axis(x: P.Array, rois: P.Array, column: int, axis: int, bins: int, scale: float, half: bool, ratio: int) -> _Samples:
    regions = rois.shape[0]
    start = P.compute((regions,), lambda n: rois[n, column] * scale - (0.5 if half else 0.0))
    length = P.compute((regions,), lambda n: _length(rois, n, column, scale, half))
    if ratio > 0:
        count: P.Array = P.full((regions,), ratio, DataType.INT64)
        largest: Dimension = ratio
    else:
        count = P.cast(P.ceil(length / float(bins)), DataType.INT64)
        (largest,) = P.dimensions(P.max(P.maximum(count, 1), keepdims=True), "the samples of RoiAlign")
    size = P.scalar(x.shape[axis], x.dtype)

    def coordinate(n: Dimension, i: Dimension, k: Dimension) -> P.Scalar:
        step = length[n] / float(bins)
        inner = (P.scalar(k, x.dtype) + 0.5) * step / P.cast(P.maximum(count[n], 1), x.dtype)
        return start[n] + P.scalar(i, x.dtype) * step + inner

    places = P.compute((regions, bins, largest), coordinate)
    shape = (regions, bins, largest, 2)
    indices = P.compute(shape, lambda n, i, k, tap: _tap(places[n, i, k], size, tap)[0])
    weights = P.compute(shape, lambda n, i, k, tap: _tap(places[n, i, k], size, tap)[1])
    return _Samples(count, largest, indices, weights)


def _length(rois: P.Array, n: Dimension, column: int, scale: float, half: bool) -> P.Scalar:
    length = rois[n, column + 2] * scale - rois[n, column] * scale
    return length if half else P.maximum(length, 1.0)


def _tap(place: P.Scalar, size: P.Scalar, tap: Dimension) -> tuple[P.Scalar, P.Scalar]:
    """The index and weight of the lower (0) or upper (1) neighbour of a place; weight 0 far outside."""
    at = P.minimum(P.maximum(place, 0.0), size - 1.0)
    low = P.floor(at)
    second = P.equal(P.scalar(tap), 1)
    index = P.cast(P.where(second, P.minimum(low + 1.0, size - 1.0), low), DataType.INT64)
    part = at - low
    weight = P.where(second, part, 1.0 - part)
    outside = (place < -1.0) | (place > size)
    return index, P.where(outside, 0.0, weight)


@operator("MaxRoiPool")
@computed_wide
def max_roi_pool(x: P.Array, rois: P.Array, *, pooled_shape: list[int], spatial_scale: float = 1.0) -> P.Array:
    """The greatest element of each bin of regions (batch, x1, y1, x2, y2). ONNX MaxRoiPool-1; Girshick 2015."""
    height, width = pooled_shape
    begin_rows, end_rows = _bins(x, rois, 2, 2, height, spatial_scale)
    begin_columns, end_columns = _bins(x, rois, 1, 3, width, spatial_scale)

    def element(n: Dimension, c: Dimension, i: Dimension, j: Dimension, r: Dimension, s: Dimension) -> P.Scalar:
        row, column = P.scalar(r), P.scalar(s)
        inside = (row >= begin_rows[n, i]) & (row < end_rows[n, i])
        inside = inside & (column >= begin_columns[n, j]) & (column < end_columns[n, j])
        return P.where(inside, x[P.cast(rois[n, 0], DataType.INT64), c, r, s], P.scalar(float("-inf"), x.dtype))

    shape = (rois.shape[0], x.shape[1], height, width)
    result = P.reduce("max", shape, x.shape[2:], element)
    return P.elementwise(lambda e: P.where(P.equal(e, float("-inf")), 0.0, e), result)


def _bins(x: P.Array, rois: P.Array, column: int, axis: int, bins: int, scale: float) -> tuple[P.Array, P.Array]:
    """The first row of each bin of each region, and the row after its last."""
    size = P.scalar(x.shape[axis], x.dtype)

    def edge(n: Dimension, bin_: Dimension, rounding: Callable[[P.Scalar], P.Scalar]) -> P.Scalar:
        first, last = (_rounded(rois[n, column + offset] * scale) for offset in (0, 2))
        step = P.maximum(last - first + 1.0, 1.0) / float(bins)
        return P.cast(P.minimum(P.maximum(rounding(P.scalar(bin_, x.dtype) * step) + first, 0.0), size), DataType.INT64)

    shape = (rois.shape[0], bins)
    return (
        P.compute(shape, lambda n, b: edge(n, b, P.floor)),
        P.compute(shape, lambda n, b: edge(n, b + 1, P.ceil)),
    )


def _rounded(e: P.Scalar) -> P.Scalar:
    """Halves away from zero, as C rounds."""
    return P.where(e < 0.0, P.ceil(e - 0.5), P.floor(e + 0.5))
