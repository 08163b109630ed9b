"""Recurrence: a body that is computed once for each step, with states carried from step to step.

This is what a recurrent layer or a Scan is. A few steps are written out one after another: their kernels are alike and
compiled once, and what surrounds them fuses. Many, or an unknown number, are a routine named `recurrence` whose
attribute `body` is a program of its own, written over inputs that stand for the step's number, the states and the
step's slices. The arrays of the outer program that the body reads are inputs of the routine.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from onward.errors import InvalidArgument
from onward.ir.datatypes import DataType
from onward.ir.expressions import Dimension
from onward.program.array import Array, Input, compute, routine
from onward.program.functions import concatenate, expand_axes
from onward.program.scalar import Scalar, scalar

MOST_WRITTEN_OUT = 512
"""Longer sequences are routines."""

Step = Callable[[Scalar, Sequence[Array], Sequence[Array]], tuple[Sequence[Array], Sequence[Array]]]
"""(number of the step, states, slices) -> (next states, what is collected)"""


@dataclass(frozen=True)
class Body:
    """One step: `following` and `collected` are computed from `number`, `states`, `slices` and `captured`."""

    number: Input
    states: tuple[Input, ...]
    slices: tuple[Input, ...]
    captured: tuple[Array, ...]
    following: tuple[Array, ...]
    collected: tuple[Array, ...]


def recurrence(
    step: Step, states: Sequence[Array], sequences: Sequence[Array], length: Dimension, *, backwards: bool = False
) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
    """The last states, and what was collected with the steps on a new first axis, in the sequences' order.

    Each of `sequences` is cut along its first axis, of extent `length`; `backwards` begins at its end. The states keep
    their shapes and dtypes. Raises InvalidArgument where they do not.
    """
    if isinstance(length, int) and 1 <= length <= MOST_WRITTEN_OUT:
        return _written_out(step, states, sequences, length, backwards)
    number = Input((), DataType.INT64)
    carried = tuple(Input(state.shape, state.dtype) for state in states)
    slices = tuple(Input(sequence.shape[1:], sequence.dtype) for sequence in sequences)
    following, collected = (tuple(items) for items in step(number.item(), carried, slices))
    _check(states, following)
    captured = _captured((*following, *collected), {number, *carried, *slices})
    body = Body(number, carried, slices, captured, following, collected)
    outputs = [(state.shape, state.dtype) for state in states]
    outputs += [((length, *item.shape), item.dtype) for item in collected]
    results = routine(
        "recurrence", [*states, *sequences, *captured], outputs, body=body, length=length, backwards=backwards
    )
    return results[: len(states)], results[len(states) :]


def _written_out(
    step: Step, states: Sequence[Array], sequences: Sequence[Array], length: int, backwards: bool
) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
    rows: list[Sequence[Array]] = []
    for number in reversed(range(length)) if backwards else range(length):
        slices = [
            compute(sequence.shape[1:], lambda *place, of=sequence, at=number: of[(at, *place)]) for sequence in sequences
        ]
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
        if state.rank != new.rank or state.dtype != new.dtype or any(map(_differ, state.shape, new.shape)):
            raise InvalidArgument(f"a recurrent state is {state} before a step and {new} after it")


def _differ(left: Dimension, right: Dimension) -> bool:
    return isinstance(left, int) and isinstance(right, int) and left != right


def _captured(results: Sequence[Array], own: set[Input]) -> tuple[Array, ...]:
    """The outermost arrays that the body reads and that do not depend on its own inputs, in order of first use."""
    order: dict[Array, bool] = {}  # whether it depends on the body's inputs; filled sources first
    pending = [(item, False) for item in reversed(results)]
    while pending:
        item, ready = pending.pop()
        if ready:
            order[item] = item in own or any(order[source] for source in item.sources)
        elif item not in order:
            pending.append((item, True))
            pending.extend((source, False) for source in item.sources if source not in order)
    outside = {item for item, inside in order.items() if not inside}
    found = [item for item in results if item in outside]
    for item, inside in order.items():
        if inside:
            found.extend(source for source in item.sources if source in outside)
    return tuple(dict.fromkeys(found))
