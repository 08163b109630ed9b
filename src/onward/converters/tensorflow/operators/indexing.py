"""Gathering, scattering, masks, segments, one-hot vectors."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from onward.converters.tensorflow.emitter import Emitter, Tensor
from onward.converters.tensorflow.registry import operator
from onward.errors import UnsupportedOperator
from onward.ir import Value


@operator("GatherV2", "Gather")
def gather(c: Emitter, op: Any, x: Tensor, indices: Tensor, axis: Tensor | None = None) -> Value:
    where = 0 if axis is None else int(c.known(axis, "the axis"))
    return gathered(c, x, indices, where % x.rank, int(op.get("batch_dims", 0)) % (indices.rank or 1) if op.get("batch_dims", 0) else 0)


def gathered(c: Emitter, x: Tensor, indices: Tensor, axis: int, batched: int) -> Value:
    """Rows along an axis; the first `batched` axes of both go together."""
    if not batched:
        return c.op("Gather", x, indices, axis=axis)
    order = [*range(batched), axis, *(other for other in range(batched, x.rank) if other != axis)]
    moved = c.transpose(x, order)
    places = c.unsqueeze(c.cast(indices, tf.int64), -1)
    made = c.op("GatherND", moved, places, batch_dims=batched)
    inner = indices.rank - batched
    # (batch, the indices' own axes, axes before, axes after): those before come first
    before = axis - batched
    rank = x.rank - 1 + inner
    back = [*range(batched), *range(batched + inner, batched + inner + before), *range(batched, batched + inner), *range(batched + inner + before, rank)]
    return c.transpose(made, back)


@operator("GatherNd")
def gather_nd(c: Emitter, op: Any, x: Tensor, indices: Tensor) -> Value:
    if indices.shape[-1] == 0:
        leading = c.op("Slice", c.op("Shape", indices), [0], [-1], [0])
        return c.op("Expand", x, c.op("Concat", leading, c.op("Shape", x), axis=0))
    return c.op("GatherND", x, c.cast(indices, tf.int64))


@operator("OneHot")
def one_hot(c: Emitter, op: Any, indices: Tensor, depth: Tensor, on: Tensor, off: Tensor) -> Value:
    """Indices outside, negative ones among them, give a row of `off`."""
    axis = op["axis"] if op["axis"] >= 0 else indices.rank
    places = c.op("Range", np.array(0), c.reshape(c.cast(depth, tf.int64), []), np.array(1))
    places = c.reshape(places, [-1] + [1] * (indices.rank - axis))
    test = c.op("Equal", c.unsqueeze(c.cast(indices, tf.int64), axis), places)
    return c.op("Where", test, on, off)


@operator("Where")
def where(c: Emitter, op: Any, x: Tensor) -> Value:
    test = x.value if x.dtype == tf.bool else c.op("Not", c.op("Equal", x, c.number(0, x)))
    return c.op("Transpose", c.op("NonZero", test), perm=[1, 0])


SCATTERED = {
    "ScatterNdNonAliasingAdd": "add", "TensorScatterUpdate": "none", "TensorScatterAdd": "add", "TensorScatterMax": "max", "TensorScatterMin": "min",
}  # fmt: skip


@operator(*SCATTERED, "TensorScatterSub")
def tensor_scatter(c: Emitter, op: Any, x: Tensor, indices: Tensor, updates: Tensor) -> Value:
    places = c.cast(indices, tf.int64)
    if op.type == "TensorScatterSub":
        return c.op("ScatterND", x, places, c.op("Neg", updates), reduction="add")
    return c.op("ScatterND", x, places, updates, reduction=SCATTERED[op.type])


@operator("ScatterNd")
def scatter_nd(c: Emitter, op: Any, indices: Tensor, updates: Tensor, shape: Tensor) -> Value:
    zeros = c.op("Expand", c.number(0, updates), c.sizes(shape))
    return c.op("ScatterND", zeros, c.cast(indices, tf.int64), updates, reduction="add")


@operator("InvertPermutation")
def invert_permutation(c: Emitter, op: Any, x: Tensor) -> Value:
    count = c.op("Shape", x)
    places = c.op("Range", np.array(0), c.squeeze(count, 0), np.array(1))
    made = c.op("ScatterElements", c.op("Expand", np.array(0), count), c.cast(x, tf.int64), places, axis=0)
    return made if x.dtype == tf.int64 else c.op("Cast", made, to=6)


SEGMENTS = {"Sum": ("add", 0), "Prod": ("mul", 1), "Max": ("max", None), "Min": ("min", None)}


def _start(c: Emitter, kind: str, x: Tensor, is_open: bool) -> Value:
    """The neutral element; where nothing goes, the extrema have the type's end (or 0 for sorted segments, which is set later)."""
    number = SEGMENTS[kind][1]
    if number is None:
        limits: Any = (tf.as_dtype(x.dtype).min, tf.as_dtype(x.dtype).max)
        if x.dtype.is_floating and not is_open:
            limits = (-np.inf, np.inf)
        number = limits[0] if kind == "Max" else limits[1]
    return c.number(number, x)


