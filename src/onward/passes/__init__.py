"""Passes over the graph: the optimiser and its rules."""

from onward.passes.optimize import PASSES, optimize
from onward.passes.preparation import fix_dimensions
from onward.passes.rewrite import Report, Rule
from onward.passes.rules import all_rules

__all__ = ["PASSES", "Report", "Rule", "all_rules", "fix_dimensions", "optimize"]
