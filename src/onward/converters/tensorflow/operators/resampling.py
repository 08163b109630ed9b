"""Pictures: resizing and cutting."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from onward.converters.tensorflow.emitter import Emitter, Tensor
from onward.converters.tensorflow.registry import operator
from onward.errors import UnsupportedOperator
from onward.ir import Value


@operator("ResizeBilinear", "ResizeNearestNeighbor")
def resize(c: Emitter, op: Any, x: Tensor, sizes: Tensor) -> Value:
    """Which place of the picture a pixel comes from is what the flags say."""
    corners, half = bool(op["align_corners"]), bool(op["half_pixel_centers"])
    kind = {"ResizeBilinear": "linear", "ResizeNearestNeighbor": "nearest"}[op.type]
    options: dict[str, Any] = {"coordinate_transformation_mode": "align_corners" if corners else "half_pixel" if half else "asymmetric"}
    if kind == "nearest":
        options["nearest_mode"] = "round_prefer_ceil" if corners else "floor"
        if half:
            options["coordinate_transformation_mode"] = "tf_half_pixel_for_nn"
    value = c.transpose(c.cast(x, tf.float32) if kind != "nearest" else x, [0, 3, 1, 2])
    if options["coordinate_transformation_mode"] == "tf_half_pixel_for_nn":
        return _nearest_of_half_pixels(c, x, sizes)
    wanted = c.op("Concat", c.op("Shape", value, end=2), c.sizes(sizes), axis=0)
    made = c.op("Resize", value, None, None, wanted, mode=kind, **options)
    return c.transpose(made, [0, 2, 3, 1])


def _nearest_of_half_pixels(c: Emitter, x: Tensor, sizes: Tensor) -> Value:
    """floor((i + 1/2) scale) in single precision, rows and then columns."""
    value = x.value
    for place, axis in ((0, 1), (1, 2)):
        extent = c.op("Cast", c.op("Shape", x, start=axis, end=axis + 1), to=1)
        wanted = c.slice(c.sizes(sizes), 0, place, place + 1)
        scale = c.op("Div", extent, c.op("Cast", wanted, to=1))
        steps = c.op("Cast", c.op("Range", np.array(0), c.squeeze(wanted, 0), np.array(1)), to=1)
        chosen = c.op("Floor", c.op("Mul", c.op("Add", steps, np.array(0.5, np.float32)), scale))
        chosen = c.op("Min", chosen, c.op("Sub", extent, np.array(1, np.float32)))
        value = c.op("Gather", value, c.op("Cast", chosen, to=7), axis=axis)
    return value


@operator("ResizeBicubic")
def resize_bicubic(c: Emitter, op: Any, x: Tensor, sizes: Tensor) -> Value:
    """Four neighbours along each axis. TensorFlow takes their weights from a table of 1024 steps, so Resize would differ by 1e-3;
    with half pixels the coefficient is -0.5, and what lies outside has no weight, else it is -0.75."""
    value = c.cast(x, tf.float32)
    for place, axis in ((0, 1), (1, 2)):
        wanted = c.slice(c.sizes(sizes), 0, place, place + 1)
        value = _cubic(c, value, axis, wanted, bool(op["align_corners"]), bool(op["half_pixel_centers"]))
    return value


def _cubic(c: Emitter, value: Value, axis: int, wanted: Value, corners: bool, half: bool) -> Value:
    one, zero = np.array(1, np.float32), np.array(0, np.float32)
    extent, count = (c.op("Cast", c.squeeze(item, 0), to=1) for item in (c.op("Shape", value, start=axis, end=axis + 1), wanted))
    end = c.op("Sub", extent, one)
    scale = c.op("Div", extent, count)
    if corners:
        scale = c.op("Where", c.op("Greater", count, one), c.op("Div", end, c.op("Max", c.op("Sub", count, one), one)), scale)
    steps = c.op("Cast", c.op("Range", np.array(0), c.squeeze(wanted, 0), np.array(1)), to=1)
    shift = np.array(0.5, np.float32)
    places = c.op("Sub", c.op("Mul", c.op("Add", steps, shift), scale), shift) if half else c.op("Mul", steps, scale)
    first = c.op("Floor", places)
    share = c.op("Div", c.op("Round", c.op("Mul", c.op("Sub", places, first), np.array(1024, np.float32))), np.array(1024, np.float32))
    rest = c.op("Sub", one, share)
    coefficient = -0.5 if half else -0.75
    weights = [_far(c, share, coefficient), _near(c, share, coefficient), _near(c, rest, coefficient), _far(c, rest, coefficient)]
    spots = [c.op("Add", first, np.array(offset, np.float32)) for offset in (-1, 0, 1, 2)]
    inside = [c.op("Max", c.op("Min", spot, end), zero) for spot in spots]
    if half:
        weights = [c.op("Where", c.op("Equal", spot, kept), weight, zero) for spot, kept, weight in zip(spots, inside, weights)]
        total = c.op("Sum", *weights)
        weights = [c.op("Div", weight, total) for weight in weights]
    terms = [
        c.op("Mul", c.op("Gather", value, c.op("Cast", spot, to=7), axis=axis), c.unsqueeze(weight, *range(1, 4 - axis)))
        for spot, weight in zip(inside, weights)
    ]
    return c.op("Sum", *terms)


def _near(c: Emitter, x: Value, a: float) -> Value:
    """Keys's kernel at a distance of at most 1: ((a + 2) x - (a + 3)) x^2 + 1."""
    number = [np.array(value, np.float32) for value in (a + 2, a + 3, 1)]
    return c.op("Add", c.op("Mul", c.op("Mul", c.op("Sub", c.op("Mul", number[0], x), number[1]), x), x), number[2])


