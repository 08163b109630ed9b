"""Operators that came with StableHLO: windows of any rank, padding between elements, slices at computed places."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from onward.converters.tflite.emitter import Emitter, Node
from onward.converters.tflite.registry import operator
from onward.converters.tflite.tensors import Tensor
from onward.errors import UnsupportedOperator
from onward.ir import Value

REDUCTIONS = {"ADD": "Add", "MUL": "Mul", "MINIMUM": "Min", "MAXIMUM": "Max", "ALL": "And", "ANY": "Or"}
COMBINATIONS = {"ADD": "Add", "MULTIPLY": "Mul", "MUL": "Mul", "MINIMUM": "Min", "MAXIMUM": "Max", "AND": "And", "OR": "Or"}


@operator("REDUCE_WINDOW")
def reduce_window(c: Emitter, node: Node, x: Tensor, start: Tensor, *sizes: Tensor) -> Any:
    """Axis after axis: the elements of a window are parts of the whole that begin one dilation after another."""
    name = node.options.reduce_function
    if name not in REDUCTIONS:
        raise UnsupportedOperator(f"the reduction {name}")
    windows, strides, dilations = (c.known(item, "the sizes of windows").tolist() for item in sizes)
    return _reduced(c, c.value(x), c.value(start), REDUCTIONS[name], windows, strides, dilations)


def _reduced(c: Emitter, value: Value, start: Value, reduction: str, windows: Sequence[int], strides: Sequence[int], dilations: Sequence[int]) -> Value:
    for axis, (window, stride, dilation) in enumerate(zip(windows, strides, dilations)):
        if window == stride == 1:
            continue
        length = c.op("Sub", c.op("Shape", value, start=axis, end=axis + 1), [(window - 1) * dilation])
        parts = [
            c.op("Slice", value, [place * dilation], c.op("Add", length, [place * dilation]), [axis], [stride]) for place in range(window)
        ]  # fmt: skip
        value = parts[0]
        for part in parts[1:]:
            value = c.op(reduction, value, part)
    return c.op(reduction, value, start)  # type: ignore[no-any-return]


@operator("STABLEHLO_REDUCE_WINDOW")
def reduce_dilated_window(c: Emitter, node: Node, x: Tensor, start: Tensor) -> Any:
    """Windows over an array whose elements are set apart and surrounded by what the reduction begins with."""
    reduction = _combination(c, node.options.body_subgraph_index)
    windows, strides, between, dilations, pads = (
        list(map(int, item)) if item is not None and len(item) else default
        for item, default in (
            (node.options.window_dimensions, [1] * x.rank), (node.options.window_strides, [1] * x.rank), (node.options.base_dilations, [1] * x.rank),
            (node.options.window_dilations, [1] * x.rank), (node.options.padding, [0] * 2 * x.rank),
        )
    )  # fmt: skip
    first = c.op("Reshape", c.value(start), [])
    value = _padded(c, c.value(x), x.rank, pads[::2], pads[1::2], [step - 1 for step in between], first)
    return _reduced(c, value, first, reduction, windows, strides, dilations)


def _combination(c: Emitter, number: int) -> str:
    """The operator of ONNX by which a subgraph of two numbers combines them, "" where it takes the second.

    Raises UnsupportedOperator for a subgraph that does anything else, which TFLite's kernels do not take either.
    """
    operators = c.walk.subgraph(number).operators
    names = [c.walk.name(record).removeprefix("STABLEHLO_").removeprefix("LOGICAL_") for record in operators]
    if not names:
        return ""
    if len(names) > 1 or names[0] not in COMBINATIONS:
        raise UnsupportedOperator(f"a reduction by {', '.join(names)}")
    return COMBINATIONS[names[0]]


@operator("STABLEHLO_PAD")
def pad(c: Emitter, node: Node, x: Tensor, filling: Tensor) -> Any:
    """Elements set apart, then some more at both ends; less where the number is negative."""
    low, high, between = (list(map(int, item)) for item in (node.options.edge_padding_low, node.options.edge_padding_high, node.options.interior_padding))
    return _padded(c, c.value(x), x.rank, low, high, between, c.value(filling))


def _padded(c: Emitter, value: Value, rank: int, low: Sequence[int], high: Sequence[int], between: Sequence[int], filling: Value) -> Value:
    for axis, count in enumerate(between):
        if count:
            value = apart(c, value, rank, axis, count + 1, filling)
    if any(number > 0 for number in (*low, *high)):
        value = c.op("Pad", value, [max(number, 0) for number in (*low, *high)], filling)
    if any(number < 0 for number in (*low, *high)):
        starts, ends = [max(-number, 0) for number in low], [number if number < 0 else np.iinfo(np.int64).max for number in high]
        value = c.op("Slice", value, starts, ends, list(range(rank)))
    return value


def apart(c: Emitter, value: Value, rank: int, axis: int, step: int, filling: Value) -> Value:
    """Elements `step` places apart along an axis: each is padded at its end, and the last padding cut off."""
    pads = np.zeros((2, rank + 1), np.int64)
    pads[1, axis + 1] = step - 1
    wide = c.op("Pad", c.op("Unsqueeze", value, [axis + 1]), pads.reshape(-1), filling)
    shape = c.op("Shape", value)
    grown = c.op("Mul", c.op("Slice", shape, [axis], [axis + 1]), [step])
    parts = [c.op("Slice", shape, [0], [axis])] if axis else []
    parts += [grown] + ([c.op("Slice", shape, [axis + 1], [rank])] if axis + 1 < rank else [])
    joined = c.op("Reshape", wide, c.op("Concat", *parts, axis=0) if len(parts) > 1 else grown)
    return c.op("Slice", joined, [0], c.op("Sub", grown, [step - 1]), [axis])  # type: ignore[no-any-return]


@operator("DILATE")
def dilate(c: Emitter, node: Node, x: Tensor, amounts: Tensor, filling: Tensor) -> Any:
    value = c.value(x)
    for axis, step in enumerate(int(step) for step in c.known(amounts, "the dilations")):
        if step > 1:
            value = apart(c, value, x.rank, axis, step, c.value(filling))
    return value


@operator("STABLEHLO_GATHER")
def gather(c: Emitter, node: Node, x: Tensor, places: Tensor) -> Any:
    """Slices of one size that begin at computed places, moved so that they lie inside. Source: the specification of StableHLO, gather."""
    options = node.options
    offsets, collapsed, mapped, sizes = (
        list(map(int, item if item is not None else []))
        for item in (options.offset_dims, options.collapsed_slice_dims, options.start_index_map, options.slice_sizes)
    )
    starts, batch = _starts(c, places, int(options.index_vector_dim))
    kept = [axis for axis in range(x.rank) if axis not in collapsed]
    found: list[Value] = []
    for axis in range(x.rank):
        own = np.zeros([sizes[axis] if axis == item else 1 for item in kept], np.int64)
        if axis in kept:
            own = own + np.arange(sizes[axis]).reshape(own.shape)
        index: Any = c.array(own)
        if axis in mapped:
            first = c.op("Gather", starts, np.int64(mapped.index(axis)), axis=batch)
            last = c.op("Sub", c.op("Shape", c.value(x), start=axis, end=axis + 1), [sizes[axis]])
            first = c.op("Min", c.op("Max", first, np.int64(0)), last)
            index = c.op("Add", c.op("Unsqueeze", first, list(range(batch, batch + len(kept)))) if kept else first, index)
        found.append(index)
    zero = c.op("Mul", c.op("Gather", starts, np.int64(0), axis=batch), np.int64(0))
    zero = c.op("Unsqueeze", zero, list(range(batch, batch + len(kept)))) if kept else zero
    every = c.op("Add", zero, c.array(np.zeros([sizes[item] for item in kept], np.int64)))
    indices = c.op("Concat", *(c.op("Unsqueeze", c.op("Add", every, item), [-1]) for item in found), axis=-1)
    taken = c.op("GatherND", c.value(x), indices)
    rest = iter(range(batch))
    order = [batch + offsets.index(axis) if axis in offsets else next(rest) for axis in range(batch + len(kept))]
    return c.transpose(taken, order)


def _starts(c: Emitter, places: Tensor, at: int) -> tuple[Value, int]:
    """Where slices begin, with the axis of their coordinates at the end, and how many axes are before it."""
    starts = c.long(places)
    if at == places.rank:
        return c.op("Unsqueeze", starts, [at]), places.rank
    return c.transpose(starts, [*(axis for axis in range(places.rank) if axis != at), at]), places.rank - 1


@operator("STABLEHLO_SCATTER")
def scatter(c: Emitter, node: Node, x: Tensor, places: Tensor, updates: Tensor) -> Any:
    """Slices written, or combined with what is there; elements that fall outside go to a row behind the end, which is cut off.
    Source: the specification of StableHLO, scatter."""
    options = node.options
    reduction = _combination(c, options.update_computation_subgraph_index)
    if reduction in ("And", "Or"):
        raise UnsupportedOperator("updates of truth values by a function")
    windows, inserted, mapped = (
        list(map(int, item if item is not None else []))
        for item in (options.update_window_dims, options.inserted_window_dims, options.scatter_dims_to_operand_dims)
    )
    starts, batch = _starts(c, places, int(options.index_vector_dim))
    value, given = c.value(x), c.value(updates)
    shape = c.op("Shape", value)
    kept = [axis for axis in range(x.rank) if axis not in inserted]
    indices = []
    for axis in range(x.rank):
        index: Any = np.int64(0)
        if axis in mapped:
            index = c.op("Gather", starts, np.int64(mapped.index(axis)), axis=batch)
            index = c.op("Unsqueeze", index, windows) if windows else index
        if axis in kept:
            own = windows[kept.index(axis)]
            line = c.op("Range", np.int64(0), c.op("Squeeze", c.op("Shape", given, start=own, end=own + 1), [0]), np.int64(1))
            index = c.op("Add", index, c.op("Reshape", line, [-1 if place == own else 1 for place in range(updates.rank)]))
        indices.append(c.op("Unsqueeze", c.op("Expand", index, c.op("Shape", given)), [-1]))
    index = c.op("Concat", *indices, axis=-1)
    inside = c.op("And", c.op("GreaterOrEqual", index, np.int64(0)), c.op("Less", index, shape))
    all_inside = c.op("ReduceMin", c.cast(inside, np.int32), [-1], keepdims=1)
    behind = c.op("Mul", shape, [1] + [0] * (x.rank - 1))
    index = c.op("Where", c.cast(all_inside, np.bool_), index, behind)
    wide = c.op("Pad", value, [0] * x.rank + [1] + [0] * (x.rank - 1))
    made = c.op("ScatterND", wide, index, given, reduction=reduction.lower() or None)
    return c.op("Slice", made, [0], [-1], [0])
