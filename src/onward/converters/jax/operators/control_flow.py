"""Branches and loops of the source."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from onward.converters.jax.emitter import Array, Emitter
from onward.converters.jax.registry import complex_primitive, primitive
from onward.errors import UnsupportedOperator
from onward.ir import Value
from onward.ir.datatypes import DataType


def _both(*names: str) -> Any:
    return lambda function: complex_primitive(*names)(primitive(*names)(function))


def _port(c: Emitter, like: Array, name: str, leading: int = 0) -> Array:
    shape = like.shape[leading:]
    return Array(c.port(name, like.dtype, (*shape, *like.tail)), like.dtype, shape)


def _values(c: Emitter, arrays: Sequence[Array]) -> list[Value]:
    return [c.value(item) for item in arrays]  # type: ignore[misc]


@_both("cond")
def cond(c: Emitter, index: Array, *operands: Array, branches: Sequence[Any], **parameters: Any) -> list[Value]:
    """If; more than two branches one after another. An index outside counts as the nearest."""
    if index.known is not None:
        chosen = min(max(int(index.known), 0), len(branches) - 1)
        return _values(c, c.walker.closed(branches[chosen], operands))
    return _branch(c, index, operands, branches, 0)


@primitive("platform_index")
def platform_index(c: Emitter, *, platforms: Sequence[Any], **parameters: Any) -> Array:
    """The branch for a CPU, or the one for all others."""
    for place, names in enumerate(platforms):
        if names is None or "cpu" in names:
            return Array(np.array(place, c.result.dtype), c.result.dtype, ())
    raise UnsupportedOperator("there is no branch for a CPU")


def _branch(c: Emitter, index: Array, operands: Sequence[Array], branches: Sequence[Any], place: int) -> list[Value]:
    if place == len(branches) - 1:
        return _values(c, c.walker.closed(branches[place], operands))
    test = c.op("LessOrEqual", index, c.number(place, index.dtype)) if not index.is_bool else c.op("Not", index)
    with c.inner_graph("then_branch") as first:
        types = c.give_back(_values(c, c.walker.closed(branches[place], operands)))
    with c.inner_graph("else_branch") as second:
        c.give_back(_branch(c, index, operands, branches, place + 1))
    made = c.op("If", test, then_branch=first, else_branch=second, outputs=len(types), types=types)
    return [made] if len(types) == 1 else made


@_both("while")
def while_(c: Emitter, *arguments: Array, cond_jaxpr: Any, body_jaxpr: Any, cond_nconsts: int, body_nconsts: int, **parameters: Any) -> list[Value]:
    """A condition with axes (of loops that vmap maps) goes on while one of its elements holds, and then changes those states alone."""
    of_condition, of_body = arguments[:cond_nconsts], arguments[cond_nconsts : cond_nconsts + body_nconsts]
    carried = arguments[cond_nconsts + body_nconsts :]
    (first,) = c.walker.closed(cond_jaxpr, [*of_condition, *carried])
    many = first.rank > 0
    with c.inner_graph("body") as inner:
        c.port("turn", DataType.INT64, ())
        c.port("condition", DataType.BOOL, ())
        running = [_port(c, first, "running")] if many else []
        ports = [_port(c, item, "state") for item in carried]
        after = c.walker.closed(body_jaxpr, [*of_body, *ports])
        if many:
            after = [_where(c, running[0], new, old) for new, old in zip(after, ports, strict=True)]
        (again,) = c.walker.closed(cond_jaxpr, [*of_condition, *after])
        _, *types = c.give_back([_any(c, again), *_values(c, [again] if many else []), *_values(c, after)])
    states = [first, *carried] if many else carried
    made = c.op("Loop", None, _any(c, first), *states, body=inner, outputs=len(states), types=types)
    results = [made] if len(states) == 1 else made
    return results[1:] if many else results


def _any(c: Emitter, test: Array) -> Value:
    return c.op("ReduceMax", test, keepdims=0) if test.rank else _values(c, [test])[0]


def _where(c: Emitter, test: Array, new: Array, old: Array) -> Array:
    """The new elements where a test of the first axes holds."""
    wide = c.unsqueeze(test, *range(test.rank, old.rank + len(old.tail)))
    return Array(c.where(wide, new, old), old.dtype, old.shape)


@_both("scan")
def scan(c: Emitter, *arguments: Array, jaxpr: Any, length: Any, reverse: bool, num_consts: int, num_carry: int, **parameters: Any) -> list[Value]:
    constants, states, sequences = arguments[:num_consts], arguments[num_consts : num_consts + num_carry], arguments[num_consts + num_carry :]
    if not sequences:
        return _counted(c, constants, states, jaxpr, length, reverse)
    with c.inner_graph("body") as inner:
        ports = [_port(c, item, "state") for item in states]
        slices = [_port(c, item, "slice", 1) for item in sequences]
        types = c.give_back(_values(c, c.walker.closed(jaxpr, [*constants, *ports, *slices])))
    directions = [int(reverse)] * len(sequences)
    stacked = len(types) - num_carry
    made = c.op(
        "Scan", *states, *sequences, body=inner, num_scan_inputs=len(sequences), scan_input_directions=directions if reverse else None,
        scan_output_directions=[1] * stacked if reverse and stacked else None, outputs=len(types), types=types,
    )  # fmt: skip
    return [made] if len(types) == 1 else made


def _counted(c: Emitter, constants: Sequence[Array], states: Sequence[Array], jaxpr: Any, length: Any, reverse: bool) -> list[Value]:
    """A known number of turns without sequences."""
    with c.inner_graph("body") as inner:
        c.port("turn", DataType.INT64, ())
        condition = c.port("condition", DataType.BOOL, ())
        ports = [_port(c, item, "state") for item in states]
        _, *types = c.give_back([condition, *_values(c, c.walker.closed(jaxpr, [*constants, *ports]))])
    made = c.op("Loop", c.size(length), np.array(True), *states, body=inner, outputs=len(types), types=types)
    results = [made] if len(types) == 1 else list(made)
    if not reverse:
        return results
    return [value if place < len(states) else _reversed(c, value) for place, value in enumerate(results)]


def _reversed(c: Emitter, value: Value) -> Value:
    return c.slice(value, 0, -1, np.iinfo(np.int64).min, -1)


@_both("custom_linear_solve")
def custom_linear_solve(c: Emitter, *arguments: Array, const_lengths: Any, jaxprs: Any) -> list[Value]:
    """What the given solver gives."""
    before = const_lengths.matvec + const_lengths.vecmat
    constants = arguments[before : before + const_lengths.solve]
    right_sides = arguments[before + const_lengths.solve + const_lengths.transpose_solve :]
    return _values(c, c.walker.closed(jaxprs.solve, [*constants, *right_sides]))
