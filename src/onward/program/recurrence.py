"""Recurrence: a body that is computed once for each step, with states carried from step to step.

This is what a recurrent layer, a Scan or a Loop is. A few steps are written out one after another: their kernels are alike
and compiled once, and what surrounds them fuses. Many, or an unknown number, are a routine named `recurrence` whose
attribute `body` is a program of its own, written over a symbol that is the step's number, and over inputs that stand for
the states and the step's slices. The arrays of the outer program that the body reads are inputs of the routine.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from onward.errors import InvalidArgument
from onward.ir.expressions import Dimension, Expression
from onward.program.array import (
    Array,
    Compute,
    Input,
    compute,
    defining_routine,
    fresh_symbol,
    mentioned_symbols,
    routine,
    sizes_are_defined,
)
from onward.program.content import depends_on_constants_alone
from onward.program.functions import concatenate, expand_axes
from onward.program.scalar import Read, Scalar, scalar

MOST_WRITTEN_OUT = 16
"""Longer sequences are routines."""

Step = Callable[[Scalar, Sequence[Array], Sequence[Array]], tuple[Sequence[Array], Sequence[Array]]]
"""(number of the step, states, slices) -> (next states, what is collected)"""


@dataclass(frozen=True, eq=False)
class Body:
    """One step: `following` and `collected` are computed from the symbol `time`, `states`, `slices` and `captured`.

    The steps end before `condition` (a scalar among the states) is false, if there is one.
    """

    time: Expression
    states: tuple[Input, ...]
    slices: tuple[Input, ...]
    captured: tuple[Array, ...]
    following: tuple[Array, ...]
    collected: tuple[Array, ...]
    condition: Input | None = None


def recurrence(
    step: Step,
    states: Sequence[Array],
    sequences: Sequence[Array],
    length: Dimension,
    *,
    backwards: bool = False,
    condition: int | None = None,
    limited: bool = False,
    outside: Sequence[Array] | None = None,
) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
    """The last states, and what was collected with the steps on a new first axis, in the sequences' order.

    Each of `sequences` is cut along its first axis, of extent `length`; `backwards` begins at its end. The states keep
    their shapes and dtypes. With `condition`, the number of a BOOL scalar among the states, the steps go on only while that
    is true; what would have been collected later is undefined then. `limited` recurrences are those that a caller of the
    run may limit in their number of steps. What does not change from step to step is computed once, before; or, if the
    arrays `outside` are given, only these and what they are made of are. Raises InvalidArgument where the states do not keep their form.
    """
    if condition is None and isinstance(length, int) and 1 <= length <= MOST_WRITTEN_OUT:
        return _written_out(step, states, sequences, length, backwards)
    time = fresh_symbol("time", length)
    carried = tuple(Input(state.shape, state.dtype) for state in states)
    slices = tuple(Input(sequence.shape[1:], sequence.dtype) for sequence in sequences)
    following, collected = (tuple(items) for items in step(scalar(time), carried, slices))
    _check(states, following)
    captured = _captured((*following, *collected), {*carried, *slices}, time, outside)
    flag = None if condition is None else carried[condition]
    body = Body(time, carried, slices, captured, following, collected, flag)
    outputs = [(state.shape, state.dtype) for state in states]
    outputs += [((length, *item.shape), item.dtype) for item in collected]
    inputs = [*states, *sequences, *captured]
    results = routine("recurrence", inputs, outputs, body=body, length=length, backwards=backwards, limited=limited)
    return results[: len(states)], results[len(states) :]


def _written_out(step: Step, states: Sequence[Array], sequences: Sequence[Array], length: int, backwards: bool) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
    rows: list[Sequence[Array]] = []
    for number in reversed(range(length)) if backwards else range(length):
        slices = [compute(sequence.shape[1:], lambda *place, of=sequence, at=number: of[(at, *place)]) for sequence in sequences]
        following, collected = step(scalar(number), states, slices)
        _check(states, following)
        states = following
        rows.append(collected)
    if backwards:
        rows.reverse()
    stacked = tuple(concatenate([expand_axes(item, [0]) for item in items], 0) for items in zip(*rows))
    return tuple(states), stacked


def _check(states: Sequence[Array], following: Sequence[Array]) -> None:
    for state, new in zip(states, following, strict=True):
        if state.dtype != new.dtype or state.shape != new.shape:
            raise InvalidArgument(f"a recurrent state is {state} before a step and {new} after it")


def _captured(results: Sequence[Array], own: set[Input], time: Expression, outside: Sequence[Array] | None) -> tuple[Array, ...]:
    """The outermost arrays that the body reads and that are not computed in it, in order of first use.

    Constants and views are not captured but what they are views of: the body then sees the constants themselves.
    """
    inside = _changing(results, own, time) if outside is None else _within(results, own, outside)
    found: dict[Array, None] = {}
    remaining = list(dict.fromkeys(item for item in results if item not in inside))
    for item in inside:
        remaining += [source for source in (*item.sources, *_sizes(item)) if source not in inside]
    remaining = list(dict.fromkeys(remaining))
    while remaining:
        item = remaining.pop(0)
        if depends_on_constants_alone(item):
            continue
        if isinstance(item, Compute) and isinstance(item.body, Read):
            remaining[:0] = item.sources
        else:
            found[item] = None
    return tuple(found)


def _changing(results: Sequence[Array], own: set[Input], time: Expression) -> dict[Array, None]:
    """What depends on the step, its states and its slices, sources first."""
    order: dict[Array, bool] = {}
    pending = [(item, False) for item in reversed(results)]
    while pending:
        item, ready = pending.pop()
        needed = [*item.sources, *_sizes(item)]
        if ready:
            changes = item in own or any(order[source] for source in needed) or _mentions(item, time)
            del order[item]  # sources come first
            order[item] = changes
        elif item not in order:
            order[item] = False  # a size may be that of the array which it comes from
            pending.append((item, True))
            pending.extend((source, False) for source in needed if source not in order)
    return dict.fromkeys(item for item, changes in order.items() if changes)


def _within(results: Sequence[Array], own: set[Input], outside: Sequence[Array]) -> dict[Array, None]:
    """What leads to the results and is no part of what lies outside."""
    beyond: set[Array] = set()
    pending = [item for item in outside if isinstance(item, Array)]
    while pending:
        item = pending.pop()
        if item not in beyond:
            beyond.add(item)
            pending.extend(item.sources)
    within: dict[Array, None] = {}
    pending = list(results)
    while pending:
        item = pending.pop()
        foreign = isinstance(item, Input) and item not in own
        if item not in beyond and item not in within and not foreign and not depends_on_constants_alone(item):
            within[item] = None
            pending.extend(item.sources)
    return within


def _mentions(array: Array, time: Expression) -> bool:
    """Whether the element depends on the step's number."""
    return str(time) in mentioned_symbols(array)


def _sizes(array: Array) -> list[Array]:
    """The routines that find sizes which an array mentions."""
    if not sizes_are_defined():
        return []
    found = [defining_routine(name) for name in sorted(mentioned_symbols(array))]
    return [routine.results[0] for routine in found if routine is not None]
