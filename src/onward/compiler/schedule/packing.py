"""Constant right operands in the order of their use."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from onward.compiler.schedule.splitting import split

PART = 1 << 22
"""Elements that are packed at once, at least a panel of them."""


def packing_of(
    axes: Sequence[int], origin: int, extents: Sequence[int], steps: Sequence[int], batch: int, width: int, run: int, group: int,
    chunk: int, parts: int, stored: np.dtype,
) -> Callable[[np.ndarray], Iterator[np.ndarray]]:  # fmt: skip
    """What makes panels of a constant whose axes lie in the order `axes`, some at a time, so that memory for all is never needed.

    The operand begins at `origin` and has `extents` (batch, reduction, columns), `steps` elements apart; it is `stored` as
    numbers of that type, rounded to the nearest, or split into `parts` of them chunk by chunk. For the rest see `pack_panels`.
    """

    def packing(array: np.ndarray) -> Iterator[np.ndarray]:
        flat = np.ascontiguousarray(array.transpose(axes) if axes else array).reshape(-1)[origin:]
        whole = np.lib.stride_tricks.as_strided(flat, extents, [step * flat.itemsize for step in steps])
        columns = extents[-1]
        some = max(1, columns) if math.prod(extents[:batch]) > 1 else width * max(1, PART // max(1, math.prod(extents[:-1]) * width))
        for first in range(0, columns, some):
            panels = pack_panels(whole[..., first : first + some], batch, width, run, group, chunk)
            if parts > 1:
                chunks = panels.reshape(*panels.shape[:2], -1, chunk // group * width * group)
                yield np.stack([part.astype(stored) for part in split(chunks, parts)], 3)
            else:
                yield panels.astype(stored, copy=False)

    return packing


def pack_panels(array: np.ndarray, batch_axes: int, width: int, run: int = 1, group: int = 1, chunk: int = 0) -> np.ndarray:
    """(batch..., reduction..., columns) -> (batch, columns / width, steps, width, group), zero-padded.

    A step takes a group of neighbours along the last `run` of the reduction; a run is made of whole chunks, which are groups
    if nothing else is said.
    """
    columns = array.shape[-1]
    batch = math.prod(array.shape[:batch_axes])
    runs = math.prod(array.shape[batch_axes:-1]) // max(1, run)
    flat = array.reshape(batch, runs, run, columns)
    if run % (chunk or group):
        flat = np.pad(flat, [(0, 0), (0, 0), (0, -run % (chunk or group)), (0, 0)])
    flat = flat.reshape(batch, runs * flat.shape[2] // group, group, columns)
    panels = -(-columns // width)
    result = np.zeros((batch, panels, flat.shape[1], width, group), array.dtype)
    whole = columns // width
    if whole:
        parts = flat[..., : whole * width].reshape(*flat.shape[:3], whole, width)
        result[:, :whole] = parts.transpose(0, 3, 1, 4, 2)
    if panels > whole:
        result[:, whole, :, : columns - whole * width] = flat[..., whole * width :].transpose(0, 1, 3, 2)
    return result if group > 1 else result[..., 0]
