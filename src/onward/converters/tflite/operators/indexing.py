"""Slices, gathers and scatters, and what depends on where something stands."""

from __future__ import annotations

from typing import Any

import numpy as np

from onward.converters.tflite.emitter import Emitter, Node
from onward.converters.tflite.registry import operator
from onward.converters.tflite.tensors import Tensor
from onward.errors import UnsupportedOperator

END = (1 << 63) - 1
"""Beyond the end of any axis."""


@operator("SLICE")
def slice_(c: Emitter, node: Node, x: Tensor, begin: Tensor, size: Tensor) -> Any:
    """A size of -1 reaches to the end."""
    if begin.data is not None and size.data is not None:
        starts, sizes = ([int(number) for number in item.data.reshape(-1)] for item in (begin, size) if item.data is not None)
        ends = [END if size == -1 else start + size for start, size in zip(starts, sizes, strict=True)]
        return c.op("Slice", c.value(x), starts, ends, list(range(x.rank)))
    start, count = c.long(begin), c.long(size)
    end = c.op("Where", c.op("Equal", count, [-1]), [END], c.op("Add", start, count))
    return c.op("Slice", c.value(x), start, end, list(range(x.rank)))


@operator("STRIDED_SLICE")
def strided_slice(c: Emitter, node: Node, x: Tensor, begin: Tensor, end: Tensor, strides: Tensor) -> Any:
    o = node.options
    steps = [int(step) for step in c.known(strides, "the strides").reshape(-1)]
    places = _places(x, len(steps), o)
    starts, ends, axes, kept, shrunk = [], [], [], [], []
    first, last = c.long(begin), c.long(end)
    for place, axis in places:
        step = steps[place]
        if o.shrink_axis_mask >> place & 1:
            shrunk.append((axis, _element(c, begin, first, place)))
            continue
        if o.begin_mask >> place & 1 and o.end_mask >> place & 1 and step == 1:
            continue
        start = ([0] if step > 0 else [END]) if o.begin_mask >> place & 1 else _element(c, begin, first, place)
        stop = ([END] if step > 0 else [-END]) if o.end_mask >> place & 1 else _element(c, end, last, place)
        if o.offset and not o.end_mask >> place & 1:
            stop = c.op("Add", start, stop)
        starts.append(start)
        ends.append(stop)
        axes.append(axis)
        kept.append(step)
    value = c.value(x)
    if axes:
        value = c.op("Slice", value, _joined(c, starts), _joined(c, ends), axes, kept)
    for axis, index in sorted(shrunk, key=lambda item: -item[0]):
        at = c.array(np.array(index[0], np.int64)) if isinstance(index, list) else c.op("Squeeze", index, [0])
        value = c.op("Gather", value, at, axis=axis)
    return _with_new_axes(c, value, x, len(steps), o)


def _element(c: Emitter, x: Tensor, value: Any, place: int) -> Any:
    """A number of a vector: a list of one where it is known."""
    return [int(x.data.reshape(-1)[place])] if x.data is not None else c.op("Slice", value, [place], [place + 1])


def _joined(c: Emitter, items: list[Any]) -> Any:
    if all(isinstance(item, list) for item in items):
        return c.array([number for item in items for number in item])
    return c.op("Concat", *items, axis=0)


def _places(x: Tensor, count: int, o: Any) -> list[tuple[int, int]]:
    """(place in the specification, axis of the tensor); the ellipsis takes up all axes that nothing else names."""
    new = [place for place in range(count) if o.new_axis_mask >> place & 1 and not o.ellipsis_mask >> place & 1]
    dots = [place for place in range(count) if o.ellipsis_mask >> place & 1]
    skipped = x.rank - (count - len(new) - len(dots))
    found, axis = [], 0
    for place in range(count):
        if place in dots[:1]:
            axis += skipped
        elif place not in new:
            found.append((place, axis))
            axis += 1
    return found


def _with_new_axes(c: Emitter, value: Any, x: Tensor, count: int, o: Any) -> Any:
    if not o.new_axis_mask:
        return value
    axes, axis = [], 0
    skipped = x.rank - sum(1 for place in range(count) if not (o.new_axis_mask | o.ellipsis_mask) >> place & 1)
    for place in range(count):
        if o.ellipsis_mask >> place & 1:
            axis += skipped
        elif o.new_axis_mask >> place & 1:
            axes.append(axis)
            axis += 1
        elif not o.shrink_axis_mask >> place & 1:
            axis += 1
    return c.op("Unsqueeze", value, axes)


@operator("GATHER")
def gather(c: Emitter, node: Node, x: Tensor, indices: Tensor) -> Any:
    axis = x.axis(node.options.axis)
    lead = int(node.options.batch_dims)
    lead = lead % (indices.rank + 1) if lead < 0 else lead
    if not lead:
        return c.op("Gather", c.value(x), c.value(indices), axis=axis)
    moved = [*range(lead), axis, *(place for place in range(lead, x.rank) if place != axis)]
    rows = c.transpose(c.value(x), moved)
    found = c.op("GatherND", rows, c.op("Unsqueeze", c.long(indices), [-1]), batch_dims=lead)
    own = indices.rank - lead
    between = axis - lead
    order = [*range(lead), *range(lead + own, lead + own + between), *range(lead, lead + own)]
    return c.transpose(found, [*order, *range(len(order), x.rank - 1 + own)])


