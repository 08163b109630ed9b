"""Attention: of whole rows, and of several heads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from onward.converters.keras.emitter import Emitter, Tensor
from onward.converters.keras.layers.activations import masked_softmax
from onward.converters.keras.registry import kind_of, layer, operate
from onward.converters.keras.walk import Walk
from onward.errors import UnsupportedOperator
from onward.ir import Value


@layer("Attention", "AdditiveAttention")
def attention(w: Walk, owner: Any, inputs: Sequence[Tensor], mask: Any = None, return_attention_scores: bool = False, use_causal_mask: bool = False) -> Any:
    c, (query, value) = w.c, inputs[:2]
    key = inputs[2] if len(inputs) > 2 else value
    query_mask, value_mask = (c.tensor(item, "bool") if item is not None else None for item in (mask[:2] if mask else (None, None)))
    scores = c.described(_scores(c, owner, query, key))
    seen = None if value_mask is None else c.unsqueeze(value_mask, 1)
    if use_causal_mask:
        seen = _both(c, seen, c.unsqueeze(_before_or_at(c, query, key), 0))
    if seen is not None:
        hidden = c.op("Sub", scores, c.number(65504.0 if scores.dtype == "float16" else 1e9, scores.dtype))
        scores = c.described(c.op("Where", seen, scores, hidden))
    weights = operate(c, "Softmax", scores, axis=-1)
    found = c.op("MatMul", weights, value)
    if query_mask is not None:
        found = c.op("Where", c.unsqueeze(query_mask, 2), found, c.number(0, value.dtype))
    return [found, weights] if return_attention_scores else found


def _scores(c: Emitter, owner: Any, query: Tensor, key: Tensor) -> Any:
    scale = None if owner.scale is None else c.tensor(owner.scale, query.dtype)
    additive = kind_of(owner) == "AdditiveAttention"
    if not additive and owner.score_mode == "dot":
        found = c.op("MatMul", query, c.op("Transpose", key, perm=[0, 2, 1]))
        return found if scale is None else c.op("Mul", found, scale)
    sums = c.op("Add", c.unsqueeze(query, 2), c.unsqueeze(key, 1))
    if not additive:
        sums = sums if scale is None else c.op("Mul", sums, scale)
        total = c.op("ReduceSum", c.op("Tanh", sums), c.integers([-1]), keepdims=0)
        return c.op("Mul", total, c.tensor(owner.concat_score_weight, query.dtype))
    bent = c.op("Tanh", sums)
    return c.op("ReduceSum", bent if scale is None else c.op("Mul", bent, scale), c.integers([-1]), keepdims=0)


def _positions(c: Emitter, x: Tensor) -> Value:
    """The numbers of the steps."""
    steps = c.squeeze(c.op("Slice", c.op("Shape", x), c.integers([1]), c.integers([2])), 0)
    value: Value = c.op("Range", c.number(0, "int64"), steps, c.number(1, "int64"))
    return value


def _before_or_at(c: Emitter, query: Tensor, key: Tensor) -> Value:
    """(steps of the query, steps of the key): what each step may see."""
    value: Value = c.op("GreaterOrEqual", c.unsqueeze(_positions(c, query), 1), _positions(c, key))
    return value


def _both(c: Emitter, one: Any, other: Any) -> Any:
    return one if other is None else other if one is None else c.op("And", one, other)


def _setting(owner: Any, name: str) -> Any:
    """Of a configuration that MultiHeadAttention keeps to itself, and GroupedQueryAttention does not."""
    return getattr(owner, f"_{name}", getattr(owner, name, None))


@layer("MultiHeadAttention", "GroupedQueryAttention")
def attention_of_heads(
    w: Walk, owner: Any, query: Tensor, value: Tensor, key: Any = None, query_mask: Any = None, value_mask: Any = None, key_mask: Any = None,
    attention_mask: Any = None, return_attention_scores: bool = False, use_causal_mask: bool = False,
) -> Any:  # fmt: skip
    c = w.c
    key = value if key is None else key
    if query.rank != 3:
        raise UnsupportedOperator("attention over several axes")
    given = _mask(c, query, query_mask, value_mask, key_mask, attention_mask)
    window = _setting(owner, "sliding_window")
    if window is not None:
        gap = c.op("Abs", c.op("Sub", c.unsqueeze(_positions(c, query), 1), _positions(c, value)))
        given = _both(c, given, c.unsqueeze(c.op("Less", gap, c.number(window, "int64")), 0))
    mask, causal = given, use_causal_mask and given is None and not return_attention_scores
    if use_causal_mask and not causal:
        mask = _both(c, given, c.unsqueeze(_before_or_at(c, query, value), 0))
    heads = [w.c.described(w.layer(dense, [item], {})) for dense, item in ((owner._query_dense, query), (owner._key_dense, key), (owner._value_dense, value))]
    if kind_of(owner) != "MultiHeadAttention":
        times = owner.num_query_heads // owner.num_key_value_heads
        heads[1:] = [operate(c, "Repeat", item, repeats=times, axis=2) for item in heads[1:]]
    if mask is not None and c.described(mask).rank == 3:
        mask = c.unsqueeze(mask, 1)
    plain = return_attention_scores or given is not None and owner.dropout > 0  # as Keras computes them, rows that are masked whole differ
    found, scores = _weighted(c, heads, mask) if plain else (_fused(c, heads, mask, causal), None)
    if _setting(owner, "use_gate"):
        found = c.op("Mul", found, w.layer(owner._gate_dense, [query], {}))
    result = w.layer(owner._output_dense, [c.described(found)], {})
    return [result, scores] if return_attention_scores else result


def _mask(c: Emitter, query: Tensor, query_mask: Any, value_mask: Any, key_mask: Any, attention_mask: Any) -> Any:
    """All that is masked, (batch, steps of the query, steps of the key); None where nothing is."""
    found = None if query_mask is None else c.unsqueeze(c.tensor(query_mask, "bool"), 2)
    for item in (value_mask, key_mask):
        found = _both(c, found, None if item is None else c.unsqueeze(c.tensor(item, "bool"), 1))
    if attention_mask is None:
        return found
    attention_mask = c.tensor(attention_mask, "bool")
    if found is not None and attention_mask.rank == 4:
        found = c.unsqueeze(found, 1)
    return _both(c, attention_mask, found)


def _fused(c: Emitter, heads: Sequence[Tensor], mask: Any, causal: bool) -> Any:
    scale = float(1 / (heads[0].shape[-1] or 1) ** 0.5)
    return operate(c, "DotProductAttention", *heads, None, None if mask is None else c.described(c.value(mask)), scale, is_causal=causal)


def _weighted(c: Emitter, heads: Sequence[Tensor], mask: Any) -> tuple[Value, Tensor]:
    """The heads' results, and the weights (batch, heads, steps of the query, steps of the key)."""
    query, key, value = heads
    scaled = c.op("Mul", query, c.number(1 / (query.shape[-1] or 1) ** 0.5, query.dtype))
    scores = c.described(c.op("Einsum", scaled, key, equation="bquh,bkuh->buqk"))
    weights = operate(c, "Softmax", scores, axis=-1) if mask is None else masked_softmax(c, scores, c.described(c.value(mask)), -1)
    return c.op("Einsum", weights, value, equation="buqk,bkuh->bquh"), weights
