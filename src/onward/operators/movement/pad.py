"""Pad."""

from __future__ import annotations

from collections.abc import Sequence

from onward import program as P
from onward.errors import InvalidArgument
from onward.ir.datatypes import DataType
from onward.operators.arguments import distinct_axes, known_integers
from onward.operators.registry import operator


@operator("Pad", since=1)
def pad_1(data: P.Array, *, paddings: list[int], mode: str = "constant", value: float = 0.0) -> P.Array:
    """As Pad-2, with another name for the amounts. ONNX Pad-1."""
    return pad_2(data, pads=paddings, mode=mode, value=value)


@operator("Pad", since=2)
def pad_2(data: P.Array, *, pads: list[int], mode: str = "constant", value: float = 0.0) -> P.Array:
    """`data` with `pads` elements before and after each axis. ONNX Pad-2."""
    return _pad(data, pads, list(range(data.rank)), mode, P.scalar(value, data.dtype))


@operator("Pad", since=11)
def pad(data: P.Array, pads: P.Array, constant_value: P.Array | None, axes: P.Array | None, *, mode: str = "constant") -> P.Array:
    """`data` with `pads` elements before and after each of `axes`; negative amounts crop. ONNX Pad-11, -18, -19."""
    places = list(range(data.rank)) if axes is None else distinct_axes(known_integers(axes, "axes of Pad"), data.rank)
    value = _only(constant_value) if constant_value is not None else _zero(data)
    return _pad(data, P.dimensions(pads, "the amounts of Pad"), places, mode, value)


def _zero(data: P.Array) -> P.Scalar:
    if data.dtype == DataType.STRING:
        raise InvalidArgument(f"Pad of {data} needs a constant_value, because strings have no zero")
    return P.scalar(0, data.dtype)


def _only(value: P.Array) -> P.Scalar:
    return P.scalar(value.known.reshape(-1).tolist()[0], value.dtype) if value.known is not None else value.item()


def _pad(data: P.Array, pads: Sequence[P.Dimension], places: list[int], mode: str, value: P.Scalar) -> P.Array:
    if len(pads) != 2 * len(places):
        raise InvalidArgument(f"Pad got {len(pads)} amounts for {len(places)} axes; it needs two for each")
    before: list[P.Dimension] = [0] * data.rank
    after: list[P.Dimension] = [0] * data.rank
    for number, place in enumerate(places):
        before[place], after[place] = pads[number], pads[number + len(places)]
    if mode == "constant":
        return P.pad(data, before, after, value)
    if mode not in _SOURCES:
        raise InvalidArgument(f"Pad has no mode '{mode}'; known are constant, {', '.join(_SOURCES)}")
    for place, extent in enumerate(data.shape):
        if (before[place], after[place]) != (0, 0):
            P.require_at_least(extent, 1, f"Pad with mode '{mode}' has nothing to repeat along axis {place} of {data}")
    source = _SOURCES[mode]
    shape = [low + extent + high for low, extent, high in zip(before, data.shape, after)]

    def element(*position: P.Dimension) -> P.Scalar:
        return data[
            tuple(place if (low, high) == (0, 0) else source(place - low, extent) for place, extent, low, high in zip(position, data.shape, before, after))
        ]

    return P.compute(shape, element)


def _edge(place: P.Dimension, extent: P.Dimension) -> P.Dimension:
    return P.maximum_dimension(P.minimum_dimension(place, extent - 1), 0)


def _reflect(place: P.Dimension, extent: P.Dimension) -> P.Dimension:
    period = P.maximum_dimension(2 * (extent - 1), 1)
    turned = place % period
    return P.minimum_dimension(turned, period - turned) if period != 1 else 0


def _wrap(place: P.Dimension, extent: P.Dimension) -> P.Dimension:
    return place % extent


_SOURCES = {"edge": _edge, "reflect": _reflect, "wrap": _wrap}
"""mode -> the index inside the data that an index outside it stands for"""
