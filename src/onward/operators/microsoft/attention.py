"""Attention, QAttention, MultiHeadAttention, GroupQueryAttention, PackedAttention, PackedMultiHeadAttention.

All become queries, keys and values with an axis of heads, which `attend` puts together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from onward import program as P
from onward.errors import InvalidArgument, UnsupportedOperator
from onward.ir.datatypes import DataType
from onward.ir.expressions import Dimension
from onward.operators.activation.softmax import softmax_over
from onward.operators.attention.attention import join_heads, mix, scores, split_heads
from onward.operators.attention.rotary_embedding import rotary_embedding
from onward.operators.microsoft.activations import DOMAIN
from onward.operators.microsoft.quantized import matmul_integer_to_float
from onward.operators.normalization.rms_normalization import rms_normalization
from onward.operators.numeric import wide
from onward.operators.registry import operator

Place = tuple[Dimension, Dimension, Dimension, Dimension]
Change = Callable[[P.Scalar, Place], P.Scalar]
"""(score, (batch, head, query, key)) -> score"""

MASKED = -3.4028234663852886e38
"""The score of what causality hides; rows that see nothing at all stay finite."""


def attend(q: P.Array, k: P.Array, v: P.Array, scale: float | None, changes: Sequence[Change] = (), sink: P.Array | None = None) -> P.Array:
    """softmax(q k^T * scale, changed) v, (B, S, H * E). `sink` (H) is a score of each head that has no value."""
    raw = scores(q, k, scale or None)
    if changes:

        def changed(*place: Dimension) -> P.Scalar:
            value = raw[place]
            for change in changes:
                value = change(value, place)  # type: ignore[arg-type]
            return value

        raw = P.compute(raw.shape, changed, raw.dtype)
    if sink is None:
        weights = softmax_over(raw, [-1])
    else:
        level = P.cast(P.reshape(sink, (1, sink.shape[0], 1, 1)), raw.dtype)
        top = P.maximum(P.max(raw, [-1], keepdims=True), level)
        powers = P.exp(raw - top)
        weights = powers / (P.sum(powers, [-1], keepdims=True) + P.exp(level - top))
    return join_heads(mix(P.cast(weights, v.dtype), v))


def causal(before: Dimension, alone: bool) -> Change:
    """Hides the keys after the query, of which `before` stand ahead of the first query.

    Where nothing else hides keys, each row sees one, so that a hidden score may be minus infinity: its weight is 0 either way.
    """
    hidden = -np.inf if alone else MASKED
    return lambda e, p: P.where(P.less_equal(P.scalar(p[3]), P.scalar(p[2] + before)), e, hidden)


def biased(bias: P.Array) -> Change:
    """Adds a bias that broadcasts to (B, H, S, T)."""
    return lambda e, p: e + P.cast(bias[tuple(0 if extent == 1 else place for extent, place in zip(bias.shape, p))], e.dtype)


def masked(mask: P.Array, filler: float, keys: Dimension) -> Change:
    """The masks of onnxruntime: key lengths (B), key ends and starts (2 B), or zeros of (B, T), (B, S, T), (B, 1, M, M)."""

    def flag(p: Place) -> P.Scalar:
        batch, _, query, key = p
        if mask.rank == 2:
            return P.not_equal(mask[batch, key], 0)
        if mask.rank == 3:
            return P.not_equal(mask[batch, query, key], 0)
        return P.not_equal(mask[batch, 0, query, key], 0)

    if mask.rank == 1:
        raise InvalidArgument("masks of one axis are key lengths")
    return lambda e, p: P.where(flag(p), e, e + filler)


def up_to_lengths(lengths: P.Array, batch: Dimension, filler: float) -> Change:
    """Hides the keys from a length on, and (twice as many numbers) those before a start."""
    both = lengths.shape[0] != batch

    def change(e: P.Scalar, p: Place) -> P.Scalar:
        key = P.scalar(p[3])
        seen = P.less(key, P.cast(lengths[p[0]], DataType.INT64))
        if both:
            seen = seen & P.greater_equal(key, P.cast(lengths[p[0] + batch], DataType.INT64))
        return P.where(seen, e, e + filler)

    return change


def _mask_change(mask: P.Array, filler: float, batch: Dimension, keys: Dimension) -> Change:
    return up_to_lengths(mask, batch, filler) if mask.rank == 1 else masked(mask, filler, keys)


@operator("Attention", domain=DOMAIN)
def attention(
    x: P.Array,
    weights: P.Array,
    bias: P.Array | None = None,
    mask: P.Array | None = None,
    past: P.Array | None = None,
    attention_bias: P.Array | None = None,
    past_length: P.Array | None = None,
    *,
    num_heads: int,
    do_rotary: int = 0,
    mask_filter_value: float = -10000.0,
    past_present_share_buffer: int = 0,
    qkv_hidden_sizes: list[int] | None = None,
    rotary_embedding_dim: int = 0,
    scale: float = 0.0,
    unidirectional: int = 0,
) -> tuple[P.Array, P.Array]:
    """Self-attention of x (B, S, I) with one matrix (I, Q + K + V) for queries, keys and values; also keys and values.

    `past` and the second result are (2, B, H, T, D).
    """
    if do_rotary or past_present_share_buffer:
        raise UnsupportedOperator("Attention of com.microsoft with do_rotary or a shared buffer")
    projected = P.matmul(wide(x), wide(weights))
    if bias is not None:
        projected = projected + wide(bias)
    return _self_attention(
        P.cast(projected, x.dtype), mask, past, attention_bias, num_heads, mask_filter_value, qkv_hidden_sizes, scale,
        unidirectional,
    )  # fmt: skip


@operator("QAttention", domain=DOMAIN)
def quantized_attention(
    x: P.Array,
    weights: P.Array,
    bias: P.Array,
    x_scale: P.Array,
    weight_scale: P.Array,
    mask: P.Array | None = None,
    x_zero: P.Array | None = None,
    weight_zero: P.Array | None = None,
    past: P.Array | None = None,
    *,
    num_heads: int,
    do_rotary: int = 0,
    mask_filter_value: float = -10000.0,
    past_present_share_buffer: int = 0,
    scale: float = 0.0,
    unidirectional: int = 0,
) -> tuple[P.Array, P.Array]:
    """Attention whose input and matrix are quantised."""
    if do_rotary or past_present_share_buffer:
        raise UnsupportedOperator("QAttention with do_rotary or a shared buffer")
    projected = matmul_integer_to_float(x, weights, x_scale, weight_scale, x_zero, weight_zero, bias)
    return _self_attention(projected, mask, past, None, num_heads, mask_filter_value, None, scale, unidirectional)


def _self_attention(
    projected: P.Array,
    mask: P.Array | None,
    past: P.Array | None,
    attention_bias: P.Array | None,
    heads: int,
    filler: float,
    sizes: list[int] | None,
    scale: float,
    unidirectional: int,
) -> tuple[P.Array, P.Array]:
    batch, steps, width = projected.shape
    first, second, third = sizes or (width // 3, width // 3, width // 3)
    q, k, v = (split_heads(_columns(projected, start, count), heads) for start, count in ((0, first), (first, second), (first + second, third)))
    before: Dimension = 0
    if past is not None:
        before = past.shape[3]
        k = P.concatenate([P.squeeze_axes(_leading(past, 0), [0]), k], 2)
        v = P.concatenate([P.squeeze_axes(_leading(past, 1), [0]), v], 2)
    changes: list[Change] = []
    if mask is not None:
        changes.append(_mask_change(mask, filler, batch, k.shape[2]))
    if unidirectional:
        changes.append(causal(before, not changes and attention_bias is None))
    if attention_bias is not None:
        changes.append(biased(attention_bias))
    present = P.concatenate([P.expand_axes(k, [0]), P.expand_axes(v, [0])], 0) if first == third else k
    return attend(q, k, v, scale, changes), present


@operator("MultiHeadAttention", domain=DOMAIN)
def multi_head_attention(
    query: P.Array,
    key: P.Array | None = None,
    value: P.Array | None = None,
    bias: P.Array | None = None,
    padding: P.Array | None = None,
    attention_bias: P.Array | None = None,
    past_key: P.Array | None = None,
    past_value: P.Array | None = None,
    past_length: P.Array | None = None,
    indirection: P.Array | None = None,
    *,
    num_heads: int,
    mask_filter_value: float = -10000.0,
    scale: float = 0.0,
    unidirectional: int = 0,
) -> tuple[P.Array, ...]:
    """Attention of projected queries, keys and values; also the keys and values with the cache, (B, H, T, D).

    query (B, S, H * D), or all three as (B, S, H, 3, D); key and value (B, T, H * D) or (B, H, T, D), or both as
    (B, T, H, 2, D). The bias (3 H D) belongs to the three in turn.
    """
    if past_length is not None or indirection is not None:
        raise UnsupportedOperator("MultiHeadAttention with a shared buffer for its cache")
    q, k, v = _separated(query, key, value, num_heads)
    if bias is not None:
        width = num_heads * q.shape[3]
        q, k, v = (_with_bias(item, bias, width * number) for number, item in enumerate((q, k, v)))
    before: Dimension = 0
    if past_key is not None and past_value is not None:
        before = past_key.shape[2]
        k, v = P.concatenate([past_key, k], 2), P.concatenate([past_value, v], 2)
    changes: list[Change] = []
    if padding is not None:
        changes.append(_mask_change(padding, mask_filter_value, q.shape[0], k.shape[2]))
    if unidirectional:
        changes.append(causal(before, not changes and attention_bias is None))
    if attention_bias is not None:
        changes.append(biased(attention_bias))
    return attend(q, k, v, scale, changes), k, v


def _separated(query: P.Array, key: P.Array | None, value: P.Array | None, heads: int) -> tuple[P.Array, P.Array, P.Array]:
    """Queries, keys and values with an axis of heads, whatever they are packed in."""
    if query.rank == 5:
        return _part(query, 0), _part(query, 1), _part(query, 2)
    q = split_heads(query, heads)
    if key is not None and key.rank == 5:
        return q, _part(key, 0), _part(key, 1)
    if key is None or value is None:
        raise InvalidArgument("MultiHeadAttention needs a key and a value unless the query holds them")
    if key.rank == 4:
        return q, key, value
    return q, split_heads(key, heads), split_heads(value, heads)


@operator("GroupQueryAttention", domain=DOMAIN)
def group_query_attention(
    query: P.Array,
    key: P.Array | None,
    value: P.Array | None,
    past_key: P.Array | None,
    past_value: P.Array | None,
    last: P.Array,
    total: P.Array,
    cosines: P.Array | None = None,
    sines: P.Array | None = None,
    positions: P.Array | None = None,
    attention_bias: P.Array | None = None,
    sink: P.Array | None = None,
    key_scale: P.Array | None = None,
    value_scale: P.Array | None = None,
    query_norm: P.Array | None = None,
    key_norm: P.Array | None = None,
    query_lengths: P.Array | None = None,
    *,
    kv_num_heads: int,
    num_heads: int,
    causal: int = 1,
    do_rotary: int = 0,
    local_window_size: int = -1,
    qk_norm_epsilon: float = 1e-6,
    rotary_interleaved: int = 0,
    scale: float = 0.0,
    smooth_softmax: int = -1,
    softcap: float = 0.0,
) -> tuple[P.Array, P.Array, P.Array]:
    """Causal attention with groups of heads and a cache; also the keys and values with the cache, (B, G, T, D).

    query (B, S, H * D), or with keys and values behind it (B, S, (H + 2 G) * D). `last` (B) is the position of each
    sequence's last token, `total` the greatest number of tokens. T is the greater one of that and the cache's length.
    `query_norm` and `key_norm` (D) are weights of an RMS normalization of each head.
    """
    if key_scale is not None or value_scale is not None or query_lengths is not None:
        raise UnsupportedOperator("GroupQueryAttention with a quantised cache or with packed queries")
    batch, steps = query.shape[:2]
    q, k, v = _grouped(query, key, value, num_heads, kv_num_heads)
    if query_norm is not None and key_norm is not None:
        q = rms_normalization(q, query_norm, epsilon=qk_norm_epsilon)
        k = rms_normalization(k, key_norm, epsilon=qk_norm_epsilon)
    longest = P.cast(P.reshape(total, ()), DataType.INT64).item()

    def before(b: Dimension) -> P.Scalar:
        """How many tokens of the cache a sequence has; none when the queries are all there is."""
        cached = P.cast(last[b], DataType.INT64) + 1 - P.scalar(steps)
        return P.where(P.equal(longest, P.scalar(steps)), P.scalar(0), cached)

    start = P.compute((batch,), before, DataType.INT64)
    if do_rotary and cosines is not None and sines is not None:
        places = positions
        if places is None:
            places = P.compute((batch, steps), lambda b, s: start[b] + P.scalar(s), DataType.INT64)
        width = cosines.shape[1] * 2
        part = width if isinstance(width, int) and width != q.shape[3] else 0
        q, k = (rotary_embedding(item, cosines, sines, places, interleaved=rotary_interleaved, rotary_embedding_dim=part) for item in (q, k))
    keys, values = k, v
    if past_key is not None and past_value is not None and past_key.shape[2] != 0:
        (extent,) = P.dimensions(P.reshape(P.compute((), lambda: P.maximum(longest, P.scalar(past_key.shape[2]))), (1,)))
        k, v = _appended(past_key, k, start, extent), _appended(past_value, v, start, extent)
        keys, values = (_first_keys(item, longest) for item in (k, v))

    def seen(e: P.Scalar, p: Place) -> P.Scalar:
        position, place = start[p[0]] + P.scalar(p[2]), P.scalar(p[3])
        visible = P.less_equal(place, position) if causal else P.less(place, start[p[0]] + P.scalar(steps))
        if local_window_size > 0:
            visible = visible & P.greater(place, position - local_window_size)
        return P.where(visible, e, MASKED)

    changes: list[Change] = []
    if softcap:
        changes.append(lambda e, p: softcap * P.tanh(e / softcap))
    if attention_bias is not None:
        changes.append(biased(attention_bias))
    changes.append(seen)
    if smooth_softmax > 0 and sink is None:
        sink = P.full((num_heads,), 0, q.dtype)
    return attend(q, keys, values, scale, changes, sink), k, v


def _grouped(query: P.Array, key: P.Array | None, value: P.Array | None, heads: int, groups: int) -> tuple[P.Array, P.Array, P.Array]:
    if key is not None and value is not None:
        return split_heads(query, heads), split_heads(key, groups), split_heads(value, groups)
    size = query.shape[2] // (heads + 2 * groups)
    parts = ((0, heads), (heads, groups), (heads + groups, groups))
    q, k, v = (split_heads(_columns(query, first * size, number * size), number) for first, number in parts)
    return q, k, v


def _first_keys(x: P.Array, count: P.Scalar) -> P.Array:
    """(B, G, T, D) up to the key of that number, so that a cache that is not full is not read to its end; one key at least."""
    place = P.minimum(P.maximum(count, 1), P.scalar(x.shape[2]))
    (kept,) = P.dimensions(P.reshape(P.compute((), lambda: place), (1,)))
    return P.slice(x, [0] * 4, (*x.shape[:2], kept, x.shape[3]))


def _appended(past: P.Array, new: P.Array, start: P.Array, extent: Dimension) -> P.Array:
    """The new elements behind the `start` first ones of each sequence's cache, `extent` in all."""

    def element(b: Dimension, g: Dimension, t: Dimension, d: Dimension) -> P.Scalar:
        place, first = P.scalar(t), start[b]
        fresh = P.greater_equal(place, first) & P.less(place, first + P.scalar(new.shape[2]))
        inside = P.less(place, P.scalar(past.shape[2]))
        cached = P.where(inside, past[b, g, t, d], P.scalar(0, past.dtype))
        return P.where(fresh, new[b, g, place - first, d], cached)

    return P.compute((*past.shape[:2], extent, past.shape[3]), element)


