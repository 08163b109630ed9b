"""Expand and Tile: elements repeated."""

from __future__ import annotations

from collections.abc import Sequence

from onward import program as P
from onward.errors import InvalidArgument
from onward.ir.datatypes import DataType
from onward.operators.arguments import known_integer
from onward.operators.registry import operator


@operator("Expand", since=8)
def expand(data: P.Array, shape: P.Array) -> P.Array:
    """`data` broadcast with `shape`, in both directions. ONNX Expand-8."""
    return P.broadcast_to(data, P.broadcast_shapes(data.shape, P.dimensions(shape, "the shape of Expand")))


@operator("Tile", since=1)
def tile_1(data: P.Array, tiles: P.Array, axis: P.Array) -> P.Array:
    """`data` repeated `tiles` times along one axis. ONNX Tile-1."""
    place = P.normalize_axis(known_integer(axis, "axis of Tile"), data.rank)
    repeats: list[P.Dimension] = [1] * data.rank
    (repeats[place],) = P.dimensions(P.cast(tiles, DataType.INT64), "tiles of Tile")
    return _tile(data, repeats)


@operator("Tile", since=6)
def tile(data: P.Array, repeats: P.Array) -> P.Array:
    """`data` repeated along every axis. ONNX Tile-6."""
    return _tile(data, P.dimensions(repeats, "repeats of Tile"))


def _tile(data: P.Array, repeats: Sequence[P.Dimension]) -> P.Array:
    if len(repeats) != data.rank:
        raise InvalidArgument(f"Tile got {len(repeats)} repeats for the {data.rank} axes of {data}")
    shape = [extent * count for extent, count in zip(data.shape, repeats)]

    def element(*position: P.Dimension) -> P.Scalar:
        stays = [count == 1 or extent == 0 for count, extent in zip(repeats, data.shape)]
        return data[tuple(place if same else place % extent for place, same, extent in zip(position, stays, data.shape))]

    return P.compute(shape, element)