def _far(c: Emitter, x: Value, a: float) -> Value:
    """Keys's kernel at a distance of 1 + x: ((a y - 5 a) y + 8 a) y - 4 a for y = 1 + x."""
    number = [np.array(value, np.float32) for value in (a, 5 * a, 8 * a, 4 * a)]
    y = c.op("Add", x, np.array(1, np.float32))
    inner = c.op("Add", c.op("Mul", c.op("Sub", c.op("Mul", number[0], y), number[1]), y), number[2])
    return c.op("Sub", c.op("Mul", inner, y), number[3])


@operator("CropAndResize")
def crop_and_resize(c: Emitter, op: Any, x: Tensor, boxes: Tensor, index: Tensor, size: Tensor) -> Value:
    """Points of each box by linear or nearest neighbours; those outside have the extrapolation value."""
    wanted = c.sizes(size)
    points = []
    for place, axis in ((0, 1), (1, 2)):
        extent = c.op("Cast", c.op("Shape", x, start=axis, end=axis + 1), to=1)
        count = c.slice(wanted, 0, place, place + 1)
        first, last = (c.op("Gather", boxes, np.array([column]), axis=1) for column in (place, place + 2))
        reach = c.op("Sub", extent, np.array([1], np.float32))
        steps = c.op("Cast", c.op("Range", np.array(0), c.squeeze(count, 0), np.array(1)), to=1)
        number = c.op("Cast", count, to=1)
        gaps = c.op("Max", c.op("Sub", number, np.array([1], np.float32)), np.array([1], np.float32))
        scale = c.op("Div", c.op("Mul", c.op("Sub", last, first), reach), gaps)
        spread = c.op("Add", c.op("Mul", first, reach), c.op("Mul", steps, scale))
        middle = c.op("Mul", c.op("Mul", c.op("Add", first, last), reach), np.array([0.5], np.float32))
        places = c.op("Where", c.op("Greater", number, np.array([1], np.float32)), spread, c.op("Expand", middle, c.op("Shape", spread)))
        inside = c.op("And", c.op("GreaterOrEqual", places, np.array(0, np.float32)), c.op("LessOrEqual", places, reach))
        points.append((places, inside, reach))
    batch = c.op("Unsqueeze", c.cast(index, tf.int64), np.array([1, 2]))
    value = _sampled(c, c.cast(x, tf.float32), batch, points, op["method"])
    inside = c.op("And", c.unsqueeze(points[0][1], 2), c.unsqueeze(points[1][1], 1))
    return c.op("Where", c.unsqueeze(inside, 3), value, np.array(op["extrapolation_value"], np.float32))


