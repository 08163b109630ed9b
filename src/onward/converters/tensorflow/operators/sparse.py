"""Sparse tensors: indices (one row an element), values and sizes. Elements are numbered by the row-major order of their places."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from onward.converters.tensorflow.emitter import Emitter, Tensor
from onward.converters.tensorflow.operators.ragged import counted
from onward.converters.tensorflow.operators.reductions import axes_of
from onward.converters.tensorflow.registry import operator
from onward.errors import UnsupportedOperator
from onward.ir import Value


def strides_of(c: Emitter, sizes: Any) -> Value:
    """How many elements lie between neighbours along each axis: the product of the later sizes."""
    places = counted(c, c.op("Shape", sizes))
    later = c.op("Greater", c.unsqueeze(places, 0), c.unsqueeze(places, 1))
    return c.op("ReduceProd", c.op("Where", later, c.unsqueeze(sizes, 0), np.array(1)), [1], keepdims=0)  # type: ignore[no-any-return]


def flat(c: Emitter, indices: Any, sizes: Any) -> Value:
    """The number of each place."""
    return c.op("ReduceSum", c.op("Mul", indices, strides_of(c, sizes)), [1], keepdims=0)  # type: ignore[no-any-return]


def spread(c: Emitter, places: Any, sizes: Any) -> Value:
    """The index of each place."""
    return c.op("Mod", c.op("Div", c.unsqueeze(places, 1), strides_of(c, sizes)), sizes)  # type: ignore[no-any-return]


def order_of(c: Emitter, keys: Value) -> Value:
    """Places in ascending order; equal ones stay as they are."""
    _, order = c.op("TopK", keys, c.op("Shape", keys), largest=0, outputs=2)
    return order  # type: ignore[no-any-return]


def places_of(c: Emitter, test: Value) -> Value:
    """The numbers of those for which a vector is true."""
    return c.squeeze(c.op("NonZero", test), 0)


def dense(c: Emitter, indices: Any, values: Tensor, sizes: Any, otherwise: Value | None = None) -> Value:
    """The whole tensor; equal places are added unless the rest has a value of its own."""
    frame = c.op("Expand", c.number(0, values) if otherwise is None else otherwise, sizes)
    return c.op("ScatterND", frame, indices, values, reduction="add" if otherwise is None else "none")  # type: ignore[no-any-return]


@operator("UnravelIndex")
def unravel(c: Emitter, op: Any, places: Tensor, sizes: Tensor) -> Value:
    """(axes, ...): the index of each place, axis by axis."""
    found = c.op("Transpose", spread(c, c.reshape(c.cast(places, tf.int64), [-1]), c.sizes(sizes)), perm=[1, 0])
    return c.cast(c.op("Reshape", found, c.op("Concat", np.array([-1]), c.shape(places), axis=0)) if places.rank != 1 else found, op.dtype)


@operator("SparseReshape")
def reshape(c: Emitter, op: Any, indices: Tensor, sizes: Tensor, wanted: Tensor) -> list[Value]:
    new = c.sizes(wanted)
    total = c.op("ReduceProd", c.sizes(sizes), keepdims=1)
    known = c.op("ReduceProd", c.op("Where", c.op("Less", new, np.array(0)), np.array(1), new), keepdims=1)
    new = c.op("Where", c.op("Less", new, np.array(0)), c.op("Div", total, c.op("Max", known, np.array([1]))), new)
    return [spread(c, flat(c, indices, c.sizes(sizes)), new), new]


@operator("SparseReorder")
def reorder(c: Emitter, op: Any, indices: Tensor, values: Tensor, sizes: Tensor) -> list[Value]:
    order = order_of(c, flat(c, indices, c.sizes(sizes)))
    return [c.op("Gather", item, order, axis=0) for item in (indices, values)]


@operator("SparseFillEmptyRows")
def fill_empty_rows(c: Emitter, op: Any, indices: Tensor, values: Tensor, sizes: Tensor, default: Tensor) -> list[Value]:
    """An element at the beginning of each row without one."""
    rows = c.op("Gather", indices, np.array(0), axis=1)
    count = c.slice(sizes, 0, 0, 1)
    ones = c.op("Expand", np.array(1), c.op("Shape", rows))
    found = c.op("ScatterElements", c.op("Expand", np.array(0), count), rows, ones, axis=0, reduction="add")
    empty = c.op("Equal", found, np.array(0))
    missing = places_of(c, empty)
    start = c.op("Pad", c.unsqueeze(missing, 1), c.sizes([0, 0, 0, c.op("Sub", c.op("Shape", indices, start=1), np.array([1]))]))
    order = order_of(c, c.op("Concat", rows, missing, axis=0))
    more = c.op("Expand", default, c.op("Shape", missing))
    pairs = ((indices, start), (values, more))
    after, filled = (c.op("Gather", c.op("Concat", *pair, axis=0), order, axis=0) for pair in pairs)
    back = c.op("ScatterElements", c.op("Expand", np.array(0), c.op("Shape", order)), order, counted(c, c.op("Shape", order)), axis=0)
    return [after, filled, empty, c.op("Slice", back, [0], c.op("Shape", rows))]


@operator("SparseTensorDenseAdd")
def add_to_dense(c: Emitter, op: Any, indices: Tensor, values: Tensor, sizes: Tensor, other: Tensor) -> Value:
    return c.op("ScatterND", other, c.cast(indices, tf.int64), values, reduction="add")


COMBINED = {"SparseDenseCwiseAdd": "Add", "SparseDenseCwiseMul": "Mul", "SparseDenseCwiseDiv": "Div"}


@operator(*COMBINED)
def with_dense(c: Emitter, op: Any, indices: Tensor, values: Tensor, sizes: Tensor, other: Tensor) -> Value:
    whole = c.op("Expand", other, c.sizes(sizes))
    return c.op(COMBINED[op.type], values, c.op("GatherND", whole, indices))


@operator("SparseReduceSum", "SparseReduceMax")
def reduced(c: Emitter, op: Any, indices: Tensor, values: Tensor, sizes: Tensor, axes: Tensor) -> Value:
    """Of the elements that are there; zero where there is none."""
    keep, where = int(op["keep_dims"]), axes_of(c, axes)
    if isinstance(where, np.ndarray) and not where.size:
        where = None
    extents = c.sizes(sizes)
    if op.type == "SparseReduceSum":
        return c.op("ReduceSum", dense(c, indices, values, extents), where, keepdims=keep)
    lowest = c.number(values.dtype.min, values)
    most = c.op("ReduceMax", dense(c, indices, values, extents, lowest), where, keepdims=keep)
    return c.op("Where", c.op("Equal", most, lowest), c.number(0, values), most)


@operator("SparseSoftmax")
def softmax(c: Emitter, op: Any, indices: Tensor, values: Tensor, sizes: Tensor) -> Value:
    """Along the last axis, over the elements that are there."""
    whole = dense(c, indices, values, c.sizes(sizes), c.number(-np.inf, values))
    return c.op("GatherND", c.op("Softmax", whole, axis=-1), indices)


@operator("SparseConcat")
def concat(c: Emitter, op: Any, *inputs: Tensor) -> list[Value]:
    count = len(inputs) // 3
    indices, values, sizes = inputs[:count], inputs[count : 2 * count], inputs[2 * count :]
    rank = sizes[0].shape[0]
    if rank is None:
        raise UnsupportedOperator("the number of axes is open")
    axis = op["concat_dim"] % rank
    unit = np.eye(rank, dtype=np.int64)[axis]
    start: Any = np.array([0])
    moved = []
    for place, extent in zip(indices, sizes, strict=True):
        moved.append(c.op("Add", place, c.op("Mul", start, c.array(unit))))
        start = c.op("Add", start, c.slice(extent, 0, axis, axis + 1))
    whole = c.op("Where", c.array(unit == 1), start, sizes[0])
    places, found = c.op("Concat", *moved, axis=0), c.op("Concat", *values, axis=0)
    order = order_of(c, flat(c, places, whole))
    return [c.op("Gather", places, order, axis=0), c.op("Gather", found, order, axis=0), whole]


@operator("SparseSlice")
def sliced(c: Emitter, op: Any, indices: Tensor, values: Tensor, sizes: Tensor, start: Tensor, wanted: Tensor) -> list[Value]:
    first = c.sizes(start)
    extents = c.op("Max", c.op("Min", c.sizes(wanted), c.op("Sub", c.sizes(sizes), first)), np.array(0))
    moved = c.op("Sub", indices, first)
    inside = c.op("And", c.op("GreaterOrEqual", moved, np.array(0)), c.op("Less", moved, extents))
    kept = places_of(c, c.op("Cast", c.op("ReduceMin", c.op("Cast", inside, to=6), [1], keepdims=0), to=9))
    return [c.op("Gather", moved, kept, axis=0), c.op("Gather", values, kept, axis=0), extents]


@operator("SparseAdd")
def add(c: Emitter, op: Any, indices: Tensor, values: Tensor, sizes: Tensor, others: Tensor, more: Tensor, other_sizes: Tensor, least: Tensor) -> list[Value]:
    """Sums smaller than `least` are left out."""
    extents = c.sizes(sizes)
    places, _, number, _ = c.op("Unique", flat(c, c.op("Concat", indices, others, axis=0), extents), outputs=4)
    zeros = c.op("Expand", c.number(0, values), c.op("Shape", places))
    total = c.op("ScatterElements", zeros, number, c.op("Concat", values, more, axis=0), axis=0, reduction="add")
    kept = places_of(c, c.op("GreaterOrEqual", c.op("Abs", total), least))
    return [spread(c, c.op("Gather", places, kept), extents), c.op("Gather", total, kept), extents]


def _members(c: Emitter, rows: Value, codes: Value, width: Value) -> Value:
    """Each row's set as sorted numbers: row times the number of codes plus code."""
    made, *_ = c.op("Unique", c.op("Add", c.op("Mul", rows, width), codes), outputs=4)
    return made  # type: ignore[no-any-return]


