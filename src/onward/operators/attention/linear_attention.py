"""LinearAttention."""

from __future__ import annotations

from collections.abc import Sequence

from onward import program as P
from onward.errors import InvalidArgument
from onward.operators.attention.attention import join_heads, split_heads
from onward.operators.numeric import wide
from onward.operators.registry import operator

RULES = ("linear", "gated", "delta", "gated_delta")


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
    """
    if update_rule not in RULES or ("gated" in update_rule) != (decay is not None) or ("delta" in update_rule) != (beta is not None):
        raise InvalidArgument(f"the rule '{update_rule}' (one of {', '.join(RULES)}) does not fit the inputs decay and beta")
    dtype = query.dtype
    q = split_heads(wide(query), q_num_heads)
    k, v = (split_heads(wide(item), kv_num_heads) for item in (key, value))
    factor = P.scalar(scale, q.dtype) if scale else 1.0 / P.sqrt(P.scalar(q.shape[3], q.dtype))
    state = P.full((q.shape[0], kv_num_heads, k.shape[3], v.shape[3]), 0.0, q.dtype) if past is None else wide(past)
    sequences = [P.transpose(item, [2, 0, 1, 3]) for item in (q, k, v)]
    if decay is not None:
        sequences.append(P.exp(_per_key(wide(decay), kv_num_heads, k.shape[3])))
    if beta is not None:
        sequences.append(P.transpose(wide(beta), [1, 0, 2]))

    def step(_: P.Scalar, states: Sequence[P.Array], slices: Sequence[P.Array]) -> tuple[Sequence[P.Array], Sequence[P.Array]]:
        now, keys, values, *rest = slices
        gates = rest.pop(0) if decay is not None else None
        following = _next_state(states[0], keys, values, gates, rest[0] if rest else None)
        return [following], [_read(following, now, factor)]

    (last,), (outputs,) = P.recurrence(step, [state], sequences, query.shape[1])
    result = P.cast(join_heads(P.transpose(outputs, [1, 2, 0, 3])), dtype)
    return result, P.cast(last, dtype if past is None else past.dtype)


def _per_key(decay: P.Array, heads: int, size: P.Dimension) -> P.Array:
    """(B, T, heads) or (B, T, heads * size) as (T, B, heads, size)."""
    shape = (decay.shape[1], decay.shape[0], heads, size)
    if decay.shape[2] == heads:
        return P.compute(shape, lambda t, b, h, d: decay[b, t, h])
    return P.compute(shape, lambda t, b, h, d: decay[b, t, h * size + d])


def _next_state(state: P.Array, k: P.Array, v: P.Array, gates: P.Array | None, rates: P.Array | None) -> P.Array:
    """The state (B, G, D, E) after a step with k (B, G, D), v (B, G, E), gates (B, G, D) and rates (B, 1 or G)."""
    if gates is not None:
        old, rate = state, gates
        state = P.compute(old.shape, lambda b, h, d, e: old[b, h, d, e] * rate[b, h, d])
    decayed, added = state, v
    if rates is not None:
        weights = rates
        recalled = P.reduce("sum", v.shape, (k.shape[2],), lambda b, h, e, d: decayed[b, h, d, e] * k[b, h, d])

        def corrected(b: P.Dimension, h: P.Dimension, e: P.Dimension) -> P.Scalar:
            return weights[b, 0 if weights.shape[1] == 1 else h] * (v[b, h, e] - recalled[b, h, e])

        added = P.compute(v.shape, corrected)
    return P.compute(decayed.shape, lambda b, h, d, e: decayed[b, h, d, e] + k[b, h, d] * added[b, h, e])


def _read(state: P.Array, q: P.Array, factor: P.Scalar) -> P.Array:
    """query times state for each head, (B, H, E). Heads share states in equal groups."""
    shared = q.shape[1] // state.shape[1]
    shape = (q.shape[0], q.shape[1], state.shape[3])
    total = P.reduce("sum", shape, (q.shape[2],), lambda b, h, e, d: q[b, h, d] * state[b, h // shared, d, e])
    return P.elementwise(lambda value: value * factor, total)
