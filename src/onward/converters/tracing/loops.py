"""Iterations that the data end, which NumPy code says with a branch: they are written by hand with `repeat`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from onward.converters.tracing.array import Array, as_array
from onward.ir import TensorType
from onward.ir.datatypes import DataType


def repeat(limit: Any, states: Sequence[Any], step: Callable[..., tuple[Sequence[Any], Any]]) -> list[Array]:
    """The states after some turns: `step(*states)` gives the next ones, of the same shapes, and whether to go on, a truth value
    of rank 0. There are at most `limit` turns, an integer or a traced one."""
    trace = states[0].trace
    b = trace.b
    with b.inner_graph("turn") as body:
        for kind, name in ((DataType.INT64, "turn"), (DataType.BOOL, "going")):
            body.inputs.append(body.new_value(TensorType(kind, ()), name))
        ports = []
        for item in states:
            value = body.new_value(TensorType(DataType.of(item.dtype), (None,) * item.ndim), "state")
            body.inputs.append(value)
            ports.append(Array(trace, value, item.dtype, item.shape))
        after, going = step(*ports)
        results = [as_array(trace, going), *(as_array(trace, item).astype(port.dtype) for item, port in zip(after, ports, strict=True))]
        body.outputs.extend(b.op("Identity", item.value) for item in results)
    made = b.op("Loop", as_array(trace, limit).value, trace.constant(np.array(True)), *(item.value for item in states), body=body, outputs=len(states))
    values = [made] if len(states) == 1 else made
    return [Array(trace, value, item.dtype, item.shape) for value, item in zip(values, states)]