def _sampled(c: Emitter, x: Value, batch: Value, points: list[Any], method: str) -> Value:
    """The picture at (batch, row, column)."""
    (rows, _, row_end), (columns, _, column_end) = points

    def at(row: Value, column: Value) -> Value:
        limits = [c.op("Cast", c.op("Max", c.op("Min", item, end), np.array(0, np.float32)), to=7)
                  for item, end in ((row, row_end), (column, column_end))]  # fmt: skip
        row_place, column_place = c.unsqueeze(limits[0], 2), c.unsqueeze(limits[1], 1)
        whole = c.op("Add", c.op("Mul", c.op("Add", row_place, column_place), np.array(0)), batch)
        indices = [c.unsqueeze(c.op("Add", c.op("Mul", whole, np.array(scale)), item), 3)
                   for item, scale in ((batch, 0), (row_place, 0), (column_place, 0))]  # fmt: skip
        return c.op("GatherND", x, c.op("Concat", *indices, axis=3))

    if method == "nearest":
        half = np.array(0.5, np.float32)
        return at(c.op("Floor", c.op("Add", rows, half)), c.op("Floor", c.op("Add", columns, half)))
    top, left = c.op("Floor", rows), c.op("Floor", columns)
    bottom, right = c.op("Ceil", rows), c.op("Ceil", columns)
    down = c.op("Unsqueeze", c.op("Sub", rows, top), np.array([2, 3]))
    across = c.op("Unsqueeze", c.op("Sub", columns, left), np.array([1, 3]))

    def between(first: Value, second: Value, share: Value) -> Value:
        return c.op("Add", first, c.op("Mul", c.op("Sub", second, first), share))

    return between(between(at(top, left), at(top, right), across), between(at(bottom, left), at(bottom, right), across), down)


def _along_both(c: Emitter, x: Tensor, weights: Any) -> Value:
    """Rows and columns of pictures by matrices (outputs, inputs), which `weights` gives for the axis and its place."""
    value = c.transpose(c.cast(x, tf.float32), [0, 3, 1, 2])
    value = c.op("MatMul", weights(1, 0), value)
    value = c.op("MatMul", value, c.op("Transpose", weights(2, 1), perm=[1, 0]))
    return c.transpose(value, [0, 2, 3, 1])


def _steps(c: Emitter, size: Any) -> Value:
    """0, 1 .. below a size (a vector of one element) as real numbers."""
    made: Value = c.op("Cast", c.op("Range", np.array(0), c.squeeze(size, 0), np.array(1)), to=1)
    return made


@operator("ResizeArea")
def resize_area(c: Emitter, op: Any, x: Tensor, sizes: Tensor) -> Value:
    """Each pixel is the mean of what it covers; what lies outside is the pixel at the edge."""
    half = np.array(0.5, np.float32)
    one = np.array(1, np.float32)

    def weights(axis: int, place: int) -> Value:
        inside, wanted = c.op("Shape", x, start=axis, end=axis + 1), c.slice(c.sizes(sizes), 0, place, place + 1)
        extent, count = (c.op("Cast", item, to=1) for item in (inside, wanted))
        scale = c.op("Div", extent, count)
        if op["align_corners"]:
            gaps = c.op("Max", c.op("Sub", count, one), one)
            scale = c.op("Where", c.op("Greater", count, one), c.op("Div", c.op("Sub", extent, one), gaps), scale)
        begin = c.unsqueeze(c.op("Mul", _steps(c, wanted), scale), 1)
        pixels = _steps(c, inside)
        last = c.op("Greater", pixels, c.op("Sub", extent, c.op("Add", one, half)))
        ends = c.op("Where", last, np.array(np.finfo(np.float32).max, np.float32), c.op("Add", pixels, one))
        shared = c.op("Sub", c.op("Min", c.op("Add", begin, scale), ends), c.op("Max", begin, pixels))
        return c.op("Div", c.op("Max", shared, np.array(0, np.float32)), scale)

    return _along_both(c, x, weights)