def _set_operation(c: Emitter, kind: str, first: Sequence[Value], second: Sequence[Value], groups: Value) -> list[Value]:
    """(rows, elements) of two families of sets; `groups` are the sizes of the axes of rows."""
    values = c.op("Concat", first[1], second[1], axis=0)
    known, _, codes, _ = c.op("Unique", values, outputs=4)
    width, count = c.op("Shape", known), c.op("Shape", first[0])
    left = _members(c, first[0], c.op("Slice", codes, [0], count), width)
    right = _members(c, second[0], c.op("Slice", codes, count, [2**62]), width)
    both = {"a-b": (left, right, right), "b-a": (left, left, right)}.get(kind, (left, right))
    merged, _, _, times = c.op("Unique", c.op("Concat", *both, axis=0), outputs=4)
    if kind != "union":
        chosen = c.op("Equal", times, np.array(2 if kind == "intersection" else 1))
        merged = c.op("Gather", merged, places_of(c, chosen))
    row, code = c.op("Div", merged, width), c.op("Mod", merged, width)
    number = c.op("ReduceProd", groups, keepdims=1)
    ones = c.op("Expand", np.array(1), c.op("Shape", row))
    found = c.op("ScatterElements", c.op("Expand", np.array(0), number), row, ones, axis=0, reduction="add")
    begins = c.op("CumSum", found, np.array(0), exclusive=1)
    place = c.op("Sub", counted(c, c.op("Shape", row)), c.op("Gather", begins, row))
    longest = c.op("ReduceMax", c.op("Concat", found, np.array([0]), axis=0), keepdims=1)
    indices = c.op("Concat", spread(c, row, groups), c.unsqueeze(place, 1), axis=1)
    return [indices, c.op("Gather", known, code), c.op("Concat", groups, longest, axis=0)]


