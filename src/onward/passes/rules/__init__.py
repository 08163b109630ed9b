"""The rules, family by family. Order within a family is the order in which rules are tried at a node."""

from __future__ import annotations

import functools

from onward.passes.rewrite import Rule
from onward.passes.rules import (
    activation,
    arithmetic,
    attention,
    batch_normalization,
    convolution,
    gathering,
    logic,
    normalization,
    quantization,
    reshaping,
    shaping,
    softmax,
    transposition,
)

FAMILIES = (
    arithmetic,
    logic,
    gathering,
    shaping,
    reshaping,
    transposition,
    batch_normalization,
    convolution,
    activation,
    softmax,
    normalization,
    attention,
    quantization,
)


@functools.cache
def all_rules() -> tuple[Rule, ...]:
    """Every rule, in the order of the families. Raises ValueError if two have the same name."""
    rules = tuple(rule for family in FAMILIES for rule in family.RULES)
    if len({rule.name for rule in rules}) != len(rules):
        raise ValueError("two rules have the same name")
    return rules
