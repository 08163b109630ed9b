"""How operators are taken apart where PyTorch itself does not say it: rules are functions of PyTorch's tensors.

A rule is run on tensors without data while a program is captured, so it may use whatever has a translation or a rule of its own, complex
numbers included, and the sizes that it sees may be open.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch._prims_common import ELEMENTWISE_TYPE_PROMOTION_KIND as KIND  # noqa: N814
from torch._prims_common import elementwise_dtypes

Rule = Callable[..., Any]
DOUBLE = torch.float64

_rules: dict[str, Rule] = {}


def rule(*names: str) -> Callable[[Rule], Rule]:
    """Registers how operators of PyTorch's own library are taken apart, in all their overloads that write into nothing, or in the one
    named after a dot."""

    def register(function: Rule) -> Rule:
        for name in names:
            _rules[name] = function
        return function

    return register


def elementwise(*names: str) -> Callable[[Rule], Rule]:
    """Registers a function of numbers, which is computed in double precision."""

    def register(function: Rule) -> Rule:
        def apart(*arguments: Any) -> torch.Tensor:
            _, dtype = elementwise_dtypes(*arguments, type_promotion_kind=KIND.INT_TO_FLOAT)
            return function(*(item.to(DOUBLE) if isinstance(item, torch.Tensor) else torch.full((), item, dtype=DOUBLE) for item in arguments)).to(dtype)

        rule(*names)(apart)
        return function

    return register


def overloads() -> Iterator[tuple[Any, Rule]]:
    """The overloads that the rules are for."""
    for name, function in _rules.items():
        base, _, only = name.partition(".")
        packet = getattr(torch.ops.aten, base)
        for overload in [only] if only else packet.overloads():
            target = getattr(packet, overload)
            if not target._schema.is_mutable and torch._C._dispatch_has_kernel(target.name()):
                yield target, function


_graph_rules: dict[type, Rule] = {}


def graph_rule(name: str) -> Callable[[Rule], Rule]:
    """Registers how an operator of PyTorch that takes graphs is taken apart; the graphs come as functions."""

    def register(function: Rule) -> Rule:
        _graph_rules[type(getattr(torch.ops.higher_order, name))] = function
        return function

    return register


@contextmanager
def taking_graphs_apart() -> Iterator[None]:
    """PyTorch's tables of rules have no place for operators that take graphs: while a program is taken apart, a call of one is its rule."""
    own = {kind: vars(kind)["__call__"] for kind in _graph_rules}
    for kind, function in _graph_rules.items():
        kind.__call__ = lambda _, *arguments, function=function: function(*arguments)  # type: ignore[method-assign]
    try:
        yield
    finally:
        for kind, call in own.items():
            kind.__call__ = call  # type: ignore[method-assign]


# Loops


def while_true(again: Callable[..., torch.Tensor], body: Callable[..., Sequence[torch.Tensor]], states: Sequence[torch.Tensor], *extra: torch.Tensor) -> Any:
    """The states after as many turns as `again` is true before. Both see the states, then what else they need of the tensors outside."""
    return torch.ops.higher_order.while_loop(again, lambda *given: tuple(_dense(body(*given))), tuple(_dense(states)), extra)


def _dense(tensors: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """New tensors, laid out alike before a turn and after it."""
    return [item.clone(memory_format=torch.contiguous_format) for item in tensors]


def turns(count: Any, body: Callable[..., Sequence[torch.Tensor]], states: Sequence[torch.Tensor], *extra: torch.Tensor) -> Any:
    """The states after a number of turns; the body sees the turn's number, the states, and what else it needs of the tensors outside.

    What the body returns beyond the states is kept of each turn and stacked in front.
    """

    def step(*given: torch.Tensor) -> list[torch.Tensor]:
        before, (turn, *others) = given[: len(states)], given[len(states) :]
        return _dense(body(turn, *before, *others))

    if isinstance(count, int) and count == 0:  # PyTorch looks at the first turn
        kept = step(*states, torch.zeros((), dtype=torch.int64), *extra)[len(states) :]
        return [*states, *(item.new_zeros((0, *item.shape)) for item in kept)]
    return torch.ops.higher_order.scan(step, _dense(states), [torch.arange(count)], extra)
