"""What a target has words of its own for: one rule for an operator, in one place. Everything else is printed as its definition."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from onward.ir.expressions import Expression
from onward.operators.native import Call, Native, call_of
from onward.program.array import Array

if TYPE_CHECKING:
    from onward.converters.targets.printing.printer import Printer

Writer = Callable[["Printer"], "str | tuple[str, ...]"]
"""The text of the expression that a call is; `printer.array(input)` is the text of an input, constants included.

A call of several results is one expression that gives them all, or a text for each."""

Rule = Callable[[Call], Writer | Native | None]
"""Looks at a call and says how it is written; None leaves it to the operator's definition."""


def is_broadcast_at_run_time(left: Array, right: Array) -> bool:
    """Whether two arrays of one rank have sizes that are not known to agree, of which the languages themselves take 1 for any other."""
    pairs = [(a, b) for a, b in zip(left.shape, right.shape) if a != b]
    open_sizes = [pair for pair in pairs if 1 not in pair]
    return left.rank == right.rank and bool(open_sizes) and all(isinstance(item, Expression) for pair in open_sizes for item in pair)


def without_expansion(mask: Array | None) -> Array | None:
    """A mask of scores before an exporter gave it a row for each query, if it was given one: attention does that itself."""
    call = call_of(mask) if mask is not None else None
    if mask is None or call is None or call.node.op_type != "Expand":
        return mask
    before = call.inputs[0]
    return before if before.rank == mask.rank and before.shape[-1] == mask.shape[-1] else mask


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
