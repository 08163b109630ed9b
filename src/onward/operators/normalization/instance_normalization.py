"""InstanceNormalization."""

from __future__ import annotations

from onward import program as P
from onward.operators.normalization.moments import standardized
from onward.operators.numeric import computed_wide
from onward.operators.registry import operator


@operator("InstanceNormalization")
@computed_wide
def instance_normalization(x: P.Array, scale: P.Array, bias: P.Array, *, epsilon: float = 1e-5) -> P.Array:
    """Each channel of each instance centred and scaled over its spatial axes. ONNX InstanceNormalization-1, -6."""
    normal, _, _ = standardized(x, range(2, x.rank), epsilon)
    spatial = range(1, x.rank - 1)
    return normal * P.expand_axes(scale, spatial) + P.expand_axes(bias, spatial)
