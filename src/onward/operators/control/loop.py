"""Loop and Scan. Loops whose number of turns is known before the run are unrolled; equal turns share compiled code."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from onward import program as P
from onward.errors import InvalidArgument, UnsupportedOperator
from onward.ir import Graph
from onward.ir.datatypes import DataType
from onward.operators.arguments import NotConstant
from onward.operators.registry import Context, operator

MOST_TURNS = 4096


@operator("Loop")
def loop(
    count: P.Array | None, condition: P.Array | None, *state: Any, body: Graph, context: Context
) -> tuple[Any, ...]:
    """The body again and again: `count` times, as long as its condition holds. ONNX Loop-1 to Loop-25.

    The body takes (turn, condition, *state) and gives (condition, *state, *collected); what is collected is stacked.
    """
    turns = _turns(count)
    carried = list(state)
    collected: list[list[P.Array]] = [[] for _ in range(len(body.outputs) - 1 - len(state))]
    flag = P.constant(True, DataType.BOOL) if condition is None else condition
    turn = 0
    while turns is None or turn < turns:
        if not _holds(flag):
            break
        if turn == MOST_TURNS:
            raise UnsupportedOperator(f"a loop of more than {MOST_TURNS} turns")
        flag, *results = context.inline(body, [P.constant(turn, DataType.INT64), flag, *carried])
        carried = results[: len(state)]
        for items, item in zip(collected, results[len(state) :]):
            items.append(item)
        turn += 1
    return (*carried, *(_stacked(items, 0) for items in collected))


@operator("Scan", since=8)
def scan_8(
    lengths: P.Array | None,
    *inputs: P.Array,
    body: Graph,
    num_scan_inputs: int,
    directions: list[int] | None = None,
    context: Context,
) -> tuple[P.Array, ...]:
    """A scan for each element of the batch, which is axis 0 of all inputs; all have the full length. ONNX Scan-8."""
    if lengths is not None:
        raise UnsupportedOperator("a scan of sequences of different lengths")
    batch = inputs[0].shape[0]
    if not isinstance(batch, int):
        raise UnsupportedOperator(f"a scan of a batch of {batch}")
    results = [
        scan(
            *(_slice(item, 0, place) for item in inputs),
            body=body,
            num_scan_inputs=num_scan_inputs,
            scan_input_directions=directions,
            context=context,
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
    states = list(inputs[: len(inputs) - num_scan_inputs])
    scanned = inputs[len(inputs) - num_scan_inputs :]
    axes = [P.normalize_axis(axis, item.rank) for axis, item in zip(scan_input_axes or [0] * num_scan_inputs, scanned)]
    lengths = {item.shape[axis] for item, axis in zip(scanned, axes)}
    if len(lengths) != 1:
        raise InvalidArgument(f"the scanned inputs have different lengths {sorted(map(str, lengths))}")
    (length,) = lengths
    if not isinstance(length, int) or length > MOST_TURNS:
        raise UnsupportedOperator(f"a scan of {length} turns")
    backward = scan_input_directions or [0] * num_scan_inputs
    collected: list[list[P.Array]] = [[] for _ in range(len(body.outputs) - len(states))]
    for turn in range(length):
        slices = [
            _slice(item, axis, length - 1 - turn if reverse else turn)
            for item, axis, reverse in zip(scanned, axes, backward)
        ]
        results = context.inline(body, [*states, *slices])
        states = list(results[: len(states)])
        for items, item in zip(collected, results[len(states) :]):
            items.append(item)
    reversed_ = scan_output_directions or [0] * len(collected)
    places = scan_output_axes or [0] * len(collected)
    outputs = [
        _stacked(items[::-1] if reverse else items, place)
        for items, reverse, place in zip(collected, reversed_, places)
    ]
    return (*states, *outputs)


def _turns(count: P.Array | None) -> int | None:
    if count is None:
        return None
    if count.known is None:
        raise NotConstant(f"its number of turns {count} must be a constant", [count])
    return max(0, int(count.known.reshape(-1)[0]))


def _holds(flag: P.Array) -> bool:
    if flag.known is None:
        raise NotConstant(f"it goes on as long as {flag}, which must not depend on the run", [flag])
    return bool(flag.known.reshape(-1)[0])


def _slice(item: P.Array, axis: int, place: int) -> P.Array:
    shape = (*item.shape[:axis], *item.shape[axis + 1 :])
    return P.compute(shape, lambda *position: item[(*position[:axis], place, *position[axis:])])


def _stacked(items: Sequence[P.Array], axis: int) -> P.Array:
    if not items:
        raise UnsupportedOperator("a loop of no turns that collects outputs: their shape is not known")
    place = P.normalize_axis(axis, items[0].rank + 1)
    return P.concatenate([P.expand_axes(item, [place]) for item in items], place)