@operator("UnsortedSegmentSum", "UnsortedSegmentProd", "UnsortedSegmentMax", "UnsortedSegmentMin")
def unsorted_segment(c: Emitter, op: Any, x: Tensor, segments: Tensor, count: Tensor) -> Value:
    """Negative segments are dropped: they go into a row behind the last, which is cut off."""
    kind = op.type.removeprefix("UnsortedSegment")
    rows = c.reshape(c.cast(segments, tf.int64), [-1, 1])
    number = c.sizes([count])
    rows = c.op("Where", c.op("Less", rows, np.array(0)), number, rows)
    rest = [c.size(x, axis) for axis in range(segments.rank, x.rank)]
    values = c.reshape(x, [c.op("Shape", rows, start=0, end=1), *rest])
    start = c.op("Expand", _start(c, kind, x, True), c.sizes([c.op("Add", number, np.array([1])), *rest]))
    made = c.op("ScatterND", start, rows, values, reduction=SEGMENTS[kind][0])
    return c.slice(made, 0, 0, number)


@operator("SegmentSum", "SegmentProd", "SegmentMax", "SegmentMin", "SegmentMean", "SegmentSumV2", "SegmentProdV2", "SegmentMaxV2",
          "SegmentMinV2")  # fmt: skip
def segment(c: Emitter, op: Any, x: Tensor, segments: Tensor, count: Tensor | None = None) -> Value:
    """Of segments in order; one without elements is zero (or the neutral element in the second version)."""
    kind = op.type.removeprefix("Segment").removesuffix("V2")
    rows = c.cast(segments, tf.int64)
    number = c.sizes([count]) if count is not None else _after_last(c, rows)
    return _segments(c, kind, x, c.unsqueeze(rows, 1), number, count is not None)


def _after_last(c: Emitter, rows: Value) -> Value:
    """The number of segments in order."""
    return c.op("Add", c.op("Gather", rows, np.array([-1]), axis=0), np.array([1]))


def _segments(c: Emitter, kind: str, x: Tensor, rows: Value, number: Value, neutral: bool) -> Value:
    rest = [c.size(x, axis) for axis in range(1, x.rank)]
    sizes = c.sizes([number, *rest])
    if kind == "Mean":
        total = c.op("ScatterND", c.op("Expand", c.number(0, x), sizes), rows, x, reduction="add")
        return c.op("Div", total, c.op("Max", _counted(c, x, rows, number), c.number(1, x)))
    made = c.op("ScatterND", c.op("Expand", _start(c, kind, x, neutral), sizes), rows, x, reduction=SEGMENTS[kind][0])
    if neutral or kind in ("Sum", "Prod"):
        return made
    return c.op("Where", c.op("Greater", _counted(c, x, rows, number), c.number(0, x)), made, c.number(0, x))


def _counted(c: Emitter, x: Tensor, rows: Value, number: Value) -> Value:
    """How many rows a segment has, as a column."""
    ones = c.op("Expand", c.number(1, x), c.op("Shape", rows, start=0, end=1))
    counts = c.op("ScatterND", c.op("Expand", c.number(0, x), number), rows, ones, reduction="add")
    return c.reshape(counts, [-1] + [1] * (x.rank - 1))


