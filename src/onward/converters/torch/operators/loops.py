"""Loops that translations write themselves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from onward.converters.torch.emitter import DATA_TYPES, Emitter, Tensor, is_static
from onward.ir import TensorType, Value
from onward.ir.datatypes import DataType

Step = Callable[[Value, list[Tensor]], Sequence[Value]]
"""From the number of the turn and the states to the states after it, then what is kept of every turn."""


def port(c: Emitter, dtype: torch.dtype, shape: Sequence[Any], name: str) -> Value:
    """An input of an inner graph."""
    extents = tuple(extent if is_static(extent) else None for extent in shape)
    value = c.graph.new_value(TensorType(DATA_TYPES[dtype], extents), name)
    c.graph.inputs.append(value)
    return value


def loop(c: Emitter, turns: Any, states: Sequence[Tensor], step: Step, again: Callable[[list[Tensor]], Value] | None = None) -> list[Value]:
    """The states after a number of turns, or after the first turn whose states `again` is false of; then, stacked, what was
    kept of every turn."""
    start = again(list(states)) if again else None
    with c.inner_graph("turn") as inner:
        turn = inner.new_value(TensorType(DataType.INT64, ()), "turn")
        goes_on = inner.new_value(TensorType(DataType.BOOL, ()), "condition")
        inner.inputs.extend([turn, goes_on])
        ports = [Tensor(port(c, item.dtype, item.shape, "state"), item.dtype, item.shape) for item in states]
        after = list(step(turn, ports))
        known = [Tensor(value, item.dtype, item.shape) for value, item in zip(after, states)]
        condition = again(known) if again else goes_on
        inner.outputs.extend(c.op("Identity", value) for value in (condition, *after))
    count = c.number(turns, torch.int64) if turns is not None else None
    made = c.op("Loop", count, start, *states, body=inner, outputs=len(after))
    return [made] if len(after) == 1 else list(made)
