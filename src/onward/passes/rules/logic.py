"""Conditions that are known, and masks that mask nothing."""

from __future__ import annotations

import numpy as np

from onward.ir import Value
from onward.passes.match import Match
from onward.passes.pattern import op, wildcards
from onward.passes.rewrite import Builder, Rule

condition, x, y = wildcards("condition x y")


def _is(match: Match, wanted: bool) -> bool:
    """Whether the condition is known to be `wanted` everywhere."""
    number = match.facts.uniform(match.condition)
    if number is not None:
        return bool(number) is wanted
    data = match.facts.known(match.condition)
    return data is not None and data.size > 0 and bool(np.all(data == wanted))


def _always(match: Match) -> bool:
    return _is(match, True)


def _never(match: Match) -> bool:
    return _is(match, False)


def _broadcast(builder: Builder, match: Match, taken: Value) -> Value | None:
    """The branch that is taken, expanded where the condition or the other branch is larger."""
    shape = match.shape(match.root.outputs[0])
    if shape is None or shape == match.shape(taken):
        return taken
    if all(isinstance(extent, int) for extent in shape):
        return builder.Expand(taken, shape=list(shape))
    if shape == match.shape("condition"):
        return builder.Expand(taken, builder.Shape(match.condition))
    return None


def _same(builder: Builder, match: Match) -> Value:
    """x, expanded where the condition is larger."""
    return match.x if match.facts.has_same_type(match.x, match.root.outputs[0]) else builder.Expand(match.x, builder.Shape(match.condition))


def _is_integer(match: Match) -> bool:
    """Without NaN, of which no comparison holds."""
    dtype = match.dtype("x")
    return dtype is not None and dtype.is_integer


RULES = (
    Rule("where always", op.Where(condition, x, y), lambda b, m: _broadcast(b, m, m.x), when=_always),
    Rule("where never", op.Where(condition, x, y), lambda b, m: _broadcast(b, m, m.y), when=_never),
    Rule("where between equals", op.Where(condition, x, x), x),
    Rule("where not", op.Where(op.Not(condition), x, y), op.Where(condition, y, x)),
    Rule("not twice", op.Not(op.Not(x)), x),
    Rule("and true", op.And(condition, x), _same, when=_always),
    Rule("and false", op.And(condition, x), condition, when=_never),
    Rule("or false", op.Or(condition, x), _same, when=_never),
    Rule("or true", op.Or(condition, x), condition, when=_always),
    Rule("exclusive or false", op.Xor(condition, x), x, when=_never),
    Rule("and itself", op.And(x, x), x),
    Rule("or itself", op.Or(x, x), x),
    Rule("not equal not", op.Equal(op.Not(x), op.Not(y)), op.Equal(x, y)),
    Rule("not greater", op.Not(op.Greater(x, y)), op.LessOrEqual(x, y), when=_is_integer),
    Rule("not less", op.Not(op.Less(x, y)), op.GreaterOrEqual(x, y), when=_is_integer),
)
