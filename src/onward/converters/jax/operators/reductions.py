"""Many elements to one: sums, extremes, running sums."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from onward.converters.jax.emitter import Array, Emitter, stored
from onward.converters.jax.registry import PRIMITIVES, primitive
from onward.errors import UnsupportedOperator
from onward.ir import Value

REDUCTIONS = {"reduce_sum": "ReduceSum", "reduce_prod": "ReduceProd", "reduce_max": "ReduceMax", "reduce_min": "ReduceMin"}


def _reduction(operator: str) -> Any:
    def emit(c: Emitter, x: Array, *, axes: Sequence[int], **parameters: Any) -> Value:
        if not axes:
            return c.op("Identity", x)
        return c.op(operator, x, np.array([int(axis) for axis in axes], np.int64), keepdims=0)

    return emit


for _name, _operator in REDUCTIONS.items():
    primitive(_name)(_reduction(_operator))


@primitive("reduce_and", "reduce_or")
def reduce_logic(c: Emitter, x: Array, *, axes: Sequence[int], **parameters: Any) -> Value:
    if not axes:
        return c.op("Identity", x)
    kind = "and" if c.primitive == "reduce_and" else "or"
    if not x.is_bool:
        return _by_bits(c, x, axes, kind)
    return c.op("ReduceMin" if kind == "and" else "ReduceMax", x, np.array([int(axis) for axis in axes], np.int64), keepdims=0)


@primitive("reduce_xor")
def reduce_xor(c: Emitter, x: Array, *, axes: Sequence[int], **parameters: Any) -> Value:
    if not axes:
        return c.op("Identity", x)
    if not x.is_bool:
        return _by_bits(c, x, axes, "xor")
    total = c.op("ReduceSum", c.convert(x, np.int64), np.array([int(axis) for axis in axes], np.int64), keepdims=0)
    return c.convert(c.op("Mod", total, np.array(2)), np.bool_)


def _by_bits(c: Emitter, x: Array, axes: Sequence[int], kind: str) -> Value:
    """Every bit by itself, in a last axis."""
    from onward.converters.jax.operators.bits import unsigned

    dtype = unsigned(x.dtype)
    width = dtype.itemsize * 8
    places = c.array(np.arange(width).astype(dtype))
    spread = c.op("BitShift", c.unsqueeze(c.convert(x, dtype), x.rank), places, direction="RIGHT")
    bits = c.convert(c.op("BitwiseAnd", spread, c.number(1, dtype)), np.int32)
    over = np.array([int(axis) for axis in axes], np.int64)
    if kind == "xor":
        reduced = c.op("Mod", c.op("ReduceSum", bits, over, keepdims=0), c.number(2, np.int32))
    else:
        reduced = c.op("ReduceMin" if kind == "and" else "ReduceMax", bits, over, keepdims=0)
    placed = c.op("BitShift", c.convert(reduced, dtype), places, direction="LEFT")
    return c.convert(c.op("ReduceSum", placed, np.array([-1]), keepdims=0), x.dtype)


@primitive("argmax", "argmin")
def arg_extreme(c: Emitter, x: Array, *, axes: Sequence[int], index_dtype: Any) -> Value:
    """The first place of the extreme; NaN counts as one."""
    (axis,) = axes
    operator = "ArgMax" if c.primitive == "argmax" else "ArgMin"
    value: Any = x
    if x.is_float:
        nan = c.op("IsNaN", x)
        first = c.op("ArgMax", c.convert(nan, np.int32), axis=axis, keepdims=0)
        any_nan = c.op("ReduceMax", nan, np.array([axis]), keepdims=0)
        plain = c.op(operator, c.where(nan, c.number(0, x.dtype), x), axis=axis, keepdims=0)
        return c.convert(c.where(any_nan, first, plain), index_dtype)
    return c.convert(c.op(operator, value, axis=axis, keepdims=0), index_dtype)


@primitive("cumsum")
def cumsum(c: Emitter, x: Array, *, axis: int, reverse: bool) -> Value:
    return c.op("CumSum", x, np.array(axis), reverse=int(reverse))


@primitive("cumprod")
def cumprod(c: Emitter, x: Array, *, axis: int, reverse: bool) -> Value:
    return running(c, x, axis, reverse, lambda total, item: c.op("Mul", total, item), 1)


@primitive("cummax", "cummin")
def cumulative_extreme(c: Emitter, x: Array, *, axis: int, reverse: bool) -> Value:
    operator = "Max" if c.primitive == "cummax" else "Min"
    return running(c, x, axis, reverse, lambda total, item: c.op(operator, total, item), extreme(x.dtype, operator == "Min"))


@primitive("cumlogsumexp")
def cumlogsumexp(c: Emitter, x: Array, *, axis: int, reverse: bool) -> Value:
    """max + log(1 + exp(-distance)), step by step."""

    def step(total: Value, item: Value) -> Value:
        greater, smaller = c.op("Max", total, item), c.op("Min", total, item)
        equal = c.op("Equal", greater, smaller)
        distance = c.where(equal, c.number(0, x.dtype), c.op("Sub", smaller, greater))
        sum_ = c.op("Log", c.op("Add", c.number(1, x.dtype), c.op("Exp", distance)))
        both_none = c.op("Equal", greater, c.number(-np.inf, x.dtype))
        return c.where(both_none, greater, c.op("Add", greater, sum_))

    return running(c, x, axis, reverse, step, -np.inf)


def extreme(dtype: Any, greatest: bool) -> Any:
    """The greatest or least number of a type."""
    kind = np.dtype(dtype)
    if kind == np.bool_:
        return greatest
    if kind.kind in "iu":
        limits = np.iinfo(kind)
        return limits.max if greatest else limits.min
    return np.inf if greatest else -np.inf


def running(c: Emitter, x: Array, axis: int, reverse: bool, step: Any, start: Any) -> Value:
    """A Scan along one axis whose state is what it gives."""
    rest = [extent for place, extent in enumerate(x.shape) if place != axis]
    first = c.expand(c.number(start, x.dtype), rest) if rest else c.number(start, x.dtype)
    outer = c.value(x)
    with c.inner_graph("body") as inner:
        total = c.port("total", x.dtype, rest)
        item = c.port("item", x.dtype, rest)
        made = step(total, item)
        types = c.give_back([made, made])
    _, found = c.op(
        "Scan", first, outer, body=inner, num_scan_inputs=1, scan_input_axes=[axis], scan_input_directions=[int(reverse)],
        scan_output_axes=[axis], scan_output_directions=[int(reverse)], outputs=2, types=types,
    )  # fmt: skip
    return found


MONOIDS = {
    "add": "reduce_sum", "mul": "reduce_prod", "max": "reduce_max", "min": "reduce_min", "and": "reduce_and", "or": "reduce_or", "xor": "reduce_xor",
}  # fmt: skip


@primitive("reduce")
def reduce(c: Emitter, *arrays: Array, jaxpr: Any, dimensions: Sequence[int], **parameters: Any) -> list[Value]:
    """A reduction by a function: by its name where it is one primitive of both, else step by step along one axis after another."""
    count = len(arrays) // 2
    operands, starts = arrays[:count], arrays[count:]
    name = monoid(jaxpr)
    if count == 1 and name in MONOIDS:
        c.primitive = MONOIDS[name]
        value = PRIMITIVES[MONOIDS[name]](c, operands[0], axes=dimensions)
        reduced = Array(value, operands[0].dtype, c.result.shape)
        return [c.walker.c.value(PRIMITIVES[name](c, reduced, starts[0]))]
    return _folded_along(c, operands, starts, jaxpr, dimensions)


def monoid(closed: Any) -> str:
    """The name of the primitive that a function of two numbers is."""
    jaxpr = getattr(closed, "jaxpr", closed)
    if len(jaxpr.eqns) != 1 or len(jaxpr.invars) != 2:
        return ""
    (equation,) = jaxpr.eqns
    same = set(map(id, equation.invars)) == set(map(id, jaxpr.invars)) and list(equation.outvars) == list(jaxpr.outvars)
    return str(equation.primitive.name) if same else ""


def _folded_along(c: Emitter, operands: Sequence[Array], starts: Sequence[Array], jaxpr: Any, dimensions: Sequence[int]) -> list[Value]:
    count = len(operands)
    order = [*dimensions, *(axis for axis in range(operands[0].rank) if axis not in dimensions)]
    rest = [operands[0].shape[axis] for axis in order[len(dimensions) :]]
    flat = [c.reshape(c.transpose(item, order), [-1, *rest]) if _plain(rest) else _raise(rest) for item in operands]
    states = [c.expand(start, rest) if rest else c.value(start) for start in starts]
    with c.inner_graph("body") as inner:
        totals = [Array(c.port("total", item.dtype, rest), item.dtype, tuple(rest)) for item in operands]
        items = [Array(c.port("item", item.dtype, rest), item.dtype, tuple(rest)) for item in operands]
        made = c.walker.closed(jaxpr, [*totals, *items])
        types = c.give_back([c.convert(item, stored(operand.dtype)) for item, operand in zip(made, operands, strict=True)])
    found = c.op("Scan", *states, *flat, body=inner, num_scan_inputs=count, outputs=count, types=types)
    return [found] if count == 1 else found


def _plain(rest: Sequence[Any]) -> bool:
    return all(isinstance(extent, int) for extent in rest)


def _raise(rest: Sequence[Any]) -> Any:
    raise UnsupportedOperator("a reduction by a function of one's own needs known sizes beside the reduced ones")
