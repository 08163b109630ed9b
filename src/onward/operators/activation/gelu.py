"""Gelu."""

from __future__ import annotations

import math

from onward import program as P
from onward.errors import InvalidArgument
from onward.operators.numeric import pointwise
from onward.operators.registry import operator


@operator("Gelu", since=20)
def gelu(x: P.Array, *, approximate: str = "none") -> P.Array:
    """x times the normal distribution function, exactly or by tanh. ONNX Gelu-20; Hendrycks and Gimpel 2016."""
    if approximate == "none":
        return pointwise(lambda e: 0.5 * e * (1.0 + P.erf(e * math.sqrt(0.5))), x)
    if approximate == "tanh":
        scale = math.sqrt(2 / math.pi)
        return pointwise(lambda e: 0.5 * e * (1.0 + P.tanh(scale * (e + 0.044715 * e * e * e))), x)
    raise InvalidArgument(f"Gelu is approximated by 'none' or 'tanh', got '{approximate}'")
