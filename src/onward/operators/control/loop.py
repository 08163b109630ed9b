"""Loop and Scan. Few turns are written out one after another, many or an unknown number are a recurrence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from onward import program as P
from onward.errors import InvalidArgument, UnsupportedOperator
from onward.ir import Graph
from onward.ir.datatypes import DataType
from onward.ir.expressions import Dimension
from onward.operators.arguments import NotConstant
from onward.operators.registry import Context, operator

MOST_WRITTEN_OUT = 16
"""Turns of a loop that are written out at once."""

MOST_TURNS = 4096
"""Turns of a loop that are written out because its states change their shapes, or that collect until the data ends it."""

ENDLESS = 2**40 - 1
"""Turns of a loop that only its condition ends; no loop gets that far."""


class _Unsteady(Exception):
    """The body's condition depends on the run."""


@operator("Loop")
def loop(count: P.Array | None, condition: P.Array | None, *state: Any, body: Graph, context: Context) -> tuple[Any, ...]:
    """The body again and again: `count` times, as long as its condition holds. ONNX Loop-1 to Loop-25.

    The body takes (turn, condition, *state) and gives (condition, *state, *collected); what is collected is stacked.
    """
    flag = P.constant(True, DataType.BOOL) if condition is None else condition
    turns: Dimension = ENDLESS
    if count is not None:
        number = P.cast(P.reshape(count, (1,)), DataType.INT64)
        (turns,) = P.dimensions(P.minimum(P.maximum(number, P.constant([0])), P.constant([ENDLESS])))
    few = isinstance(turns, int) and turns <= MOST_WRITTEN_OUT
    repeat, otherwise = (_written_out, _repeated) if few else (_repeated, _written_out)
    try:
        return repeat(turns, flag, state, body, context)
    except UnsupportedOperator as first:
        try:
            return otherwise(turns, flag, state, body, context)
        except UnsupportedOperator:
            raise first from None


def _written_out(turns: Dimension, flag: P.Array, state: Sequence[Any], body: Graph, context: Context) -> tuple[Any, ...]:
    carried = list(state)
    collected: list[list[P.Array]] = [[] for _ in range(len(body.outputs) - 1 - len(state))]
    turn = 0
    if not isinstance(turns, int):
        raise UnsupportedOperator(f"a loop of {turns} turns")
    while turn < turns and _holds(flag):
        if turn == MOST_TURNS:
            raise UnsupportedOperator(f"a loop of more than {MOST_TURNS} turns")
        flag, *results = context.inline(body, [P.constant(turn, DataType.INT64), flag, *carried])
        carried = results[: len(state)]
        for items, item in zip(collected, results[len(state) :]):
            items.append(item)
        turn += 1
    return (*carried, *(_stacked(items, 0) for items in collected))


def _repeated(turns: Dimension, flag: P.Array, state: Sequence[Any], body: Graph, context: Context) -> tuple[Any, ...]:
    """The loop as a recurrence; first as one that its condition never ends."""
    if not all(isinstance(item, P.Array) for item in state):
        raise UnsupportedOperator("a loop that carries sequences or optional values")

    def always(time: P.Scalar, states: Sequence[P.Array], _: Any) -> tuple[Sequence[P.Array], Sequence[P.Array]]:
        held, *results = context.inline(body, [P.compute((), lambda: time), P.constant(True, DataType.BOOL), *states])
        if held.known is None or not held.known.all():
            raise _Unsteady
        return results[: len(state)], results[len(state) :]

    def until(time: P.Scalar, states: Sequence[P.Array], _: Any) -> tuple[Sequence[P.Array], Sequence[P.Array]]:
        done, held, *carried = states
        held, *results = context.inline(body, [P.compute((), lambda: time), held, *carried])
        return [done + 1, P.reshape(held, ()), *results[: len(state)]], results[len(state) :]

    try:
        try:  # a body whose condition follows from the one before goes through all turns, or through none
            states, collected = P.recurrence(always, state, [], _if(flag, turns), limited=True)
            return (*states, *collected)
        except _Unsteady:
            pass
        if len(body.outputs) - 1 > len(state) and not (isinstance(turns, int) and turns <= MOST_TURNS):
            raise UnsupportedOperator("a loop that the data ends and that collects outputs of no known number")
        first = [P.constant(0, DataType.INT64), P.reshape(flag, ()), *state]
        (done, _, *carried), collected = P.recurrence(until, first, [], turns, condition=1, limited=True)
    except InvalidArgument as problem:  # states that change their shapes
        raise UnsupportedOperator(str(problem)) from problem
    if not collected:
        return tuple(carried)
    (extent,) = P.dimensions(P.reshape(done, (1,)))
    return (*carried, *(_first(item, extent) for item in collected))


def _if(flag: P.Array, turns: Dimension) -> Dimension:
    if flag.known is not None:
        return turns if flag.known.all() else 0
    (number,) = P.dimensions(P.where(P.reshape(flag, (1,)), P.dimensions_array([turns]), P.constant([0])))
    return number


def _first(item: P.Array, extent: Dimension) -> P.Array:
    return P.compute((extent, *item.shape[1:]), lambda *position: item[position])


