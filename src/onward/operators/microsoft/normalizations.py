"""SkipLayerNormalization, SimplifiedLayerNormalization and their kin, EmbedLayerNormalization, GroupNorm, SkipGroupNorm."""

from __future__ import annotations

from onward import program as P
from onward.ir.datatypes import DataType
from onward.operators.microsoft.activations import DOMAIN, activated
from onward.operators.normalization.group_normalization import group_normalization
from onward.operators.normalization.layer_normalization import layer_normalization
from onward.operators.normalization.moments import mean_of_squares
from onward.operators.numeric import wide
from onward.operators.registry import operator


@operator("SkipLayerNormalization", domain=DOMAIN)
def skip_layer_normalization(
    x: P.Array,
    skip: P.Array,
    gamma: P.Array,
    beta: P.Array | None = None,
    bias: P.Array | None = None,
    *,
    epsilon: float = 1e-12,
) -> tuple[P.Array, ...]:
    """LayerNormalization of x + skip + bias over the last axis; its mean and inverse deviation, and the sum."""
    total = _sum(x, skip, bias)
    return *layer_normalization(total, gamma, beta, epsilon=epsilon), total


@operator("SkipSimplifiedLayerNormalization", domain=DOMAIN)
def skip_simplified_layer_normalization(
    x: P.Array, skip: P.Array, gamma: P.Array, bias: P.Array | None = None, *, epsilon: float = 1e-12
) -> tuple[P.Array, ...]:
    """SimplifiedLayerNormalization of x + skip + bias; an empty mean, the inverse root mean square, and the sum."""
    total = _sum(x, skip, bias)
    result, inverse = simplified_layer_normalization(total, gamma, epsilon=epsilon)
    return result, P.full(inverse.shape, 0, inverse.dtype), inverse, total


@operator("SimplifiedLayerNormalization")
@operator("SimplifiedLayerNormalization", domain=DOMAIN)
def simplified_layer_normalization(
    x: P.Array,
    scale: P.Array,
    *,
    axis: int = -1,
    epsilon: float = 1e-5,
    stash_type: int = int(DataType.FLOAT),
) -> tuple[P.Array, P.Array]:
    """x scaled to a mean square of 1 over all axes from `axis` on, and the inverse root mean square."""
    axes = range(P.normalize_axis(axis, x.rank), x.rank)
    values = wide(x)
    inverse = P.elementwise(lambda v: 1.0 / P.sqrt(v + epsilon), mean_of_squares(values, axes))
    return P.cast(values * inverse * P.cast(scale, values.dtype), scale.dtype), inverse


@operator("EmbedLayerNormalization", domain=DOMAIN)
def embed_layer_normalization(
    ids: P.Array,
    segment_ids: P.Array | None,
    words: P.Array,
    positions: P.Array,
    segments: P.Array | None,
    gamma: P.Array,
    beta: P.Array,
    mask: P.Array | None = None,
    position_ids: P.Array | None = None,
    *,
    epsilon: float = 1e-12,
    mask_index_type: int = 0,
) -> tuple[P.Array, P.Array, P.Array]:
    """LayerNormalization of word + position + segment embedding, (B, S, H); how many tokens are no padding; the sum."""

    def element(b: P.Dimension, s: P.Dimension, h: P.Dimension) -> P.Scalar:
        place = P.scalar(s) if position_ids is None else position_ids[_row(position_ids, b), s]
        total = words[ids[b, s], h] + positions[place, h]
        if segments is not None and segment_ids is not None:
            total = total + segments[segment_ids[b, s], h]
        return total

    total = P.compute((*ids.shape, words.shape[1]), element)
    counts: P.Array = P.full((ids.shape[0],), 0, DataType.INT32)
    if mask is not None:
        counts = P.cast(P.sum(mask, [1]), DataType.INT32)
    return layer_normalization(total, gamma, beta, epsilon=epsilon)[0], counts, total


@operator("GroupNorm", domain=DOMAIN)
def group_norm(
    x: P.Array,
    gamma: P.Array,
    beta: P.Array,
    *,
    activation: int,
    groups: int,
    channels_last: int = 1,
    epsilon: float = 1e-5,
) -> P.Array:
    """GroupNormalization, channels last by default, followed by x * sigmoid(x) when `activation` is 1."""
    last = list(range(1, x.rank - 1))
    given = P.transpose(x, [0, x.rank - 1, *last]) if channels_last else x
    scale, bias = P.cast(gamma, x.dtype), P.cast(beta, x.dtype)
    result = group_normalization(given, scale, bias, num_groups=groups, epsilon=epsilon)
    if channels_last:
        result = P.transpose(result, [0, *range(2, x.rank), 1])
    return activated(result, "QuickGelu", [1.0]) if activation else result


@operator("SkipGroupNorm", domain=DOMAIN)
def skip_group_norm(
    x: P.Array,
    gamma: P.Array,
    beta: P.Array,
    skip: P.Array,
    bias: P.Array | None = None,
    *,
    activation: int,
    groups: int,
    channels_last: int = 1,
    epsilon: float = 1e-5,
) -> tuple[P.Array, P.Array]:
    """GroupNorm of x + skip + bias, and that sum. A skip of two axes belongs to whole pictures."""
    if skip.rank == 2:
        skip = P.expand_axes(skip, range(1, x.rank - 1))
    total = _sum(x, skip, bias)
    result = group_norm(total, gamma, beta, activation=activation, groups=groups, channels_last=channels_last, epsilon=epsilon)
    return result, total


def _sum(x: P.Array, skip: P.Array, bias: P.Array | None) -> P.Array:
    return x + skip if bias is None else x + skip + bias


def _row(ids: P.Array, batch: P.Dimension) -> P.Dimension:
    """The batch, or 0 where one row serves all."""
    return 0 if ids.shape[0] == 1 else batch
