"""Operators that jaxprs dissolve, found again by the rules of the optimiser."""

from __future__ import annotations

from onward.ir import Model
from onward.passes import PASSES, all_rules, optimize

KEPT = frozenset({
    "softmax", "log softmax", "log of softmax", "gelu by erf", "gelu by tanh", "softplus", "softsign", "hard swish by clip", "hard sigmoid by clip",
    "hard swish", "remove dead code",
})  # fmt: skip
"""Rules and passes that make a graph easier to read and change no number beyond rounding."""


def recognised(model: Model) -> Model:
    """The model with such operators whole."""
    left_out = ({rule.name for rule in all_rules()} | set(PASSES)) - KEPT
    return optimize(model, disable=left_out)
