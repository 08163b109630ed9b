"""GridSample: a tensor sampled at given places, by interpolation along each spatial axis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from onward import program as P
from onward.errors import InvalidArgument
from onward.ir.datatypes import DataType
from onward.ir.expressions import Dimension
from onward.operators.numeric import wide
from onward.operators.registry import operator

CUBIC = -0.75
"""The coefficient of the cubic convolution kernel."""


@operator("GridSample", since=20)
def grid_sample(x: P.Array, grid: P.Array, *, align_corners: int = 0, mode: str = "linear", padding_mode: str = "zeros") -> P.Array:
    """x (N, C, D1, ..., Dr) at the places grid (N, O1, ..., Or, r), which run from -1 to 1. ONNX GridSample-20.

    The last axis of the grid names the place along the last spatial axis first.
    """
    taps = {"nearest": 1, "linear": 2, "cubic": 4}.get(mode)
    if taps is None or padding_mode not in ("zeros", "border", "reflection"):
        raise InvalidArgument(f"GridSample has no mode '{mode}' with padding_mode '{padding_mode}'")
    if x.dtype == DataType.STRING and mode != "nearest":
        raise InvalidArgument(f"GridSample cannot interpolate text; mode '{mode}' is for numbers, nearest for all types")
    rank = x.rank - 2
    axes = [_Axis(wide(grid), rank - 1 - axis, x.shape[axis + 2], bool(align_corners), padding_mode, taps) for axis in range(rank)]
    return _interpolated(x, axes, taps, grid.shape[1:-1])


@operator("GridSample", since=16)
def grid_sample_16(x: P.Array, grid: P.Array, *, align_corners: int = 0, mode: str = "bilinear", padding_mode: str = "zeros") -> P.Array:
    """As GridSample-20, for images. ONNX GridSample-16."""
    names = {"bilinear": "linear", "bicubic": "cubic"}
    return grid_sample(x, grid, align_corners=align_corners, mode=names.get(mode, mode), padding_mode=padding_mode)


def _nothing(values: P.Array) -> Any:
    return "" if values.dtype == DataType.STRING else 0


def _interpolated(x: P.Array, axes: Sequence[_Axis], taps: int, extents: Sequence[Dimension]) -> P.Array:
    rank = len(axes)
    values = wide(x) if x.dtype.is_float else x

    def read(position: Sequence[Dimension], tap: Sequence[Dimension]) -> P.Scalar:
        n, c, *place = position
        return values[(n, c, *(axis.indices[(n, *place, t)] for axis, t in zip(axes, tap)))]

    def nearest(*position: Dimension) -> P.Scalar:
        n, _, *place = position
        value = read(position, [0] * rank)
        for axis in axes:
            value = P.where(P.equal(axis.weights[(n, *place, 0)], 0.0), P.scalar(_nothing(values), values.dtype), value)
        return value

    def weighted(*position: Dimension) -> P.Scalar:
        outer, tap = position[: rank + 2], position[rank + 2 :]
        n, _, *place = outer
        value = read(outer, tap)
        for axis, t in zip(axes, tap):
            value = value * P.cast(axis.weights[(n, *place, t)], values.dtype)
        return value

    shape = (*x.shape[:2], *extents)
    result = P.compute(shape, nearest) if taps == 1 else P.reduce("sum", shape, [taps] * rank, weighted)
    return P.cast(result, x.dtype)


class _Axis:
    """One spatial axis: for each place of the grid the `indices` and `weights` of its taps, (N, O1, ..., Or, taps)."""

    def __init__(self, grid: P.Array, component: int, extent: Dimension, aligned: bool, padding: str, taps: int) -> None:
        self.size, self.padding, self.taps = extent, padding, taps
        size = P.scalar(extent, grid.dtype)
        self.low = P.scalar(0.0 if aligned else -0.5, grid.dtype)
        self.high = size - 1.0 if aligned else size - 0.5

        def coordinate(*place: Dimension) -> P.Scalar:
            number = grid[(*place, component)]
            x = (number + 1.0) / 2.0 * (size - 1.0) if aligned else ((number + 1.0) * size - 1.0) / 2.0
            if taps == 4:  # the taps are brought inside one by one, as PyTorch does
                return x
            return self._inside(P.round_even(x) if taps == 1 else x, size)

        self.coordinates = P.compute(grid.shape[:-1], coordinate)
        shape = (*self.coordinates.shape, taps)
        self.indices = P.compute(shape, lambda *i: self._index(*i))
        self.weights = P.compute(shape, lambda *i: self._weight(*i))

    def _inside(self, x: P.Scalar, size: P.Scalar) -> P.Scalar:
        if self.padding == "border":
            return P.maximum(P.minimum(x, size - 1.0), 0.0)
        return _reflected(x, self.low, self.high) if self.padding == "reflection" else x

    def _tap(self, *position: Dimension) -> P.Scalar:
        """The place of a tap before it is brought inside."""
        *place, tap = position
        first = 1 if self.taps == 4 else 0
        return P.floor(self.coordinates[tuple(place)]) + P.scalar(tap - first, self.coordinates.dtype)

    def _index(self, *position: Dimension) -> P.Scalar:
        tap = self._tap(*position)
        if self.padding == "reflection":
            tap = _reflected(tap, self.low, self.high)
        last = P.scalar(self.size - 1, tap.dtype)
        # NaN has no place: maximum and minimum in this order would keep it, so it becomes 0 by the comparison.
        inside = P.where(tap > 0.0, P.where(tap < last, tap, last), 0.0)
        return P.cast(P.truncate(inside), DataType.INT64)

    def _weight(self, *position: Dimension) -> P.Scalar:
        *place, _ = position
        x = self.coordinates[tuple(place)]
        tap = self._tap(*position)
        distance = abs(x - tap)
        one = P.scalar(1.0, x.dtype)
        weight = {1: one, 2: 1.0 - distance, 4: _cubic(distance)}[self.taps]
        if self.padding != "zeros":
            return weight
        inside = (tap >= 0.0) & (tap <= P.scalar(self.size - 1, x.dtype))
        return P.where(inside, weight, 0.0)


def _cubic(distance: P.Scalar) -> P.Scalar:
    """Keys 1981."""
    near = ((CUBIC + 2.0) * distance - (CUBIC + 3.0)) * distance * distance + 1.0
    far = ((CUBIC * distance - 5.0 * CUBIC) * distance + 8.0 * CUBIC) * distance - 4.0 * CUBIC
    return P.where(distance <= 1.0, near, P.where(distance < 2.0, far, 0.0))


def _reflected(x: P.Scalar, low: P.Scalar, high: P.Scalar) -> P.Scalar:
    """x thrown back at the borders until it lies between them."""
    span = high - low
    below = x < low
    beyond = P.where(below, low - x, x - high)
    turns = P.truncate(beyond / span)
    rest = beyond - turns * span
    even = P.equal(P.truncated_remainder(turns, P.scalar(2.0, x.dtype)), 0.0)
    from_low = (below & even) | (~below & ~even)
    return P.where((x < low) | (x > high), P.where(from_low, low + rest, high - rest), x)
