"""AveragePool."""

from __future__ import annotations

import math

from onward import program as P
from onward.ir.expressions import Dimension
from onward.operators.numeric import computed_wide
from onward.operators.pooling.window import Window, window_over
from onward.operators.registry import operator


@operator("AveragePool")
@computed_wide
def average_pool(
    x: P.Array,
    *,
    kernel_shape: list[int],
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    count_include_pad: int = 0,
    dilations: list[int] | None = None,
    pads: list[int] | None = None,
    strides: list[int] | None = None,
) -> P.Array:
    """The mean of each window; padding counts when `count_include_pad`. ONNX AveragePool-1, -7, -10, -19."""
    window = window_over(x, kernel_shape, strides=strides, dilations=dilations, pads=pads, auto_pad=auto_pad, ceil_mode=bool(ceil_mode))
    total = window_sum(x, window)
    if not window.is_padded or (count_include_pad and not ceil_mode):
        return total * (1 / math.prod(kernel_shape))
    explicit = window_over(x, kernel_shape, strides=strides, dilations=dilations, pads=pads, auto_pad=auto_pad)
    margins = [(before, extent, after) if count_include_pad else (0, extent, 0) for before, extent, after in zip(explicit.before, x.shape[2:], explicit.after)]

    def count(n: Dimension, c: Dimension, *position: Dimension) -> P.Scalar:
        number: Dimension = 1
        for axis, (low, extent, high) in enumerate(margins):
            begin = window.before[axis] - low
            number = number * _taps_inside(position[axis], axis, begin, begin + low + extent + high, window)
        return total[(n, c, *position)] / P.scalar(number, x.dtype)

    return P.compute(total.shape, count)


def window_sum(x: P.Array, window: Window) -> P.Array:
    """The sum of each window, zeros outside."""
    padded = window.padded(x)

    def element(n: Dimension, c: Dimension, *rest: Dimension) -> P.Scalar:
        return padded[(n, c, *window.places(rest[: window.rank], rest[window.rank :]))]

    return P.reduce("sum", (*x.shape[:2], *window.positions), window.kernel, element)


def _taps_inside(position: Dimension, axis: int, begin: Dimension, end: Dimension, window: Window) -> Dimension:
    """How many taps of the window at `position` fall into [begin, end) of the padded axis."""
    start, dilation = position * window.strides[axis], window.dilations[axis]
    first = P.maximum_dimension(P.ceiling_divide(begin - start, dilation), 0)
    past = P.minimum_dimension(P.ceiling_divide(end - start, dilation), window.kernel[axis])
    return past - first
