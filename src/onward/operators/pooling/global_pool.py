"""GlobalAveragePool, GlobalMaxPool and GlobalLpPool: pooling over all spatial axes."""

from __future__ import annotations

from onward import program as P
from onward.operators.numeric import computed_wide
from onward.operators.pooling.lp_pool import lp_norm
from onward.operators.registry import operator


@operator("GlobalAveragePool")
def global_average_pool(x: P.Array) -> P.Array:
    """The mean of each channel. ONNX GlobalAveragePool-1."""
    return P.mean(x, range(2, x.rank), keepdims=True)


@operator("GlobalMaxPool")
def global_max_pool(x: P.Array) -> P.Array:
    """The greatest element of each channel. ONNX GlobalMaxPool-1."""
    return P.max(x, range(2, x.rank), keepdims=True)


@operator("GlobalLpPool")
@computed_wide
def global_lp_pool(x: P.Array, *, p: float = 2) -> P.Array:
    """The p-norm of each channel. ONNX GlobalLpPool-1, GlobalLpPool-2."""
    return lp_norm(lambda function: P.reduce_axes("sum", x, range(2, x.rank), True, function), p)
