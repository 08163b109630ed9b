"""Attention."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from onward import program as P
from onward.errors import InvalidArgument
from onward.ir.datatypes import DataType
from onward.ir.expressions import Dimension
from onward.operators.activation.softmax import softmax_over
from onward.operators.numeric import wide
from onward.operators.registry import Context, operator


@operator("Attention", since=23)
def attention(
    q: P.Array,
    k: P.Array,
    v: P.Array,
    mask: P.Array | None = None,
    past_key: P.Array | None = None,
    past_value: P.Array | None = None,
    lengths: P.Array | None = None,
    *,
    context: Context,
    is_causal: int = 0,
    kv_num_heads: int | None = None,
    left_window_size: int = -1,
    q_num_heads: int | None = None,
    qk_matmul_output_mode: int = 0,
    right_window_size: int = -1,
    scale: float | None = None,
    softcap: float = 0.0,
    softmax_precision: int | None = None,
) -> P.Array | tuple[P.Array, ...]:
    """softmax(q k^T * scale + mask) v for each head. ONNX Attention-23, -24 (lengths), -25 (windows).

    q (B, H, S, D), k (B, G, T, D), v (B, G, T, E) with G groups of heads, or packed as (B, S, H * D). A cache is put
    before k and v. Also gives the keys and values with the cache, and the scores at one of four stages.
    Source: Vaswani et al. 2017; groups: Ainslie et al. 2023.
    """
    packed = q.rank == 3
    if packed:
        if not q_num_heads or not kv_num_heads:
            raise InvalidArgument("Attention of tensors with 3 axes needs q_num_heads and kv_num_heads")
        q, k, v = split_heads(q, q_num_heads), split_heads(k, kv_num_heads), split_heads(v, kv_num_heads)
    offset = _offset(past_key, lengths, q.shape[2])
    if past_key is not None and past_value is not None:
        k, v = P.concatenate([past_key, k], 2), P.concatenate([past_value, v], 2)
    raw = scores(q, k, scale)
    capped = P.elementwise(lambda e: softcap * P.tanh(e / softcap), raw) if softcap else raw
    tests = _tests(offset, lengths, left_window_size, 0 if is_causal else right_window_size)
    biased = _masked(capped, mask, tests)
    weights = _weights(biased, softmax_precision, mask is not None or bool(tests))
    result = P.cast(mix(P.cast(weights, q.dtype), v), q.dtype)
    if packed:
        result = join_heads(result)
    if context.outputs == 1:
        return result
    return result, k, v, P.cast((raw, capped, biased, weights)[qk_matmul_output_mode], q.dtype)


def split_heads(x: P.Array, number: int) -> P.Array:
    """(B, S, H * D) as (B, H, S, D)."""
    return P.transpose(P.reshape(x, (*x.shape[:2], number, x.shape[2] // number)), [0, 2, 1, 3])


def join_heads(x: P.Array) -> P.Array:
    """(B, H, S, D) as (B, S, H * D)."""
    rows = P.transpose(x, [0, 2, 1, 3])
    return P.reshape(rows, (*rows.shape[:2], rows.shape[2] * rows.shape[3]))


def scores(q: P.Array, k: P.Array, scale: float | None) -> P.Array:
    """q k^T * scale, (B, H, S, T), in the computing precision; scale is 1 / sqrt(D) by default."""
    q, k = wide(q), wide(k)
    precision = DataType.DOUBLE if DataType.DOUBLE in (q.dtype, k.dtype) else DataType.FLOAT
    q, k = P.cast(q, precision), P.cast(k, precision)
    size = q.shape[3]
    factor = P.scalar(scale, q.dtype) if scale is not None else 1.0 / P.sqrt(P.scalar(size, q.dtype))
    if isinstance(size, int) and scale is None:
        factor = P.scalar(size**-0.5, q.dtype)
    product = _per_head(q, k, k.shape[2], size, lambda other, row, inner: (*other, row, inner))
    return P.elementwise(lambda e: e * factor, product)


def mix(weights: P.Array, v: P.Array) -> P.Array:
    """weights v, (B, H, S, E)."""
    left, right = wide(weights), wide(v)
    precision = DataType.DOUBLE if DataType.DOUBLE in (left.dtype, right.dtype) else DataType.FLOAT
    left, right = P.cast(left, precision), P.cast(right, precision)
    result = _per_head(left, right, v.shape[3], v.shape[2], lambda other, column, inner: (*other, inner, column))
    return P.cast(result, v.dtype)


def _per_head(left: P.Array, right: P.Array, columns: Dimension, depth: Dimension, place: Callable[..., tuple[Dimension, ...]]) -> P.Array:
    """left (B, H, rows, depth) times right, whose element is at `place((batch, group), column, inner)`.

    Where one group serves several heads, these stand on an axis of their own beside the rows.
    """
    batch, heads, rows, _ = left.shape
    groups = right.shape[1]
    if heads == groups:
        return P.reduce(
            "sum",
            (batch, heads, rows, columns),
            (depth,),
            lambda b, h, row, column, inner: left[b, h, row, inner] * right[place((b, h), column, inner)],
        )
    shared = heads // groups
    parts = P.reshape(left, (batch, groups, shared, rows, left.shape[3]))
    result = P.reduce(
        "sum",
        (batch, groups, shared, rows, columns),
        (depth,),
        lambda b, g, h, row, column, inner: parts[b, g, h, row, inner] * right[place((b, g), column, inner)],
    )
    return P.reshape(result, (batch, heads, rows, columns))


Test = Callable[[Dimension, Dimension, Dimension], P.Scalar]
"""(batch, query, key) -> whether the query may see the key"""


def _offset(past: P.Array | None, lengths: P.Array | None, queries: Dimension) -> Callable[[Dimension], P.Scalar]:
    """How many keys stand before the first query of a batch element."""
    if past is None and lengths is not None:
        return lambda batch: P.cast(lengths[batch], DataType.INT64) - P.scalar(queries)
    return lambda batch: P.scalar(0 if past is None else past.shape[2])


def _tests(offset: Callable[[Dimension], P.Scalar], lengths: P.Array | None, left: int, right: int) -> list[Test]:
    tests: list[Test] = []
    if right >= 0:
        tests.append(lambda b, query, key: P.less_equal(P.scalar(key), P.scalar(query + right) + offset(b)))
    if left >= 0:
        tests.append(lambda b, query, key: P.greater_equal(P.scalar(key), P.scalar(query - left) + offset(b)))
    if lengths is not None:
        tests.append(lambda b, query, key: P.less(P.scalar(key), P.cast(lengths[b], DataType.INT64)))
    return tests


def _masked(values: P.Array, mask: P.Array | None, tests: list[Test]) -> P.Array:
    """Minus infinity where a test or a boolean mask fails; other masks are added. A short mask covers the first keys."""
    if mask is None and not tests:
        return values
    nothing = P.scalar(-np.inf, values.dtype)
    if mask is not None and mask.shape[-1] != values.shape[3]:
        missing = [*[0] * (mask.rank - 1), values.shape[3] - mask.shape[-1]]
        mask = P.pad(mask, [0] * mask.rank, missing, False if mask.dtype == DataType.BOOL else -np.inf)

    def element(b: Dimension, h: Dimension, query: Dimension, key: Dimension) -> P.Scalar:
        value = values[b, h, query, key]
        if mask is not None:
            entry = P.broadcast_read(mask, values.shape, (b, h, query, key))
            if mask.dtype == DataType.BOOL:
                value = P.where(entry, value, nothing)
            else:
                value = value + P.cast(entry, values.dtype)
        for test in tests:
            value = P.where(test(b, query, key), value, nothing)
        return value

    return P.compute(values.shape, element)


def _weights(values: P.Array, precision: int | None, may_be_empty: bool) -> P.Array:
    """Softmax over the keys; all zero for a query that sees no key. Never in less than the computing precision."""
    if precision == DataType.DOUBLE:
        values = P.cast(values, DataType.DOUBLE)
    if not may_be_empty:
        return softmax_over(values, [-1])
    greatest = P.max(values, [-1], keepdims=True)
    shift = P.elementwise(lambda e: P.where(P.equal(e, -np.inf), 0.0, e), greatest)
    e = P.exp(values - shift)
    total = P.sum(e, [-1], keepdims=True)
    return e / P.elementwise(lambda t: P.where(P.equal(t, 0.0), 1.0, t), total)
