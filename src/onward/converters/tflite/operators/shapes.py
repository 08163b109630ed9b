"""Shapes: what moves elements without computing anything."""

from __future__ import annotations

from typing import Any

import numpy as np

from onward.converters.tflite.emitter import Emitter, First, Node, channels_first, channels_last
from onward.converters.tflite.registry import operator
from onward.converters.tflite.tensors import Tensor


@operator("RESHAPE")
def reshape(c: Emitter, node: Node, x: Tensor, shape: Tensor | None = None) -> Any:
    """Complex numbers keep the axis of their parts."""
    pair = [2] * x.type.startswith("COMPLEX")
    if shape is not None and shape.data is None:
        return c.op("Reshape", c.value(x), c.op("Concat", c.long(shape), pair, axis=0) if pair else c.long(shape))
    sizes = shape.data.reshape(-1) if shape is not None and shape.data is not None else node.options.new_shape
    return c.reshape(c.value(x), [*(int(size) for size in sizes), *pair])


@operator("SQUEEZE")
def squeeze(c: Emitter, node: Node, x: Tensor) -> Any:
    axes = [x.axis(axis) for axis in node.options.squeeze_dims] or [axis for axis, extent in enumerate(x.shape) if extent == 1]
    return c.op("Squeeze", c.value(x), sorted(axes)) if axes else c.held(x)


@operator("EXPAND_DIMS")
def expand_dimensions(c: Emitter, node: Node, x: Tensor, axis: Tensor) -> Any:
    return c.op("Unsqueeze", c.value(x), [int(c.known(axis, "the axis").reshape(-1)[0]) % (x.rank + 1)])


@operator("TRANSPOSE")
def transpose(c: Emitter, node: Node, x: Tensor, order: Tensor) -> Any:
    """Channels to the front or to the end: nothing where the value is laid out so already."""
    axes = [x.axis(axis) for axis in c.known(order, "the order of axes")]
    if axes == channels_first(x.rank) and x.rank > 2:
        return c.first(x)
    if axes == channels_last(x.rank) and x.rank > 2:
        return First(c.value(x))
    return c.transpose(c.value(x), axes)


@operator("CONCATENATION")
def concatenation(c: Emitter, node: Node, *tensors: Tensor) -> Any:
    values, laid = c.together(*tensors)
    axis = tensors[0].axis(node.options.axis)
    if laid is First:
        axis = channels_first(tensors[0].rank).index(axis)
    joined = c.op("Concat", *values, axis=axis) if len(values) > 1 else c.op("Identity", *values)
    return laid(c.activated(joined, node.options.fused_activation_function, tensors[0].dtype))


@operator("PACK")
def pack(c: Emitter, node: Node, *tensors: Tensor) -> Any:
    axis = int(node.options.axis) % (tensors[0].rank + 1)
    raised = [c.op("Unsqueeze", c.value(x), [axis]) for x in tensors]
    return c.op("Concat", *raised, axis=axis) if len(raised) > 1 else raised[0]


@operator("UNPACK")
def unpack(c: Emitter, node: Node, x: Tensor) -> Any:
    axis, count = x.axis(node.options.axis), int(node.options.num)
    parts = c.op("Split", c.value(x), axis=axis, num_outputs=count, outputs=count) if count > 1 else [c.value(x)]
    return [c.op("Squeeze", part, [axis]) for part in parts]


@operator("SPLIT")
def split(c: Emitter, node: Node, axis: Tensor, x: Tensor) -> Any:
    place, count = x.axis(c.known(axis, "the axis").reshape(-1)[0]), int(node.options.num_splits)
    if count == 1:
        return [c.held(x)]
    return list(c.op("Split", c.value(x), axis=place, num_outputs=count, outputs=count))


@operator("SPLIT_V")
def split_by_sizes(c: Emitter, node: Node, x: Tensor, sizes: Tensor, axis: Tensor) -> Any:
    place, count = x.axis(c.known(axis, "the axis").reshape(-1)[0]), int(node.options.num_splits)
    if count == 1:
        return [c.held(x)]
    wanted = c.long(sizes)
    if sizes.data is not None and np.any(sizes.data < 0):
        rest = c.op("Sub", c.op("Shape", c.value(x), start=place, end=place + 1), [int(sizes.data[sizes.data >= 0].sum())])
        wanted = c.sizes([int(size) if size >= 0 else rest for size in sizes.data])
    return list(c.op("Split", c.value(x), wanted, axis=place, outputs=count))


@operator("TILE")
def tile(c: Emitter, node: Node, x: Tensor, times: Tensor) -> Any:
    return c.op("Tile", c.value(x), c.long(times))


@operator("FILL")
def fill(c: Emitter, node: Node, shape: Tensor, number: Tensor) -> Any:
    return c.op("Expand", c.value(number), c.long(shape))


@operator("BROADCAST_TO")
def broadcast_to(c: Emitter, node: Node, x: Tensor, shape: Tensor) -> Any:
    return c.op("Expand", c.value(x), c.long(shape))