@operator("PackedAttention", domain=DOMAIN)
def packed_attention(
    x: P.Array,
    weights: P.Array,
    bias: P.Array,
    token_offset: P.Array,
    boundaries: P.Array,
    attention_bias: P.Array | None = None,
    *,
    num_heads: int,
    qkv_hidden_sizes: list[int] | None = None,
    scale: float = 0.0,
) -> P.Array:
    """Self-attention of tokens (N, I) of several sequences without padding; sequence b ends at boundaries[b + 1]."""
    projected = P.matmul(wide(x), wide(weights)) + wide(bias)
    width = projected.shape[1]
    sizes = qkv_hidden_sizes or (width // 3, width // 3, width // 3)
    starts = (0, sizes[0], sizes[0] + sizes[1])
    rows = P.expand_axes(P.cast(projected, x.dtype), [0])
    q, k, v = (split_heads(_columns(rows, start, size), num_heads) for start, size in zip(starts, sizes))
    return _packed(q, k, v, boundaries, token_offset, attention_bias, scale)


@operator("PackedMultiHeadAttention", domain=DOMAIN)
def packed_multi_head_attention(
    query: P.Array,
    key: P.Array | None,
    value: P.Array | None,
    bias: P.Array | None,
    token_offset: P.Array,
    boundaries: P.Array,
    attention_bias: P.Array | None = None,
    *,
    num_heads: int,
    mask_filter_value: float = -10000.0,
    scale: float = 0.0,
) -> P.Array:
    """Attention of projected tokens (N, H * D) of several sequences without padding, or packed as (N, H, 3, D)."""
    rows = P.expand_axes(query, [0])
    if rows.rank == 5:
        q, k, v = (_part(rows, number) for number in range(3))
    elif key is None or value is None:
        raise InvalidArgument("PackedMultiHeadAttention needs a key and a value unless the query holds them")
    else:
        q, k, v = (split_heads(P.expand_axes(item, [0]), num_heads) for item in (query, key, value))
    if bias is not None:
        width = num_heads * q.shape[3]
        q, k, v = (_with_bias(item, bias, width * number) for number, item in enumerate((q, k, v)))
    return _packed(q, k, v, boundaries, token_offset, attention_bias, scale)


def _packed(q: P.Array, k: P.Array, v: P.Array, boundaries: P.Array, offsets: P.Array, bias: P.Array | None, scale: float) -> P.Array:
    """Tokens see those of their own sequence alone. The bias is that of padded sequences, (B or 1, H, S, S)."""
    tokens, padded = q.shape[2], offsets.shape[1]

    def owner(token: Dimension) -> P.Scalar:
        """The sequence of a token: how many sequences end at it or before."""
        return counts[token]

    counts = P.reduce(
        "sum",
        (tokens,),
        (boundaries.shape[0] - 1,),
        lambda t, b: P.cast(P.less_equal(P.cast(boundaries[b + 1], DataType.INT64), P.scalar(t)), DataType.INT64),
    )
    flat = P.reshape(offsets, (offsets.shape[0] * offsets.shape[1],))

    def change(e: P.Scalar, p: Place) -> P.Scalar:
        if bias is not None:
            row, column = P.index(P.cast(flat[p[2]], DataType.INT64)), P.index(P.cast(flat[p[3]], DataType.INT64))
            batch = 0 if bias.shape[0] == 1 else row // padded
            e = e + P.cast(bias[batch, p[1], row % padded, column % padded], e.dtype)
        return P.where(P.equal(owner(p[2]), owner(p[3])), e, MASKED)

    return P.squeeze_axes(attend(q, k, v, scale, [change]), [0])


@operator("RotaryEmbedding", domain=DOMAIN)
def rotary(
    x: P.Array,
    positions: P.Array,
    cosines: P.Array,
    sines: P.Array,
    *,
    interleaved: int = 0,
    is_packed_batching: int = 0,
    num_heads: int = 0,
    rotary_embedding_dim: int = 0,
    scale: float = 1.0,
) -> P.Array:
    """RotaryEmbedding of the standard; `positions` may be the position of the first step alone."""
    steps = x.shape[1] if x.rank == 3 else x.shape[2]
    if positions.rank == 1:
        first = P.cast(positions, DataType.INT64)
        positions = P.compute((x.shape[0], steps), lambda b, s: first[0] + P.scalar(s), DataType.INT64)
    if x.rank == 3 and not num_heads:
        num_heads = x.shape[2] // (cosines.shape[1] * 2)  # type: ignore[assignment]
    return rotary_embedding(
        x,
        cosines,
        sines,
        positions,
        interleaved=interleaved,
        num_heads=num_heads,
        rotary_embedding_dim=rotary_embedding_dim,
    )


@operator("GemmaRotaryEmbedding", domain=DOMAIN)
def gemma_rotary_embedding(angles: P.Array, q: P.Array, q_turned: P.Array, k: P.Array, k_turned: P.Array) -> tuple[P.Array, P.Array]:
    """q cos + q_turned sin and the same for k; angles (B, S, D), the others (B, H, S, D)."""
    wanted = P.expand_axes(angles, [1])
    cosine, sine = P.cast(P.cos(wanted), q.dtype), P.cast(P.sin(wanted), q.dtype)
    return q * cosine + q_turned * sine, k * cosine + k_turned * sine


def _columns(x: P.Array, start: Dimension, count: Dimension) -> P.Array:
    """`count` columns of the last axis from `start` on."""
    return P.compute((*x.shape[:-1], count), lambda *i: x[(*i[:-1], i[-1] + start)])


def _leading(x: P.Array, place: int) -> P.Array:
    return P.compute((1, *x.shape[1:]), lambda *i: x[(place, *i[1:])])


def _part(packed: P.Array, number: int) -> P.Array:
    """(B, S, H, n, D) -> (B, H, S, D)."""
    batch, steps, heads, _, size = packed.shape
    return P.compute((batch, heads, steps, size), lambda b, h, s, d: packed[b, s, h, number, d])


def _with_bias(x: P.Array, bias: P.Array, start: Dimension) -> P.Array:
    size = x.shape[3]
    return P.compute(x.shape, lambda b, h, s, d: x[b, h, s, d] + bias[start + h * size + d])
