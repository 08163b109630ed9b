"""HannWindow, HammingWindow and BlackmanWindow."""

from __future__ import annotations

import math
from collections.abc import Callable

from onward import program as P
from onward.ir.datatypes import DataType
from onward.operators.registry import operator


@operator("HannWindow", since=17)
def hann_window(size: P.Array, *, output_datatype: int = 1, periodic: int = 1) -> P.Array:
    """0.5 - 0.5 cos(2 pi n / N). ONNX HannWindow-17."""
    return _window(size, output_datatype, periodic, lambda angle: 0.5 - 0.5 * P.cos(angle))


@operator("HammingWindow", since=17)
def hamming_window(size: P.Array, *, output_datatype: int = 1, periodic: int = 1) -> P.Array:
    """25/46 - 21/46 cos(2 pi n / N). ONNX HammingWindow-17."""
    return _window(size, output_datatype, periodic, lambda angle: 25 / 46 - 21 / 46 * P.cos(angle))


@operator("BlackmanWindow", since=17)
def blackman_window(size: P.Array, *, output_datatype: int = 1, periodic: int = 1) -> P.Array:
    """0.42 - 0.5 cos(2 pi n / N) + 0.08 cos(4 pi n / N). ONNX BlackmanWindow-17."""
    return _window(size, output_datatype, periodic, lambda angle: 0.42 - 0.5 * P.cos(angle) + 0.08 * P.cos(2.0 * angle))


def _window(size: P.Array, dtype: int, periodic: int, shape: Callable[[P.Scalar], P.Scalar]) -> P.Array:
    """A symmetric window has N = size - 1."""
    (count,) = P.dimensions(size, "the size of a window")
    period = P.scalar(count if periodic else count - 1, DataType.DOUBLE)
    step = P.scalar(2 * math.pi, DataType.DOUBLE) / period
    kind = DataType(dtype)
    rounding = 1e-9 if kind.is_integer else 0.0  # what is 1 but for a rounding error does not become 0

    def element(n: P.Dimension) -> P.Scalar:
        return P.cast(shape(P.scalar(n, DataType.DOUBLE) * step) + rounding, kind)

    return P.compute((count,), element)