@operator("GATHER_ND")
def gather_nd(c: Emitter, node: Node, x: Tensor, indices: Tensor) -> Any:
    return c.op("GatherND", c.value(x), c.long(indices))


@operator("SCATTER_ND")
def scatter_nd(c: Emitter, node: Node, indices: Tensor, updates: Tensor, shape: Tensor) -> Any:
    """Updates of the same place are added up."""
    empty = c.op("Expand", c.number(0, updates), c.long(shape))
    return c.op("ScatterND", empty, c.long(indices), c.value(updates), reduction="add")


@operator("SPARSE_TO_DENSE")
def sparse_to_dense(c: Emitter, node: Node, indices: Tensor, shape: Tensor, values: Tensor, default: Tensor) -> Any:
    places = c.long(indices)
    places = c.op("Reshape", places, [-1, 1]) if indices.rank < 2 else places
    filling = c.op("Reshape", c.value(default), []) if default.rank else c.value(default)
    numbers = c.value(values)
    if values.rank == 0:
        numbers = c.op("Expand", numbers, c.op("Shape", places, start=0, end=1))
    return c.op("ScatterND", c.op("Expand", filling, c.long(shape)), places, numbers)


@operator("DYNAMIC_UPDATE_SLICE")
def dynamic_update_slice(c: Emitter, node: Node, x: Tensor, update: Tensor, begin: Tensor) -> Any:
    """The place is moved so that the update fits. What is written are the elements whose index minus the place is within it."""
    value, patch = c.value(x), c.value(update)
    shape, own = c.op("Shape", value), c.op("Shape", patch)
    start = c.op("Max", c.op("Min", c.long(begin), c.op("Sub", shape, own)), [0])
    axes = []
    for axis in range(x.rank):
        at = c.op("Slice", start, [axis], [axis + 1])
        extent = c.op("Squeeze", c.op("Slice", own, [axis], [axis + 1]), [0])
        line = c.op("Add", c.op("Range", np.array(0), extent, np.array(1)), at)
        axes.append(c.op("Reshape", line, [-1 if place == axis else 1 for place in range(x.rank)] + [1]))
    grid = c.op("Concat", own, [1], axis=0)
    places = c.op("Concat", *(c.op("Expand", line, grid) for line in axes), axis=-1) if x.rank > 1 else axes[0]
    return c.op("ScatterND", value, places, patch)


@operator("ONE_HOT")
def one_hot(c: Emitter, node: Node, indices: Tensor, depth: Tensor, on: Tensor, off: Tensor) -> Any:
    """Negative indices stand for nothing: in ONNX they would count from the end."""
    count = c.op("Reshape", c.long(depth), [1])
    number = c.long(indices)
    number = c.op("Where", c.op("Less", number, np.array(0)), c.op("Squeeze", count, [0]), number)
    pair = c.op("Concat", *(c.op("Reshape", c.value(x), [1]) for x in (off, on)), axis=0)
    return c.op("OneHot", number, count, pair, axis=int(node.options.axis))


@operator("WHERE")
def where(c: Emitter, node: Node, condition: Tensor) -> Any:
    return c.cast(c.op("Transpose", c.op("NonZero", c.value(condition)), perm=[1, 0]), node.outputs[0].dtype)


@operator("UNIQUE")
def unique(c: Emitter, node: Node, x: Tensor) -> Any:
    values, _, index, _ = c.op("Unique", c.value(x), sorted=0, outputs=4)
    return [values, c.cast(index, node.outputs[1].dtype)]


@operator("NON_MAX_SUPPRESSION_V4")
def suppression(c: Emitter, node: Node, boxes: Tensor, scores: Tensor, most: Tensor, overlap: Tensor, least: Tensor) -> Any:
    """The results are filled up with zeros to the greatest number; the second output says how many there are."""
    chosen, _, count = _suppressed(c, boxes, scores, most, overlap, least)
    return [chosen, count]


@operator("NON_MAX_SUPPRESSION_V5")
def soft_suppression(c: Emitter, node: Node, boxes: Tensor, scores: Tensor, most: Tensor, overlap: Tensor, least: Tensor, sigma: Tensor) -> Any:
    if np.any(c.known(sigma, "sigma")):
        raise UnsupportedOperator("scores that fade with overlap (soft_nms_sigma)")
    return list(_suppressed(c, boxes, scores, most, overlap, least))


def _suppressed(c: Emitter, boxes: Tensor, scores: Tensor, most: Tensor, overlap: Tensor, least: Tensor) -> tuple[Any, Any, Any]:
    limit = c.op("Reshape", c.long(most), [1])
    found = c.op(
        "NonMaxSuppression", c.op("Unsqueeze", c.value(boxes), [0]), c.op("Unsqueeze", c.value(scores), [0, 1]), limit,
        c.op("Reshape", c.value(overlap), [1]), c.op("Reshape", c.value(least), [1]),
    )  # fmt: skip
    index = c.op("Reshape", c.op("Slice", found, [2], [3], [1]), [-1])
    count = c.op("Shape", index)
    pads = c.op("Concat", [0], c.op("Sub", limit, count), axis=0)
    chosen = c.op("Pad", c.cast(index, np.int32), pads, np.int32(0))
    kept = c.op("Pad", c.op("Gather", c.value(scores), index, axis=0), pads, np.float32(0))
    return chosen, kept, c.cast(c.op("Squeeze", count, [0]), np.int32)
