"""What is done to a model before it is printed: forms that exporters write out become the operators that they are."""

from __future__ import annotations

from collections.abc import Collection
from types import ModuleType

from onward.converters.torch.state import State
from onward.ir import Model
from onward.passes.optimize import optimize
from onward.passes.rules import activation, all_rules, attention, gathering, logic, normalization, softmax

OPERATORS = (activation, softmax, normalization, attention, logic, gathering)
"""Families of rules that recognise an operator in what is written out, and conditions and indices that are always the same."""

NEUTRAL = {"multiply by one", "divide by one"}
"""Rules that take away what changes nothing."""


def recognized(model: Model, *more: ModuleType, written_out: Collection[ModuleType] = ()) -> Model:
    """The model with normalisation, activation and attention as the operators that they are, by `OPERATORS` and `more` families of rules.

    What families in `written_out` recognise stays as it is. Nothing else is changed: weights keep their names and numbers. Of a model that
    notes which of them are a module's parameters these may have any numbers, so that factors of 1 that are none can go.
    """
    state = State.of(model)
    kept = {rule.name for family in (*OPERATORS, *more) if family not in written_out for rule in family.RULES} | (NEUTRAL if state is not None else set())
    left_out = {rule.name for rule in all_rules()} - kept | {"fold constants", "merge duplicates"}
    return optimize(model, disable=left_out, trained=state.parameters if state is not None else ())
