"""Where."""

from __future__ import annotations

from onward import program as P
from onward.operators.registry import operator


@operator("Where", since=9)
def where(condition: P.Array, then: P.Array, otherwise: P.Array) -> P.Array:
    """Elements of `then` where `condition` holds, else of `otherwise`; all three broadcast. ONNX Where-9."""
    return P.where(condition, then, otherwise)