@operator("SparseSegmentSum", "SparseSegmentMean", "SparseSegmentSqrtN", "SparseSegmentSumWithNumSegments",
          "SparseSegmentMeanWithNumSegments", "SparseSegmentSqrtNWithNumSegments")  # fmt: skip
def sparse_segment(c: Emitter, op: Any, x: Tensor, indices: Tensor, segments: Tensor, count: Tensor | None = None) -> Value:
    kind = op.type.removeprefix("SparseSegment").removesuffix("WithNumSegments")
    shadow = tf.TensorShape([None]).concatenate(x.shadow.shape[1:])
    with x.shadow.graph.as_default():
        chosen = Tensor(c, tf.compat.v1.placeholder(x.dtype, shadow), c.op("Gather", x, indices, axis=0))
    rows = c.cast(segments, tf.int64)
    number = c.sizes([count]) if count is not None else _after_last(c, rows)
    rows = c.unsqueeze(rows, 1)
    total = _segments(c, "Mean" if kind == "Mean" else "Sum", chosen, rows, number, False)
    if kind != "SqrtN":
        return total
    return c.op("Div", total, c.op("Sqrt", c.op("Max", _counted(c, chosen, rows, number), c.number(1, x))))


@operator("Bincount", "DenseBincount")
def bincount(c: Emitter, op: Any, values: Tensor, size: Tensor, weights: Tensor) -> Value:
    """Values beyond the size are not counted."""
    number = c.sizes([size])
    batched = op.type == "DenseBincount" and values.rank == 2
    places = c.op("Range", np.array(0), c.squeeze(number, 0), np.array(1))
    given = c.cast(values, tf.int64) if batched else c.reshape(c.cast(values, tf.int64), [-1])
    test = c.op("Equal", c.unsqueeze(given, -1), places)
    binary = op.get("binary_output", False)
    if binary:
        return c.cast(c.op("ReduceMax", c.cast(test, tf.int32), [-2], keepdims=0), op.dtype)
    if weights.shadow.shape.num_elements() == 0:
        return c.op("ReduceSum", c.cast(test, op.dtype), [-2], keepdims=0)
    if weights.shadow.shape.num_elements() is None:
        raise UnsupportedOperator("whether there are weights depends on open sizes")
    shares = c.unsqueeze(weights.value if batched else c.reshape(weights, [-1]), -1)
    return c.op("ReduceSum", c.op("Where", test, shares, c.number(0, op.dtype)), [-2], keepdims=0)


@operator("MatrixBandPart", "BatchMatrixBandPart")
def band_part(c: Emitter, op: Any, x: Tensor, lower: Tensor, upper: Tensor) -> Value:
    """A negative number of diagonals keeps all."""
    rows, columns = (c.op("Range", np.array(0), c.squeeze(c.op("Shape", x, start=axis, end=axis + 1 or 2**31), 0), np.array(1)) for axis in (-2, -1))
    below = c.op("Sub", c.unsqueeze(rows, 1), c.unsqueeze(columns, 0))
    keep = None
    for limit, distance in ((lower, below), (upper, c.op("Neg", below))):
        number = c.reshape(c.cast(limit, tf.int64), [])
        part = c.op("Or", c.op("Less", number, np.array(0)), c.op("LessOrEqual", distance, number))
        keep = part if keep is None else c.op("And", keep, part)
    return c.op("Where", keep, x, c.number(0, x))


@operator("MatrixDiagPart", "BatchMatrixDiagPart", "DiagPart")
def diagonal_part(c: Emitter, op: Any, x: Tensor) -> Value:
    if op.type == "DiagPart" and x.rank != 2:
        raise UnsupportedOperator("of more than a matrix")
    return _diagonal(c, x)


