"""Convolutions of every rank, forward and transposed; patches to columns and back."""

from __future__ import annotations

from typing import Any

import numpy as np

from onward.converters.torch.emitter import Emitter, Tensor, is_static
from onward.converters.torch.registry import aten
from onward.ir import Value


def _each(item: Any, rank: int) -> list[int]:
    values = list(item) if isinstance(item, (list, tuple)) else [item]
    return values * rank if len(values) == 1 else values


def _convolved(c: Emitter, x: Tensor, weight: Tensor, bias: Tensor | None, stride: Any, padding: Any, dilation: Any, groups: int) -> Value:
    rank = weight.rank - 2
    batched = x.rank == weight.rank
    value = x.value if batched else c.unsqueeze(x, 0)
    options: dict[str, Any] = {}
    if padding == "same":
        options["auto_pad"] = "SAME_UPPER"
        if any(step > 1 for step in _each(dilation, rank)) or all(isinstance(size, int) for size in weight.shape[2:]):
            total = [step * (size - 1) for step, size in zip(_each(dilation, rank), weight.shape[2:])]
            options = {"pads": [part // 2 for part in total] + [part - part // 2 for part in total]}
    elif padding != "valid":
        options["pads"] = _each(padding, rank) * 2
    made = c.op("Conv", value, weight, bias, strides=_each(stride, rank), dilations=_each(dilation, rank), group=groups, **options)
    return made if batched else c.squeeze(made, 0)


@aten("conv1d", "conv2d", "conv3d", "conv1d.padding", "conv2d.padding", "conv3d.padding")
def conv(
    c: Emitter, x: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1,
    groups: int = 1,
) -> Value:  # fmt: skip
    return _convolved(c, x, weight, bias, stride, padding, dilation, groups)


@aten("conv_transpose1d", "conv_transpose2d.input", "conv_transpose3d.input")
def conv_transpose(
    c: Emitter, x: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Any = 1, padding: Any = 0,
    output_padding: Any = 0, groups: int = 1, dilation: Any = 1,
) -> Value:  # fmt: skip
    rank = weight.rank - 2
    batched = x.rank == weight.rank
    made = c.op(
        "ConvTranspose", x.value if batched else c.unsqueeze(x, 0), weight, bias, strides=_each(stride, rank),
        pads=_each(padding, rank) * 2, output_padding=_each(output_padding, rank), dilations=_each(dilation, rank), group=groups,
    )  # fmt: skip
    return made if batched else c.squeeze(made, 0)


@aten("convolution", "_convolution")
def convolution(
    c: Emitter, x: Tensor, weight: Tensor, bias: Tensor | None, stride: Any, padding: Any, dilation: Any, transposed: bool,
    output_padding: Any, groups: int, *flags: Any,
) -> Value:  # fmt: skip
    if transposed:
        return conv_transpose(c, x, weight, bias, stride, padding, output_padding, groups, dilation)
    return _convolved(c, x, weight, bias, stride, padding, dilation, groups)


@aten("conv_tbc")
def conv_tbc(c: Emitter, x: Tensor, weight: Tensor, bias: Tensor, padding: int = 0) -> Value:
    """Time first, then batch, then channels."""
    value, kernel = c.transpose(x, [1, 2, 0]), c.transpose(weight, [2, 1, 0])
    return c.transpose(c.op("Conv", value, kernel, bias, pads=[padding, padding]), [2, 0, 1])


@aten("col2im")
def col2im(c: Emitter, x: Tensor, size: Any, kernel: Any, dilation: Any, padding: Any, stride: Any) -> Value:
    batched = x.rank == 3
    made = c.op(
        "Col2Im", x.value if batched else c.unsqueeze(x, 0), list(size), list(kernel), dilations=list(dilation),
        pads=list(padding) * 2, strides=list(stride),
    )  # fmt: skip
    return made if batched else c.squeeze(made, 0)


@aten("im2col")
def im2col(c: Emitter, x: Tensor, kernel: Any, dilation: Any, padding: Any, stride: Any) -> Value:
    """Patches as columns: rows and columns of each window by index, then one Reshape."""
    batched = x.rank == 4
    value = x.value if batched else c.unsqueeze(x, 0)
    padded = c.op("Pad", value, [*padding, *padding], c.number(0, x.dtype), [2, 3])
    for place, axis in ((0, 2), (1, 4)):
        size = c.op("Shape", padded, start=axis, end=axis + 1)
        span = dilation[place] * (kernel[place] - 1)
        starts = c.op("Range", np.array(0), c.squeeze(c.op("Sub", size, np.array([span])), 0), np.array(stride[place]))
        windows = c.op("Add", c.array((np.arange(kernel[place]) * dilation[place])[:, None]), starts)
        padded = c.op("Gather", padded, windows, axis=axis)
    # (batch, channel, kernel row, row, kernel column, column)
    ordered = c.op("Transpose", padded, perm=[0, 1, 2, 4, 3, 5])
    if all(map(is_static, c.result.shape)):
        return c.reshape(ordered, c.result.shape)
    batch, channels = c.op("Shape", value, end=1), c.op("Shape", value, start=1, end=2)
    rows = c.op("Mul", channels, np.array([kernel[0] * kernel[1]]))
    made = c.op("Reshape", ordered, c.op("Concat", batch, rows, np.array([-1]), axis=0))
    return made if batched else c.squeeze(made, 0)
