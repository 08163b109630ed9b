"""If, Loop, Scan and SequenceMap on the host: their sub-graphs are run in stages, once for each turn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from onward.errors import InvalidInput
from onward.ir import Graph, Node, TensorType, Value

if TYPE_CHECKING:
    from onward.runtime.options import RunLimits
    from onward.runtime.staging import StagedModel, Values

LOOPS = frozenset({"Loop", "Scan", "SequenceMap"})
"""Operators that are turned on the host rather than compiled anew for each number of turns."""

Body = Callable[[Graph, Sequence[Any]], list[Any]]
"""(sub-graph, inputs) -> outputs"""


def run_node(owner: StagedModel, node: Node, values: Values, limits: RunLimits) -> list[Any] | None:
    """The outputs of a control flow node; None for any other node."""
    from onward.runtime.staging import value_of

    runner = _RUNNERS.get(node.op_type) if node.domain in ("", "ai.onnx") else None
    if runner is None:
        return None
    outside = {value: values[value] for value in owner.reads(node) if value in values}

    def body(graph: Graph, given: Sequence[Any]) -> list[Any]:
        return owner.staged(graph).run({**outside, **dict(zip(graph.inputs, given))}, limits)

    return runner(node, [value_of(value, values) for value in node.inputs], body, limits)


def _if(node: Node, inputs: list[Any], body: Body, limits: RunLimits) -> list[Any]:
    taken = bool(np.asarray(inputs[0]).reshape(-1)[0])
    return body(node.attribute("then_branch" if taken else "else_branch"), [])


def _loop(node: Node, inputs: list[Any], body: Body, limits: RunLimits) -> list[Any]:
    graph: Graph = node.attribute("body")
    count, condition, *state = [*inputs, None, None][: max(2, len(inputs))]
    turns = None if count is None else int(np.asarray(count).reshape(-1)[0])
    flag = np.array(True) if condition is None else np.asarray(condition)
    collected: list[list[np.ndarray]] = [[] for _ in range(len(graph.outputs) - 1 - len(state))]
    turn = 0
    while (turns is None or turn < turns) and flag.reshape(-1)[0]:
        limits.turn(turn, node.name)
        results = body(graph, [np.array(turn, np.int64), flag, *state])
        flag, state = np.asarray(results[0]), results[1 : 1 + len(state)]
        for items, item in zip(collected, results[1 + len(state) :]):
            items.append(item)
        turn += 1
    outputs = graph.outputs[1 + len(state) :]
    return [*state, *(_stacked(items, value, 0) for items, value in zip(collected, outputs))]


def _scan(node: Node, inputs: list[Any], body: Body, limits: RunLimits) -> list[Any]:
    graph: Graph = node.attribute("body")
    if len(graph.inputs) == len(inputs) - 1:
        return _scan_8(node, inputs, body, limits)
    scanned = node.attribute("num_scan_inputs")
    state, sequences = inputs[: len(inputs) - scanned], inputs[len(inputs) - scanned :]
    axes = node.attribute("scan_input_axes") or [0] * scanned
    backward = node.attribute("scan_input_directions") or [0] * scanned
    moved = [np.moveaxis(item, axis, 0) for item, axis in zip(sequences, axes)]
    if len({len(item) for item in moved}) != 1:
        raise InvalidInput(f"node '{node.name}' (Scan): the scanned inputs have lengths {[len(item) for item in moved]}")
    moved = [item[::-1] if reverse else item for item, reverse in zip(moved, backward)]
    state, collected = _turned(graph, state, moved, body, limits, node.name)
    places = node.attribute("scan_output_axes") or [0] * len(collected)
    reverses = node.attribute("scan_output_directions") or [0] * len(collected)
    outputs = graph.outputs[len(state) :]
    return [
        *state,
        *(_stacked(items[::-1] if reverse else items, value, place) for items, value, place, reverse in zip(collected, outputs, places, reverses)),
    ]


def _scan_8(node: Node, inputs: list[Any], body: Body, limits: RunLimits) -> list[Any]:
    """Version 8: an optional vector of lengths first, then everything with a batch axis; short rows end in zeros."""
    graph: Graph = node.attribute("body")
    scanned = node.attribute("num_scan_inputs")
    backward = node.attribute("directions") or [0] * scanned
    lengths, *given = inputs
    state, sequences = given[: len(given) - scanned], given[len(given) - scanned :]
    longest = sequences[0].shape[1]
    rows: list[list[np.ndarray]] = []
    for row in range(len(sequences[0])):
        length = longest if lengths is None else int(lengths[row])
        moved = [item[row, :length] for item in sequences]
        moved = [item[::-1] if reverse else item for item, reverse in zip(moved, backward)]
        last, collected = _turned(graph, [item[row] for item in state], moved, body, limits, node.name)
        stacked = [_stacked(items, value, 0) for items, value in zip(collected, graph.outputs[len(state) :])]
        padded = [np.concatenate([item, np.zeros((longest - len(item), *item.shape[1:]), item.dtype)]) for item in stacked]
        rows.append([*last, *padded])
    return [np.stack(items) for items in zip(*rows)]


def _turned(
    graph: Graph, state: list[Any], sequences: Sequence[np.ndarray], body: Body, limits: RunLimits, name: str
) -> tuple[list[Any], list[list[np.ndarray]]]:
    """The body once for each slice along the first axis: the last states, and what was collected."""
    collected: list[list[np.ndarray]] = [[] for _ in range(len(graph.outputs) - len(state))]
    for turn in range(len(sequences[0])):
        limits.turn(turn, name)
        results = body(graph, [*state, *(np.asarray(item[turn], order="C") for item in sequences)])
        state = results[: len(state)]
        for items, item in zip(collected, results[len(state) :]):
            items.append(item)
    return state, collected


def _sequence_map(node: Node, inputs: list[Any], body: Body, limits: RunLimits) -> list[Any]:
    graph: Graph = node.attribute("body")
    lengths = {len(item) for item in inputs if isinstance(item, list)}
    if len(lengths) != 1:
        raise InvalidInput(f"node '{node.name}' (SequenceMap): the sequences have lengths {sorted(lengths)}")
    rows = []
    for place in range(lengths.pop()):
        limits.turn(place, node.name)
        rows.append(body(graph, [item[place] if isinstance(item, list) else item for item in inputs]))
    return [[row[number] for row in rows] for number in range(len(graph.outputs))]


def _stacked(items: Sequence[np.ndarray], value: Value, axis: int) -> np.ndarray:
    """The items along a new axis; without any, an array of that many elements of the declared type."""
    if items:
        return np.stack(items, axis if axis >= 0 else axis + items[0].ndim + 1)
    kind = value.type if isinstance(value.type, TensorType) else None
    shape = [extent if isinstance(extent, int) else 0 for extent in (kind.shape or ()) if kind] if kind else []
    shape.insert(axis if axis >= 0 else axis + len(shape) + 1, 0)
    return np.zeros(shape, kind.dtype.numpy if kind else np.float32)


_RUNNERS = {"If": _if, "Loop": _loop, "Scan": _scan, "SequenceMap": _sequence_map}
