"""What is done to a model before it is printed: forms that exporters write out become the operators that they are."""

from __future__ import annotations

from types import ModuleType

from onward.ir import Model
from onward.passes.optimize import optimize
from onward.passes.rules import activation, all_rules, attention, gathering, logic, normalization, softmax

OPERATORS = (activation, softmax, normalization, attention, logic, gathering)
"""Families of rules that recognise an operator in what is written out, and conditions and indices that are always the same."""


def recognized(model: Model, *more: ModuleType) -> Model:
    """The model with normalisation, activation and attention as the operators that they are, by `OPERATORS` and `more` families of rules.

    Nothing else is changed: weights keep their names and numbers.
    """
    kept = {rule.name for family in (*OPERATORS, *more) for rule in family.RULES}
    return optimize(model, disable={rule.name for rule in all_rules()} - kept | {"fold constants", "merge duplicates"})