@operator("Scan", since=8)
def scan_8(
    lengths: P.Array | None,
    *inputs: P.Array,
    body: Graph,
    num_scan_inputs: int,
    directions: list[int] | None = None,
    context: Context,
) -> tuple[P.Array, ...]:
    """A scan for each element of the batch, which is axis 0 of all inputs. ONNX Scan-8.

    Behind the `lengths` (B) of the sequences the states stay as they are, and the outputs are 0.
    """
    batch = inputs[0].shape[0]
    if not isinstance(batch, int):
        raise UnsupportedOperator(f"a scan of a batch of {batch}")
    results = [
        _scan(
            [_slice(item, place) for item in inputs],
            [0] * num_scan_inputs,
            directions or [0] * num_scan_inputs,
            body,
            context,
            None if lengths is None else lengths[place],
        )
        for place in range(batch)
    ]
    return tuple(_stacked(items, 0) for items in zip(*results))


@operator("Scan", since=9)
def scan(
    *inputs: P.Array,
    body: Graph,
    num_scan_inputs: int,
    scan_input_axes: list[int] | None = None,
    scan_input_directions: list[int] | None = None,
    scan_output_axes: list[int] | None = None,
    scan_output_directions: list[int] | None = None,
    context: Context,
) -> tuple[P.Array, ...]:
    """The body once for each slice of the scanned inputs, with a state carried along. ONNX Scan-9 to Scan-25."""
    if not 0 < num_scan_inputs <= len(inputs):
        raise InvalidArgument(f"{num_scan_inputs} of {len(inputs)} inputs are scanned")
    states = len(inputs) - num_scan_inputs
    axes = scan_input_axes or [0] * num_scan_inputs
    results = _scan(inputs, axes, scan_input_directions or [0] * num_scan_inputs, body, context)
    last, collected = results[:states], results[states:]
    reversed_ = scan_output_directions or [0] * len(collected)
    places = scan_output_axes or [0] * len(collected)
    return (*last, *(_back(item, place, reverse) for item, place, reverse in zip(collected, places, reversed_)))


def _scan(
    inputs: Sequence[P.Array],
    axes: Sequence[int],
    directions: Sequence[int],
    body: Graph,
    context: Context,
    steps: P.Scalar | None = None,
) -> tuple[P.Array, ...]:
    """The last states, and what was collected. Only the first `steps` steps count."""
    count = len(inputs) - len(axes)
    states, scanned = list(inputs[:count]), inputs[count:]
    places = [P.normalize_axis(axis, item.rank) for axis, item in zip(axes, scanned)]
    lengths = {item.shape[axis] for item, axis in zip(scanned, places)}
    if len(lengths) != 1:
        raise InvalidArgument(f"the scanned inputs have different lengths {sorted(map(str, lengths))}")
    (length,) = lengths
    sequences = [_along(item, axis, reverse) for item, axis, reverse in zip(scanned, places, directions)]

    def step(time: P.Scalar, carried: Sequence[P.Array], slices: Sequence[P.Array]) -> tuple[Sequence[P.Array], Sequence[P.Array]]:
        results = list(context.inline(body, [*carried, *slices]))
        if steps is not None:
            active = P.compute((), lambda: P.less(time, P.cast(steps, DataType.INT64)))
            before = [*carried, *(P.full(item.shape, 0, item.dtype) for item in results[count:])]
            results = [P.where(active, new, old) for new, old in zip(results, before)]
        return results[:count], results[count:]

    try:
        last, collected = P.recurrence(step, states, sequences, length)
    except InvalidArgument as problem:
        raise UnsupportedOperator(str(problem)) from problem
    return (*last, *collected)


def _along(item: P.Array, axis: int, reverse: int) -> P.Array:
    """The axis first, in the order in which it is gone through."""
    extent = item.shape[axis]
    shape = (extent, *item.shape[:axis], *item.shape[axis + 1 :])
    if not axis and not reverse:
        return item

    def element(time: Dimension, *place: Dimension) -> P.Scalar:
        return item[(*place[:axis], extent - 1 - time if reverse else time, *place[axis:])]

    return P.compute(shape, element)


def _back(item: P.Array, axis: int, reverse: int) -> P.Array:
    """The first axis in another place."""
    place, extent = P.normalize_axis(axis, item.rank), item.shape[0]
    if not place and not reverse:
        return item
    shape = (*item.shape[1 : place + 1], extent, *item.shape[place + 1 :])

    def element(*position: Dimension) -> P.Scalar:
        time = position[place]
        return item[(extent - 1 - time if reverse else time, *position[:place], *position[place + 1 :])]

    return P.compute(shape, element)


def _holds(flag: P.Array) -> bool:
    if flag.known is None:
        raise NotConstant(f"it goes on as long as {flag}, which must not depend on the run", [flag])
    return bool(flag.known.reshape(-1)[0])


def _slice(item: P.Array, place: int) -> P.Array:
    return P.compute(item.shape[1:], lambda *position: item[(place, *position)])


def _stacked(items: Sequence[P.Array], axis: int) -> P.Array:
    if not items:
        raise UnsupportedOperator("a loop of no turns that collects outputs: their shape is not known")
    place = P.normalize_axis(axis, items[0].rank + 1)
    return P.concatenate([P.expand_axes(item, [place]) for item in items], place)
