"""Operators of com.microsoft that move or compare elements: Trilu, Range, Pad, GatherND, Unique, ExpandDims, CDist, ..."""

from __future__ import annotations

import math

from onward import program as P
from onward.errors import InvalidArgument
from onward.ir.datatypes import DataType
from onward.ir.expressions import Dimension
from onward.operators.arguments import known_integer, known_integers
from onward.operators.microsoft.activations import DOMAIN
from onward.operators.movement.gather import gather_nd
from onward.operators.movement.pad import pad
from onward.operators.movement.range import range_ as range_of
from onward.operators.movement.trilu import trilu
from onward.operators.movement.unique import unique
from onward.operators.registry import Context, operator
from onward.operators.vision.grid_sample import grid_sample

operator("Trilu", domain=DOMAIN)(trilu)
operator("GatherND", domain=DOMAIN)(gather_nd)


@operator("Range", domain=DOMAIN)
def number_range(start: P.Array, limit: P.Array, delta: P.Array | None = None) -> P.Array:
    """Range of the standard, by steps of 1 without a third input."""
    return range_of(start, limit, P.full((), 1, start.dtype) if delta is None else delta)


@operator("Pad", domain=DOMAIN)
def padded(data: P.Array, pads: P.Array, value: P.Array | None = None, *, mode: str = "constant") -> P.Array:
    """Pad of the standard; the amounts may stand in one row of a matrix."""
    amounts = P.reshape(pads, (pads.shape[1],)) if pads.rank == 2 else pads
    return pad(data, amounts, value, None, mode=mode)


@operator("ExpandDims", domain=DOMAIN)
def expand_dims(x: P.Array, axis: P.Array) -> P.Array:
    """x with a new axis of extent 1."""
    place = known_integer(axis, "the axis of ExpandDims")
    return P.expand_axes(x, [P.normalize_axis(place, x.rank + 1)])


@operator("GridSample", domain=DOMAIN)
def grid_sampled(x: P.Array, grid: P.Array, *, align_corners: int = 0, mode: str = "bilinear", padding_mode: str = "zeros") -> P.Array:
    """GridSample-16 of the standard."""
    modes = {"bilinear": "linear", "bicubic": "cubic"}
    return grid_sample(x, grid, align_corners=align_corners, mode=modes.get(mode, mode), padding_mode=padding_mode)


@operator("Unique", domain=DOMAIN)
def unique_in_order(x: P.Array, *, context: Context) -> tuple[P.Array, ...]:
    """The different elements of a vector in the order of their first occurrence, where each one went, and how many."""
    values, _, places, counts = unique(x, sorted=0)
    return values, places, counts


@operator("CDist", domain=DOMAIN)
def distances(a: P.Array, b: P.Array, *, metric: str = "sqeuclidean") -> P.Array:
    """Distances of each row of a (m, k) from each row of b (n, k)."""
    if metric not in ("euclidean", "sqeuclidean"):
        raise InvalidArgument(f"CDist has no metric '{metric}'; known are euclidean and sqeuclidean")

    def square(i: Dimension, j: Dimension, k: Dimension) -> P.Scalar:
        difference = a[i, k] - b[j, k]
        return difference * difference

    total = P.reduce("sum", (a.shape[0], b.shape[0]), (a.shape[1],), square)
    return P.sqrt(total) if metric == "euclidean" else total


@operator("IsAllFinite", domain=DOMAIN)
def is_all_finite(*inputs: P.Array, isinf_only: int = 0, isnan_only: int = 0) -> P.Array:
    """Whether no element of any input is infinite or no number."""

    def wrong(e: P.Scalar) -> P.Scalar:
        infinite, nan = P.is_infinite(e), P.is_nan(e)
        return infinite if isinf_only else nan if isnan_only else infinite | nan

    found = [P.reduce_axes("max", x, None, False, lambda e: P.cast(wrong(e), DataType.INT32)) for x in inputs]
    total = found[0]
    for item in found[1:]:
        total = P.maximum(total, item)
    return P.equal(total, 0)


@operator("RelativePositionBias", domain=DOMAIN)
def relative_position_bias(table: P.Array, queries: P.Array, keys: P.Array, *, max_distance: int, is_bidirectional: int = 0) -> P.Array:
    """The bias of T5 for each distance of a query and a key, (1, heads, queries, keys). Source: Raffel et al. 2020."""
    (rows,), (columns,) = P.dimensions(P.reshape(queries, (1,))), P.dimensions(P.reshape(keys, (1,)))
    count = table.shape[0]
    if not isinstance(count, int):
        raise InvalidArgument("RelativePositionBias needs a table of a known size")
    half = count // 2 if is_bidirectional else count
    exact = half // 2

    def bucket(query: Dimension, key: Dimension) -> P.Scalar:
        distance = P.scalar(query) - P.scalar(key)
        first = P.where(distance < 0, P.scalar(half), P.scalar(0)) if is_bidirectional else P.scalar(0)
        distance = P.absolute(distance) if is_bidirectional else P.maximum(distance, 0)
        ratio = P.log(P.cast(P.maximum(distance, 1), DataType.FLOAT) / float(exact)) / math.log(max_distance / exact)
        far = P.cast(ratio * float(half - exact), DataType.INT64) + exact
        return first + P.where(distance < exact, distance, P.minimum(far, half - 1))

    return P.compute((1, table.shape[1], rows, columns), lambda _, head, q, k: table[bucket(q, k), head])


