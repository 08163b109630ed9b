"""Convolutions, pools and their like for data with the channels last, as TensorFlow and Keras define them.

ONNX has these operators for channels first alone. Each function brings the channels to the second place and back, and
`settle` takes out all transpositions that the operators between them do not need.

Kernels are NumPy arrays or values in TensorFlow's order (extents of the window, channels in, channels out). `extents` are
the sizes of the data's spatial axes, None where they are open. Paddings are "SAME" or "VALID", in any case.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from onward.converters.builder import ModelBuilder
from onward.ir import Model, Value
from onward.passes.orientation import FIRST, LAST, fewest_transpositions, permutation

Kernel = Any
"""A NumPy array, or a Value with its rank known to the caller."""
Extents = Sequence[int | None]


def to_first(b: ModelBuilder, x: Value, rank: int) -> Value:
    """The data with the channels in the second place."""
    return b.op("Transpose", x, perm=permutation(rank, FIRST))


def to_last(b: ModelBuilder, x: Value, rank: int) -> Value:
    """The data with the channels in the last place."""
    return b.op("Transpose", x, perm=permutation(rank, LAST))


def around(b: ModelBuilder, x: Value, rank: int, channels_first: bool, function: Callable[[Value], Value]) -> Value:
    """A function of data with channels first, applied to data with channels last unless they are first already."""
    return function(x) if channels_first or rank < 3 else to_last(b, function(to_first(b, x, rank)), rank)


def settle(model: Model) -> int:
    """Takes out the transpositions that are not needed; returns how many are gone."""
    return fewest_transpositions(model)


def pads(padding: str, extents: Extents, window: Sequence[int], strides: Sequence[int], dilations: Sequence[int]) -> dict[str, Any]:
    """The attributes that say a padding: numbers where they are known (also with steps of 1, for any size), `auto_pad` elsewhere."""
    if padding.upper() == "VALID":
        return {}
    spans = [(size - 1) * dilation + 1 for size, dilation in zip(window, dilations)]
    if any(extent is None and stride > 1 for extent, stride in zip(extents, strides)):
        return {"auto_pad": "SAME_UPPER"}
    totals = [
        span - 1 if stride == 1 or extent is None else max((-(-extent // stride) - 1) * stride + span - extent, 0)
        for extent, span, stride in zip(extents, spans, strides)
    ]
    return {"pads": [total // 2 for total in totals] + [total - total // 2 for total in totals]} if any(totals) else {}


def convolution(
    b: ModelBuilder, x: Value, kernel: Kernel, bias: Value | None, *, strides: Sequence[int], dilations: Sequence[int], padding: str,
    extents: Extents, groups: int = 1, window: Sequence[int] = (), channels_first: bool = False, name: str = "kernel",
) -> Value:  # fmt: skip
    """A convolution. `window` is the extent of a kernel that is a Value."""
    window = window or kernel.shape[:-2]
    rank = len(window) + 2
    weights = _turned(b, kernel, [rank - 1, rank - 2, *range(rank - 2)], name)
    how = pads(padding, extents, window, strides, dilations)
    return around(b, x, rank, channels_first, lambda data: b.op(
        "Conv", data, weights, *([bias] if bias is not None else []), strides=list(strides), dilations=list(dilations), group=groups,
        kernel_shape=list(window), **how,
    ))  # fmt: skip


def depthwise_convolution(
    b: ModelBuilder, x: Value, kernel: np.ndarray, bias: Value | None, *, strides: Sequence[int], dilations: Sequence[int], padding: str,
    extents: Extents, channels_first: bool = False, name: str = "kernel",
) -> Value:  # fmt: skip
    """A convolution of each channel with kernels of its own: (window, channels, multiplier)."""
    *window, channels, multiplier = kernel.shape
    return convolution(
        b, x, kernel.reshape(*window, 1, channels * multiplier), bias, strides=strides, dilations=dilations, padding=padding,
        extents=extents, groups=channels, channels_first=channels_first, name=name,
    )  # fmt: skip


def transposed_convolution(
    b: ModelBuilder, x: Value, kernel: Kernel, bias: Value | None, *, strides: Sequence[int], dilations: Sequence[int], padding: str,
    output_padding: Sequence[int] | None = None, window: Sequence[int] = (), channels_first: bool = False, name: str = "kernel",
) -> Value:  # fmt: skip
    """A transposed convolution with the kernel (window, channels out, channels in). Without `output_padding` the result is as
    many times larger as the step says ("SAME"), or as large as the windows reach, and not less ("VALID")."""
    window = window or kernel.shape[:-2]
    rank = len(window) + 2
    weights = _turned(b, kernel, [rank - 1, rank - 2, *range(rank - 2)], name)
    begins, ends, beyond = [], [], []
    for place, (size, stride, dilation) in enumerate(zip(window, strides, dilations)):
        span = (size - 1) * dilation + 1
        same = padding.upper() == "SAME"
        if output_padding is not None and output_padding[place] is not None:
            whole = span + span % 2 - 2 + output_padding[place]
            begin = span - 1 - min(whole // 2 + whole % 2, span - 1) if same else 0
            crop = 2 * (span - 1) - whole if same else -output_padding[place]
        else:
            crop = span - stride if same else min(span - stride, 0)
            begin = max(crop, 0) // 2
        begins.append(begin)
        ends.append(max(crop - begin, 0))
        beyond.append(max(begin - crop, 0))
    return around(b, x, rank, channels_first, lambda data: b.op(
        "ConvTranspose", data, weights, *([bias] if bias is not None else []), strides=list(strides), dilations=list(dilations),
        kernel_shape=list(window), pads=begins + ends, output_padding=beyond,
    ))  # fmt: skip


def pool(
    b: ModelBuilder, x: Value, kind: str, *, window: Sequence[int], strides: Sequence[int], padding: str, extents: Extents,
    channels_first: bool = False,
) -> Value:  # fmt: skip
    """The greatest ("max") or mean ("average") number of each window; padding does not count."""
    how = pads(padding, extents, window, strides, [1] * len(window))
    operator = {"max": "MaxPool", "average": "AveragePool"}[kind]
    return around(b, x, len(window) + 2, channels_first, lambda data: b.op(
        operator, data, kernel_shape=list(window), strides=list(strides), **how,
    ))  # fmt: skip


def batch_normalization(
    b: ModelBuilder, x: Value, scale: Value, offset: Value, mean: Value, variance: Value, *, epsilon: float, rank: int,
    channels_first: bool = False,
) -> Value:  # fmt: skip
    """Normalisation with the stored mean and variance of each channel."""
    return around(b, x, rank, channels_first, lambda data: b.op("BatchNormalization", data, scale, offset, mean, variance, epsilon=float(epsilon)))


RESIZING: dict[str, dict[str, Any]] = {
    "nearest": {"mode": "nearest", "nearest_mode": "floor", "coordinate_transformation_mode": "asymmetric"},
    "nearest of centres": {"mode": "nearest", "nearest_mode": "round_prefer_ceil", "coordinate_transformation_mode": "half_pixel"},
    "bilinear": {"mode": "linear", "coordinate_transformation_mode": "half_pixel"},
    "bicubic": {"mode": "cubic", "coordinate_transformation_mode": "half_pixel", "cubic_coeff_a": -0.5, "exclude_outside": 1},
}
"""Names of interpolations, and what they are in ONNX."""


def resize(
    b: ModelBuilder, x: Value, *, sizes: Sequence[int] | None = None, scales: Sequence[float] | None = None, how: dict[str, Any],
    channels_first: bool = False,
) -> Value:  # fmt: skip
    """Spatial axes of the given sizes, or so many times larger; `how` are attributes of Resize, such as those of `RESIZING`."""
    spatial = len(sizes if sizes is not None else scales or ())
    given = [None, None, b.constant(np.array(sizes, np.int64), "sizes")] if sizes is not None else [None, b.constant(np.array(scales, np.float32), "scales")]
    axes = list(range(2, 2 + spatial))
    return around(b, x, spatial + 2, channels_first, lambda data: b.op("Resize", data, *given, axes=axes, **how))


def space_to_depth(b: ModelBuilder, x: Value, block: int, channels_first: bool = False) -> Value:
    """Blocks of an image become channels."""
    return around(b, x, 4, channels_first, lambda data: b.op("SpaceToDepth", data, blocksize=block))


def depth_to_space(b: ModelBuilder, x: Value, block: int, channels_first: bool = False) -> Value:
    """Channels become blocks of an image."""
    return around(b, x, 4, channels_first, lambda data: b.op("DepthToSpace", data, blocksize=block, mode="DCR"))


def _turned(b: ModelBuilder, kernel: Kernel, order: list[int], name: str) -> Value:
    if isinstance(kernel, Value):
        return b.op("Transpose", kernel, perm=order)
    return b.constant(np.ascontiguousarray(kernel.transpose(order)), name)
