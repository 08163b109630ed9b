"""Counting and choosing: the commonest element, histograms, places of what is not zero, reductions of segments, fractional pooling."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from onward.converters.torch.rules.registry import rule


@rule("mode")
def mode(x: Tensor, dim: int = -1, keepdim: bool = False) -> Any:
    """The smallest of the commonest elements, and its last place."""
    if x.ndim == 0:
        return x.clone(), torch.zeros((), dtype=torch.int64)
    x = torch.movedim(x, dim, -1)
    counts = (x.unsqueeze(-1) == x.unsqueeze(-2)).sum(-1)
    common = counts == counts.amax(-1, keepdim=True)
    first = torch.where(common, torch.argsort(torch.argsort(x, dim=-1, stable=True), -1), x.shape[-1]).argmin(-1, keepdim=True)
    values = torch.gather(x, -1, first)
    places = torch.where(x == values, torch.arange(x.shape[-1]), -1).amax(-1, keepdim=True)
    values, places = (torch.movedim(item, -1, dim) for item in (values, places))
    return (values, places) if keepdim else (values.squeeze(dim), places.squeeze(dim))


def _edges(x: Tensor, bins: int, bounds: Any) -> Tensor:
    """The ends of equal bins between two bounds, which are the data's own where none are given."""
    if bounds is None:
        low, high = (x.amin(), x.amax()) if x.numel() else (x.new_zeros(()), x.new_zeros(()))
    else:
        low, high = (torch.full((), float(item), dtype=x.dtype) for item in bounds)
    same = low == high
    low, high = torch.where(same, low - 0.5, low), torch.where(same, high + 0.5, high)
    along = torch.arange(bins + 1, dtype=x.dtype)
    step = (high - low) / bins
    return torch.where(along < (bins + 1) // 2, low + step * along, high - step * (bins - along))


def _counted(x: Tensor, edges: list[Tensor], weight: Tensor | None, density: bool) -> Tensor:
    """How many rows of x, (..., axes), fall into each bin; the last one has its upper end."""
    points = x.reshape(-1, len(edges))
    inside = torch.ones(points.shape[0], dtype=torch.bool)
    place = torch.zeros(points.shape[0], dtype=torch.int64)
    for axis, ends in enumerate(edges):
        column, bins = points[:, axis], ends.shape[0] - 1
        inside = inside & (column >= ends[0]) & (column <= ends[-1])
        place = place * bins + (torch.searchsorted(ends, column.contiguous(), right=True) - 1).clamp(0, bins - 1)
    sizes = [ends.shape[0] - 1 for ends in edges]
    heavy = torch.ones(points.shape[0], dtype=x.dtype) if weight is None else weight.reshape(-1)
    found = torch.zeros(math.prod(sizes), dtype=x.dtype).scatter_add(0, place, torch.where(inside, heavy, 0)).reshape(sizes)
    if density:
        found = found / found.sum()
        for axis, ends in enumerate(edges):
            found = found / (ends[1:] - ends[:-1]).reshape([-1 if other == axis else 1 for other in range(len(edges))])
    return found


@rule("histogram.bin_ct")
def histogram(x: Tensor, bins: int = 100, *, range: Any = None, weight: Tensor | None = None, density: bool = False) -> Any:  # noqa: A002
    edges = _edges(x, bins, range)
    return _counted(x.reshape(-1, 1), [edges], weight, density), edges


@rule("histogram.bins_tensor")
def histogram_between(x: Tensor, bins: Tensor, *, weight: Tensor | None = None, density: bool = False) -> Any:
    return _counted(x.reshape(-1, 1), [bins], weight, density), bins.clone()


@rule("_histogramdd_bin_edges")
def histogramdd_edges(x: Tensor, bins: list[int], *, range: Any = None, weight: Tensor | None = None, density: bool = False) -> Any:  # noqa: A002
    columns = x.reshape(-1, len(bins))
    return [_edges(columns[:, axis], count, range and range[2 * axis : 2 * axis + 2]) for axis, count in enumerate(bins)]


@rule("_histogramdd_from_bin_cts")
def histogramdd(x: Tensor, bins: list[int], *, range: Any = None, weight: Tensor | None = None, density: bool = False) -> Tensor:  # noqa: A002
    return _counted(x, histogramdd_edges(x, bins, range=range), weight, density)


@rule("_histogramdd_from_bin_tensors")
def histogramdd_between(x: Tensor, bins: list[Tensor], *, weight: Tensor | None = None, density: bool = False) -> Tensor:
    return _counted(x, list(bins), weight, density)


@rule("nonzero_static")
def nonzero_static(x: Tensor, *, size: int, fill_value: int = -1) -> Tensor:
    """Rows of places, as many as are asked for."""
    found = (x != 0).reshape(-1)
    row = torch.where(found, torch.cumsum(found, 0) - 1, size).clamp(max=size)
    flat = torch.arange(found.shape[0])
    columns = []
    for extent in reversed(x.shape):
        columns.append(torch.remainder(flat, extent))
        flat = torch.div(flat, extent, rounding_mode="floor")
    places = torch.stack(columns[::-1], -1) if columns else torch.zeros((1, 0), dtype=torch.int64)
    start = torch.full((size + 1, x.ndim), fill_value, dtype=torch.int64)
    return start.scatter(0, row.unsqueeze(-1).expand(places.shape), places)[:size]


NEUTRAL = {"sum": 0.0, "mean": 0.0, "max": -math.inf, "min": math.inf, "prod": 1.0}


@rule("segment_reduce")
def segment_reduce(
    x: Tensor, reduce: str, *, lengths: Tensor | None = None, indices: Tensor | None = None, offsets: Tensor | None = None, axis: int = 0,
    unsafe: bool = False, initial: Any = None,
) -> Any:  # fmt: skip
    """Each segment by a mask of the elements in it."""
    if lengths is None and offsets is None:
        return NotImplemented
    ends = torch.cumsum(lengths, -1) if lengths is not None else offsets[..., 1:]  # type: ignore[index]
    begins = ends - lengths if lengths is not None else offsets[..., :-1]  # type: ignore[index]
    along = torch.arange(x.shape[axis])
    inside = (along >= begins.unsqueeze(-1)) & (along < ends.unsqueeze(-1))
    inside = inside.reshape(*inside.shape, *[1] * (x.ndim - axis - 1))
    start = NEUTRAL[reduce] if initial is None else float(initial)
    kept = torch.where(inside, x.unsqueeze(axis), NEUTRAL[reduce])
    if reduce in ("max", "min"):
        found = kept.amax(axis + 1) if reduce == "max" else kept.amin(axis + 1)
        return found.clamp(min=start) if reduce == "max" else found.clamp(max=start)
    if reduce == "prod":
        return kept.prod(axis + 1) * start
    total = kept.sum(axis + 1) + start
    if reduce == "sum":
        return total
    count = inside.sum(axis + 1)
    return torch.where(count > 0, total / count, math.nan if initial is None else start)


def _fractional(x: Tensor, kernel: list[int], sizes: list[int], samples: Tensor) -> Any:
    """The largest of each window and its place in the picture; where windows begin depends on one number for each plane and axis."""
    rank = len(sizes)
    spatial = list(x.shape[-rank:])
    planes = x if x.ndim == rank + 2 else x.unsqueeze(0)
    places = torch.zeros((), dtype=torch.int64)
    for axis, (extent, size, window) in enumerate(zip(spatial, sizes, kernel)):
        sample = samples[..., rank - 1 - axis if rank == 2 else axis].unsqueeze(-1)
        along = torch.arange(size)
        alpha = (extent - window) / (size - 1) if size > 1 else 0.0
        begin = ((along + sample) * alpha).to(torch.int64) - (sample * alpha).to(torch.int64)
        begin = torch.where(along == size - 1, extent - window, begin)
        ends = begin.unsqueeze(-1) + torch.arange(window)  # (batch, planes, size, window)
        shape = [*ends.shape[:2], *[size if other == axis else 1 for other in range(rank)], *[window if other == axis else 1 for other in range(rank)]]
        places = places * extent + ends.reshape(shape)
    places = places.reshape(*places.shape[: 2 + rank], -1)
    flat = planes.reshape(*planes.shape[:2], -1)
    values = torch.gather(flat, 2, places.reshape(*places.shape[:2], -1)).reshape(places.shape)
    best = values.argmax(-1, keepdim=True)
    results = [torch.gather(item, -1, best).squeeze(-1) for item in (values, places)]
    return results if x.ndim == rank + 2 else [item.squeeze(0) for item in results]


@rule("fractional_max_pool2d", "fractional_max_pool3d")
def fractional_max_pool(x: Tensor, kernel: list[int], sizes: list[int], samples: Tensor) -> Any:
    return tuple(_fractional(x, kernel, sizes, samples))


@rule("addbmm")
def addbmm(x: Tensor, left: Tensor, right: Tensor, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
    return beta * x + alpha * (left @ right).sum(0)
