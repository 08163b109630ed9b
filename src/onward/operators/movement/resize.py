"""Resize and Upsample: a tensor sampled at other places along some of its axes.

Each axis is sampled on its own. An axis becomes a table of source indices and weights, (extent, taps); where the
extent is known before the run so is the table. Coordinates are computed in float64.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from onward import program as P
from onward.errors import InvalidArgument
from onward.ir.datatypes import DataType
from onward.operators.arguments import NotConstant, distinct_axes
from onward.operators.registry import operator

DOUBLE = DataType.DOUBLE

LARGEST_TABLE = 1 << 20
"""Longer tables are computed during the run."""


@dataclass(frozen=True)
class Method:
    """How coordinates are found and what is made of the elements around them."""

    mode: str
    coordinates: str = "asymmetric"
    nearest: str = "floor"
    cubic: float = -0.75
    exclude_outside: bool = False
    antialias: bool = False
    extrapolation: float = 0.0


@dataclass(frozen=True)
class Sampling:
    """One axis: `extent` elements are made of `source`; `scale` is a float64 scalar, `ratio` its value if known."""

    axis: int
    source: P.Dimension
    extent: P.Dimension
    scale: P.Scalar
    ratio: float | None
    begin: P.Scalar | None = None
    end: P.Scalar | None = None

    @property
    def is_identity(self) -> bool:
        """Whether every element is sampled at its own place."""
        return self.begin is None and self.source == self.extent and (self.ratio is None or self.ratio == 1)


@operator("Upsample", since=1)
def upsample_1(x: P.Array, *, width_scale: float, height_scale: float, mode: str = "nearest") -> P.Array:
    """An image (N, C, H, W) enlarged. ONNX Upsample-1."""
    return upsample_7(x, scales=[1.0, 1.0, height_scale, width_scale], mode=mode)


@operator("Upsample", since=7)
def upsample_7(x: P.Array, *, scales: list[float], mode: str = "nearest") -> P.Array:
    """Enlarged by `scales`. ONNX Upsample-7."""
    return upsample(x, P.constant(scales, DataType.FLOAT), mode=mode)


@operator("Upsample", since=9)
def upsample(x: P.Array, scales: P.Array, *, mode: str = "nearest") -> P.Array:
    """Enlarged by `scales`. ONNX Upsample-9."""
    method = Method({"bilinear": "linear"}.get(mode, mode))
    return _sample(x, _by_scales(x, scales, list(range(x.rank))), method)


@operator("Resize", since=10)
def resize_10(x: P.Array, scales: P.Array, *, mode: str = "nearest") -> P.Array:
    """Resized by `scales`; nearest rounds down when enlarging and up when shrinking. ONNX Resize-10."""
    samplings = _by_scales(x, scales, list(range(x.rank)))
    shrinks = any(sampling.ratio is not None and sampling.ratio < 1 for sampling in samplings)
    return _sample(x, samplings, Method(mode, nearest="ceil" if shrinks else "floor"))


@operator("Resize", since=11)
def resize(
    x: P.Array,
    roi: P.Array | None,
    scales: P.Array | None,
    sizes: P.Array | None,
    *,
    antialias: int = 0,
    axes: list[int] | None = None,
    coordinate_transformation_mode: str = "half_pixel",
    cubic_coeff_a: float = -0.75,
    exclude_outside: int = 0,
    extrapolation_value: float = 0.0,
    keep_aspect_ratio_policy: str = "stretch",
    mode: str = "nearest",
    nearest_mode: str = "round_prefer_floor",
) -> P.Array:
    """Resized by `scales` or to `sizes`. ONNX Resize-11, Resize-13, Resize-18 (axes, antialias), Resize-19."""
    places = list(range(x.rank)) if axes is None else distinct_axes(axes, x.rank)
    method = Method(
        mode,
        coordinate_transformation_mode,
        nearest_mode,
        cubic_coeff_a,
        bool(exclude_outside),
        bool(antialias),
        extrapolation_value,
    )
    if sizes is not None and not _is_empty(sizes):
        samplings = _by_sizes(x, sizes, places, keep_aspect_ratio_policy)
    elif scales is not None and not _is_empty(scales):
        samplings = _by_scales(x, scales, places)
    else:
        raise InvalidArgument("Resize needs scales or sizes, and got neither")
    if method.coordinates == "tf_crop_and_resize":
        if roi is None or roi.size != 2 * len(places):
            raise InvalidArgument(f"tf_crop_and_resize needs a roi of {2 * len(places)} numbers, got {roi}")
        samplings = [_cropped(sampling, roi, number, len(places)) for number, sampling in enumerate(samplings)]
    return _sample(x, samplings, method)


def _is_empty(array: P.Array) -> bool:
    return isinstance(array.size, int) and array.size == 0


# -- extents and scales -----------------------------------------------------------------------------------------------
def _by_scales(x: P.Array, scales: P.Array, places: list[int]) -> list[Sampling]:
    if scales.size != len(places):
        raise InvalidArgument(f"{len(places)} axes of {x} are resized by the scales {scales}")
    if scales.known is not None:
        numbers = [float(scale) for scale in scales.known.reshape(-1)]
        if min(numbers) <= 0:
            raise InvalidArgument(f"scales {numbers} must be greater than 0")
        extents = [_scaled(x.shape[axis], scale) for axis, scale in zip(places, numbers)]
        return [Sampling(axis, x.shape[axis], extent, P.scalar(scale, DOUBLE), scale) for axis, extent, scale in zip(places, extents, numbers)]
    own = P.cast(P.dimensions_array([x.shape[axis] for axis in places]), DOUBLE)
    wide = P.cast(scales, DOUBLE)
    wanted = P.dimensions(P.cast(P.floor(own * wide), DataType.INT64), "the extents of Resize")
    return [Sampling(axis, x.shape[axis], wanted[number], wide[number], None) for number, axis in enumerate(places)]


def _scaled(extent: P.Dimension, scale: float) -> P.Dimension:
    """floor(extent * scale); static extents in float32, as other implementations have it."""
    if isinstance(extent, int):
        return math.floor(np.float32(extent) * np.float32(scale))
    fraction = Fraction(scale).limit_denominator(1024)
    if np.float32(fraction) != np.float32(scale):
        fraction = Fraction(scale)
    return (extent * fraction.numerator) // fraction.denominator


def _by_sizes(x: P.Array, sizes: P.Array, places: list[int], policy: str) -> list[Sampling]:
    wanted = list(P.dimensions(sizes, "the sizes of Resize"))
    if len(wanted) != len(places):
        raise InvalidArgument(f"{len(places)} axes of {x} are resized to the sizes {wanted}")
    own = [x.shape[axis] for axis in places]
    if policy != "stretch":
        if not all(isinstance(size, int) for size in wanted):
            raise NotConstant(f"sizes of Resize with keep_aspect_ratio_policy '{policy}' must be constants", [sizes])
        scale = _common_scale(own, wanted, policy)
        extents = [_rounded(extent, scale) for extent in own]
        return [Sampling(axis, source, extent, P.scalar(float(scale), DOUBLE), float(scale)) for axis, source, extent in zip(places, own, extents)]
    return [_to_size(axis, source, extent) for axis, source, extent in zip(places, own, wanted)]


def _to_size(axis: int, source: P.Dimension, extent: P.Dimension) -> Sampling:
    if isinstance(source, int) and isinstance(extent, int) and source:
        return Sampling(axis, source, extent, P.scalar(extent / source, DOUBLE), extent / source)
    scale = P.scalar(1.0, DOUBLE) if source == extent else P.scalar(extent, DOUBLE) / P.scalar(source, DOUBLE)
    return Sampling(axis, source, extent, scale, 1.0 if source == extent else None)


def _common_scale(own: Sequence[P.Dimension], wanted: Sequence[P.Dimension], policy: str) -> Fraction:
    if policy not in ("not_larger", "not_smaller"):
        raise InvalidArgument(f"Resize has no keep_aspect_ratio_policy '{policy}'")
    ratios = []
    for extent, size in zip(own, wanted):
        if not isinstance(extent, int) or not isinstance(size, int):
            raise InvalidArgument(f"keep_aspect_ratio_policy '{policy}' needs extents that are known before the run")
        ratios.append(Fraction(size, extent))
    return min(ratios) if policy == "not_larger" else max(ratios)


def _rounded(extent: P.Dimension, scale: Fraction) -> int:
    assert isinstance(extent, int)
    return math.floor(extent * scale + Fraction(1, 2))


def _cropped(sampling: Sampling, roi: P.Array, number: int, count: int) -> Sampling:
    begin, end = (P.cast(roi[place], DOUBLE) for place in (number, number + count))
    return Sampling(sampling.axis, sampling.source, sampling.extent, sampling.scale, sampling.ratio, begin, end)


# -- coordinates ------------------------------------------------------------------------------------------------------
def _coordinate(sampling: Sampling, mode: str, place: P.Dimension) -> P.Scalar:
    """Where in the source the element `place` of the result lies, as float64."""
    i, scale = P.scalar(place, DOUBLE), sampling.scale
    source, extent = P.scalar(sampling.source, DOUBLE), P.scalar(sampling.extent, DOUBLE)
    half = (i + 0.5) / scale - 0.5
    if mode == "half_pixel":
        return half
    if mode == "asymmetric":
        return i / scale
    if mode == "pytorch_half_pixel":
        return P.where(P.greater(extent, 1.0), half, P.scalar(0.0, DOUBLE))
    if mode == "tf_half_pixel_for_nn":
        return (i + 0.5) / scale
    if mode == "half_pixel_symmetric":
        return source / 2.0 * (1.0 - extent / (scale * source)) + half
    if mode == "align_corners":
        width = scale * source - 1.0  # the exact width, which the extent rounds down
        return P.where(P.equal(width, 0.0), P.scalar(0.0, DOUBLE), i * (source - 1.0) / width)
    if mode == "tf_crop_and_resize" and sampling.begin is not None and sampling.end is not None:
        begin, end = sampling.begin, sampling.end
        inside = begin * (source - 1.0) + i * (end - begin) * (source - 1.0) / (extent - 1.0)
        return P.where(P.greater(extent, 1.0), inside, 0.5 * (begin + end) * (source - 1.0))
    raise InvalidArgument(f"Resize has no coordinate_transformation_mode '{mode}'")


def _table(array: P.Array, sampling: Sampling) -> P.Array:
    """The array as a constant when it is one."""
    static = sampling.ratio is not None and isinstance(sampling.source, int) and isinstance(array.size, int)
    if static and sampling.begin is None and array.size <= LARGEST_TABLE:  # type: ignore[operator]
        return P.constant(P.evaluate([array], {})[0])
    return array


# -- sampling ---------------------------------------------------------------------------------------------------------
def _sample(x: P.Array, samplings: list[Sampling], method: Method) -> P.Array:
    changed = [sampling for sampling in samplings if not sampling.is_identity]
    if method.mode == "nearest":
        result = _nearest(x, changed, method)
    elif method.mode in ("linear", "cubic"):
        result = x if x.dtype in (DataType.FLOAT, DOUBLE) else P.cast(x, DataType.FLOAT)
        for sampling in changed:
            result = _weighted(result, sampling, method)
        result = P.cast(result, x.dtype)
    else:
        raise InvalidArgument(f"Resize has no mode '{method.mode}'; known are nearest, linear and cubic")
    return _extrapolated(result, changed, method) if method.coordinates == "tf_crop_and_resize" else result


def _nearest(x: P.Array, samplings: list[Sampling], method: Method) -> P.Array:
    shape = list(x.shape)
    indices: dict[int, Callable[[P.Dimension], P.Dimension | P.Scalar]] = {}
    for sampling in samplings:
        shape[sampling.axis] = sampling.extent
        indices[sampling.axis] = _nearest_index(sampling, method)

    def element(*position: P.Dimension) -> P.Scalar:
        return x[tuple(indices[axis](place) if axis in indices else place for axis, place in enumerate(position))]

    return P.compute(shape, element) if samplings else x


def _nearest_index(sampling: Sampling, method: Method) -> Callable[[P.Dimension], P.Dimension | P.Scalar]:
    times = sampling.ratio
    if (
        times is not None
        and times == int(times)
        and (method.coordinates, method.nearest)
        in (
            ("asymmetric", "floor"),
            ("half_pixel", "round_prefer_floor"),
            ("tf_half_pixel_for_nn", "floor"),
        )
    ):
        whole = int(times)  # each element repeated: a view
        return lambda place: place // whole
    table = _table(P.compute((sampling.extent,), lambda i: _rounded_coordinate(sampling, method, i)), sampling)
    return lambda place: table[place]


def _rounded_coordinate(sampling: Sampling, method: Method, place: P.Dimension) -> P.Scalar:
    x = _coordinate(sampling, method.coordinates, place)
    rounded = {
        "floor": lambda: P.floor(x),
        "ceil": lambda: P.ceil(x),
        "round_prefer_floor": lambda: P.ceil(x - 0.5),
        "round_prefer_ceil": lambda: P.floor(x + 0.5),
    }
    if method.nearest not in rounded:
        raise InvalidArgument(f"Resize has no nearest_mode '{method.nearest}'; known are {', '.join(rounded)}")
    return _clamped(P.cast(rounded[method.nearest](), DataType.INT64), sampling.source)


def _clamped(index: P.Scalar, extent: P.Dimension) -> P.Scalar:
    return P.maximum(P.minimum(index, P.scalar(extent) - 1), P.scalar(0))


def _weighted(x: P.Array, sampling: Sampling, method: Method) -> P.Array:
    """`x` sampled along one axis as a weighted sum of taps."""
    first, taps = _taps(sampling, method)
    shape = list(x.shape)
    shape[sampling.axis] = sampling.extent

    def index_of_tap(place: P.Dimension, tap: P.Dimension) -> P.Scalar:
        return _clamped(_base(sampling, method, place) + P.scalar(tap) + first, sampling.source)

    indices = _table(P.compute((sampling.extent, taps), index_of_tap), sampling)
    weights = P.cast(_table(_weights(sampling, method, first, taps), sampling), x.dtype)

    def element(*position: P.Dimension) -> P.Scalar:
        *outer, tap = position
        place = outer[sampling.axis]
        index = indices[place, tap]
        return weights[place, tap] * x[(*outer[: sampling.axis], index, *outer[sampling.axis + 1 :])]

    if isinstance(taps, int) and taps <= 4:  # few enough to stand in one expression
        return P.compute(shape, lambda *position: sum((element(*position, tap) for tap in range(1, taps)), start=element(*position, 0)))
    return P.reduce("sum", shape, (taps,), element)


def _base(sampling: Sampling, method: Method, place: P.Dimension) -> P.Scalar:
    return P.cast(P.floor(_coordinate(sampling, method.coordinates, place)), DataType.INT64)


def _taps(sampling: Sampling, method: Method) -> tuple[P.Scalar, P.Dimension]:
    """The first tap relative to the floor of the coordinate, and the number of taps."""
    support = 1 if method.mode == "linear" else 2
    reach: P.Dimension = support
    if method.antialias:
        if sampling.ratio is None:
            reach = P.maximum_dimension(support * P.ceiling_divide(sampling.source, sampling.extent), support)
        elif sampling.ratio < 1:
            reach = math.ceil(support / sampling.ratio)
    return P.scalar(1 - reach), 2 * reach


def _weights(sampling: Sampling, method: Method, first: P.Scalar, taps: P.Dimension) -> P.Array:
    """The weight of each tap for each element, (extent, taps), float64; each row sums to 1."""
    squeeze = P.minimum(sampling.scale, P.scalar(1.0, DOUBLE)) if method.antialias else P.scalar(1.0, DOUBLE)

    def weight(place: P.Dimension, tap: P.Dimension) -> P.Scalar:
        x = _coordinate(sampling, method.coordinates, place)
        offset = P.cast(P.scalar(tap) + first, DOUBLE)
        distance = abs((offset - (x - P.floor(x))) * squeeze)
        value = _linear_kernel(distance) if method.mode == "linear" else _cubic_kernel(distance, method.cubic)
        if not method.exclude_outside:
            return value
        index = _base(sampling, method, place) + P.scalar(tap) + first
        return P.where(P.logical_and(index >= 0, index < P.scalar(sampling.source)), value, P.scalar(0.0, DOUBLE))

    raw = P.compute((sampling.extent, taps), weight)
    if not method.antialias and not method.exclude_outside:
        return raw
    return raw / P.sum(raw, [1], keepdims=True)


def _linear_kernel(distance: P.Scalar) -> P.Scalar:
    return P.maximum(1.0 - distance, P.scalar(0.0, DOUBLE))


def _cubic_kernel(distance: P.Scalar, a: float) -> P.Scalar:
    """Keys 1981: the cubic convolution kernel with coefficient `a`."""
    near = ((a + 2.0) * distance - (a + 3.0)) * distance * distance + 1.0
    far = ((a * distance - 5.0 * a) * distance + 8.0 * a) * distance - 4.0 * a
    return P.where(distance <= 1.0, near, P.where(distance < 2.0, far, P.scalar(0.0, DOUBLE)))


def _extrapolated(result: P.Array, samplings: list[Sampling], method: Method) -> P.Array:
    """`extrapolation` where a coordinate lies outside the source."""
    outside = {sampling.axis: _table(P.compute((sampling.extent,), lambda i, s=sampling: _is_outside(s, method, i)), sampling) for sampling in samplings}

    def element(*position: P.Dimension) -> P.Scalar:
        value = result[position]
        for axis, table in outside.items():
            value = P.where(table[position[axis]], P.scalar(method.extrapolation, result.dtype), value)
        return value

    return P.compute(result.shape, element) if outside else result


def _is_outside(sampling: Sampling, method: Method, place: P.Dimension) -> P.Scalar:
    x = _coordinate(sampling, method.coordinates, place)
    return P.logical_or(x < 0.0, x > P.scalar(sampling.source, DOUBLE) - 1.0)