@operator("BROADCAST_ARGS")
def broadcast_shapes(c: Emitter, node: Node, one: Tensor, other: Tensor) -> Any:
    zero = c.array(np.array(0, np.int64))
    parts = [c.op("Expand", zero, c.long(shape)) for shape in (one, other)]
    return c.cast(c.op("Shape", c.op("Add", *parts)), node.outputs[0].dtype)


@operator("SHAPE")
def shape_of(c: Emitter, node: Node, x: Tensor) -> Any:
    return c.cast(c.op("Shape", c.value(x)), node.outputs[0].dtype)


@operator("RANK")
def rank_of(c: Emitter, node: Node, x: Tensor) -> Any:
    return c.cast(c.op("Size", c.op("Shape", c.value(x))), node.outputs[0].dtype)


@operator("RANGE")
def range_(c: Emitter, node: Node, start: Tensor, limit: Tensor, step: Tensor) -> Any:
    return c.op("Range", *(c.op("Reshape", c.value(x), []) if x.rank else c.value(x) for x in (start, limit, step)))


def _pads(c: Emitter, paddings: Tensor) -> Any:
    if paddings.data is not None:
        return c.array(paddings.data.astype(np.int64).T.reshape(-1))
    return c.op("Reshape", c.op("Transpose", c.long(paddings), perm=[1, 0]), [-1])


def _padded(c: Emitter, x: Tensor, paddings: Tensor, filling: Any) -> Any:
    values, laid = c.together(x)
    if laid is First and paddings.data is not None:
        order = channels_first(x.rank)
        return First(c.op("Pad", values[0], paddings.data.astype(np.int64)[order].T.reshape(-1), filling))
    return c.op("Pad", c.value(x), _pads(c, paddings), filling)


@operator("PAD")
def pad(c: Emitter, node: Node, x: Tensor, paddings: Tensor) -> Any:
    return _padded(c, x, paddings, c.number(0, x))


@operator("PADV2")
def pad_with(c: Emitter, node: Node, x: Tensor, paddings: Tensor, filling: Tensor) -> Any:
    return _padded(c, x, paddings, c.op("Reshape", c.value(filling), []) if filling.rank else c.value(filling))


@operator("MIRROR_PAD")
def mirror_pad(c: Emitter, node: Node, x: Tensor, paddings: Tensor) -> Any:
    """A mirror that repeats the edge is one that does not, along an axis on which the edge stands twice."""
    if node.options.mode == "REFLECT":
        return c.op("Pad", c.value(x), _pads(c, paddings), mode="reflect")
    value = c.value(x)
    for axis, (before, after) in enumerate(c.known(paddings, "the padding")):
        if before or after:
            parts = [c.op("Slice", value, [before - 1], [-(1 << 62)], [axis], [-1])] if before else []
            parts.append(value)
            if after:
                parts.append(c.op("Slice", value, [-1], [-1 - int(after)], [axis], [-1]))
            value = c.op("Concat", *parts, axis=axis)
    return value


@operator("REVERSE_V2")
def reverse(c: Emitter, node: Node, x: Tensor, axes: Tensor) -> Any:
    places = [x.axis(axis) for axis in c.known(axes, "the axes").reshape(-1)]
    count = len(places)
    return c.op("Slice", c.value(x), [-1] * count, [-(1 << 62)] * count, places, [-1] * count) if count else c.held(x)


@operator("REVERSE_SEQUENCE")
def reverse_sequence(c: Emitter, node: Node, x: Tensor, lengths: Tensor) -> Any:
    time, batch = x.axis(node.options.seq_dim), x.axis(node.options.batch_dim)
    order = [batch, time, *(axis for axis in range(x.rank) if axis not in (batch, time))]
    turned = c.transpose(c.value(x), order)
    return c.transpose(c.op("ReverseSequence", turned, c.long(lengths), batch_axis=0, time_axis=1), np.argsort(order).tolist())


@operator("MATRIX_DIAG")
def matrix_diagonal(c: Emitter, node: Node, x: Tensor) -> Any:
    size = c.op("Shape", c.value(x), start=x.rank - 1)
    identity = c.op("EyeLike", c.op("Expand", c.array(np.array(0, np.int64)), c.op("Concat", size, size, axis=0)), dtype=9)
    return c.op("Where", identity, c.op("Unsqueeze", c.value(x), [-1]), c.number(0, x))


@operator("MATRIX_SET_DIAG")
def matrix_set_diagonal(c: Emitter, node: Node, x: Tensor, diagonal: Tensor) -> Any:
    """The diagonal is as long as the shorter side: it is lengthened with what is not used."""
    shape = c.op("Shape", c.value(x), start=x.rank - 2)
    identity = c.op("EyeLike", c.op("Expand", c.array(np.array(0, np.int64)), shape), dtype=9)
    short = c.op("Shape", c.value(diagonal), start=diagonal.rank - 1)
    missing = c.op("Sub", c.op("Slice", shape, [0], [1]), short)
    pads = c.op("Concat", [0] * (2 * diagonal.rank - 1), missing, axis=0)
    long = c.op("Pad", c.value(diagonal), pads, c.number(0, diagonal))
    return c.op("Where", identity, c.op("Unsqueeze", long, [-1]), c.value(x))
