"""LayerNormalization."""

from __future__ import annotations

from onward import program as P
from onward.ir.datatypes import DataType
from onward.operators.normalization.moments import standardized
from onward.operators.numeric import wide
from onward.operators.registry import operator


@operator("LayerNormalization", since=1)
def layer_normalization(
    x: P.Array,
    scale: P.Array,
    bias: P.Array | None = None,
    *,
    axis: int = -1,
    epsilon: float = 1e-5,
    stash_type: int = int(DataType.FLOAT),
) -> tuple[P.Array, P.Array, P.Array]:
    """x centred and scaled over all axes from `axis` on; also the mean and the inverse deviation.

    ONNX LayerNormalization-17; Ba, Kiros and Hinton 2016. Older exporters wrote it with opset 1 to 16.
    """
    axes = range(P.normalize_axis(axis, x.rank), x.rank)
    # Float64 is not narrowed to the stash type on the way.
    kind = x.dtype if x.dtype == DataType.DOUBLE else wide(P.full((), 0, DataType(stash_type))).dtype
    normal, mean, inverse = standardized(P.cast(x, kind), axes, epsilon)
    result = normal * P.cast(scale, kind)
    if bias is not None:
        result = result + P.cast(bias, kind)
    stash = DataType(stash_type)
    return P.cast(result, x.dtype), P.cast(mean, stash), P.cast(inverse, stash)