def _piecewise(c: Emitter, x: Value, near: Sequence[float], far: Sequence[float]) -> Value:
    """Cubic polynomials, from the highest power down, for distances up to 1 and up to 2."""

    def cubic(numbers: Sequence[float]) -> Value:
        total: Any = np.array(numbers[0], np.float32)
        for number in numbers[1:]:
            total = c.op("Add", c.op("Mul", total, x), np.array(number, np.float32))
        return total

    beyond = c.op("Where", c.op("Less", x, np.array(2, np.float32)), cubic(far), np.array(0, np.float32))
    return c.op("Where", c.op("Less", x, np.array(1, np.float32)), cubic(near), beyond)


def _lanczos(c: Emitter, x: Value, radius: int) -> Value:
    zero, turn = np.array(0, np.float32), np.array(math.pi, np.float32)
    angle = c.op("Mul", c.op("Max", x, np.array(1e-3, np.float32)), turn)
    bell = c.op("Mul", c.op("Sin", angle), c.op("Sin", c.op("Div", angle, np.array(radius, np.float32))))
    wave = c.op("Div", c.op("Mul", bell, np.array(radius, np.float32)), c.op("Mul", angle, angle))
    made = c.op("Where", c.op("LessOrEqual", x, np.array(1e-3, np.float32)), np.array(1, np.float32), wave)
    return c.op("Where", c.op("Greater", x, np.array(radius, np.float32)), zero, made)  # type: ignore[no-any-return]


def _gaussian(c: Emitter, x: Value) -> Value:
    bell = c.op("Exp", c.op("Mul", c.op("Mul", x, x), np.array(-2.0, np.float32)))  # a deviation of one half
    return c.op("Where", c.op("Less", x, np.array(1.5, np.float32)), bell, np.array(0, np.float32))  # type: ignore[no-any-return]


KERNELS: dict[str, Any] = {
    "triangle": lambda c, x: c.op("Max", c.op("Sub", np.array(1, np.float32), x), np.array(0, np.float32)),
    "keyscubic": lambda c, x: _piecewise(c, x, (1.5, -2.5, 0, 1), (-0.5, 2.5, -4, 2)),
    "mitchellcubic": lambda c, x: _piecewise(c, x, (7 / 6, -2, 0, 8 / 9), (-7 / 18, 2, -10 / 3, 16 / 9)),
    "lanczos3": lambda c, x: _lanczos(c, x, 3),
    "lanczos5": lambda c, x: _lanczos(c, x, 5),
    "gaussian": _gaussian,
}
"""Weights by distance."""


@operator("ScaleAndTranslate")
def scale_and_translate(c: Emitter, op: Any, x: Tensor, sizes: Tensor, scale: Tensor, shift: Tensor) -> Value:
    """Weighted means of neighbours, of more of them where the picture becomes smaller; nothing where a pixel comes from outside."""
    if op["kernel_type"] not in KERNELS:
        raise UnsupportedOperator(f"the kernel '{op['kernel_type']}'")
    half, zero = np.array(0.5, np.float32), np.array(0, np.float32)

    def weights(axis: int, place: int) -> Value:
        inside, wanted = c.op("Shape", x, start=axis, end=axis + 1), c.slice(c.sizes(sizes), 0, place, place + 1)
        step = c.op("Reciprocal", c.slice(scale, 0, place, place + 1))
        moved = c.op("Mul", c.slice(shift, 0, place, place + 1), step)
        spots = c.op("Sub", c.op("Sub", c.op("Mul", c.op("Add", _steps(c, wanted), half), step), moved), half)
        width = c.op("Max", step, np.array(1, np.float32)) if op["antialias"] else np.array(1, np.float32)
        distance = c.op("Div", c.op("Abs", c.op("Sub", c.unsqueeze(spots, 1), _steps(c, inside))), width)
        made = KERNELS[op["kernel_type"]](c, distance)
        total = c.op("ReduceSum", made, [1])
        made = c.op("Where", c.op("Greater", c.op("Abs", total), np.array(1e-4, np.float32)), c.op("Div", made, total), zero)
        end = c.op("Sub", c.op("Cast", inside, to=1), half)
        from_inside = c.op("And", c.op("GreaterOrEqual", spots, np.array(-0.5, np.float32)), c.op("LessOrEqual", spots, end))
        return c.op("Where", c.unsqueeze(from_inside, 1), made, zero)

    return _along_both(c, x, weights)
