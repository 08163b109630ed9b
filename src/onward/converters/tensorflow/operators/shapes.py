"""Shapes: reshape, transpose, slices, joins, padding, tiles, blocks."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from onward.converters.tensorflow.emitter import Emitter, Tensor
from onward.converters.tensorflow.registry import operator
from onward.errors import UnsupportedOperator
from onward.ir import Value

END = 2**63 - 1


@operator("Shape", "ShapeN")
def shape(c: Emitter, op: Any, *items: Tensor) -> list[Value]:
    return [c.cast(c.op("Slice", c.op("Shape", x), [0], [-1], [0]) if x.is_complex else c.op("Shape", x), op.dtype) if op.dtype != tf.int64
            else c.shape(x) for x in items]  # fmt: skip


@operator("Size")
def size(c: Emitter, op: Any, x: Tensor) -> Value:
    made = c.op("Size", x)
    return made if op.dtype == tf.int64 else c.cast(made, op.dtype)


@operator("Rank")
def rank(c: Emitter, op: Any, x: Tensor) -> Value:
    return c.cast(c.op("Size", c.op("Shape", x)), tf.int32)


def sizes_of(c: Emitter, result: list[int | None] | None, wanted: Tensor) -> Any:
    """Sizes with those known of the result filled in: with one open one it can be -1, whatever computes it."""
    if wanted.known is not None:
        return [int(size) for size in wanted.known.reshape(-1)]
    if result is not None and sum(extent is None for extent in result) <= 1 and 0 not in result:
        return [-1 if extent is None else extent for extent in result]
    return c.sizes(wanted)


@operator("Reshape")
def reshape(c: Emitter, op: Any, x: Tensor, sizes: Tensor) -> Value:
    known = op.outputs[0].shape
    return c.reshape(x, sizes_of(c, None if known.rank is None else known.as_list(), sizes))


@operator("ExpandDims")
def expand_dims(c: Emitter, op: Any, x: Tensor, axis: Tensor) -> Value:
    where = int(c.known(axis, "the axis").reshape(()))
    return c.unsqueeze(x, where if where >= 0 else where + x.rank + 1)


@operator("Squeeze")
def squeeze(c: Emitter, op: Any, x: Tensor) -> Value:
    axes = [axis % x.rank for axis in op["squeeze_dims"]] or [axis for axis, extent in enumerate(x.shape) if extent == 1]
    if not op["squeeze_dims"] and None in x.shape:
        raise UnsupportedOperator("which axes go depends on open sizes: name them")
    return c.squeeze(x, *axes) if axes else x.value


@operator("Transpose", "ConjugateTranspose")
def transpose(c: Emitter, op: Any, x: Tensor, order: Tensor) -> Value:
    return c.transpose(x, [axis % x.rank for axis in c.known(order, "the order of the axes").tolist()])


@operator("BroadcastArgs")
def broadcast_arguments(c: Emitter, op: Any, left: Tensor, right: Tensor) -> Value:
    """The common shape of two."""
    sizes = [c.sizes(item) for item in (left, right)]
    counts = [c.op("Shape", item) for item in sizes]
    most = c.op("Max", *counts)
    one = np.array(1)
    sizes = [c.op("Pad", item, c.op("Concat", c.op("Sub", most, count), np.array([0]), axis=0), one) for item, count in zip(sizes, counts)]
    return c.cast(c.op("Where", c.op("Equal", sizes[0], one), sizes[1], sizes[0]), op.dtype)


@operator("BroadcastTo")
def broadcast_to(c: Emitter, op: Any, x: Tensor, sizes: Tensor) -> Value:
    return c.op("Expand", x, c.sizes(sizes))


@operator("Fill")
def fill(c: Emitter, op: Any, sizes: Tensor, number: Tensor) -> Value:
    return c.op("Expand", number, c.sizes(sizes))


@operator("Empty")
def empty(c: Emitter, op: Any, sizes: Tensor) -> Value:
    return c.op("Expand", c.number(0, op.dtype), c.sizes(sizes))


@operator("Range")
def range_(c: Emitter, op: Any, start: Tensor, limit: Tensor, delta: Tensor) -> Value:
    return c.op("Range", *(c.reshape(item, []) for item in (start, limit, delta)))


@operator("LinSpace")
def linspace(c: Emitter, op: Any, start: Tensor, stop: Tensor, count: Tensor) -> Value:
    number = int(c.known(count, "the number of points"))
    if number == 1:
        return c.reshape(start, [1])
    steps = c.number(np.arange(number), start)
    step = c.op("Div", c.op("Sub", stop, start), c.number(number - 1, start))
    made = c.op("Add", start, c.op("Mul", steps, step))
    return c.op("Concat", c.slice(made, 0, 0, number - 1), c.reshape(stop, [1]), axis=0)


@operator("ConcatV2", "Concat")
def concat(c: Emitter, op: Any, *items: Tensor) -> Value:
    axis, parts = (items[-1], items[:-1]) if op.type == "ConcatV2" else (items[0], items[1:])
    where = int(c.known(axis, "the axis").reshape(()))
    rank = parts[0].rank
    return c.op("Concat", *parts, axis=where % rank if rank else 0)


@operator("ParallelConcat")
def parallel_concat(c: Emitter, op: Any, *items: Tensor) -> Value:
    return c.op("Concat", *items, axis=0)


@operator("Pack")
def pack(c: Emitter, op: Any, *items: Tensor) -> Value:
    where = op["axis"] % (items[0].rank + 1)
    return c.op("Concat", *(c.unsqueeze(item, where) for item in items), axis=where)


@operator("Unpack")
def unpack(c: Emitter, op: Any, x: Tensor) -> list[Value]:
    where, count = op["axis"] % x.rank, op["num"]
    if count == 1:
        return [c.squeeze(x, where)]
    parts = c.op("Split", x, axis=where, num_outputs=count, outputs=count)
    return [c.squeeze(part, where) for part in parts]


@operator("Split")
def split(c: Emitter, op: Any, axis: Tensor, x: Tensor) -> list[Value]:
    where, count = int(c.known(axis, "the axis").reshape(())), op["num_split"]
    if count == 1:
        return [x.value]
    made: list[Value] = c.op("Split", x, axis=where % x.rank, num_outputs=count, outputs=count)
    return made


@operator("SplitV")
def split_v(c: Emitter, op: Any, x: Tensor, sizes: Tensor, axis: Tensor) -> list[Value]:
    where, count = int(c.known(axis, "the axis").reshape(())) % x.rank, op["num_split"]
    known = sizes.known
    if count == 1:
        return [x.value]
    if known is not None and -1 in known:
        extent, others = c.size(x, where), int(known[known >= 0].sum())
        rest = extent - others if isinstance(extent, int) else c.op("Sub", extent, np.array([others]))
        parts = c.sizes([rest if size < 0 else int(size) for size in known])
    else:
        parts = c.sizes(sizes)
    made: list[Value] = c.op("Split", x, parts, axis=where, outputs=count)
    return made


@operator("Slice")
def slice_(c: Emitter, op: Any, x: Tensor, begin: Tensor, size: Tensor) -> Value:
    """A size of -1 is all that is left."""
    rank = x.rank
    if not rank:
        return x.value
    starts = c.sizes(begin)
    if size.known is not None and begin.known is not None:
        ends: Any = [END if extent < 0 else int(start + extent) for start, extent in zip(begin.known, size.known)]
        return c.op("Slice", x, starts, ends, list(range(rank)))
    extents = c.sizes(size)
    stop = c.op("Add", starts, extents)
    stop = c.op("Where", c.op("Less", extents, np.array([0])), np.full(rank, END), stop)
    return c.op("Slice", x, starts, stop, list(range(rank)))


@operator("StridedSlice")
def strided_slice(c: Emitter, op: Any, x: Tensor, begin: Tensor, end: Tensor, strides: Tensor) -> Value:
    plan = _plan(c, op, x, begin, end, strides)
    value = x.value
    if plan.axes:
        value = c.op("Slice", value, c.sizes(plan.starts), c.sizes(plan.ends), plan.axes, plan.steps)
    for axis, place in reversed(plan.taken):
        value = c.op("Gather", value, c.reshape(place, []) if isinstance(place, Value) else np.array(place), axis=axis)
    return c.unsqueeze(value, *plan.added) if plan.added else value


class _Plan:
    """Which axes are sliced, which one element is taken of, and which are new."""

    def __init__(self) -> None:
        self.axes: list[int] = []
        self.starts: list[Any] = []
        self.ends: list[Any] = []
        self.steps: list[int] = []
        self.taken: list[tuple[int, Any]] = []
        self.added: list[int] = []


def _plan(c: Emitter, op: Any, x: Tensor, begin: Tensor, end: Tensor, strides: Tensor) -> _Plan:
    masks = {name: int(op[f"{name}_mask"]) for name in ("begin", "end", "ellipsis", "new_axis", "shrink_axis")}
    steps = c.known(strides, "the step of a slice").tolist()
    plan = _Plan()
    new = sum(bool(masks["new_axis"] >> place & 1 and not masks["ellipsis"] >> place & 1) for place in range(len(steps)))
    axis = made = 0
    for place, step in enumerate(steps):
        is_set = {name: bool(mask >> place & 1) for name, mask in masks.items()}
        if is_set["ellipsis"]:
            later_new = sum(bool(masks["new_axis"] >> later & 1) for later in range(place + 1, len(steps)))
            skipped = x.rank - axis - (len(steps) - place - 1 - later_new)
            axis, made = axis + skipped, made + skipped
        elif is_set["new_axis"]:
            plan.added.append(made)
            made += 1
        elif is_set["shrink_axis"]:
            plan.taken.append((axis, _element(c, begin, place)))
            axis += 1
        else:
            first = (0 if step > 0 else END) if is_set["begin"] else _element(c, begin, place)
            last = (END if step > 0 else -END - 1) if is_set["end"] else _element(c, end, place)
            if not (is_set["begin"] and is_set["end"] and step == 1):
                plan.axes.append(axis)
                plan.starts.append(first)
                plan.ends.append(last)
                plan.steps.append(step)
            axis, made = axis + 1, made + 1
    assert new == len(plan.added)
    return plan


def _element(c: Emitter, vector: Tensor, place: int) -> Any:
    if vector.known is not None:
        return int(vector.known[place])
    return c.slice(c.sizes(vector), 0, place, place + 1)


@operator("Pad", "PadV2", "MirrorPad")
def pad(c: Emitter, op: Any, x: Tensor, amounts: Tensor, number: Tensor | None = None) -> Value:
    vector = c.op("Reshape", c.op("Transpose", c.cast(amounts, tf.int64), perm=[1, 0]), np.array([-1]))
    if amounts.known is not None:
        vector = c.array(amounts.known.T.reshape(-1).astype(np.int64))
    if op.type == "MirrorPad" and op["mode"] == "SYMMETRIC":
        return _symmetric(c, x, c.known(amounts, "the amount of padding"))
    if op.type == "MirrorPad":
        return c.op("Pad", x, vector, mode="reflect")
    if x.dtype == tf.bool:
        return c.op("Cast", c.op("Pad", c.cast(x, tf.int32), vector, c.cast(number, tf.int32) if number else None), to=9)
    return c.op("Pad", x, vector, None if number is None else c.reshape(number, []))


def _symmetric(c: Emitter, x: Tensor, amounts: np.ndarray) -> Value:
    """The edge is repeated in the mirror."""
    value = x.value
    for axis, (before, after) in enumerate(amounts.tolist()):
        parts = [value]
        if before:
            parts.insert(0, c.op("Slice", value, [before - 1], [-END], [axis], [-1]))
        if after:
            parts.append(c.op("Slice", value, [-1], [-after - 1], [axis], [-1]))
        value = c.op("Concat", *parts, axis=axis) if len(parts) > 1 else value
    return value


@operator("Tile")
def tile(c: Emitter, op: Any, x: Tensor, counts: Tensor) -> Value:
    return c.op("Tile", x, c.sizes(counts))


@operator("ReverseV2")
def reverse(c: Emitter, op: Any, x: Tensor, axes: Tensor) -> Value:
    where = [int(axis) % x.rank for axis in c.known(axes, "the axes").tolist()]
    if not where:
        return x.value
    count = len(where)
    return c.op("Slice", x, [-1] * count, [-END] * count, where, [-1] * count)


@operator("Reverse")
def reverse_flags(c: Emitter, op: Any, x: Tensor, flags: Tensor) -> Value:
    where = np.flatnonzero(c.known(flags, "which axes are reversed")).tolist()
    return c.op("Slice", x, [-1] * len(where), [-END] * len(where), where, [-1] * len(where)) if where else x.value


@operator("ReverseSequence")
def reverse_sequence(c: Emitter, op: Any, x: Tensor, lengths: Tensor) -> Value:
    """ONNX has time and batch as the first two axes, in any order."""
    time, batch = op["seq_dim"], op["batch_dim"]
    order = [time, batch] + [axis for axis in range(x.rank) if axis not in (time, batch)]
    made = c.op("ReverseSequence", c.transpose(x, order), c.cast(lengths, tf.int64), time_axis=0, batch_axis=1)
    return c.transpose(made, list(np.argsort(order)))


@operator("Roll")
def roll(c: Emitter, op: Any, x: Tensor, shift: Tensor, axis: Tensor) -> Value:
    value = x.value
    for amount, where in zip(c.known(shift, "the shift").reshape(-1).tolist(), c.known(axis, "the axis").reshape(-1).tolist()):
        where %= x.rank
        extent = c.op("Shape", value, start=where, end=where + 1)
        cut = c.op("Mod", np.array([-amount]), extent)
        value = c.op("Concat", c.slice(value, where, cut, END), c.slice(value, where, 0, cut), axis=where)
    return value


@operator("DepthToSpace", "SpaceToDepth")
def depth_space(c: Emitter, op: Any, x: Tensor) -> Value:
    block = int(op["block_size"])
    first = op.get("data_format", "NHWC") == "NCHW"
    value = x.value if first else c.transpose(x, [0, 3, 1, 2])
    if op.type == "DepthToSpace":
        made = c.op("DepthToSpace", value, blocksize=block, mode="DCR")
    else:
        made = c.op("SpaceToDepth", value, blocksize=block)
    return made if first else c.transpose(made, [0, 2, 3, 1])


@operator("BatchToSpaceND", "SpaceToBatchND", "BatchToSpace", "SpaceToBatch")
def blocks(c: Emitter, op: Any, x: Tensor, *settings: Tensor) -> Value:
    """Blocks of space in the batch axis, by Reshape and Transpose."""
    if len(settings) == 1:
        block, amounts = [int(op["block_size"])] * 2, c.known(settings[0], "the padding")
    else:
        block, amounts = [int(size) for size in c.known(settings[0], "the block")], c.known(settings[1], "the padding")
    return (_to_batch if op.type.startswith("SpaceToBatch") else _to_space)(c, x, block, amounts.astype(np.int64))


def _to_batch(c: Emitter, x: Tensor, block: list[int], amounts: np.ndarray) -> Value:
    count, rest = len(block), x.rank - len(block) - 1
    whole = np.zeros((x.rank, 2), np.int64)
    whole[1 : count + 1] = amounts
    value = c.op("Pad", x, c.array(whole.T.reshape(-1).copy())) if amounts.any() else x.value
    sizes: list[Any] = [c.op("Shape", value, start=0, end=1)]
    for axis, size in enumerate(block, 1):
        sizes += [c.op("Div", c.op("Shape", value, start=axis, end=axis + 1), np.array([size])), size]
    split = c.reshape(value, [*sizes, *[c.size(x, axis) for axis in range(count + 1, x.rank)]])
    order = [2 * axis + 2 for axis in range(count)] + [0] + [2 * axis + 1 for axis in range(count)] + [2 * count + 1 + axis for axis in range(rest)]
    made = c.transpose(split, order)
    batch = c.op("Mul", sizes[0], np.array([int(np.prod(block))]))
    return c.reshape(made, [batch, *sizes[1::2], *[c.size(x, axis) for axis in range(count + 1, x.rank)]])


def _to_space(c: Emitter, x: Tensor, block: list[int], amounts: np.ndarray) -> Value:
    count = len(block)
    batch = c.op("Div", c.sizes([c.size(x, 0)]), np.array([int(np.prod(block))]))
    split = c.reshape(x, [*block, batch, *[c.size(x, axis) for axis in range(1, x.rank)]])
    order = [count]
    for axis in range(count):
        order += [count + 1 + axis, axis]
    order += list(range(2 * count + 1, x.rank + count))
    sizes = [c.op("Mul", c.sizes([c.size(x, axis + 1)]), np.array([size])) for axis, size in enumerate(block)]
    made = c.reshape(c.transpose(split, order), [batch, *sizes, *[c.size(x, axis) for axis in range(count + 1, x.rank)]])
    if not amounts.any():
        return made
    ends = [int(-after) if after else END for after in amounts[:, 1]]
    return c.op("Slice", made, amounts[:, 0].tolist(), ends, list(range(1, count + 1)))
