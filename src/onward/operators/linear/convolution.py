"""Conv."""

from __future__ import annotations

from onward import program as P
from onward.errors import InvalidArgument
from onward.ir.datatypes import DataType
from onward.ir.expressions import Dimension
from onward.operators.numeric import computed_wide
from onward.operators.pooling.window import Window, window_over
from onward.operators.registry import operator


@operator("Conv")
@computed_wide
def convolution(
    x: P.Array,
    w: P.Array,
    b: P.Array | None = None,
    *,
    auto_pad: str = "NOTSET",
    dilations: list[int] | None = None,
    group: int = 1,
    kernel_shape: list[int] | None = None,
    pads: list[int] | None = None,
    strides: list[int] | None = None,
) -> P.Array:
    """x (N, C, ...) with filters w (M, C / group, ...) slid over it, plus b (M). ONNX Conv-1, Conv-11."""
    kernel = w.shape[2:] if kernel_shape is None else kernel_shape
    window = window_over(x, kernel, strides=strides, dilations=dilations, pads=pads, auto_pad=auto_pad)
    result = convolve(window.padded(x), w, window, group)
    return result if b is None else result + P.expand_axes(b, range(1, window.rank + 1))


def convolve(x: P.Array, w: P.Array, window: Window, group: int, dtype: DataType | None = None) -> P.Array:
    """The sum of products over a window of the padded `x`, of elements converted to `dtype` if given.

    Raises InvalidArgument when the channels do not fit.
    """
    channels, filters, depth = x.shape[1], *w.shape[:2]
    if isinstance(channels, int) and isinstance(depth, int) and channels != depth * group:
        raise InvalidArgument(f"{channels} channels in {group} groups do not fit filters {w} of {depth} channels")
    if isinstance(filters, int) and filters % group:
        raise InvalidArgument(f"{filters} filters do not split into {group} groups")
    if group == 1:
        return _plain(x, w, window, dtype)
    if group == channels == filters:
        return channelwise(x, w, window, dtype)
    return _grouped(x, w, window, group, dtype)


def _product(left: P.Scalar, right: P.Scalar, dtype: DataType | None) -> P.Scalar:
    return left * right if dtype is None else P.cast(left, dtype) * P.cast(right, dtype)


def _plain(x: P.Array, w: P.Array, window: Window, dtype: DataType | None) -> P.Array:
    def element(n: Dimension, m: Dimension, *rest: Dimension) -> P.Scalar:
        position, c, tap = rest[: window.rank], rest[window.rank], rest[window.rank + 1 :]
        return _product(x[(n, c, *window.places(position, tap))], w[(m, c, *tap)], dtype)

    return P.reduce("sum", (x.shape[0], w.shape[0], *window.positions), (w.shape[1], *window.kernel), element)


def channelwise(x: P.Array, w: P.Array, window: Window, dtype: DataType | None = None) -> P.Array:
    """One filter per channel, w (C, 1, ...): nothing is summed over channels."""

    def element(n: Dimension, m: Dimension, *rest: Dimension) -> P.Scalar:
        position, tap = rest[: window.rank], rest[window.rank :]
        return _product(x[(n, m, *window.places(position, tap))], w[(m, 0, *tap)], dtype)

    return P.reduce("sum", (*x.shape[:2], *window.positions), window.kernel, element)


def _grouped(x: P.Array, w: P.Array, window: Window, group: int, dtype: DataType | None) -> P.Array:
    """The groups stand on an axis of their own: x (N, G, C / G, ...), w (G, M / G, C / G, ...)."""
    depth, filters = w.shape[1], w.shape[0] // group
    parts = P.reshape(x, (x.shape[0], group, depth, *x.shape[2:]))
    bank = P.reshape(w, (group, filters, *w.shape[1:]))

    def element(n: Dimension, g: Dimension, m: Dimension, *rest: Dimension) -> P.Scalar:
        position, c, tap = rest[: window.rank], rest[window.rank], rest[window.rank + 1 :]
        return _product(parts[(n, g, c, *window.places(position, tap))], bank[(g, m, c, *tap)], dtype)

    shape = (x.shape[0], group, filters, *window.positions)
    result = P.reduce("sum", shape, (depth, *window.kernel), element)
    return P.reshape(result, (x.shape[0], w.shape[0], *window.positions))
