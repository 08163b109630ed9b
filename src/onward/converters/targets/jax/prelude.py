"""Imports and functions that a generated JAX module contains, word for word, where its program needs them."""
# mypy: disable-error-code="no-untyped-def,var-annotated"

from itertools import product
from pathlib import Path  # noqa: F401

import jax
import jax.numpy as jnp
import numpy as np

from onward.converters.targets.numpy.prelude import non_max_suppression  # noqa: F401


def tree(weights):
    """Arrays by the parts of their names: {"layer.weight": x} becomes {"layer": {"weight": x}}."""
    root = {}
    for name, array in weights.items():
        *scopes, last = name.split(".")
        place = root
        for scope in scopes:
            place = place.setdefault(scope, {})
        place[last] = array
    return root


def require_double_precision():
    """The model has float64 in its inputs, outputs or weights, which JAX shortens by default."""
    if not jax.config.jax_enable_x64:
        raise RuntimeError("this model computes in float64: set jax.config.update('jax_enable_x64', True) before")


def nearest(value):
    """A whole number of 64 bits; where JAX has 32, the nearest of these."""
    bits = 63 if jax.config.jax_enable_x64 else 31
    return max(-(2**bits), min(value, 2**bits - 1))


def unpacked(weights, types):
    """Weights whose type a file cannot hold have it again."""
    return {name: array.view(jnp.dtype(types[name])) if name in types else array for name, array in weights.items()}


def sizes(vector):
    """The elements as whole numbers, or as traced ones where they are not known yet."""
    return list(vector) if isinstance(vector, jax.core.Tracer) else np.asarray(vector).tolist()


def integer_divide(left, right):
    """Division of whole numbers, towards zero; 0 where the divisor is 0."""
    safe = jnp.where(right == 0, 1, right)
    return jnp.where(right == 0, 0, jax.lax.div(*jnp.broadcast_arrays(left, safe)))


def integer_remainder(left, right):
    """The remainder with the sign of the divisor; 0 where that is 0."""
    return jnp.where(right == 0, 0, jnp.mod(left, jnp.where(right == 0, 1, right)))


def truncated_remainder(left, right):
    """The remainder of whole numbers with the sign of the dividend; 0 where the divisor is 0."""
    return jnp.where(right == 0, 0, jnp.fmod(left, jnp.where(right == 0, 1, right)))


def integer_power(base, exponent):
    """A power of whole numbers; 0 for negative exponents."""
    return jnp.where(exponent < 0, 0, jnp.power(base, jnp.maximum(exponent, 0)))


def saturated(value, dtype):
    """Conversion to a small float; what is too large becomes the largest."""
    limit = float(jnp.finfo(dtype).max)
    wide = value.astype(jnp.float32)
    return jnp.where(jnp.isnan(wide), wide, jnp.clip(wide, -limit, limit)).astype(dtype)


def bit_cast(value, dtype):
    """The same bits as elements of another type of the same width."""
    return jnp.asarray(value).view(dtype)


def windows(value, lengths, axes):
    """All windows along axes: their places stay on these axes, what is in them comes last."""
    for axis, length in zip(axes, lengths):
        places = jnp.arange(value.shape[axis] - length + 1)[:, None] + jnp.arange(length)
        value = jnp.moveaxis(jnp.take(value, places, axis), axis + 1, -1)
    return value


