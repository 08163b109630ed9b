"""Mod."""

from __future__ import annotations

from onward import program as P
from onward.operators.elementwise.arithmetic import divisor
from onward.operators.registry import operator


@operator("Mod", since=10)
def modulo(a: P.Array, b: P.Array, *, fmod: int = 0) -> P.Array:
    """Remainder with the sign of the divisor, or with `fmod` that of the dividend, as in C. ONNX Mod-10."""
    b = divisor(b)
    return P.truncated_remainder(a, b) if fmod else P.remainder(a, b)
