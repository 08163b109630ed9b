"""Pictures seen through a projective transformation."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from onward.converters.tensorflow.emitter import Emitter, Tensor
from onward.converters.tensorflow.operators.ragged import counted
from onward.converters.tensorflow.registry import operator
from onward.errors import UnsupportedOperator
from onward.ir import Value


@operator("ImageProjectiveTransformV2", "ImageProjectiveTransformV3")
def projective(c: Emitter, op: Any, x: Tensor, transforms: Tensor, sizes: Tensor, fill: Tensor | None = None) -> Value:
    """Each pixel of the result is what lies at ((a0 x + a1 y + a2) / k, (b0 x + b1 y + b2) / k), k = c0 x + c1 y + 1: (pictures, rows, columns,
    channels) for transforms (pictures or 1, 8) of the numbers a, b and c."""
    wanted = c.sizes(sizes)
    row, column = (c.op("Cast", counted(c, c.slice(wanted, 0, place, place + 1)), to=1) for place in range(2))
    row, column = c.unsqueeze(row, 1), c.unsqueeze(column, 0)
    of = [c.unsqueeze(c.op("Gather", transforms, np.array([place]), axis=1), 2) for place in range(8)]

    def line(first: Value, second: Value, third: Any) -> Value:
        return c.op("Add", c.op("Add", c.op("Mul", first, column), c.op("Mul", second, row)), third)  # type: ignore[no-any-return]

    below = line(of[6], of[7], np.array(1, np.float32))
    across, down = (c.op("Div", line(*of[start : start + 3]), below) for start in (0, 3))
    ends = [c.op("Cast", c.op("Shape", x, start=axis, end=axis + 1), to=1) for axis in (1, 2)]
    down, across = (_inside(c, op["fill_mode"], place, extent) for place, extent in zip((down, across), ends))
    outside = c.number(0, x) if fill is None else c.cast(fill, x.dtype)
    if op["interpolation"] == "NEAREST":
        made = _read(c, x, _rounded(c, down), _rounded(c, across), ends, outside)
    elif x.dtype in (tf.float32, tf.float64):
        made = _between(c, x, down, across, ends, outside)
    else:
        raise UnsupportedOperator("pictures of whole or half numbers between pixels")
    return c.op("Where", c.op("Equal", c.unsqueeze(below, 3), np.array(0, np.float32)), outside, made)  # type: ignore[no-any-return]


def _inside(c: Emitter, mode: str, place: Value, extent: Value) -> Value:
    """A place beyond the edge as the mode takes it."""
    zero, one, two = (np.array(number, np.float32) for number in range(3))
    last = c.op("Sub", extent, one)
    if mode == "CONSTANT":
        return place
    below, above = c.op("Less", place, zero), c.op("Greater", place, last)
    if mode == "REFLECT":
        double = c.op("Mul", extent, two)
        turns = _whole(c, c.op("Div", c.op("Neg", place), double))
        low = c.op("Where", c.op("Less", place, double), c.op("Add", c.op("Mul", double, turns), place), place)
        low = c.op("Where", c.op("Less", low, c.op("Neg", extent)), c.op("Add", low, double), c.op("Sub", c.op("Neg", low), one))
        high = c.op("Sub", place, c.op("Mul", double, _whole(c, c.op("Div", place, double))))
        high = c.op("Where", c.op("GreaterOrEqual", high, extent), c.op("Sub", c.op("Sub", double, high), one), high)
    elif mode == "WRAP":
        step = c.op("Max", last, one)
        low = c.op("Add", place, c.op("Mul", extent, c.op("Add", _whole(c, c.op("Div", c.op("Neg", place), step)), one)))
        high = c.op("Sub", place, c.op("Mul", extent, _whole(c, c.op("Div", place, step))))
    else:
        low = high = place
    moved = c.op("Where", below, low, c.op("Where", above, high, place))
    return c.op("Min", c.op("Max", moved, zero), last)  # type: ignore[no-any-return]


def _whole(c: Emitter, x: Value) -> Value:
    """Without what is behind the point."""
    return c.op("Mul", c.op("Sign", x), c.op("Floor", c.op("Abs", x)))  # type: ignore[no-any-return]


def _rounded(c: Emitter, x: Value) -> Value:
    """Halves go away from zero."""
    whole = c.op("Floor", c.op("Abs", x))
    up = c.op("GreaterOrEqual", c.op("Sub", c.op("Abs", x), whole), np.array(0.5, np.float32))
    return c.op("Mul", c.op("Sign", x), c.op("Add", whole, c.op("Cast", up, to=1)))  # type: ignore[no-any-return]


def _read(c: Emitter, x: Tensor, down: Value, across: Value, ends: list[Any], outside: Value) -> Value:
    """The pixels at whole places (pictures or 1, rows, columns); what lies outside is said."""
    zero = np.array(0, np.float32)
    chosen, there = [], None
    for place, extent in zip((down, across), ends):
        last = c.op("Sub", extent, np.array(1, np.float32))
        inner = c.op("And", c.op("GreaterOrEqual", place, zero), c.op("LessOrEqual", place, last))
        there = inner if there is None else c.op("And", there, inner)
        chosen.append(c.op("Cast", c.op("Min", c.op("Max", place, zero), last), to=7))
    pictures = c.op("Reshape", counted(c, c.op("Shape", x, end=1)), np.array([-1, 1, 1]))
    nothing = c.op("Mul", c.op("Add", pictures, chosen[0]), np.array(0))
    places = c.op("Concat", *(c.unsqueeze(c.op("Add", item, nothing), 3) for item in (pictures, *chosen)), axis=3)
    return c.op("Where", c.unsqueeze(there, 3), c.op("GatherND", x, places), outside)  # type: ignore[no-any-return]


def _between(c: Emitter, x: Tensor, down: Value, across: Value, ends: list[Any], outside: Value) -> Value:
    """The pixels around a place, weighted by how near they are."""
    one = np.array(1, np.float32)
    (top, left), rows = (c.op("Floor", item) for item in (down, across)), []
    bottom, right = c.op("Add", top, one), c.op("Add", left, one)
    near, far = (c.cast(c.unsqueeze(item, 3), x.dtype) for item in (c.op("Sub", right, across), c.op("Sub", across, left)))
    for row in (top, bottom):
        first, second = (_read(c, x, row, column, ends, outside) for column in (left, right))
        rows.append(c.op("Add", c.op("Mul", near, first), c.op("Mul", far, second)))
    upper, lower = (c.cast(c.unsqueeze(item, 3), x.dtype) for item in (c.op("Sub", bottom, down), c.op("Sub", down, top)))
    return c.op("Add", c.op("Mul", upper, rows[0]), c.op("Mul", lower, rows[1]))  # type: ignore[no-any-return]
