"""Shapes and places."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from onward.converters import channels_last
from onward.converters.keras.emitter import Emitter, Tensor
from onward.converters.keras.operations.network import is_first, many
from onward.converters.keras.operations.shapes import END
from onward.converters.keras.registry import layer
from onward.converters.keras.walk import Walk
from onward.errors import UnsupportedOperator


@layer("Flatten")
def flatten(w: Walk, owner: Any, inputs: Tensor) -> Any:
    c, x = w.c, inputs.value
    if inputs.rank < 2:
        return c.unsqueeze(x, 1)
    if is_first(c, owner.data_format):
        x = c.op("Transpose", x, perm=[0, *range(2, inputs.rank), 1])
    rest = [extent for extent in inputs.shape[1:] if extent is not None]
    return c.reshape(x, [0, math.prod(rest) if len(rest) == inputs.rank - 1 else -1])


@layer("Reshape")
def reshape(w: Walk, owner: Any, inputs: Tensor) -> Any:
    target = [-1 if extent is None else extent for extent in owner.target_shape]
    if target.count(-1) > 1:
        raise UnsupportedOperator(f"a reshape to {tuple(owner.target_shape)} with more than one open size")
    rest = [extent for extent in inputs.shape[1:] if extent is not None]
    if -1 in target and len(rest) == inputs.rank - 1:
        target[target.index(-1)] = math.prod(rest) // math.prod(extent for extent in target if extent != -1)
    return w.c.reshape(inputs, [0, *target])


@layer("Permute")
def permute(w: Walk, owner: Any, inputs: Tensor) -> Any:
    return w.c.op("Transpose", inputs, perm=[0, *owner.dims])


@layer("RepeatVector")
def repeat_vector(w: Walk, owner: Any, inputs: Tensor) -> Any:
    return w.c.op("Tile", w.c.unsqueeze(inputs, 1), w.c.integers([1, owner.n, 1]))


def _spatial(c: Emitter, owner: Any, rank: int) -> range:
    first = is_first(c, getattr(owner, "data_format", None) or "channels_last")
    return range(2, rank) if first else range(1, rank - 1)


def _pairs(numbers: Sequence[Any]) -> list[tuple[int, int]]:
    """Amounts before and after for each axis."""
    return (
        [(item, item) if isinstance(item, int) else tuple(item) for item in numbers] if not all(isinstance(item, int) for item in numbers) else [tuple(numbers)]
    )  # type: ignore[misc]


@layer("Cropping1D", "Cropping2D", "Cropping3D")
def cropping(w: Walk, owner: Any, inputs: Tensor) -> Any:
    c, pairs = w.c, _pairs(owner.cropping)
    ends = [-after if after else END for _, after in pairs]
    return c.op("Slice", inputs, c.integers(before for before, _ in pairs), c.integers(ends), c.integers(_spatial(c, owner, inputs.rank)))


@layer("ZeroPadding1D", "ZeroPadding2D", "ZeroPadding3D")
def zero_padding(w: Walk, owner: Any, inputs: Tensor) -> Any:
    c, widths = w.c, [(0, 0)] * inputs.rank
    for axis, pair in zip(_spatial(c, owner, inputs.rank), _pairs(owner.padding)):
        widths[axis] = pair
    return c.op("Pad", inputs, c.integers([before for before, _ in widths] + [after for _, after in widths]))


@layer("UpSampling1D", "UpSampling2D", "UpSampling3D")
def up_sampling(w: Walk, owner: Any, inputs: Tensor) -> Any:
    kind = getattr(owner, "interpolation", "nearest")
    if kind not in ("nearest", "bilinear", "bicubic"):
        raise UnsupportedOperator(f"a resize with interpolation '{kind}'")
    times = many(owner.size, inputs.rank - 2)
    first = is_first(w.c, getattr(owner, "data_format", None) or "channels_last")
    return channels_last.resize(w.c, inputs.value, scales=times, how=channels_last.RESIZING[kind], channels_first=first)
