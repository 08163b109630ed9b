"""MaxPool."""

from __future__ import annotations

from onward import program as P
from onward.ir.datatypes import DataType
from onward.ir.expressions import Dimension
from onward.operators.numeric import lowest
from onward.operators.pooling.window import Window, window_over
from onward.operators.registry import Context, operator


@operator("MaxPool")
def max_pool(
    x: P.Array,
    *,
    context: Context,
    kernel_shape: list[int],
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    dilations: list[int] | None = None,
    pads: list[int] | None = None,
    storage_order: int = 0,
    strides: list[int] | None = None,
) -> P.Array | tuple[P.Array, P.Array]:
    """The greatest element of each window, and its place in the flattened input. ONNX MaxPool-1, -8, -10, -12."""
    window = window_over(x, kernel_shape, strides=strides, dilations=dilations, pads=pads, auto_pad=auto_pad, ceil_mode=bool(ceil_mode))
    padded = window.padded(x, lowest(x.dtype))

    def element(n: Dimension, c: Dimension, *rest: Dimension) -> P.Scalar:
        return padded[(n, c, *window.places(rest[: window.rank], rest[window.rank :]))]

    result = P.reduce("max", (*x.shape[:2], *window.positions), kernel_shape, element)
    return (result, _places(x, padded, window, bool(storage_order))) if context.outputs > 1 else result


def _places(x: P.Array, padded: P.Array, window: Window, column_major: bool) -> P.Array:
    """Where the greatest element of each window stands in the whole input, its spatial axes row or column major."""

    def tap_of(number: Dimension) -> list[Dimension]:
        tap: list[Dimension] = []
        for extent in reversed(window.kernel):
            tap.insert(0, number % extent)
            number = number // extent
        return tap

    def element(n: Dimension, c: Dimension, *rest: Dimension) -> P.Scalar:
        return padded[(n, c, *window.places(rest[:-1], tap_of(rest[-1])))]

    best = P.reduce("argmax", (*x.shape[:2], *window.positions), (P.product(window.kernel),), element)

    def place(n: Dimension, c: Dimension, *position: Dimension) -> P.Scalar:
        number = P.scalar(n * x.shape[1] + c)
        tap: list[P.Scalar] = []
        rest = best[(n, c, *position)]
        for extent in reversed(window.kernel):
            tap.insert(0, P.remainder(rest, P.scalar(extent)))
            rest = rest / P.scalar(extent)
        axes = list(zip(position, tap, window.strides, window.dilations, window.before, x.shape[2:]))
        for o, k, stride, dilation, before, extent in reversed(axes) if column_major else axes:
            number = number * P.scalar(extent) + (P.scalar(o * stride - before) + k * dilation)
        return P.cast(number, DataType.INT64)

    return P.compute(best.shape, place)
