"""Reshape, Flatten, Squeeze, Unsqueeze: the same elements in the same order."""

from __future__ import annotations

from onward.ir import Value
from onward.passes.match import Match
from onward.passes.pattern import any_of, op, rest, wildcards
from onward.passes.rewrite import Builder, Rule
from onward.passes.rules.targets import reshape

(x,) = wildcards("x")
how, before = rest("how"), rest("before")

inner = any_of(op.Reshape(x, before), op.Flatten(x), op.Squeeze(x, before), op.Unsqueeze(x, before))


def _to_result_shape(builder: Builder, match: Match) -> Value | None:
    shape = match.shape(match.root.outputs[0])
    return None if shape is None else reshape(builder, match, match.x, shape)


def _target_is_computed(match: Match) -> bool:
    return not match.facts.is_constant(match.root.inputs[1])


RULES = (
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