def _rows_of_dense(c: Emitter, x: Tensor) -> list[Value]:
    frame = c.op("Shape", x)
    rows = counted(c, c.op("ReduceProd", c.op("Slice", frame, [0], [-1]), keepdims=1))
    wide = c.op("Expand", c.unsqueeze(rows, 1), c.op("Concat", c.op("Shape", rows), c.op("Shape", x, start=-1), axis=0))
    return [c.reshape(wide, [-1]), c.reshape(x, [-1])]


def _rows_of_sparse(c: Emitter, indices: Tensor, values: Tensor, groups: Value) -> list[Value]:
    return [flat(c, c.op("Slice", indices, [0], [-1], [1]), groups), values.value]


@operator("DenseToDenseSetOperation")
def dense_sets(c: Emitter, op: Any, a: Tensor, b: Tensor) -> list[Value]:
    """Sets are the last axis; the result is sparse, with the elements of a row in order."""
    return _set_operation(c, op["set_operation"], _rows_of_dense(c, a), _rows_of_dense(c, b), c.op("Shape", a, end=-1))


@operator("DenseToSparseSetOperation")
def mixed_sets(c: Emitter, op: Any, a: Tensor, indices: Tensor, values: Tensor, sizes: Tensor) -> list[Value]:
    groups = c.op("Shape", a, end=-1)
    return _set_operation(c, op["set_operation"], _rows_of_dense(c, a), _rows_of_sparse(c, indices, values, groups), groups)


