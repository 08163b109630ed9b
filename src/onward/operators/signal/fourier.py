"""DFT and STFT. The transform is a product with a table of cosines and sines, so it fuses like any matrix product."""

from __future__ import annotations

import math

from onward import program as P
from onward.errors import InvalidArgument
from onward.ir.datatypes import DataType
from onward.ir.expressions import Dimension
from onward.operators.arguments import known_integer
from onward.operators.numeric import computed_wide
from onward.operators.registry import operator


@operator("DFT", since=20)
def dft(x: P.Array, length: P.Array | None = None, axis: P.Array | None = None, *, inverse: int = 0, onesided: int = 0) -> P.Array:
    """The discrete Fourier transform along an axis. ONNX DFT-20. The last axis of x holds the real and imaginary part."""
    place = -2 if axis is None else known_integer(axis, "the axis of DFT")
    return dft_17(x, length, axis=place, inverse=inverse, onesided=onesided)


@operator("DFT", since=17)
@computed_wide
def dft_17(x: P.Array, length: P.Array | None = None, *, axis: int = 1, inverse: int = 0, onesided: int = 0) -> P.Array:
    """The discrete Fourier transform along an axis, which is an attribute. ONNX DFT-17.

    One-sided, it gives the first half of the spectrum of a real signal; inverse, it takes that half.
    """
    place = P.normalize_axis(axis, x.rank)
    _check_parts(x)
    extent = x.shape[place]
    if length is not None:
        (count,) = P.dimensions(length, "the length of DFT")
    else:
        count = 2 * (extent - 1) if inverse and onesided else extent
    if inverse and onesided:
        return _real_inverse(x, place, count)
    wanted = count // 2 + 1 if onesided else count
    return _transform(x, place, P.minimum_dimension(extent, count), count, wanted, bool(inverse))


@operator("STFT", since=17)
@computed_wide
def stft(x: P.Array, step: P.Array, window: P.Array | None = None, length: P.Array | None = None, *, onesided: int = 1) -> P.Array:
    """The Fourier transforms of the frames of x (batch, time, 1 or 2), (batch, frames, bins, 2). ONNX STFT-17."""
    _check_parts(x)
    (hop,) = P.dimensions(step, "the step of STFT")
    if length is not None:
        (count,) = P.dimensions(length, "the frame length of STFT")
    else:
        count = x.shape[1] if window is None else window.shape[0]
    frames = (x.shape[1] - count) // hop + 1

    def element(batch: Dimension, frame: Dimension, time: Dimension, part: Dimension) -> P.Scalar:
        value = x[batch, frame * hop + time, part]
        return value if window is None else value * window[time]

    cut = P.compute((x.shape[0], frames, count, x.shape[2]), element)
    return _transform(cut, 2, count, count, count // 2 + 1 if onesided else count, False)


def _check_parts(x: P.Array) -> None:
    if x.shape[-1] not in (1, 2):
        raise InvalidArgument(f"the last axis of a signal holds 1 or 2 parts of a number, got {x}")


def table(rows: Dimension, columns: Dimension, period: Dimension, dtype: DataType, sine: bool) -> P.Array:
    """cos or sin of 2 pi k n / period, (rows, columns); a constant where the extents are known."""
    step = P.scalar(2 * math.pi, DataType.DOUBLE) / P.scalar(period, DataType.DOUBLE)
    function = P.sin if sine else P.cos
    result = P.compute((rows, columns), lambda k, n: P.cast(function(P.scalar((k * n) % period, DataType.DOUBLE) * step), dtype))
    if isinstance(rows, int) and isinstance(columns, int) and isinstance(period, int):
        return P.constant(P.evaluate([result], {})[0])
    return result


def _transform(x: P.Array, place: int, terms: Dimension, count: Dimension, wanted: Dimension, inverse: bool) -> P.Array:
    """sum over n of x[n] exp(-2 pi i k n / count), or with a plus and divided by `count`."""
    cosine, sine = (table(wanted, terms, count, x.dtype, which) for which in (False, True))
    outer = [*x.shape[:-1]]
    outer[place] = wanted

    def product(factor: P.Array, part: int) -> P.Array:
        def element(*position: Dimension) -> P.Scalar:
            *index, n = position
            k = index[place]
            return x[(*index[:place], n, *index[place + 1 :], part)] * factor[k, n]

        return P.reduce("sum", outer, (terms,), element)

    real, imaginary = product(cosine, 0), product(sine, 0)
    if not inverse:
        imaginary = -imaginary
    if x.shape[-1] == 2:
        turned = product(sine, 1)
        real = real - turned if inverse else real + turned
        imaginary = imaginary + product(cosine, 1)
    both = P.concatenate([P.expand_axes(part, [-1]) for part in (real, imaginary)], x.rank - 1)
    return P.elementwise(lambda e: e / P.scalar(count, x.dtype), both) if inverse else both


def _real_inverse(x: P.Array, place: int, count: Dimension) -> P.Array:
    """The real signal of length `count` whose spectrum begins with x. All but the ends of that stand for two terms."""
    terms = P.minimum_dimension(x.shape[place], count // 2 + 1)
    outer = [*x.shape[:-1]]
    outer[place] = count

    def doubled(part: int, sine: bool) -> P.Array:
        factor = table(count, terms, count, x.dtype, sine)

        def weight(k: Dimension) -> P.Scalar:
            middle = P.equal(P.scalar(2 * k), P.scalar(count))
            return P.where(P.equal(P.scalar(k), 0) | middle, P.scalar(1.0, x.dtype), P.scalar(2.0, x.dtype))

        weights = P.compute((count, terms), lambda n, k: factor[n, k] * weight(k))

        def element(*position: Dimension) -> P.Scalar:
            *index, k = position
            return x[(*index[:place], k, *index[place + 1 :], part)] * weights[index[place], k]

        return P.reduce("sum", outer, (terms,), element)

    total = doubled(0, False)
    if x.shape[-1] == 2:
        total = total - doubled(1, True)
    return P.expand_axes(P.elementwise(lambda e: e / P.scalar(count, x.dtype), total), [-1])
