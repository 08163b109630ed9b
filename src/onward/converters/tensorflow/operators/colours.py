"""Colours of pictures."""

from __future__ import annotations

from typing import Any

import numpy as np

from onward.converters.tensorflow.emitter import Emitter, Tensor
from onward.converters.tensorflow.registry import operator
from onward.ir import Value


def _hue(c: Emitter, x: Tensor) -> tuple[Value, Value, Value]:
    """Hue in turns, the greatest part and how far the parts differ."""
    red, green, blue = (c.op("Gather", x, np.array([place]), axis=-1) for place in range(3))
    value = c.op("ReduceMax", x, [-1])
    spread = c.op("Sub", value, c.op("ReduceMin", x, [-1]))
    zero, six = c.number(0, x), c.number(1 / 6, x)
    scale = c.op("Div", six, spread)
    hue = c.op("Where", c.op("Equal", red, value), c.op("Mul", scale, c.op("Sub", green, blue)), c.op(
        "Where", c.op("Equal", green, value), c.op("Add", c.op("Mul", scale, c.op("Sub", blue, red)), c.number(2 / 6, x)),
        c.op("Add", c.op("Mul", scale, c.op("Sub", red, green)), c.number(4 / 6, x))))  # fmt: skip
    hue = c.op("Where", c.op("Greater", spread, zero), hue, zero)
    return c.op("Where", c.op("Less", hue, zero), c.op("Add", hue, c.number(1, x)), hue), value, spread


def _saturation(c: Emitter, x: Tensor, value: Value, spread: Value) -> Value:
    made: Value = c.op("Where", c.op("Greater", value, c.number(0, x)), c.op("Div", spread, value), c.number(0, x))
    return made


def _shares(c: Emitter, x: Tensor, hue: Value) -> Value:
    """How much of each part a hue has: |6h - 3| - 1, 2 - |6h - 2|, 2 - |6h - 4|, each between 0 and 1."""
    turn = c.op("Mul", hue, c.number(6, x))
    one = c.number(1, x)
    shares = [c.op("Sub", c.op("Abs", c.op("Sub", turn, c.number(3, x))), one)]
    shares += [c.op("Sub", c.number(2, x), c.op("Abs", c.op("Sub", turn, c.number(at, x)))) for at in (2, 4)]
    made: Value = c.op("Clip", c.op("Concat", *shares, axis=-1), c.number(0, x), one)
    return made


def _painted(c: Emitter, x: Tensor, hue: Value, saturation: Value, value: Value) -> Value:
    made: Value = c.op("Mul", c.op("Add", c.op("Sub", c.number(1, x), saturation), c.op("Mul", saturation, _shares(c, x, hue))), value)
    return made


@operator("RGBToHSV")
def rgb_to_hsv(c: Emitter, op: Any, x: Tensor) -> Value:
    hue, value, spread = _hue(c, x)
    return c.op("Concat", hue, _saturation(c, x, value, spread), value, axis=-1)


@operator("HSVToRGB")
def hsv_to_rgb(c: Emitter, op: Any, x: Tensor) -> Value:
    return _painted(c, x, *(c.op("Gather", x, np.array([place]), axis=-1) for place in range(3)))


@operator("AdjustHue")
def adjust_hue(c: Emitter, op: Any, x: Tensor, turn: Tensor) -> Value:
    """The hue turned; the greatest and the least part stay."""
    hue, value, spread = _hue(c, x)
    moved = c.op("Add", hue, c.cast(turn, x.dtype))
    moved = c.op("Sub", moved, c.op("Floor", moved))
    return c.op("Add", c.op("Sub", value, spread), c.op("Mul", spread, _shares(c, x, moved)))


@operator("AdjustSaturation")
def adjust_saturation(c: Emitter, op: Any, x: Tensor, factor: Tensor) -> Value:
    hue, value, spread = _hue(c, x)
    stronger = c.op("Mul", _saturation(c, x, value, spread), c.cast(factor, x.dtype))
    return _painted(c, x, hue, c.op("Clip", stronger, c.number(0, x), c.number(1, x)), value)


@operator("AdjustContrastv2")
def adjust_contrast(c: Emitter, op: Any, x: Tensor, factor: Tensor) -> Value:
    mean = c.op("ReduceMean", x, [-3, -2])
    return c.op("Add", c.op("Mul", c.op("Sub", x, mean), c.cast(factor, x.dtype)), mean)