def _diagonal(c: Emitter, x: Any) -> Value:
    rows, columns = (c.op("Shape", x, start=-2, end=-1), c.op("Shape", x, start=-1))
    count = c.op("Min", rows, columns)
    places = c.op("Range", np.array(0), c.squeeze(count, 0), np.array(1))
    shape = c.op("Concat", c.op("Shape", x, end=-2), count, np.array([1]), axis=0)
    picked = c.op("Expand", c.unsqueeze(places, 1), shape)
    short = c.op("Slice", x, [0], count, [-2])
    return c.squeeze(c.op("GatherElements", short, picked, axis=-1), -1)


@operator("MatrixDiagPartV2", "MatrixDiagPartV3")
def diagonal_part_v3(c: Emitter, op: Any, x: Tensor, offsets: Tensor, padding: Tensor) -> Value:
    k = c.known(offsets, "which diagonals").reshape(-1)
    if k.size > 1 and k[0] != k[1]:
        raise UnsupportedOperator("several diagonals at once")
    offset = int(k[0])
    value = x.value
    if offset > 0:
        value = c.slice(value, x.rank - 1, offset, 2**62)
    if offset < 0:
        value = c.slice(value, x.rank - 2, -offset, 2**62)
    return _diagonal(c, value)


@operator("MatrixDiag", "BatchMatrixDiag", "Diag")
def diagonal(c: Emitter, op: Any, x: Tensor) -> Value:
    if op.type == "Diag" and x.rank != 1:
        raise UnsupportedOperator("of more than a vector")
    return c.op("Where", _is_diagonal(c, x, 0), c.unsqueeze(x, -1), c.number(0, x))


def _is_diagonal(c: Emitter, x: Any, offset: int) -> Value:
    """Where a square matrix with this diagonal has it; rows and columns as many as it needs."""
    count = c.op("Add", c.op("Shape", x, start=-1), np.array([abs(offset)]))
    places = c.op("Range", np.array(0), c.squeeze(count, 0), np.array(1))
    return c.op("Equal", c.op("Add", c.unsqueeze(places, 1), np.array(offset)), c.unsqueeze(places, 0))


@operator("MatrixDiagV2", "MatrixDiagV3")
def diagonal_v3(c: Emitter, op: Any, x: Tensor, offsets: Tensor, rows: Tensor, columns: Tensor, padding: Tensor) -> Value:
    k = c.known(offsets, "which diagonals").reshape(-1)
    sizes = [c.known(item, "the size") for item in (rows, columns)]
    if (k.size > 1 and k[0] != k[1]) or any(size != -1 for size in sizes):
        raise UnsupportedOperator("several diagonals at once, or a matrix that is not square")
    offset = int(k[0])
    short = [0] * x.rank
    before = [*short[:-1], max(-offset, 0)] if offset < 0 else short
    after = [*short[:-1], max(offset, 0)]
    column = c.op("Pad", x, [*before, *after]) if offset else x.value
    return c.op("Where", _is_diagonal(c, x, offset), c.unsqueeze(column, -1), padding)


@operator("MatrixSetDiag", "BatchMatrixSetDiag", "MatrixSetDiagV2", "MatrixSetDiagV3")
def set_diagonal(c: Emitter, op: Any, x: Tensor, values: Tensor, offsets: Tensor | None = None) -> Value:
    if offsets is not None and c.known(offsets, "which diagonals").any():
        raise UnsupportedOperator("other diagonals than the main one")
    rows, columns = (c.op("Range", np.array(0), c.squeeze(c.op("Shape", x, start=axis, end=end), 0), np.array(1))
                     for axis, end in ((x.rank - 2, x.rank - 1), (x.rank - 1, x.rank)))  # fmt: skip
    test = c.op("Equal", c.unsqueeze(rows, 1), c.unsqueeze(columns, 0))
    missing = c.op("Sub", c.op("Shape", x, start=-2, end=-1), c.op("Shape", values, start=-1))
    padded = c.op("Pad", values, c.sizes([0, missing]), None, [-1])
    return c.op("Where", test, c.unsqueeze(padded, -1), x)


