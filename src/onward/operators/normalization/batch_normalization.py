"""BatchNormalization."""

from __future__ import annotations

from onward import program as P
from onward.operators.numeric import wide
from onward.operators.registry import Context, operator


@operator("BatchNormalization", since=14)
def batch_normalization(
    x: P.Array,
    scale: P.Array,
    bias: P.Array,
    mean: P.Array,
    variance: P.Array,
    *,
    epsilon: float = 1e-5,
    momentum: float = 0.9,
    training_mode: int = 0,
) -> P.Array | tuple[P.Array, P.Array, P.Array]:
    """x centred and scaled per channel, by given or by the batch's own moments. ONNX BatchNormalization-14, -15."""
    if not training_mode:
        return _normalized(x, scale, bias, mean, variance, epsilon)
    batch_mean, batch_variance = _moments(x)
    result = _normalized(x, scale, bias, batch_mean, batch_variance, epsilon)
    return result, _running(mean, batch_mean, momentum), _running(variance, batch_variance, momentum)


@operator("BatchNormalization", since=7)
def batch_normalization_7(
    x: P.Array,
    scale: P.Array,
    bias: P.Array,
    mean: P.Array,
    variance: P.Array,
    *,
    context: Context,
    epsilon: float = 1e-5,
    momentum: float = 0.9,
    spatial: int = 1,
) -> P.Array | tuple[P.Array, ...]:
    """As BatchNormalization-14; in training when it has more outputs than one. ONNX BatchNormalization-7, -9."""
    if context.outputs == 1:
        return _normalized(x, scale, bias, mean, variance, epsilon, bool(spatial))
    batch_mean, batch_variance = _moments(x)
    result = _normalized(x, scale, bias, batch_mean, batch_variance, epsilon)
    running = (_running(mean, batch_mean, momentum), _running(variance, batch_variance, momentum))
    return result, *running, P.cast(batch_mean, x.dtype), P.cast(batch_variance, x.dtype)


@operator("BatchNormalization", since=1)
def batch_normalization_1(
    x: P.Array,
    scale: P.Array,
    bias: P.Array,
    mean: P.Array,
    variance: P.Array,
    *,
    context: Context,
    epsilon: float = 1e-5,
    is_test: int = 0,
    momentum: float = 0.9,
    spatial: int = 1,
) -> P.Array | tuple[P.Array, ...]:
    """As BatchNormalization-7, with a switch for training. ONNX BatchNormalization-1, -6."""
    if is_test or context.outputs == 1:
        return _normalized(x, scale, bias, mean, variance, epsilon, bool(spatial))
    return batch_normalization_7(x, scale, bias, mean, variance, context=context, epsilon=epsilon, momentum=momentum, spatial=spatial)


def _normalized(x: P.Array, scale: P.Array, bias: P.Array, mean: P.Array, variance: P.Array, epsilon: float, spatial: bool = True) -> P.Array:
    """One multiplication and one addition an element: the factor and the offset are per channel."""
    scale, bias, mean, variance = (wide(item) for item in (scale, bias, mean, variance))
    kind = wide(x).dtype
    factor = P.cast(P.cast(scale, variance.dtype) / P.sqrt(variance + epsilon), kind)
    offset = P.cast(bias, kind) - P.cast(mean, kind) * factor
    factor, offset = (_along_channels(item, x, spatial) for item in (factor, offset))
    return P.cast(wide(x) * factor + offset, x.dtype)


def _along_channels(item: P.Array, x: P.Array, spatial: bool) -> P.Array:
    return P.expand_axes(item, range(1, x.rank - 1)) if spatial and x.rank > 2 else item


def _moments(x: P.Array) -> tuple[P.Array, P.Array]:
    """Mean and population variance of each channel."""
    axes = [axis for axis in range(x.rank) if axis != 1]
    values = wide(x)
    mean = P.mean(values, axes, keepdims=True)
    centred = values - mean
    return P.squeeze_axes(mean, axes), P.mean(P.elementwise(lambda e: e * e, centred), axes)


def _running(old: P.Array, new: P.Array, momentum: float) -> P.Array:
    kind = wide(old).dtype
    return P.cast(wide(old) * momentum + P.cast(new, kind) * (1 - momentum), old.dtype)
