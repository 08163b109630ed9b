"""Pictures: resizing, colours, choice of boxes."""

from __future__ import annotations

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


@operator("RGBToHSV")
def rgb_to_hsv(c: Emitter, op: Any, x: Tensor) -> Value:
    red, green, blue = (c.op("Gather", x, np.array([place]), axis=-1) for place in range(3))
    value = c.op("ReduceMax", x, [-1])
    spread = c.op("Sub", value, c.op("ReduceMin", x, [-1]))
    zero, six = c.number(0, x), c.number(1 / 6, x)
    scale = c.op("Div", six, spread)
    hue = c.op("Where", c.op("Equal", red, value), c.op("Mul", scale, c.op("Sub", green, blue)), c.op(
        "Where", c.op("Equal", green, value), c.op("Add", c.op("Mul", scale, c.op("Sub", blue, red)), c.number(2 / 6, x)),
        c.op("Add", c.op("Mul", scale, c.op("Sub", red, green)), c.number(4 / 6, x))))  # fmt: skip
    hue = c.op("Where", c.op("Greater", spread, zero), hue, zero)
    hue = c.op("Where", c.op("Less", hue, zero), c.op("Add", hue, c.number(1, x)), hue)
    saturation = c.op("Where", c.op("Greater", value, zero), c.op("Div", spread, value), zero)
    return c.op("Concat", hue, saturation, value, axis=-1)


@operator("HSVToRGB")
def hsv_to_rgb(c: Emitter, op: Any, x: Tensor) -> Value:
    hue, saturation, value = (c.op("Gather", x, np.array([place]), axis=-1) for place in range(3))
    turn = c.op("Mul", hue, c.number(6, x))
    one = c.number(1, x)
    # |6h - 3| - 1, 2 - |6h - 2|, 2 - |6h - 4|, each between 0 and 1
    shares = [c.op("Sub", c.op("Abs", c.op("Sub", turn, c.number(3, x))), one)]
    shares += [c.op("Sub", c.number(2, x), c.op("Abs", c.op("Sub", turn, c.number(at, x)))) for at in (2, 4)]
    share = c.op("Clip", c.op("Concat", *shares, axis=-1), c.number(0, x), one)
    return c.op("Mul", c.op("Add", c.op("Sub", one, saturation), c.op("Mul", saturation, share)), value)


@operator("AdjustContrastv2")
def adjust_contrast(c: Emitter, op: Any, x: Tensor, factor: Tensor) -> Value:
    mean = c.op("ReduceMean", x, [-3, -2])
    return c.op("Add", c.op("Mul", c.op("Sub", x, mean), c.cast(factor, x.dtype)), mean)


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


@operator("NonMaxSuppression", "NonMaxSuppressionV2", "NonMaxSuppressionV3", "NonMaxSuppressionV4", "NonMaxSuppressionV5")
def non_max_suppression(
    c: Emitter, op: Any, boxes: Tensor, scores: Tensor, count: Tensor, overlap: Tensor | None = None, least: Tensor | None = None,
    softness: Tensor | None = None,
) -> list[Value]:  # fmt: skip
    if softness is not None and (softness.known is None or softness.known.any()):
        raise UnsupportedOperator("soft suppression")
    if op.get("pad_to_max_output_size", False):
        raise UnsupportedOperator("padding to the greatest number of boxes")
    limit = c.number(op["iou_threshold"], tf.float32) if overlap is None else c.cast(overlap, tf.float32)
    start = None if least is None else c.reshape(c.cast(least, tf.float32), [1])
    made = c.op(
        "NonMaxSuppression", c.unsqueeze(c.cast(boxes, tf.float32), 0), c.op("Unsqueeze", c.cast(scores, tf.float32), np.array([0, 1])),
        c.sizes([count]), c.reshape(limit, [1]), start,
    )  # fmt: skip
    places = c.op("Gather", made, np.array(2), axis=1)
    chosen = c.op("Cast", places, to=6)
    number = c.op("Cast", c.squeeze(c.op("Shape", places), 0), to=6)
    if op.type.endswith("V5"):
        return [chosen, c.op("Gather", scores, places), number]
    return [chosen, number][: len(op.outputs)]
