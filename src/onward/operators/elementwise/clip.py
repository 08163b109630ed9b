"""Clip."""

from __future__ import annotations

import numpy as np

from onward import program as P
from onward.operators.numeric import only_element
from onward.operators.registry import operator

_FLOAT_MAXIMUM = float(np.finfo(np.float32).max)


@operator("Clip", since=11)
def clip(x: P.Array, low: P.Array | None = None, high: P.Array | None = None) -> P.Array:
    """`x` limited to [low, high]; `high` where low > high. NaN stays. ONNX Clip-11, Clip-12 (integers)."""
    return _limited(x, None if low is None else only_element(low), None if high is None else only_element(high))


@operator("Clip", since=1)
def clip_1(x: P.Array, *, min: float | None = None, max: float | None = None) -> P.Array:
    """`x` limited to [min, max]; the greatest float32 stands for no limit. ONNX Clip-1, Clip-6."""
    low = None if min is None or min <= -_FLOAT_MAXIMUM else P.scalar(min, x.dtype)
    high = None if max is None or max >= _FLOAT_MAXIMUM else P.scalar(max, x.dtype)
    return _limited(x, low, high)


def _limited(x: P.Array, low: P.Scalar | None, high: P.Scalar | None) -> P.Array:
    def element(value: P.Scalar) -> P.Scalar:
        value = value if low is None else P.maximum(value, low)
        return value if high is None else P.minimum(value, high)

    return P.elementwise(element, x)