@operator("CropAndResize", domain=DOMAIN)
def crop_and_resize(
    x: P.Array,
    boxes: P.Array,
    batch_indices: P.Array,
    crop_size: P.Array,
    *,
    extrapolation_value: float = 0.0,
    mode: str = "bilinear",
) -> P.Array:
    """Parts (y1, x1, y2, x2, in units of the picture) of pictures x (N, C, H, W), all resized to `crop_size`."""
    rows, columns = known_integers(crop_size, "the size of the crops")
    if mode not in ("bilinear", "nearest"):
        raise InvalidArgument(f"CropAndResize has no mode '{mode}'; known are bilinear and nearest")
    height, width = x.shape[2:]

    def along(box: Dimension, place: Dimension, axis: int, count: int, extent: Dimension) -> P.Scalar:
        low, high = boxes[box, axis], boxes[box, axis + 2]
        last = P.cast(P.scalar(extent - 1), x.dtype)
        if count == 1:
            return 0.5 * (low + high) * last
        return low * last + P.cast(P.scalar(place), x.dtype) * ((high - low) * last / float(count - 1))

    def element(box: Dimension, channel: Dimension, i: Dimension, j: Dimension) -> P.Scalar:
        y, z = along(box, i, 0, rows, height), along(box, j, 1, columns, width)
        inside = _within(y, height) & _within(z, width)

        def pixel(row: P.Scalar, column: P.Scalar) -> P.Scalar:
            clipped = (P.minimum(P.maximum(P.cast(row, DataType.INT64), 0), P.scalar(height - 1)),
                       P.minimum(P.maximum(P.cast(column, DataType.INT64), 0), P.scalar(width - 1)))  # fmt: skip
            return x[(batch_indices[box], channel, *clipped)]

        if mode == "nearest":
            value = pixel(P.round_even(y), P.round_even(z))
        else:
            top, left = P.floor(y), P.floor(z)
            dy, dz = y - top, z - left
            upper = pixel(top, left) * (1.0 - dz) + pixel(top, P.ceil(z)) * dz
            lower = pixel(P.ceil(y), left) * (1.0 - dz) + pixel(P.ceil(y), P.ceil(z)) * dz
            value = upper * (1.0 - dy) + lower * dy
        return P.where(inside, value, P.scalar(extrapolation_value, x.dtype))

    return P.compute((boxes.shape[0], x.shape[1], rows, columns), element)


def _within(place: P.Scalar, extent: Dimension) -> P.Scalar:
    return P.greater_equal(place, 0.0) & P.less_equal(place, P.cast(P.scalar(extent - 1), place.dtype))


@operator("Affine")
def affine(x: P.Array, *, alpha: float = 1.0, beta: float = 0.0) -> P.Array:
    """alpha * x + beta."""
    return x * alpha + beta


@operator("ParametricSoftplus")
def parametric_softplus(x: P.Array, *, alpha: float = 1.0, beta: float = 1.0) -> P.Array:
    """alpha * log(1 + exp(beta * x))."""
    return P.elementwise(lambda e: alpha * (P.maximum(beta * e, 0.0) + P.log1p(P.exp(0.0 - P.absolute(beta * e)))), x)


@operator("ScaledTanh")
def scaled_tanh(x: P.Array, *, alpha: float = 1.0, beta: float = 1.0) -> P.Array:
    """alpha * tanh(beta * x)."""
    return P.elementwise(lambda e: alpha * P.tanh(beta * e), x)


@operator("ImageScaler")
def image_scaler(x: P.Array, *, bias: list[float], scale: float = 1.0) -> P.Array:
    """scale * x + bias, the bias per channel."""
    return x * scale + P.expand_axes(P.constant(bias, x.dtype), range(1, x.rank - 1))


@operator("Crop")
def crop(x: P.Array, *, border: list[int], scale: list[int] | None = None) -> P.Array:
    """x (N, C, H, W) without a border (left, top, right, bottom), or a part of a given height and width."""
    left, top, right, bottom = border
    height, width = scale or (x.shape[2] - top - bottom, x.shape[3] - left - right)
    return P.compute((*x.shape[:2], height, width), lambda n, c, i, j: x[n, c, i + top, j + left])
