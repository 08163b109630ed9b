"""MatMul."""

from __future__ import annotations

from onward import program as P
from onward.operators.numeric import computed_wide
from onward.operators.registry import operator


@operator("MatMul")
@computed_wide
def matmul(a: P.Array, b: P.Array) -> P.Array:
    """Matrix product with NumPy's rules for vectors and batch axes. ONNX MatMul-1, MatMul-9 (integers)."""
    return P.matmul(a, b)
