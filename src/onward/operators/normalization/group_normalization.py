"""GroupNormalization. The channels keep their axis, so that what follows fuses; the moments are those of each group."""

from __future__ import annotations

from onward import program as P
from onward.errors import InvalidArgument
from onward.ir.datatypes import DataType
from onward.ir.expressions import Dimension
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
    """Each group of channels centred and scaled; scale and bias per channel. ONNX GroupNormalization-21; Wu, He 2018."""
    if isinstance(x.shape[1], int) and x.shape[1] % num_groups:
        raise InvalidArgument(f"the channels of {x} do not split into {num_groups} groups")
    mean, inverse, size = *_moments(x, num_groups, epsilon), x.shape[1] // num_groups

    def element(n: Dimension, c: Dimension, *place: Dimension) -> P.Scalar:
        normal = (x[(n, c, *place)] - mean[n, c // size]) * inverse[n, c // size]
        return normal * scale[c] + bias[c]

    return P.compute(x.shape, element)


@operator("GroupNormalization", since=18)
@computed_wide
def group_normalization_18(x: P.Array, scale: P.Array, bias: P.Array, *, num_groups: int, epsilon: float = 1e-5) -> P.Array:
    """Each group of channels centred and scaled; scale and bias per group. ONNX GroupNormalization-18."""
    size = x.shape[1] // num_groups
    scale, bias = (P.compute((x.shape[1],), lambda c, item=item: item[c // size]) for item in (scale, bias))
    return group_normalization(x, scale, bias, num_groups=num_groups, epsilon=epsilon)


def _moments(x: P.Array, groups: int, epsilon: float) -> tuple[P.Array, P.Array]:
    """The mean of each group and 1 / its deviation, (N, groups)."""
    size = x.shape[1] // groups
    shape, extents = (x.shape[0], groups), (size, *x.shape[2:])
    count = P.scalar(P.product(extents), x.dtype)

    def read(n: Dimension, g: Dimension, c: Dimension, *place: Dimension) -> P.Scalar:
        return x[(n, g * size + c, *place)]

    mean = P.elementwise(lambda total: total / count, P.reduce("sum", shape, extents, read))

    def square(n: Dimension, g: Dimension, *rest: Dimension) -> P.Scalar:
        centred = read(n, g, *rest) - mean[n, g]
        return centred * centred

    variance = P.reduce("sum", shape, extents, square)
    return mean, P.elementwise(lambda total: 1.0 / P.sqrt(total / count + epsilon), variance)
