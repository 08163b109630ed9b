"""Reshape, Flatten, Squeeze, Unsqueeze: the same elements in the same order."""

from __future__ import annotations

from onward.ir import Value
from onward.passes.match import Match
from onward.passes.pattern import Wildcard, any_of, op, optional, rest, wildcards
from onward.passes.rewrite import Builder, Rule
from onward.passes.rules.targets import reshape

(x,) = wildcards("x")
how, before = rest("how"), rest("before")

inner = any_of(op.Reshape(x, before), op.Flatten(x), op.Squeeze(x, before), op.Unsqueeze(x, before))


def _to_result_shape(builder: Builder, match: Match) -> Value | None:
    shape = match.shape(match.root.outputs[0])
    return None if shape is None else reshape(builder, match, match.x, shape)


def _target_is_computed(match: Match) -> bool:
    return len(match.root.inputs) > 1 and not match.facts.is_constant(match.root.inputs[1])


def _batched_transpose(builder: Builder, match: Match) -> Value | None:
    """(..., a, b) -> (n, a, b) -> (n, b, a) -> (..., b, a) is one Transpose."""
    result, collapsed = match.shape(match.root.outputs[0]), match.shape(match.root.inputs[0])  # type: ignore[arg-type]
    if result is None or collapsed is None or len(result) < 3 or collapsed[-2:] != result[-2:]:
        return None
    rank = len(result)
    source = reshape(builder, match, match.x, (*result[:-2], result[-1], result[-2]))
    return None if source is None else builder.Transpose(source, perm=[*range(rank - 2), rank - 1, rank - 2])


def _uncollapsed_product(builder: Builder, match: Match) -> Value | None:
    """Rows of all leading axes are one axis for a Gemm, and get their axes back: a MatMul needs no such help."""
    node = next(node for pattern, node in match.nodes.items() if pattern.operator == "Gemm")
    options = [match.option(node, name, default) for name, default in (("alpha", 1.0), ("beta", 1.0), ("transA", 0), ("transB", 0))]
    result, weight = match.shape(match.root.outputs[0]), match.shape("weight")
    if options != [1.0, 1.0, 0, 0] or result is None or weight is None or len(result) < 3 or result[-1] != weight[1]:
        return None
    bias = match.bias
    if bias is not None and match.shape(bias) not in ((), (1,), weight[1:]):
        return None
    source = reshape(builder, match, match.x, (*result[:-1], weight[0]))
    if source is None:
        return None
    rows = builder.MatMul(source, match.weight)
    return rows if bias is None else builder.Add(rows, bias)


weight, bias = Wildcard("weight"), optional("bias")
collapsed = op.Reshape(x, before)

RULES = (
    Rule("transpose of collapsed axes", op.Reshape(op.Transpose(collapsed, perm=[0, 2, 1]), how), _batched_transpose),
    Rule(
        "matrix product of collapsed axes",
        op.Reshape(op.Gemm(collapsed.shared(), weight, bias), how),
        _uncollapsed_product,
    ),
    Rule("reshape to the same shape", op.Reshape(x, how), x),
    Rule("flatten to the same shape", op.Flatten(x), x),
    Rule("squeeze nothing", op.Squeeze(x, how), x),
    Rule("unsqueeze nothing", op.Unsqueeze(x, how), x),
    Rule("reshape of a reshape", op.Reshape(inner, how), _to_result_shape),
    Rule("flatten of a reshape", op.Flatten(inner), _to_result_shape),
    Rule("squeeze of a reshape", op.Squeeze(inner, how), _to_result_shape),
    Rule("unsqueeze of a reshape", op.Unsqueeze(inner, how), _to_result_shape),
    Rule("reshape to a constant shape", op.Reshape(x, how), _to_result_shape, when=_target_is_computed),
)
