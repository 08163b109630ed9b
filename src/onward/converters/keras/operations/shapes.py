"""Shapes and places: reshaping, joining, slicing, gathering, padding."""

from __future__ import annotations

from typing import Any

import numpy as np

from onward.converters.keras.emitter import Emitter, Tensor, onnx_type
from onward.converters.keras.operations.arithmetic import alike
from onward.converters.keras.registry import operation
from onward.errors import UnsupportedOperator
from onward.ir import Value

END = np.iinfo(np.int64).max


@operation("Reshape")
def reshape(c: Emitter, operation: Any, x: Any) -> Any:
    """An open size stays where it was (0), or is what is left (-1)."""
    x = c.tensor(x)
    shape: list[int] = []
    for axis, extent in enumerate(operation.newshape):
        if extent is None:
            keeps = axis < x.rank and x.shape[axis] is None and -1 not in shape
            extent = 0 if keeps else -1
        shape.append(extent)
    if shape.count(-1) > 1:
        raise UnsupportedOperator(f"a reshape to {tuple(operation.newshape)} with more than one open size; build the model with known sizes")
    return c.reshape(x, shape)


@operation("Transpose")
def transpose(c: Emitter, operation: Any, x: Any) -> Any:
    x = c.tensor(x)
    return c.op("Transpose", x, perm=list(operation.axes) if operation.axes is not None else list(reversed(range(x.rank))))


@operation("Swapaxes")
def swapaxes(c: Emitter, operation: Any, x: Any) -> Any:
    x = c.tensor(x)
    order = list(range(x.rank))
    one, two = operation.axis1 % x.rank, operation.axis2 % x.rank
    order[one], order[two] = two, one
    return c.op("Transpose", x, perm=order)


@operation("Moveaxis")
def moveaxis(c: Emitter, operation: Any, x: Any) -> Any:
    x = c.tensor(x)
    order = np.moveaxis(np.empty(tuple(range(1, x.rank + 1))), operation.source, operation.destination).shape
    return c.op("Transpose", x, perm=[extent - 1 for extent in order])


@operation("ExpandDims")
def expand_dims(c: Emitter, operation: Any, x: Any) -> Any:
    return c.unsqueeze(x, *([operation.axis] if isinstance(operation.axis, int) else operation.axis))


@operation("Squeeze")
def squeeze(c: Emitter, operation: Any, x: Any) -> Any:
    x = c.tensor(x)
    axes = operation.axis
    axes = [axis for axis, extent in enumerate(x.shape) if extent == 1] if axes is None else [axes] if isinstance(axes, int) else axes
    return c.squeeze(x, *axes)


@operation("Concatenate")
def concatenate(c: Emitter, operation: Any, xs: Any) -> Any:
    return c.op("Concat", *alike(c, *xs), axis=operation.axis)


@operation("Stack")
def stack(c: Emitter, operation: Any, x: Any) -> Any:
    rank = c.tensor(x[0]).rank + 1
    axis = operation.axis % rank
    return c.op("Concat", *(c.unsqueeze(item, axis) for item in alike(c, *x)), axis=axis)


@operation("Split")
def split(c: Emitter, operation: Any, x: Any) -> Any:
    x = c.tensor(x)
    parts, extent = operation.indices_or_sections, x.shape[operation.axis]
    if isinstance(parts, int):
        return c.op("Split", x, axis=operation.axis, num_outputs=parts, outputs=parts) if parts > 1 else [x]
    edges = [0, *parts]
    found = [_slice(c, x, operation.axis, start, stop) for start, stop in zip(edges, [*edges[1:], END if extent is None else extent])]
    return found


def _slice(c: Emitter, x: Any, axis: int, start: int, stop: int, step: int = 1) -> Value:
    value: Value = c.op("Slice", x, c.integers([start]), c.integers([stop]), c.integers([axis]), c.integers([step]))
    return value


@operation("Flip")
def flip(c: Emitter, operation: Any, x: Any) -> Any:
    x = c.tensor(x)
    axes = range(x.rank) if operation.axis is None else [operation.axis] if isinstance(operation.axis, int) else operation.axis
    count = len(list(axes))
    return c.op("Slice", x, c.integers([-1] * count), c.integers([-END] * count), c.integers(axes), c.integers([-1] * count))


