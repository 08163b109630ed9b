"""What a target has words of its own for: one rule for an operator, in one place. Everything else is printed as its definition."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from onward.operators.native import Call, Native

if TYPE_CHECKING:
    from onward.converters.targets.printing.printer import Printer

Writer = Callable[["Printer"], "str | tuple[str, ...]"]
"""The text of the expression that a call is; `printer.array(input)` is the text of an input, constants included.

A call of several results is one expression that gives them all, or a text for each."""

Rule = Callable[[Call], Writer | Native | None]
"""Looks at a call and says how it is written; None leaves it to the operator's definition."""


class NativeRules:
    """The rules of a target. `operators.lower(model, native=rules)` asks them; of what is made of weights alone only those of `of_weights`."""

    def __init__(self) -> None:
        self.of_weights: set[str] = set()
        self._rules: dict[tuple[str, str], Rule] = {}

    def __call__(self, call: Call) -> Native | None:
        domain = "" if call.node.domain == "ai.onnx" else call.node.domain
        found = self._rules.get((domain, call.node.op_type))
        said = None if found is None else found(call)
        return said if said is None or isinstance(said, Native) else Native(said)

    def rule(self, *names: str, domain: str = "", of_weights: bool = False) -> Callable[[Rule], Rule]:
        """Registers the rule of operators; `of_weights` where it knows what becomes of weights, too."""
        self.of_weights.update(names if of_weights else ())

        def register(function: Rule) -> Rule:
            for name in names:
                assert (domain, name) not in self._rules, f"two rules for {name}"
                self._rules[domain, name] = function
            return function

        return register