def transposed_convolution(x, w, strides, padding, dilations, group, axes):
    """x (N, ..., C) spread by the strides, with filters w (..., M / group, C) turned round and slid over it; `axes` are the letters of both and of the result."""
    *window, count, channels = w.shape
    filters = jnp.flip(w.reshape(*window, count, group, channels // group), range(len(window)))
    filters = jnp.moveaxis(filters, -1, -3).swapaxes(-1, -2).reshape(*window, channels // group, group * count)
    ones = (1,) * len(strides)
    padding = [(low, high - (step - 1 if size == 0 else 0)) for (low, high), step, size in zip(padding, strides, x.shape[1:])]  # nothing has -1 gaps
    return jax.lax.conv_general_dilated(x, filters, ones, padding, strides, dilations, axes, feature_group_count=group)


def depthwise_convolution(x, w, strides, padding, dilations):
    """x (N, ..., C) with a filter of w for each channel: a sum of windows of x, which XLA fuses. Its convolutions take a CPU twenty to fifty times as long."""
    w = w.reshape(*w.shape[: len(strides)], x.shape[-1])
    x = jax.lax.pad(x, np.zeros((), x.dtype), [(0, 0, 0), *((*amounts, 0) for amounts in padding), (0, 0, 0)])
    spans = [(extent - 1) * dilation + 1 for extent, dilation in zip(w.shape, dilations)]
    last = [(extent - span) // step * step + 1 for extent, span, step in zip(x.shape[1:], spans, strides)]
    total = 0
    for place in product(*map(range, w.shape[:-1])):
        starts = [at * dilation for at, dilation in zip(place, dilations)]
        total = total + x[(slice(None), *(slice(start, start + end, step) for start, end, step in zip(starts, last, strides)))] * w[place]
    return total


def grouped_product(x, w, group):
    """x (..., C) and w (C / group, M): each group of channels by its columns of w, which XLA computes faster on a CPU than a convolution."""
    return jnp.concatenate([part @ columns for part, columns in zip(jnp.split(x, group, -1), jnp.split(w, group, -1))], -1)


def channel_shuffle(x, groups):
    """The first channel of each group of x (..., C), then the second of each: groups side by side, which XLA writes faster on a CPU than a transposition."""
    parts = x.reshape(*x.shape[:-1], groups, -1)
    return jnp.stack([parts[..., group, :] for group in range(groups)], -1).reshape(x.shape)


def average_pool(x, margins, shape, strides, padding, window_dilation=None):
    """The mean of each window; of what is around the axes between samples and channels, the `margins` count as elements, too."""
    dilation = window_dilation or (1,) * x.ndim
    total = jax.lax.reduce_window(x, np.zeros((), x.dtype), jax.lax.add, shape, strides, padding, window_dilation=dilation)
    number = jnp.ones((), int)
    for axis, (before, after) in enumerate(margins, 1):
        places = jnp.arange(total.shape[axis])[:, None] * strides[axis] + jnp.arange(shape[axis]) * dilation[axis] - padding[axis][0]
        number = number[..., None] * jnp.sum((places >= -before) & (places < x.shape[axis] + after), axis=1)
    return total / number[..., None].astype(x.dtype)


def batch_normalization(x, scale, bias, mean, variance, epsilon):
    """x (N, ..., C) by the moments of its channels."""
    factor = scale / jnp.sqrt(variance + epsilon)
    return x * factor + (bias - mean * factor)


def cumulative(value, operation, axis, exclusive, reverse):
    """Running sum or product along an axis, from the end if `reverse`, without the element itself if `exclusive`."""
    data = jnp.flip(value, axis) if reverse else value
    result = (jnp.cumsum if operation == "sum" else jnp.cumprod)(data, axis, dtype=value.dtype)
    if exclusive:
        first = jnp.full_like(jax.lax.slice_in_dim(result, 0, 1, axis=axis), 0 if operation == "sum" else 1)
        result = jnp.concatenate([first, jax.lax.slice_in_dim(result, 0, result.shape[axis] - 1, axis=axis)], axis)
    return jnp.flip(result, axis) if reverse else result


def top_k(value, count, largest):
    """The `count` first elements of the last axis in order, and their places; equal elements keep their order."""
    if largest:
        order = value.shape[-1] - 1 - jnp.flip(jnp.argsort(jnp.flip(value, -1), -1, stable=True), -1)
    else:
        order = jnp.argsort(value, -1, stable=True)
    order = order[..., :count].astype(int)
    return jnp.take_along_axis(value, order, -1), order


def scatter(data, rows, updates, reduction):
    """`data` with each update in its row, or combined with it by a reduction."""
    return getattr(jnp.asarray(data).at[rows], "set" if reduction == "none" else reduction)(updates)


def non_zero(value):
    """The places of elements that are not 0, one column each. How many there are must be known: not under jit."""
    return jnp.stack(jnp.nonzero(value)).astype(int) if value.ndim else jnp.zeros((0, int(value != 0)), int)


def tree_ensemble(x, feature, low, high, yes, no, missing, roots, values, targets, depth, start, combination):
    """Sums (or combines by "min", "max") the leaves that each row comes to: at a node it goes to `yes` where the feature lies in [low, high]."""
    feature, yes, no, missing, low, high, values = map(jnp.asarray, (feature, yes, no, missing, low, high, values))
    place = jnp.broadcast_to(roots, (len(x), len(roots)))
    for _ in range(depth):
        element = jnp.take_along_axis(x, feature[place].astype(int), 1)
        holds = (element >= low[place]) & (element <= high[place]) | jnp.isnan(element) & missing[place]
        place = jnp.where(holds, yes[place], no[place])
    result = jnp.repeat(jnp.asarray(start)[None], len(x), 0)
    name = {"sum": "add", "min": "min", "max": "max"}[combination]
    for number in range(len(roots)):
        columns = slice(None) if targets is None else slice(targets[number], targets[number] + 1)
        result = getattr(result.at[:, columns], name)(values[place[:, number]])
    return result


def recurrence(step, states, length, backwards, condition, collected):
    """Takes steps: states -> states and rows, which are collected (the shape and type of one row is given); a state may be the condition to go on.

    A loop of no known length, and one of very many steps that a condition ends, has no gradient.
    """
    states = tuple(map(jnp.asarray, states))

    def turn(states, place):
        new, rows = step(place, *states)
        kept = (jnp.asarray(item, state.dtype) for item, state in zip(new, states))
        return tuple(kept), tuple(jnp.asarray(row, kind) for row, (_, kind) in zip(rows, collected))

    def rest(states, place):
        return states, tuple(jnp.zeros(shape, kind) for shape, kind in collected)

    def turn_while(states, place):
        return jax.lax.cond(states[condition], turn, rest, states, place)

    if not isinstance(length, jax.Array) and (condition is None or length <= 4096):
        states, rows = jax.lax.scan(turn if condition is None else turn_while, states, jnp.arange(length), reverse=backwards)
        return *states, *rows
    if collected:
        raise TypeError("how many rows a loop collects must be known: not under jit")
    _, states = jax.lax.while_loop(
        lambda carry: (carry[0] < length) & (True if condition is None else carry[1][condition]),
        lambda carry: (carry[0] + 1, turn(carry[1], length - 1 - carry[0] if backwards else carry[0])[0]),
        (jnp.asarray(0, int), states),
    )
    return states
