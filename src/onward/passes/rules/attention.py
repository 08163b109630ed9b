"""Scaled dot-product attention spelled out: softmax(q k^T * scale + mask) v."""

from __future__ import annotations

from typing import Any

import numpy as np

from onward.ir import Dimension, Node, Value
from onward.ir.expressions import Expression
from onward.passes.match import Match
from onward.passes.pattern import Pattern, Wildcard, any_of, bind, constant, op, rest, wildcards
from onward.passes.rewrite import Builder, Rule

q, k, v, mask = wildcards("q k v mask")
scale, left_scale, right_scale = constant("scale"), constant("left_scale"), constant("right_scale")
how = rest("how")

turned = op.Transpose(k, perm=bind("perm"))
left = any_of(q * left_scale, q)
right = any_of(turned.shared() * right_scale, turned.shared(), op.Transpose(k * right_scale, perm=bind("perm")))
product = op.MatMul(left, right)
scores = any_of(product * scale, product / constant("divisor"), product)
biased = any_of(scores + mask, scores)
weights = op.Softmax(biased, axis=-1)
# PyTorch's exporter: a query that sees no key has no weights.
filled = op.Where(op.IsNaN(weights), 0, weights)


LOWEST = -1e30
"""What is added to a score of single precision that shall not count."""

key, query = wildcards("key query")
is_before = any_of(op.LessOrEqual(key, query).shared(), op.GreaterOrEqual(query, key).shared())
causal = any_of(is_before, op.Where(is_before, 0, constant("lost")).shared())


def _number(match: Match, name: str) -> float | None:
    """The one number that a constant holds; 1 where the pattern has none."""
    if name not in match.bound:
        return 1.0
    data = match.data(name)
    return float(data.reshape(-1)[0]) if data.size == 1 else None


def _scale(match: Match) -> float | None:
    numbers = [_number(match, name) for name in ("left_scale", "right_scale", "scale", "divisor")]
    if any(number is None for number in numbers) or not numbers[3]:
        return None
    return float(np.prod(numbers[:3]) / numbers[3])  # type: ignore[arg-type]


def _attention(builder: Builder, match: Match) -> Value | None:
    factor, perm, rank = _scale(match), match.perm, match.rank("q")
    if factor is None or perm is None or rank != 4 or match.rank("k") != 4 or match.rank("v") != 4:
        return None
    queries, values = match.shape("q") or (), match.shape("v") or ()
    if queries[:2] != values[:2] or len({match.dtype(name) for name in "qkv"}) != 1:
        return None
    order = [perm[0], perm[1], perm[3], perm[2]]
    keys = match.k if order == [0, 1, 2, 3] else builder.Transpose(match.k, perm=order)
    if (match.shape(keys) or ())[:3] != values[:3]:
        return None
    inputs: list[Value | None] = [match.q, keys, match.v]
    if "mask" in match.bound and not _adds_nothing(match):
        shape = match.shape("mask")
        # A mask that is shorter than the keys would cover the first keys only.
        if not shape or len(shape) < 2 or shape[-1] != values[2] or match.dtype("mask") != match.dtype("q"):
            return None
        inputs.append(match.mask if shape[-2] == queries[2] else _for_each_query(builder, match, queries[2]))
    return builder.node("Attention", inputs, {"scale": factor})


def _adds_nothing(match: Match) -> bool:
    """Whether a mask is one column of zeros, as PyTorch's exporter makes it of a mask of truths that says yes for every size."""
    shape = match.shape("mask")
    return shape is not None and shape[-1:] in ((), (1,)) and match.facts.uniform(match.mask) == 0


def _sees_those_before(match: Match) -> bool:
    """Whether a mask lets each query see the keys whose index is no greater than its own.

    What is hidden has no part in the result then, also where it is infinite or NaN, which a sum with the mask would spread.
    """
    queries, keys = match.shape("q") or (), match.shape("k") or ()
    if queries[-2:-1] != keys[-2:-1] or match.option(match.root, "is_causal"):
        return False
    if "lost" in match.bound and (match.data("lost").size != 1 or match.data("lost").max() > LOWEST):
        return False
    return _is_index(match, "key", -1, keys[-2]) and _is_index(match, "query", -2, queries[-2])


def _is_triangle(match: Match) -> bool:
    """Whether a mask whose sizes are known says the same in numbers, or in truths."""
    queries, keys, mask = match.shape("q") or (), match.shape("k") or (), match.facts.known(match.mask)
    if mask is None or mask.ndim < 2 or not queries[-2:-1] == keys[-2:-1] == mask.shape[-2:-1] == mask.shape[-1:] or match.option(match.root, "is_causal"):
        return False
    seen = np.tri(mask.shape[-1], dtype=bool)
    if mask.dtype == bool:
        return bool((mask == seen).all())
    return not mask[..., seen].any() and bool((mask[..., ~seen] <= LOWEST).all())


