"""GroupNormalization."""

from __future__ import annotations

from onward import program as P
from onward.ir.datatypes import DataType
from onward.operators.normalization.moments import standardized
from onward.operators.numeric import computed_wide
from onward.operators.registry import operator


@operator("GroupNormalization", since=21)
@computed_wide
def group_normalization(
    x: P.Array,
    scale: P.Array,
    bias: P.Array,
    *,
    num_groups: int,
    epsilon: float = 1e-5,
    stash_type: int = int(DataType.FLOAT),
) -> P.Array:
    """Each group of channels centred and scaled; scale and bias per channel. ONNX GroupNormalization-21."""
    normal = _grouped(x, num_groups, epsilon)
    spatial = range(1, x.rank - 1)
    return normal * P.expand_axes(scale, spatial) + P.expand_axes(bias, spatial)


@operator("GroupNormalization", since=18)
@computed_wide
def group_normalization_18(
    x: P.Array, scale: P.Array, bias: P.Array, *, num_groups: int, epsilon: float = 1e-5
) -> P.Array:
    """Each group of channels centred and scaled; scale and bias per group. ONNX GroupNormalization-18."""
    channels = x.shape[1] // num_groups
    scale, bias = (P.compute((x.shape[1],), lambda c, item=item: item[c // channels]) for item in (scale, bias))
    return group_normalization(x, scale, bias, num_groups=num_groups, epsilon=epsilon)


def _grouped(x: P.Array, number: int, epsilon: float) -> P.Array:
    groups = P.reshape(x, (x.shape[0], number, x.shape[1] // number, *x.shape[2:]))
    normal, _, _ = standardized(groups, range(2, groups.rank), epsilon)
    return P.reshape(normal, x.shape)
