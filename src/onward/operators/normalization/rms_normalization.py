"""RMSNormalization."""

from __future__ import annotations

from onward import program as P
from onward.ir.datatypes import DataType
from onward.operators.normalization.moments import mean_of_squares
from onward.operators.numeric import wide
from onward.operators.registry import operator


@operator("RMSNormalization", since=23)
def rms_normalization(x: P.Array, scale: P.Array, *, axis: int = -1, epsilon: float = 1e-5, stash_type: int = int(DataType.FLOAT)) -> P.Array:
    """x scaled to a mean square of 1 over all axes from `axis` on. ONNX RMSNormalization-23; Zhang, Sennrich 2019."""
    axes = range(P.normalize_axis(axis, x.rank), x.rank)
    values = wide(x)
    inverse = P.elementwise(lambda v: 1.0 / P.sqrt(v + epsilon), mean_of_squares(values, axes))
    return P.cast(values * inverse * P.cast(scale, values.dtype), scale.dtype)
