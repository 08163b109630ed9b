"""Sparse tensors, made dense: levels of dense and compressed axes, with blocks."""

from __future__ import annotations

import math

import numpy as np

from onward.converters.tflite.reader import Record
from onward.errors import FormatError

LARGEST = 1 << 31
"""Elements of a dense tensor beyond which a file is not believed."""


def densified(name: str, sparsity: Record, shape: tuple[int, ...], values: np.ndarray) -> np.ndarray:
    """The dense array of a sparse tensor. Raises FormatError where its indices contradict each other."""
    order = [int(axis) for axis in sparsity.traversal_order]
    blocks = [int(axis) for axis in sparsity.block_map]
    levels = sparsity.dim_metadata
    rank = len(shape)
    good = sorted(order) == list(range(rank + len(blocks))) and len(levels) == len(order)
    if not good or any(not 0 <= axis < rank for axis in blocks) or math.prod(shape) > LARGEST:
        raise FormatError(f"the sparse tensor '{name}' is damaged")
    widths = {axis: int(levels[order.index(rank + place)].dense_size) for place, axis in enumerate(blocks)}
    if any(width <= 0 for width in widths.values()):
        raise FormatError(f"the sparse tensor '{name}' is damaged")
    places = _places(name, levels, values.size)
    dense = np.zeros(shape, values.dtype)
    where = []
    for axis in range(rank):
        index = places[order.index(axis)]
        if axis in blocks:
            index = index * widths[axis] + places[order.index(rank + blocks.index(axis))]
        if np.any((index < 0) | (index >= shape[axis])):
            raise FormatError(f"the sparse tensor '{name}' has an index beyond its shape {list(shape)}")
        where.append(index)
    dense[tuple(where)] = values
    return dense


def _places(name: str, levels: list[Record], count: int) -> list[np.ndarray]:
    """The index of every stored value at every level."""
    found: list[np.ndarray] = []
    parents = 1
    for level in levels:
        if level.format == "DENSE":
            width = int(level.dense_size)
            if not 0 <= width <= count or parents * width > max(count, 1) * max(width, 1):
                raise FormatError(f"the sparse tensor '{name}' is damaged")
            owner, own = np.repeat(np.arange(parents), width), np.tile(np.arange(width), parents)
        else:
            if level.array_segments is None or level.array_indices is None:
                raise FormatError(f"the sparse tensor '{name}' is damaged")
            segments = level.array_segments.values.astype(np.int64)
            own = level.array_indices.values.astype(np.int64)
            widths = np.diff(segments)
            if segments.size != parents + 1 or np.any(widths < 0) or widths.sum() != own.size or segments[0] != 0:
                raise FormatError(f"the sparse tensor '{name}' is damaged")
            owner = np.repeat(np.arange(parents), widths)
        found = [index[owner] for index in found] + [own]
        parents = own.size
    if parents != count:
        raise FormatError(f"the sparse tensor '{name}' has {count} values for {parents} places")
    return found
