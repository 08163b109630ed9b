"""IsNaN and IsInf."""

from __future__ import annotations

from onward import program as P
from onward.operators.registry import operator


@operator("IsNaN", since=9)
def is_nan(x: P.Array) -> P.Array:
    """Where the element is not a number. ONNX IsNaN-9."""
    return P.is_nan(x)


@operator("IsInf", since=10)
def is_infinite(x: P.Array, *, detect_negative: int = 1, detect_positive: int = 1) -> P.Array:
    """Where the element is an infinity of a sign that is looked for. ONNX IsInf-10."""
    if detect_negative and detect_positive:
        return P.is_infinite(x)
    if not detect_negative and not detect_positive:
        return P.full(x.shape, False, P.DataType.BOOL)
    wanted = P.greater if detect_positive else P.less
    return P.elementwise(lambda element: P.is_infinite(element) & wanted(element, 0), x)