@operator("DynamicPartition")
def dynamic_partition(c: Emitter, op: Any, x: Tensor, parts: Tensor) -> list[Value]:
    flat = c.reshape(parts, [-1])
    value = c.reshape(x, [-1, *[c.size(x, axis) for axis in range(parts.rank, x.rank)]]) if parts.rank != 1 else x.value
    return [c.op("Compress", value, c.op("Equal", flat, np.array(place, np.int32)), axis=0) for place in range(op["num_partitions"])]


@operator("DynamicStitch", "ParallelDynamicStitch")
def dynamic_stitch(c: Emitter, op: Any, *items: Tensor) -> Value:
    """Later pieces win."""
    count = len(items) // 2
    rest = [c.size(items[count], axis) for axis in range(items[0].rank, items[count].rank)]
    places = c.op("Concat", *(c.reshape(c.cast(item, tf.int64), [-1]) for item in items[:count]), axis=0)
    rows = c.op("Concat", *(c.reshape(item, [-1, *rest]) for item in items[count:]), axis=0)
    number = c.op("Add", c.op("ReduceMax", places, [0]), np.array([1]))
    zeros = c.op("Expand", c.number(0, items[count]), c.sizes([number, *rest]))
    return c.op("ScatterND", zeros, c.unsqueeze(places, 1), rows)


@operator("SparseToDense")
def sparse_to_dense(c: Emitter, op: Any, indices: Tensor, shape: Tensor, values: Tensor, default: Tensor) -> Value:
    whole = c.op("Expand", default, c.sizes(shape))
    places = c.cast(indices, tf.int64)
    places = places if indices.rank == 2 else c.reshape(places, [-1, 1])
    rows = values.value if values.rank else c.op("Expand", values, c.op("Shape", places, end=1))
    return c.op("ScatterND", whole, places, rows)


@operator("SparseTensorDenseMatMul")
def sparse_matmul(c: Emitter, op: Any, indices: Tensor, values: Tensor, shape: Tensor, dense: Tensor) -> Value:
    zeros = c.op("Expand", c.number(0, values), c.sizes(shape))
    whole = c.op("ScatterND", zeros, c.cast(indices, tf.int64), values, reduction="add")
    left = c.op("Transpose", whole, perm=[1, 0]) if op["adjoint_a"] else whole
    return c.op("MatMul", left, c.op("Transpose", dense, perm=[1, 0]) if op["adjoint_b"] else dense)


def _within(c: Emitter, x: Tensor, begin: Tensor, sizes: Any) -> Value:
    """Where a window begins, moved so that it lies in the tensor."""
    return c.op("Max", c.op("Min", c.sizes(begin), c.op("Sub", c.shape(x), sizes)), np.array([0]))


@operator("XlaDynamicSlice")
def dynamic_slice(c: Emitter, op: Any, x: Tensor, begin: Tensor, sizes: Tensor) -> Value:
    start = _within(c, x, begin, c.sizes(sizes))
    return c.op("Slice", x, start, c.op("Add", start, c.sizes(sizes)))


@operator("XlaDynamicUpdateSlice")
def dynamic_update_slice(c: Emitter, op: Any, x: Tensor, update: Tensor, begin: Tensor) -> Value:
    """Only the axes up to the last one along which the update does not reach from end to end are counted through."""
    own = c.shape(update)
    start = _within(c, x, begin, own)
    partial = [axis for axis, (extent, new) in enumerate(zip(x.shape, update.shape, strict=True)) if extent is None or extent != new]
    axes = range(max(partial) + 1 if partial else 0)
    if not axes:
        return c.op("Identity", update)
    lines = []
    for axis in axes:
        extent = c.squeeze(c.slice(own, 0, axis, axis + 1), 0)
        line = c.op("Add", c.op("Range", np.array(0), extent, np.array(1)), c.slice(start, 0, axis, axis + 1))
        lines.append(c.op("Reshape", line, [-1 if place == axis else 1 for place in axes] + [1]))
    grid = c.op("Concat", c.slice(own, 0, 0, len(axes)), [1], axis=0)
    return c.op("ScatterND", x, c.op("Concat", *(c.op("Expand", line, grid) for line in lines), axis=-1), update)
