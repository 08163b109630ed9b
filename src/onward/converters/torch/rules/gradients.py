"""Gradients of windows, which stand in graphs that were captured with their backward pass: sums of products like those they belong to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from onward.converters.torch.rules.registry import rule


@rule("convolution_backward")
def convolution_backward(
    gradient: Tensor, x: Tensor, weight: Tensor, bias_sizes: Any, stride: list[int], padding: list[int], dilation: list[int], transposed: bool,
    output_padding: list[int], groups: int, wanted: list[bool],
) -> Any:  # fmt: skip
    """Of the input, the weight and the bias. A transposed convolution is the gradient of another one, so the two change places."""
    rank = x.ndim - 2
    stride, padding, dilation = (list(item) * (rank if len(item) == 1 else 1) for item in (stride, padding, dilation))
    of_input = of_weight = None
    if wanted[0] and transposed:
        of_input = torch.convolution(gradient, weight, None, stride, padding, dilation, False, [0] * rank, groups)
    elif wanted[0]:
        spans = [(out - 1) * s - 2 * p + d * (k - 1) + 1 for out, s, p, d, k in zip(gradient.shape[2:], stride, padding, dilation, weight.shape[2:])]
        rest = [extent - span for extent, span in zip(x.shape[2:], spans)]
        of_input = torch.convolution(gradient, weight, None, stride, padding, dilation, True, rest, groups)
    if wanted[1]:
        inner, outer = (gradient, x) if transposed else (x, gradient)
        of_weight = _of_weight(inner, outer, weight.shape[2:], stride, padding, dilation, groups)
    return of_input, of_weight, gradient.sum([0, *range(2, gradient.ndim)]) if wanted[2] else None


def _of_weight(x: Tensor, gradient: Tensor, kernel: Sequence[int], stride: list[int], padding: list[int], dilation: list[int], groups: int) -> Tensor:
    """A convolution over rows in the place of channels, in which steps and distances have changed places."""
    rows, channels = x.shape[0], x.shape[1] // groups
    moved = x.unflatten(1, (groups, channels)).movedim((2, 1, 0), (0, 1, 2)).flatten(1, 2)
    made = torch.convolution(moved, gradient.transpose(0, 1), None, dilation, padding, stride, False, [0] * len(stride), groups)
    for axis, extent in enumerate(kernel):
        made = made.narrow(axis + 2, 0, extent)
    assert moved.shape[1] == groups * rows
    return made.transpose(0, 1)


@rule("avg_pool2d_backward")
def avg_pool2d_backward(
    gradient: Tensor, x: Tensor, kernel: list[int], stride: list[int], padding: list[int], ceil_mode: bool, count_padding: bool, divisor: int | None
) -> Tensor:  # fmt: skip
    """Each element gives its share to all of its window."""
    kernel, padding = (list(item) * (2 if len(item) == 1 else 1) for item in (kernel, padding))
    stride = (list(stride) * (2 if len(stride) == 1 else 1)) or kernel
    places = [_windows(x.shape[axis - 2], gradient.shape[axis - 2], kernel[axis], stride[axis], padding[axis], x.dtype, count_padding) for axis in (0, 1)]
    (rows, heights), (columns, widths) = places
    shares = gradient / (divisor or heights[:, None] * widths)
    return rows.t() @ shares @ columns


def _windows(extent: int, count: int, size: int, step: int, padding: int, dtype: torch.dtype, count_padding: bool) -> tuple[Tensor, Tensor]:
    """(windows, elements): 1 where an element is in a window; and how many elements each window counts."""
    begins = torch.arange(count) * step - padding
    ends = (begins + size).clamp(max=extent + padding)
    elements = torch.arange(extent)
    inside = (elements >= begins[:, None]) & (elements < ends[:, None])
    return inside.to(dtype), (ends - begins if count_padding else inside.sum(1)).to(dtype)


@rule("_adaptive_avg_pool2d_backward")
def adaptive_avg_pool2d_backward(gradient: Tensor, x: Tensor) -> Tensor:
    """Windows are floor(i n / m) to ceil((i + 1) n / m)."""
    shares = []
    for axis in (-2, -1):
        extent, count = x.shape[axis], gradient.shape[axis]
        begins, ends = torch.arange(count) * extent // count, -(-(torch.arange(count) + 1) * extent // count)
        elements = torch.arange(extent)
        inside = ((elements >= begins[:, None]) & (elements < ends[:, None])).to(x.dtype)
        shares.append(inside / (ends - begins)[:, None])
    return shares[0].t() @ gradient @ shares[1]