@operation("GetItem")
def get_item(c: Emitter, operation: Any, x: Any, key: Any) -> Any:
    """Slices, numbers, new axes and an ellipsis."""
    x = c.tensor(x)
    items = list(key) if isinstance(key, (tuple, list)) else [key]
    if any(isinstance(item, Tensor) or not (item is None or item is Ellipsis or isinstance(item, (int, np.integer, slice))) for item in items):
        raise UnsupportedOperator(f"an index {key!r} that is neither a number nor a slice")
    used = sum(item is not None and item is not Ellipsis for item in items)
    if Ellipsis not in items:
        items.append(Ellipsis)
    place = items.index(Ellipsis)
    items[place : place + 1] = [slice(None)] * (x.rank - used)
    cuts: list[tuple[int, int, int, int]] = []
    dropped: list[int] = []
    added: list[int] = []
    axis = 0
    for item in items:
        if item is None:
            added.append(len(added) + axis - len(dropped))
            continue
        if isinstance(item, slice):
            step = item.step or 1
            cut = (
                item.start if item.start is not None else (0 if step > 0 else END),
                item.stop if item.stop is not None else (END if step > 0 else -END),
                step,
            )
            if cut != (0, END, 1):
                cuts.append((axis, *cut))
        else:
            cuts.append((axis, int(item), int(item) + 1 if int(item) != -1 else END, 1))
            dropped.append(axis)
        axis += 1
    value: Any = x
    if cuts:
        axes, starts, stops, steps = (c.integers(column) for column in zip(*cuts))
        value = c.op("Slice", x, starts, stops, axes, steps)
    value = c.squeeze(value, *dropped) if dropped else value
    return c.unsqueeze(value, *added) if added else c.op("Identity", value) if value is x else value


@operation("Take")
def take(c: Emitter, operation: Any, x: Any, indices: Any) -> Any:
    x = c.tensor(x)
    if operation.axis is None:
        return c.op("Gather", c.reshape(x, [-1]), indices, axis=0)
    return c.op("Gather", x, indices, axis=operation.axis)


@operation("TakeAlongAxis")
def take_along_axis(c: Emitter, operation: Any, x: Any, indices: Any) -> Any:
    return c.op("GatherElements", x, indices, axis=operation.axis)


@operation("Pad")
def pad(c: Emitter, operation: Any, x: Any, constant_values: Any = None) -> Any:
    x = c.tensor(x)
    widths = np.broadcast_to(np.array(operation.pad_width), (x.rank, 2))
    mode = {"constant": "constant", "reflect": "reflect", "symmetric": None}[operation.mode]
    if mode is None:
        raise UnsupportedOperator("symmetric padding")
    pads = c.integers(int(width) for width in [*widths[:, 0], *widths[:, 1]])
    filling = [c.tensor(constant_values, x.dtype)] if constant_values is not None else []
    return c.op("Pad", x, pads, *filling, mode=mode)


@operation("Repeat")
def repeat(c: Emitter, operation: Any, x: Any) -> Any:
    x = c.tensor(x)
    if not isinstance(operation.repeats, int) or operation.axis is None:
        raise UnsupportedOperator("repetition by several numbers or without an axis")
    axis = operation.axis % x.rank
    times = operation.repeats
    tiled = c.op("Tile", c.unsqueeze(x, axis + 1), c.integers([times if place == axis + 1 else 1 for place in range(x.rank + 1)]))
    if x.shape[axis] is not None:
        return c.reshape(tiled, [*[0] * axis, x.shape[axis] * times, *_rest(x, axis)])
    return c.reshape(tiled, [*[0] * axis, -1, *_rest(x, axis)])


def _rest(x: Tensor, axis: int) -> list[int]:
    rest = x.shape[axis + 1 :]
    if None in rest:
        raise UnsupportedOperator("repetition before an open size")
    return [extent for extent in rest if extent is not None]


@operation("Tile")
def tile(c: Emitter, operation: Any, x: Any) -> Any:
    x = c.tensor(x)
    repeats = [operation.repeats] if isinstance(operation.repeats, int) else list(operation.repeats)
    return c.op("Tile", x, c.integers([1] * (x.rank - len(repeats)) + repeats))


@operation("BroadcastTo")
def broadcast_to(c: Emitter, operation: Any, x: Any) -> Any:
    return c.op("Expand", x, c.integers(1 if extent is None else extent for extent in operation.shape))


@operation("OnesLike", "ZerosLike")
def filled_like(c: Emitter, operation: Any, x: Any, dtype: Any = None) -> Any:
    x = c.tensor(x)
    number = 1 if type(operation).__name__ == "OnesLike" else 0
    return c.op("Expand", c.number(number, operation.dtype or dtype or x.dtype), c.op("Shape", x))


@operation("Copy", "StopGradient", "ConvertToTensor", "Array")
def same(c: Emitter, operation: Any, x: Any) -> Any:
    return c.op("Identity", c.tensor(x, getattr(operation, "dtype", None)))


@operation("Ravel")
def ravel(c: Emitter, operation: Any, x: Any) -> Any:
    return c.reshape(x, [-1])


@operation("OneHot")
def one_hot(c: Emitter, operation: Any, x: Any) -> Any:
    """Numbers outside the classes are a row of zeros, as negative ones are in ONNX from the other end only."""
    x = c.tensor(x, "int64")
    axis = operation.axis if operation.axis >= 0 else operation.axis + x.rank + 1
    classes = c.reshape(c.integers(range(operation.num_classes)), [-1, *[1] * (x.rank - axis)])
    return c.op("Cast", c.op("Equal", c.unsqueeze(x, axis), classes), to=int(onnx_type(operation.dtype or "float32")))