@operator("SparseToSparseSetOperation")
def sparse_sets(c: Emitter, op: Any, *items: Tensor) -> list[Value]:
    a, b = items[:3], items[3:]
    groups = c.op("Slice", c.op("Max", c.sizes(a[2]), c.sizes(b[2])), [0], [-1])
    first, second = (_rows_of_sparse(c, item[0], item[1], groups) for item in (a, b))
    return _set_operation(c, op["set_operation"], first, second, groups)


@operator("CTCGreedyDecoder")
def greedy_decoder(c: Emitter, op: Any, x: Tensor, lengths: Tensor) -> list[Value]:
    """The best class of each step, without blanks and repetitions, as a sparse (batch, place) tensor."""
    blank = op.get("blank_index", -1)
    classes = c.op("Shape", x, start=2)
    silent = np.array([blank]) if blank >= 0 else c.op("Add", classes, np.array([blank]))
    best = c.op("Transpose", c.op("ArgMax", x, axis=2, keepdims=0), perm=[1, 0])
    steps = counted(c, c.op("Shape", x, end=1))
    valid = c.op("Less", c.unsqueeze(steps, 0), c.unsqueeze(c.cast(lengths, tf.int64), 1))
    keep = c.op("And", valid, c.op("Not", c.op("Equal", best, silent)))
    if op["merge_repeated"]:
        before = c.op("Pad", c.op("Slice", best, [0], [-1], [1]), [0, 1, 0, 0], np.array(-1))
        keep = c.op("And", keep, c.op("Not", c.op("Equal", best, before)))
    chosen = c.op("NonZero", keep)
    places = c.op("Transpose", chosen, perm=[1, 0])
    number = c.op("Sub", c.op("CumSum", c.op("Cast", keep, to=7), np.array(1)), np.array(1))
    along = c.op("GatherND", number, places)
    indices = c.op("Concat", c.op("Slice", places, [0], [1], [1]), c.unsqueeze(along, 1), axis=1)
    most = c.op("ReduceMax", c.op("Concat", c.op("Add", along, np.array(1)), np.array([0]), axis=0), keepdims=1)
    highest = c.op("Transpose", c.op("ReduceMax", x, [2], keepdims=0), perm=[1, 0])
    total = c.op("ReduceSum", c.op("Where", valid, highest, c.number(0, x)), [1], keepdims=1)
    return [indices, c.op("GatherND", best, places), c.op("Concat", c.op("Shape", best, end=1), most, axis=0), c.op("Neg", total)]
