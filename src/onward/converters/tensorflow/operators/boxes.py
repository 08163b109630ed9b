"""Boxes in pictures: which of those that overlap stay."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from onward.converters.tensorflow.emitter import Emitter, Tensor
from onward.converters.tensorflow.registry import operator
from onward.errors import UnsupportedOperator
from onward.ir import TensorType, Value
from onward.ir.datatypes import DataType

Fade = Callable[[Value, Value], Value]
"""Scores after a box was taken, of the scores before and its place."""


def _greedy(c: Emitter, scores: Value, most: Value, least: Any, fade: Fade) -> tuple[Value, Value]:
    """Places and scores of boxes, the best one first; each that is taken changes the scores of the others."""
    lowest = np.array(-np.inf, np.float32)
    start = c.op("Greater", c.op("ReduceMax", scores, keepdims=0), least)
    with c.inner_graph("chosen") as body:
        for name, kind, shape in (("turn", DataType.INT64, ()), ("condition", DataType.BOOL, ()), ("scores", DataType.FLOAT, (None,))):
            body.inputs.append(c.graph.new_value(TensorType(kind, shape), name))
        now = body.inputs[2]
        best = c.op("ArgMax", now, axis=0, keepdims=1)
        after = c.op("ScatterElements", fade(now, best), best, c.op("Expand", lowest, [1]), axis=0)
        again = c.op("Greater", c.op("ReduceMax", after, keepdims=0), least)
        results = [again, after, c.squeeze(best, 0), c.squeeze(c.op("Gather", now, best), 0)]
        body.outputs.extend(c.op("Identity", item) for item in results)
    _, places, found = c.op("Loop", c.squeeze(most, 0), start, scores, body=body, outputs=3)
    return places, found


def _overlap(c: Emitter, boxes: Value, chosen: Value) -> Value:
    """Intersection over union of a box with all; its corners may come in any order."""
    sides = [c.op("Gather", boxes, np.array(place), axis=1) for place in range(4)]
    low = [c.op("Min", sides[place], sides[place + 2]) for place in (0, 1)]
    high = [c.op("Max", sides[place], sides[place + 2]) for place in (0, 1)]
    zero = np.array(0, np.float32)
    shared: Any = None
    areas: Any = None
    for under, over in zip(low, high, strict=True):
        length = c.op("Sub", over, under)
        common = c.op("Sub", c.op("Min", over, c.op("Gather", over, chosen)), c.op("Max", under, c.op("Gather", under, chosen)))
        common = c.op("Max", common, zero)
        shared = common if shared is None else c.op("Mul", shared, common)
        areas = length if areas is None else c.op("Mul", areas, length)
    whole = c.op("Sub", c.op("Add", areas, c.op("Gather", areas, chosen)), shared)
    empty = c.op("Or", c.op("LessOrEqual", areas, zero), c.op("LessOrEqual", c.op("Gather", areas, chosen), zero))
    made: Value = c.op("Where", empty, zero, c.op("Div", shared, c.op("Where", empty, np.array(1, np.float32), whole)))
    return made


def _fading(c: Emitter, boxes: Value, softness: Tensor) -> Fade:
    """By exp(-iou^2 / (2 sigma)), without a limit (Bodla et al., Soft-NMS, 2017)."""
    scale = c.op("Div", np.array(-0.5, np.float32), c.cast(softness, tf.float32))

    def fade(scores: Value, chosen: Value) -> Value:
        shared = _overlap(c, boxes, chosen)
        weights = c.op("Exp", c.op("Mul", c.op("Mul", shared, shared), scale))
        made: Value = c.op("Where", c.op("IsInf", scores), scores, c.op("Mul", scores, weights))  # taken ones stay taken
        return made

    return fade


@operator("NonMaxSuppression", "NonMaxSuppressionV2", "NonMaxSuppressionV3", "NonMaxSuppressionV4", "NonMaxSuppressionV5")
def non_max_suppression(
    c: Emitter, op: Any, boxes: Tensor, scores: Tensor, count: Tensor, overlap: Tensor | None = None, least: Tensor | None = None,
    softness: Tensor | None = None,
) -> list[Value]:  # fmt: skip
    limit = c.number(op["iou_threshold"], tf.float32) if overlap is None else c.cast(overlap, tf.float32)
    corners, given = c.cast(boxes, tf.float32), c.cast(scores, tf.float32)
    if softness is None or softness.known is not None and not softness.known.any():
        start = None if least is None else c.reshape(c.cast(least, tf.float32), [1])
        made = c.op(
            "NonMaxSuppression", c.unsqueeze(corners, 0), c.op("Unsqueeze", given, np.array([0, 1])), c.sizes([count]), c.reshape(limit, [1]), start,
        )  # fmt: skip
        places = c.op("Gather", made, np.array(2), axis=1)
        found = c.op("Gather", scores, places)
    else:
        floor = np.array(-np.inf, np.float32) if least is None else c.cast(least, tf.float32)
        places, found = _greedy(c, given, c.sizes([count]), floor, _fading(c, corners, softness))
    number = c.op("Cast", c.squeeze(c.op("Shape", places), 0), to=6)
    if op.get("pad_to_max_output_size", False):
        missing = c.sizes([0, c.op("Sub", c.sizes([count]), c.op("Shape", places))])
        places, found = c.op("Pad", places, missing), c.op("Pad", found, missing)
    chosen = c.op("Cast", places, to=6)
    if op.type.endswith("V5"):
        return [chosen, found if scores.dtype == tf.float32 else c.cast(found, scores.dtype), number]
    return [chosen, number][: len(op.outputs)]


@operator("NonMaxSuppressionWithOverlaps")
def with_overlaps(c: Emitter, op: Any, overlaps: Tensor, scores: Tensor, count: Tensor, limit: Tensor, least: Tensor) -> Value:
    def fade(now: Value, chosen: Value) -> Value:
        shared = c.squeeze(c.op("Gather", overlaps, chosen, axis=1), 1)
        made: Value = c.op("Where", c.op("Greater", shared, limit), np.array(-np.inf, np.float32), now)
        return made

    places, _ = _greedy(c, scores.value, c.sizes([count]), least.value, fade)
    return c.op("Cast", places, to=6)


@operator("CombinedNonMaxSuppression")
def combined(c: Emitter, op: Any, boxes: Tensor, scores: Tensor, each: Tensor, total: Tensor, overlap: Tensor, least: Tensor) -> list[Value]:
    """The best boxes of all classes, each class suppressed by itself, for every picture."""
    classes = scores.shape[2]
    if boxes.shape[2] is None or classes is None:
        raise UnsupportedOperator("the number of classes is open")
    count = c.op("Shape", boxes, start=1, end=2)
    wide = c.transpose(boxes, [0, 2, 1, 3])
    if boxes.shape[2] != classes:
        wide = c.op("Expand", wide, c.sizes([1, classes, 1, 1]))
    alone = c.reshape(wide, c.op("Concat", np.array([-1]), count, np.array([4]), axis=0))
    given = c.transpose(scores, [0, 2, 1])
    found = c.op(
        "NonMaxSuppression", alone, c.reshape(given, c.op("Concat", np.array([-1, 1]), count, axis=0)), c.sizes([each]),
        c.reshape(overlap, [1]), c.reshape(least, [1]),
    )  # fmt: skip
    places = c.op("Gather", found, np.array([0, 2]), axis=1)
    flat = c.reshape(given, c.op("Concat", np.array([-1]), count, axis=0))
    lowest = c.op("Expand", np.array(-np.inf, np.float32), c.op("Shape", flat))
    kept = c.op("ScatterND", lowest, places, c.op("GatherND", flat, places))
    kept = c.reshape(kept, c.op("Concat", np.array([-1]), c.op("Mul", count, np.array([classes])), axis=0))
    limit = c.sizes([total])
    if op["pad_per_class"]:
        limit = c.op("Min", limit, c.op("Mul", c.sizes([each]), np.array([classes])))
    padded = c.op("Pad", kept, c.op("Concat", np.array([0, 0, 0]), limit, axis=0), np.array(-np.inf, np.float32))
    best, order = c.op("TopK", padded, limit, axis=1, outputs=2)
    taken = c.op("Greater", best, np.array(-np.inf, np.float32))
    zero = np.array(0, np.float32)
    order = c.op("Where", taken, order, np.array(0))
    kind, place = c.op("Div", order, count), c.op("Mod", order, count)
    at = c.op("Concat", c.unsqueeze(kind, 2), c.unsqueeze(place, 2), axis=2)
    spots = c.op("GatherND", wide, at, batch_dims=1)
    if op["clip_boxes"]:
        spots = c.op("Clip", spots, zero, np.array(1, np.float32))
    number = c.op("ReduceSum", c.op("Cast", taken, to=6), [1], keepdims=0)
    return [c.op("Where", c.unsqueeze(taken, 2), spots, zero), c.op("Where", taken, best, zero), c.op("Where", taken, c.op("Cast", kind, to=1), zero), number]
