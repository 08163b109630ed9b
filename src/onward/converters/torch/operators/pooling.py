"""Pooling with windows of given or derived sizes."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from onward.converters.torch.emitter import Emitter, Tensor, is_static
from onward.converters.torch.registry import aten
from onward.errors import UnsupportedOperator
from onward.ir import Value


def _each(item: Any, rank: int) -> list[int]:
    values = list(item) if isinstance(item, (list, tuple)) else [item]
    return values * rank if len(values) == 1 else values


def _batched(c: Emitter, x: Tensor, rank: int) -> tuple[Value, bool]:
    return (x.value, True) if x.rank == rank + 2 else (c.unsqueeze(x, 0), False)


def _max_pool(rank: int, indices: bool) -> Any:
    def emit(c: Emitter, x: Tensor, kernel: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False) -> Any:
        value, batched = _batched(c, x, rank)
        real = x.dtype.is_floating_point
        value = value if real else c.convert(value, torch.float64)
        made = c.op(
            "MaxPool", value, kernel_shape=_each(kernel, rank), strides=_each(stride or kernel, rank),
            pads=_each(padding, rank) * 2, dilations=_each(dilation, rank), ceil_mode=int(ceil_mode), outputs=1 + indices,
        )  # fmt: skip
        results = made if indices else [made]
        if indices:
            # ONNX counts through the whole tensor, PyTorch within each channel.
            plane = c.op("ReduceProd", c.op("Shape", value, start=2), keepdims=0)
            results[1] = c.op("Mod", results[1], plane)
        results[0] = results[0] if real else c.convert(results[0], x.dtype)
        results = [item if batched else c.squeeze(item, 0) for item in results]
        return results if indices else results[0]

    return emit


def _average_pool(rank: int) -> Any:
    def emit(
        c: Emitter, x: Tensor, kernel: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False,
        count_include_pad: bool = True, divisor: int | None = None,
    ) -> Value:  # fmt: skip
        value, batched = _batched(c, x, rank)
        real = x.dtype.is_floating_point
        value = value if real else c.convert(value, torch.float64)
        sizes, steps, pads = _each(kernel, rank), _each(stride or kernel, rank), _each(padding, rank) * 2
        if divisor is not None and ceil_mode:  # ONNX counts no elements beyond the padding, so they are made padding
            ends = [_missing(x, place - rank, out, *rest) for place, (out, *rest) in enumerate(zip(c.result.shape[-rank:], sizes, steps, pads))]
            value = c.op("Pad", value, [*pads[:rank], *ends], None, list(range(2, rank + 2)))
            pads, ceil_mode = [0] * 2 * rank, False
        made = c.op(
            "AveragePool", value, kernel_shape=sizes, strides=steps, pads=pads,
            ceil_mode=int(ceil_mode), count_include_pad=int(count_include_pad or divisor is not None),
        )  # fmt: skip
        if divisor is not None:
            made = c.op("Mul", made, c.number(float(np.prod(sizes)) / divisor, x.dtype if real else torch.float64))
        made = made if real else c.convert(made, x.dtype)
        return made if batched else c.squeeze(made, 0)

    return emit


def _missing(x: Tensor, axis: int, out: Any, size: int, step: int, padding: int) -> int:
    """How many elements the last window needs beyond the end of an axis."""
    if not (is_static(x.shape[axis]) and is_static(out)):
        raise UnsupportedOperator("average pooling with a divisor of its own and ceil_mode of an extent that is not known")
    return max((out - 1) * step + size - x.shape[axis] - padding, 0)


for _rank in (1, 2, 3):
    aten(f"max_pool{_rank}d")(_max_pool(_rank, False))
    aten(f"max_pool{_rank}d_with_indices")(_max_pool(_rank, True))
    aten(f"avg_pool{_rank}d")(_average_pool(_rank))


def _adaptive_average(rank: int) -> Any:
    def emit(c: Emitter, x: Tensor, wanted: Any) -> Value:
        sizes = _each(wanted, rank)
        value: Any = x.value
        if all(size == 1 for size in sizes):
            return c.op("ReduceMean", value, list(range(x.rank - rank, x.rank)), keepdims=1)
        for place, size in enumerate(sizes):
            axis = x.rank - rank + place
            value = _adaptive_axis(c, value, x, axis, size)
        return value

    return emit


def _adaptive_axis(c: Emitter, value: Value, x: Tensor, axis: int, size: Any) -> Value:
    """One axis: a product with the matrix of shares; windows are floor(i n / m) to ceil((i + 1) n / m)."""
    if not is_static(size):
        raise UnsupportedOperator("adaptive pooling to a number of positions that is not known")
    if is_static(x.shape[axis]) and x.shape[axis] == size:
        return value
    shares = c.number(_shares(x.shape[axis], size), x.dtype) if is_static(x.shape[axis]) else _open_shares(c, c.size(x, axis), size, x.dtype)
    order = list(range(x.rank))
    order[axis], order[-1] = order[-1], order[axis]
    return c.transpose(c.op("MatMul", c.transpose(value, order), shares), order)


def _shares(extent: int, size: int) -> np.ndarray:
    """What each element of an axis adds to each average."""
    places, start = np.arange(extent)[:, None], np.arange(size) * extent // size
    end = -(-np.arange(1, size + 1) * extent // size)
    return ((places >= start) & (places < end)) / (end - start)


def _open_shares(c: Emitter, extent: Any, size: int, dtype: torch.dtype) -> Value:
    """The same of an extent that the run knows."""
    count = c.number(extent, torch.int64)
    start = c.op("Div", c.op("Mul", np.arange(size), count), np.array(size))
    end = c.op("Div", c.op("Add", c.op("Mul", np.arange(1, size + 1), count), np.array(size - 1)), np.array(size))
    places = c.unsqueeze(c.op("Range", np.array(0), count, np.array(1)), 1)
    inside = c.op("And", c.op("GreaterOrEqual", places, start), c.op("Less", places, end))
    return c.op("Div", c.convert(inside, dtype), c.convert(c.op("Sub", end, start), dtype))


def _adaptive_max(rank: int) -> Any:
    def emit(c: Emitter, x: Tensor, wanted: Any) -> Any:
        sizes = _each(wanted, rank)
        axes = list(range(x.rank - rank, x.rank))
        flat_extents = [c.size(x, axis) for axis in axes]
        if all(size == 1 for size in sizes):
            flat = c.reshape(x, [*[c.size(x, axis) for axis in range(x.rank - rank)], -1])
            place = c.op("ArgMax", flat, axis=x.rank - rank, keepdims=1)
            return [c.op("ReduceMax", x, axes, keepdims=1), c.unsqueeze(place, *axes[1:]) if rank > 1 else place]
        if not all(is_static(extent) for extent in flat_extents):
            raise UnsupportedOperator("adaptive pooling to more than one position of an extent that is not known")
        return _windows_by_index(c, x, axes, sizes)

    return emit


def _windows_by_index(c: Emitter, x: Tensor, axes: list[int], sizes: list[int]) -> Any:
    """All windows by index, each padded with its first element to the size of the largest."""
    extents = [x.shape[axis] for axis in axes]
    windows = []
    for target in np.ndindex(*sizes):
        ranges = [range(t * n // m, -(-(t + 1) * n // m)) for t, n, m in zip(target, extents, sizes)]
        grid = np.meshgrid(*[np.array(part) for part in ranges], indexing="ij")
        windows.append(np.ravel_multi_index([part.ravel() for part in grid], extents))
    longest = max(map(len, windows))
    places = np.stack([np.concatenate([window, np.full(longest - len(window), window[0])]) for window in windows])
    flat = c.reshape(x, [*[c.size(x, axis) for axis in range(axes[0])], -1])
    found = c.op("Gather", flat, places, axis=axes[0])
    best = c.op("ReduceMax", found, [axes[0] + 1], keepdims=0)
    inner = c.op("ArgMax", found, axis=axes[0] + 1, keepdims=0)
    index = c.op("Gather", c.reshape(c.array(places), [-1]), c.op("Add", inner, np.arange(len(windows)) * longest))
    shape = [*[c.size(x, axis) for axis in range(axes[0])], *sizes]
    return [c.reshape(best, shape), c.reshape(index, shape)]


for _rank in (1, 2, 3):
    aten(f"adaptive_avg_pool{_rank}d", f"_adaptive_avg_pool{_rank}d")(_adaptive_average(_rank))
    aten(f"adaptive_max_pool{_rank}d")(_adaptive_max(_rank))


@aten("max_unpool2d", "max_unpool3d")
def max_unpool(c: Emitter, x: Tensor, indices: Tensor, size: Any, *more: Any) -> Value:
    """Elements back to the places that pooling noted."""
    rank = 2 if "2d" in c.operator else 3
    outer = [c.size(x, axis) for axis in range(x.rank - rank)]
    places = c.reshape(indices, [*outer, -1])
    zeros = c.op("Expand", c.number(0, x.dtype), [*outer, int(np.prod(size))])
    written = c.op("ScatterElements", zeros, places, c.reshape(x, [*outer, -1]), axis=x.rank - rank)
    return c.reshape(written, [*outer, *size])