def _is_index(match: Match, name: str, axis: int, extent: Dimension) -> bool:
    """Whether each element is its own index along an axis of that extent."""
    indices, element = match.facts.element(match.bound[name])
    shape = match.shape(name) or ()
    return len(shape) >= -axis and shape[axis] == extent and isinstance(element, Expression) and element == indices[axis]


def _causal(builder: Builder, match: Match) -> Value:
    given = {name: item.value for name, item in match.root.attributes.items()}
    return builder.node("Attention", (match.q, match.k, match.v), {**given, "is_causal": 1})


def _for_each_query(builder: Builder, match: Match, queries: Dimension) -> Value:
    """The mask with a row for each query: onnxruntime does not broadcast that axis."""
    if isinstance(queries, int):
        return builder.Expand(match.mask, shape=[queries, 1])
    size = builder.Shape(match.q, start=2, end=3)
    target = builder.Concat(size, builder.constant(np.asarray([1], np.int64)), axis=0)
    return builder.Expand(match.mask, target)


def _heads(match: Match, value: Value, node: Node | None) -> tuple[Value, int] | None:
    """(the packed tensor, the number of heads) when `value` is a packed (B, S, H * D) split into heads."""
    if node is None or node.op_type != "Transpose" or match.option(node, "perm") != [0, 2, 1, 3]:
        return None
    split = node.inputs[0]
    inner = split.producer if split is not None else None
    if inner is None or inner.op_type != "Reshape" or inner.domain:
        return None
    packed, apart = inner.inputs[0], match.shape(split)  # type: ignore[arg-type]
    shape = match.shape(packed) if packed is not None else None
    if shape is None or apart is None or len(shape) != 3 or shape[:2] != apart[:2] or not isinstance(apart[2], int):
        return None
    return packed, apart[2]  # type: ignore[return-value]


def _packed(builder: Builder, match: Match) -> Value | None:
    """Attention splits packed heads and joins them again itself."""
    attention = next(node for pattern, node in match.nodes.items() if pattern.operator == "Attention")
    result = match.shape(match.root.outputs[0])
    inputs = list(attention.inputs)
    if len(attention.outputs) != 1 or len(inputs) > 4 or result is None or len(result) != 3:
        return None
    split = [_heads(match, value, value.producer) if value is not None else None for value in inputs[:3]]
    if any(item is None for item in split):
        return None
    (queries, heads), (keys, groups), (values, other) = split  # type: ignore[misc]
    if groups != other or result[:2] != match.shape(queries)[:2]:  # type: ignore[index]
        return None
    options: dict[str, Any] = {name: item.value for name, item in attention.attributes.items()}
    options.update(q_num_heads=heads, kv_num_heads=groups)
    return builder.node("Attention", (queries, keys, values, *inputs[3:]), options)


def _is_repeated(match: Match, name: str, repeated: Value | None) -> bool:
    """Whether `repeated` is the tensor bound to the name with each head (axis 1) several times in a row."""
    node = None if repeated is None else repeated.producer
    if node is None or repeated is None or node.inputs[0] is None:
        return False
    given, middle, shape = match.shape(name), match.shape(node.inputs[0]), match.shape(repeated)
    if given is None or middle is None or shape is None or len(given) != 4 or len(middle) != 5:
        return False
    heads, times = given[1], middle[2]
    return middle == (*given[:2], times, *given[2:]) and shape == (given[0], heads * times, *given[2:])


def _shared_heads(builder: Builder, match: Match) -> Value | None:
    """Keys and values that are repeated for several heads: Attention shares them itself."""
    node = match.root
    if not _is_repeated(match, "k", node.inputs[1]) or not _is_repeated(match, "v", node.inputs[2]):
        return None
    attributes = {name: item.value for name, item in node.attributes.items()}
    return builder.node("Attention", (match.q, match.k, match.v, *match.others), attributes)


def _repeated(name: str) -> Pattern:
    """(B, G, T, D) -> (B, G, 1, T, D) -> (B, G, R, T, D) -> (B, G * R, T, D)."""
    source = Wildcard(name)
    apart = any_of(op.Unsqueeze(source, axes=[2]), op.Reshape(source, rest(f"apart_{name}")))
    return op.Reshape(op.Expand(apart, rest(f"times_{name}")), rest(f"together_{name}"))


def _rule(name: str, attention: Pattern) -> Rule:
    return Rule(name, op.MatMul(attention, v), _attention)


RULES = (
    _rule("attention", any_of(filled, weights)),
    Rule("attention to what is before", op.Attention(q, k, v, any_of(causal, op.Expand(causal, how).shared())), _causal, when=_sees_those_before),
    Rule("attention to what is before, written out", op.Attention(q, k, v, mask), _causal, when=_is_triangle),
    Rule("attention of repeated heads", op.Attention(q, _repeated("k"), _repeated("v"), rest("others")), _shared_heads),
    Rule(
        "attention of packed heads",
        op.Reshape(op.Transpose(op.Attention(rest("inputs")), perm=[0, 2, 1, 3]), how),
        _packed,
    ),
)
