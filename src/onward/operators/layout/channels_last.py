"""Conv, DepthwiseConv, ConvTranspose, pools, BatchNormalization, LRN and shuffles of the channels of data (N, ..., C).

Attributes are those of the ONNX operators, and so is what is computed. Kernels have TensorFlow's order of axes.
"""

from __future__ import annotations

from typing import Any

from onward import program as P
from onward.operators.linear.convolution import convolution
from onward.operators.linear.transposed_convolution import transposed_convolution
from onward.operators.normalization.batch_normalization import batch_normalization
from onward.operators.normalization.local_response import normalized_along
from onward.operators.numeric import computed_wide
from onward.operators.pooling.average_pool import average_pool
from onward.operators.pooling.global_pool import global_average_pool, global_max_pool
from onward.operators.pooling.max_pool import max_pool
from onward.operators.registry import Context, operator

DOMAIN = "ai.onward.channels_last"


@operator("Conv", domain=DOMAIN)
def channels_last_convolution(x: P.Array, w: P.Array, b: P.Array | None = None, **attributes: Any) -> P.Array:
    """Conv with the kernel w (..., C / group, M)."""
    return channels_last(convolution(channels_first(x), _kernel(w), b, **attributes))


@operator("DepthwiseConv", domain=DOMAIN)
def depthwise_convolution(x: P.Array, w: P.Array, b: P.Array | None = None, **attributes: Any) -> P.Array:
    """Conv with a group for each channel and the kernel w (..., C, M / C)."""
    *window, channels, multiplier = w.shape
    kernel = P.reshape(w, (*window, 1, channels * multiplier))
    return channels_last(convolution(channels_first(x), _kernel(kernel), b, **attributes))


@operator("ConvTranspose", domain=DOMAIN)
def channels_last_transposed_convolution(x: P.Array, w: P.Array, b: P.Array | None = None, **attributes: Any) -> P.Array:
    """ConvTranspose with the kernel w (..., M / group, C)."""
    return channels_last(transposed_convolution(channels_first(x), _kernel(w), b, **attributes))


@operator("MaxPool", domain=DOMAIN)
def channels_last_max_pool(x: P.Array, *, context: Context, **attributes: Any) -> P.Array:
    """MaxPool without the places."""
    result = max_pool(channels_first(x), context=context, **attributes)
    assert isinstance(result, P.Array)
    return channels_last(result)


@operator("AveragePool", domain=DOMAIN)
def channels_last_average_pool(x: P.Array, **attributes: Any) -> P.Array:
    """AveragePool."""
    return channels_last(average_pool(channels_first(x), **attributes))


@operator("GlobalAveragePool", domain=DOMAIN)
def channels_last_global_average_pool(x: P.Array) -> P.Array:
    """GlobalAveragePool."""
    return channels_last(global_average_pool(channels_first(x)))


@operator("GlobalMaxPool", domain=DOMAIN)
def channels_last_global_max_pool(x: P.Array) -> P.Array:
    """GlobalMaxPool."""
    return channels_last(global_max_pool(channels_first(x)))


@operator("BatchNormalization", domain=DOMAIN)
def channels_last_batch_normalization(x: P.Array, scale: P.Array, bias: P.Array, mean: P.Array, variance: P.Array, *, epsilon: float = 1e-5) -> P.Array:
    """BatchNormalization by given moments."""
    result = batch_normalization(channels_first(x), scale, bias, mean, variance, epsilon=epsilon)
    assert isinstance(result, P.Array)
    return channels_last(result)


@operator("LRN", domain=DOMAIN)
@computed_wide
def channels_last_local_response_normalization(x: P.Array, *, size: int, alpha: float = 0.0001, beta: float = 0.75, bias: float = 1.0) -> P.Array:
    """LRN."""
    return normalized_along(x, x.rank - 1, size, alpha, beta, bias)


@operator("ChannelShuffle", domain=DOMAIN)
def channel_shuffle(x: P.Array, *, groups: int) -> P.Array:
    """Takes the first channel of each group, then the second of each ... Zhang et al. 2018, ShuffleNet."""
    *places, channels = x.shape
    rank = x.rank
    parts = P.transpose(P.reshape(x, (*places, groups, channels // groups)), [*range(rank - 1), rank, rank - 1])
    return P.reshape(parts, x.shape)


def channels_first(x: P.Array) -> P.Array:
    """(N, ..., C) as (N, C, ...)."""
    return P.transpose(x, [0, x.rank - 1, *range(1, x.rank - 1)])


def channels_last(x: P.Array) -> P.Array:
    """(N, C, ...) as (N, ..., C)."""
    return P.transpose(x, [0, *range(2, x.rank), 1])


def _kernel(w: P.Array) -> P.Array:
    return P.transpose(w, [w.rank - 1, w.rank - 2, *range(w.rank - 2)])
