"""Softmax and LogSoftmax spelled out."""

from __future__ import annotations

from onward.ir import Value
from onward.passes.match import Match
from onward.passes.pattern import any_of, bind, op, wildcards
from onward.passes.rewrite import Builder, Rule

(x,) = wildcards("x")

greatest = op.ReduceMax(x, axes=bind("axes"), keepdims=1)
stable = op.Exp(x - greatest)
plain = op.Exp(x)


def _normalized(exponential: object) -> object:
    return exponential / op.ReduceSum(exponential, axes=bind("axes"), keepdims=1)  # type: ignore[operator,arg-type]


def _axis(match: Match) -> int | None:
    """The one axis, if the operator of this version means just that axis."""
    axes, rank = match.axes, match.rank("x")
    if axes is None or rank is None or len(axes) != 1:
        return None
    axis = axes[0] % rank
    return axis if match.facts.opsets.get("", 1) >= 13 or axis == rank - 1 else None


def _softmax(builder: Builder, match: Match) -> Value | None:
    axis = _axis(match)
    return None if axis is None else builder.Softmax(match.x, axis=axis)


def _log_softmax(builder: Builder, match: Match) -> Value | None:
    axis = _axis(match)
    return None if axis is None else builder.LogSoftmax(match.x, axis=axis)


RULES = (
    Rule("softmax", any_of(_normalized(stable), _normalized(plain)), _softmax),  # type: ignore[arg-type]
    Rule("log of softmax", op.Log(op.Softmax(x, axis=bind("axis"))), op.LogSoftmax(x, axis=bind("axis"))),
    Rule(
        "log softmax",
        (x - greatest) - op.Log(op.ReduceSum(op.Exp(x - greatest), axes=bind("axes"), keepdims=1)),
        _log_softmax,
    ),
    Rule(
        "log softmax by log-sum-exp",
        x - op.ReduceLogSumExp(x, axes=bind("axes"), keepdims=1),
        _log_softmax,
    ),
)
