"""Ragged tensors: the ends of the rows at each level, and all their values one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from onward.converters.tensorflow.emitter import Emitter, Tensor
from onward.converters.tensorflow.registry import operator, structure
from onward.errors import UnsupportedOperator
from onward.ir import Value


def counted(c: Emitter, size: Any) -> Value:
    """0, 1 .. below a size, a vector of one element."""
    made: Value = c.op("Range", np.array(0), c.squeeze(size, 0), np.array(1))
    return made


def ends_of(c: Emitter, lengths: Value) -> Value:
    """Where rows of these lengths begin, and the end of the last."""
    return c.op("Concat", np.array([0]), c.op("CumSum", lengths, np.array(0)), axis=0)  # type: ignore[no-any-return]


def rows_of(c: Emitter, splits: Value) -> tuple[Value, Value]:
    """For each element the row in which it stands, and its place there."""
    total = c.op("Gather", splits, np.array([-1]), axis=0)
    inner = c.op("Slice", splits, [1], [-1])
    zeros = c.op("Expand", np.array(0), c.op("Add", total, np.array([1])))
    ones = c.op("Expand", np.array(1), c.op("Shape", inner))
    marks = c.op("ScatterElements", zeros, inner, ones, axis=0, reduction="add")
    row = c.op("CumSum", c.op("Slice", marks, [0], [-1]), np.array(0))
    return row, c.op("Sub", counted(c, total), c.op("Gather", splits, row))


def ranges(c: Emitter, starts: Value, lengths: Value, steps: Any = None) -> tuple[Value, Value]:
    """Arithmetic progressions, one after the other: the ends of their rows, and their elements."""
    splits = ends_of(c, lengths)
    row, place = rows_of(c, splits)
    if steps is not None:
        place = c.op("Mul", place, c.op("Gather", steps, row))
    return splits, c.op("Add", c.op("Gather", starts, row), place)


@operator("RaggedRange")
def ragged_range(c: Emitter, op: Any, starts: Tensor, limits: Tensor, steps: Tensor) -> list[Value]:
    """In double precision where the numbers are real, of which TensorFlow adds up single ones."""
    whole = starts.dtype.is_integer
    kind = tf.int64 if whole else starts.dtype
    parts = [c.cast(item, kind) for item in (starts, limits, steps)]
    frame = c.op("Shape", c.op("Max", *(c.op("Abs", part) for part in parts)))
    frame = c.reshape(frame, [-1]) if any(item.rank for item in (starts, limits, steps)) else c.sizes([1])
    first, last, step = (c.op("Expand", part, frame) for part in parts)
    gap = c.op("Sub", last, first)
    if whole:
        up = c.op("Sub", step, c.op("Sign", step))
        count = c.op("Div", c.op("Add", gap, up), step)
    else:
        count = c.op("Cast", c.op("Ceil", c.op("Div", gap, step)), to=7)
    splits = ends_of(c, c.op("Max", count, np.array(0)))
    row, place = rows_of(c, splits)
    values = c.op("Add", c.op("Gather", first, row), c.op("Mul", c.cast(place, kind), c.op("Gather", step, row)))
    return [c.cast(splits, op.outputs[0].dtype), c.cast(values, starts.dtype)]


@operator("RaggedGather")
def ragged_gather(c: Emitter, op: Any, *inputs: Tensor) -> list[Value]:
    *levels, values, indices = inputs
    places = c.reshape(c.cast(indices, tf.int64), [-1])
    made: list[Value] = []
    number: Any = [c.size(indices, 0)] if indices.rank > 1 else []
    for axis in range(1, indices.rank):  # axes of the indices beyond the first are rows of one length
        length, rows = c.sizes([c.size(indices, axis)]), c.op("ReduceProd", c.sizes(number), keepdims=1)
        made.append(ends_of(c, c.op("Expand", length, rows)))
        number = [*number, c.size(indices, axis)]
    for level in levels:
        splits = c.cast(level, tf.int64)
        first, after = c.op("Gather", splits, places), c.op("Gather", splits, c.op("Add", places, np.array(1)))
        ends, places = ranges(c, first, c.op("Sub", after, first))
        made.append(ends)
    return [*(c.cast(item, op.outputs[0].dtype) for item in made), c.op("Gather", values, places, axis=0)]


def indices_of(c: Emitter, levels: Sequence[Value]) -> tuple[list[Value], list[Value]]:
    """The index of each element along the ragged axes, and the greatest length of a row at each level (the number of rows first)."""
    sizes = [c.op("Sub", c.op("Shape", levels[0]), np.array([1]))]
    index = [counted(c, sizes[0])]
    for splits in levels:
        row, place = rows_of(c, splits)
        lengths = c.op("Sub", c.op("Slice", splits, [1], [2**62]), c.op("Slice", splits, [0], [-1]))
        sizes.append(c.op("ReduceMax", c.op("Concat", lengths, np.array([0]), axis=0), keepdims=1))
        index = [*(c.op("Gather", item, row) for item in index), place]
    return index, sizes


def _levels(c: Emitter, kinds: Sequence[str], partitions: Sequence[Tensor]) -> list[Value]:
    """The ends of the rows at each level, however the source tells them."""
    made: list[Value] = []
    rows: Any = None
    for kind, partition in zip(kinds, partitions, strict=True):
        given = c.cast(partition, tf.int64)
        if kind == "FIRST_DIM_SIZE":
            rows = c.reshape(given, [1])
        elif kind == "ROW_SPLITS":
            made.append(given)
            rows = c.op("Gather", given, np.array([-1]), axis=0)
        elif kind == "VALUE_ROWIDS":
            ones = c.op("Expand", np.array(1), c.op("Shape", given))
            made.append(ends_of(c, c.op("ScatterElements", c.op("Expand", np.array(0), rows), given, ones, axis=0, reduction="add")))
            rows = c.op("Shape", given)
        else:
            raise UnsupportedOperator(f"rows given by {kind}")
    return made


@operator("RaggedTensorToTensor")
def to_tensor(c: Emitter, op: Any, shape: Tensor, values: Tensor, default: Tensor, *partitions: Tensor) -> Value:
    """Values beyond the shape that is asked for are left out."""
    kinds = [kind.decode() if isinstance(kind, bytes) else kind for kind in op["row_partition_types"]]
    index, sizes = indices_of(c, _levels(c, kinds, partitions))
    sizes += [c.sizes([c.size(values, axis)]) for axis in range(1, values.rank)]
    found = c.op("Concat", *sizes, axis=0)
    if shape.rank:
        wanted = c.sizes(shape)
        found = c.op("Where", c.op("Less", wanted, np.array(0)), found, wanted)
    places = c.op("Concat", *(c.unsqueeze(item, 1) for item in index), axis=1)
    limits = c.op("Slice", found, [0], [len(index)])
    inside = c.op("ReduceMin", c.op("Cast", c.op("Less", places, limits), to=6), [1], keepdims=0)
    inside = c.op("Cast", inside, to=9)
    kept = [c.op("Compress", item, inside, axis=0) for item in (places, values)]
    return c.op("ScatterND", c.op("Expand", default, found), *kept)


@operator("RaggedTensorToSparse")
def to_sparse(c: Emitter, op: Any, *inputs: Tensor) -> list[Value]:
    *levels, values = inputs
    index, sizes = indices_of(c, [c.cast(level, tf.int64) for level in levels])
    inner = [c.size(values, axis) for axis in range(1, values.rank)]
    if inner:  # every element of a value has its own index
        count = c.op("ReduceProd", c.sizes(inner), keepdims=1)
        rest = counted(c, count)
        frame = c.op("Concat", c.op("Shape", index[0]), count, axis=0)
        index = [c.reshape(c.op("Expand", c.unsqueeze(item, 1), frame), [-1]) for item in index]
        for place in range(len(inner)):
            below = c.op("ReduceProd", c.sizes([1, *inner[place + 1 :]]), keepdims=1)
            along = c.op("Mod", c.op("Div", rest, below), c.sizes([inner[place]]))
            index.append(c.reshape(c.op("Expand", c.unsqueeze(along, 0), frame), [-1]))
    places = c.op("Concat", *(c.unsqueeze(item, 1) for item in index), axis=1)
    return [places, c.reshape(values, [-1]), c.op("Concat", *sizes, c.sizes(inner), axis=0) if inner else c.op("Concat", *sizes, axis=0)]


@dataclass(eq=False)
class Ragged:
    """A ragged tensor as one value of the source; `rows` where it stands for the list of its rows."""

    levels: list[Tensor]
    values: Tensor
    rows: bool

    def row(self, w: Any, index: Tensor) -> Ragged:
        """One row."""
        c, tensors = w.c, []
        first = c.cast(index, tf.int64)
        first, after = c.reshape(first, [1]), c.reshape(c.op("Add", first, np.array(1)), [1])
        for place, level in enumerate(self.levels):
            first, after = (c.op("Gather", level, item, axis=0) for item in (first, after))
            first, after = c.cast(first, tf.int64), c.cast(after, tf.int64)
            if place + 1 < len(self.levels):
                below = self.levels[place + 1]
                part = c.op("Slice", below, first, c.op("Add", after, np.array([1])), [0])
                part = c.op("Sub", part, c.op("Gather", part, np.array([0]), axis=0))
                tensors.append(w.tensor(part, below.dtype, tf.TensorShape([None])))
        values = c.op("Slice", self.values, first, after, [0])
        return Ragged(tensors, w.tensor(values, self.values.dtype, tf.TensorShape([None]).concatenate(self.values.shadow.shape[1:])), False)


@structure("RaggedTensorToVariant")
def to_variant(w: Any, op: Any, *inputs: Tensor) -> list[Any]:
    *levels, values = inputs
    return [Ragged(levels, values, bool(op["batched_input"]))]


@structure("Shape")
def shape(w: Any, op: Any, x: Any) -> Any:
    """That of a list of rows is their number."""
    if not isinstance(x, Ragged):
        return w.translated(op.source, [x])
    number = w.c.op("Sub", w.c.op("Shape", x.levels[0]), np.array([1]))
    return [w.tensor(w.c.cast(number, op["out_type"]), op["out_type"], tf.TensorShape([1]))]


@structure("RaggedTensorFromVariant")
def from_variant(w: Any, op: Any, encoded: Any) -> list[Any]:
    if not isinstance(encoded, Ragged) or len(encoded.levels) != op["output_ragged_rank"]:
        raise UnsupportedOperator("ragged tensors that a loop puts together row by row")
    return [*encoded.levels, encoded.values]
