"""The rules of PyTorch."""

from __future__ import annotations

from onward.converters.targets.printing.native import NativeRules

RULES = NativeRules()
rule = RULES.rule
