"""BatchNormalization with known statistics is a scale and a shift: both move into what comes before."""

from __future__ import annotations

import numpy as np

from onward.ir import DataType, Value
from onward.passes.match import Match
from onward.passes.pattern import bind, op, wildcards
from onward.passes.rewrite import Builder, Rule

x, scale, shift, mean, variance = wildcards("x scale shift mean variance")


def _statistics(match: Match) -> tuple[np.ndarray, np.ndarray] | None:
    """(factor, summand) for each channel in float64, or None where they are not known or not those of inference."""
    node = match.root
    if match.option(node, "training_mode", 0) or not match.option(node, "spatial", 1):
        return None
    schema = match.facts.schema(node)
    if schema is None or (schema.since < 7 and not match.option(node, "is_test", 0)):
        return None
    known = [match.facts.known(match.bound[name]) for name in ("scale", "shift", "mean", "variance")]
    if any(data is None for data in known):
        return None
    gamma, beta, center, spread = (np.asarray(data, np.float64) for data in known)
    factor = gamma / np.sqrt(spread + match.epsilon)
    return factor, beta - center * factor


def _scale_and_shift(builder: Builder, match: Match) -> Value | None:
    found, rank = _statistics(match), match.rank("x")
    if found is None or rank is None or rank < 2:
        return None
    if any(match.dtype(name) != match.dtype("x") for name in ("scale", "shift", "mean", "variance")):
        return None
    form = (-1, *[1] * (rank - 2))
    factor, summand = (builder.constant(data.reshape(form), like=match.x) for data in found)
    return builder.Add(builder.Mul(match.x, factor), summand)


def _is_wide_enough(match: Match) -> bool:
    return match.dtype("x") in (DataType.FLOAT, DataType.DOUBLE, DataType.FLOAT16, DataType.BFLOAT16)


RULES = (
    Rule(
        "batch normalization with known statistics",
        op.BatchNormalization(x, scale, shift, mean, variance, epsilon=bind("epsilon")),
        _scale_and_shift,
        when=_is_wide_enough,
    ),
)
