"""LinearAttention."""

from __future__ import annotations

from onward import program as P
from onward.errors import InvalidArgument, UnsupportedOperator
from onward.operators.attention.attention import join_heads, split_heads
from onward.operators.numeric import wide
from onward.operators.registry import operator

RULES = ("linear", "gated", "delta", "gated_delta")
MOST_STEPS = 4096
"""Longer sequences are not unrolled."""


@operator("LinearAttention", since=27)
def linear_attention(
    query: P.Array,
    key: P.Array,
    value: P.Array,
    past: P.Array | None = None,
    decay: P.Array | None = None,
    beta: P.Array | None = None,
    *,
    kv_num_heads: int,
    q_num_heads: int,
    chunk_size: int = 64,
    scale: float = 0.0,
    update_rule: str = "gated_delta",
) -> tuple[P.Array, P.Array]:
    """Attention by a state (B, G, D, E) that each step decays and adds key times value to; output query times state.

    ONNX LinearAttention-27; Katharopoulos et al. 2020, delta rule: Yang et al. 2024. Inputs are (B, T, heads * size);
    also gives the last state. Steps are written out one after another.
    """
    if update_rule not in RULES or ("gated" in update_rule) != (decay is not None) or (
        "delta" in update_rule
    ) != (beta is not None):
        raise InvalidArgument(f"the rule '{update_rule}' (one of {', '.join(RULES)}) does not fit the inputs decay and beta")
    length = query.shape[1]
    if not isinstance(length, int) or not 1 <= length <= MOST_STEPS:
        raise UnsupportedOperator(f"LinearAttention over {length} steps: the number must be known, up to {MOST_STEPS}")
    dtype = query.dtype
    q = split_heads(wide(query), q_num_heads)
    k, v = (split_heads(wide(item), kv_num_heads) for item in (key, value))
    factor = P.scalar(scale, q.dtype) if scale else 1.0 / P.sqrt(P.scalar(q.shape[3], q.dtype))
    state = P.full((q.shape[0], kv_num_heads, k.shape[3], v.shape[3]), 0.0, q.dtype) if past is None else wide(past)
    gates = None if decay is None else P.exp(_per_key(wide(decay), kv_num_heads, k.shape[3]))
    rates = None if beta is None else wide(beta)
    outputs = []
    for step in range(length):
        state = _next_state(state, k, v, gates, rates, step)
        outputs.append(P.expand_axes(_read(state, q, step, factor), [2]))
    result = P.cast(join_heads(P.concatenate(outputs, 2)), dtype)
    return result, P.cast(state, dtype if past is None else past.dtype)


def _per_key(decay: P.Array, heads: int, size: P.Dimension) -> P.Array:
    """(B, T, heads) or (B, T, heads * size) as (B, heads, T, size)."""
    shape = (decay.shape[0], heads, decay.shape[1], size)
    if decay.shape[2] == heads:
        return P.compute(shape, lambda b, h, t, d: decay[b, t, h])
    return P.compute(shape, lambda b, h, t, d: decay[b, t, h * size + d])


def _next_state(
    state: P.Array, k: P.Array, v: P.Array, gates: P.Array | None, rates: P.Array | None, step: int
) -> P.Array:
    if gates is not None:
        old, rate = state, gates
        state = P.compute(old.shape, lambda b, h, d, e: old[b, h, d, e] * rate[b, h, step, d])
    decayed = state
    added = P.compute((*v.shape[:2], v.shape[3]), lambda b, h, e: v[b, h, step, e])
    if rates is not None:
        weights, given = rates, added
        recalled = P.reduce(
            "sum", given.shape, (k.shape[3],), lambda b, h, e, d: decayed[b, h, d, e] * k[b, h, step, d]
        )

        def corrected(b: P.Dimension, h: P.Dimension, e: P.Dimension) -> P.Scalar:
            weight = weights[b, step, 0 if weights.shape[2] == 1 else h]
            return weight * (given[b, h, e] - recalled[b, h, e])

        added = P.compute(given.shape, corrected)
    return P.compute(decayed.shape, lambda b, h, d, e: decayed[b, h, d, e] + k[b, h, step, d] * added[b, h, e])


def _read(state: P.Array, q: P.Array, step: int, factor: P.Scalar) -> P.Array:
    """query times state for each head, (B, H, E). Heads share states in equal groups."""
    shared = q.shape[1] // state.shape[1]
    shape = (q.shape[0], q.shape[1], state.shape[3])
    total = P.reduce("sum", shape, (q.shape[3],), lambda b, h, e, d: q[b, h, step, d] * state[b, h // shared, d, e])
    return P.elementwise(lambda value: value * factor, total)
