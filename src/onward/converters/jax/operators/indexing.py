"""Elements by their places: gathering, scattering, slices whose start only the run knows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from onward.converters.jax.emitter import Array, Emitter
from onward.converters.jax.operators.reductions import extreme
from onward.converters.jax.operators.shapes import counted, structural
from onward.converters.jax.registry import primitive
from onward.converters.jax.sizes import is_static
from onward.errors import UnsupportedOperator
from onward.ir import Value


@dataclass(frozen=True)
class Windows:
    """Windows into an array, one for each index. `starts` are those of some axes, as int64, over the batch axes `batch`; `sizes`
    are those of the windows along all axes; `window` are the axes that stay axes of a window, at the places `offsets` among
    the axes of the result; all other axes have extent 1. `batching` pairs axes of the array with batch axes."""

    starts: dict[int, Value]
    batch: tuple[Any, ...]
    sizes: tuple[Any, ...]
    window: tuple[int, ...]
    offsets: tuple[int, ...]
    batching: dict[int, int]

    @property
    def rank(self) -> int:
        """The number of axes of the result."""
        return len(self.batch) + len(self.window)

    @property
    def batch_places(self) -> list[int]:
        """The axes of the result that are batch axes."""
        return [axis for axis in range(self.rank) if axis not in self.offsets]


def _starts(c: Emitter, indices: Array, axes: Sequence[int]) -> dict[int, Value]:
    """For each axis its column of the indices."""
    value = c.convert(indices, np.int64)
    if len(axes) == 1:
        return {axes[0]: c.squeeze(value, indices.rank - 1)}
    return {axis: c.op("Gather", value, np.array(place), axis=indices.rank - 1) for place, axis in enumerate(axes)}


def _clipped(c: Emitter, windows: Windows, shape: Sequence[Any]) -> Windows:
    """With starts moved so that the windows lie inside."""
    moved = {}
    for axis, start in windows.starts.items():
        last = c.size(shape[axis] - windows.sizes[axis])
        moved[axis] = c.op("Max", c.op("Min", start, last), np.array(0))
    return Windows(moved, windows.batch, windows.sizes, windows.window, windows.offsets, windows.batching)


def _inside(c: Emitter, windows: Windows, shape: Sequence[Any]) -> Value | None:
    """Over the batch axes, whether a window lies inside."""
    total = None
    for axis, start in windows.starts.items():
        last = c.size(shape[axis] - windows.sizes[axis])
        fits = c.op("And", c.op("GreaterOrEqual", start, np.array(0)), c.op("LessOrEqual", start, last))
        total = fits if total is None else c.op("And", total, fits)
    return total


def _placed(c: Emitter, value: Value, windows: Windows) -> Value:
    """What is known over the batch axes, over the axes of the result."""
    return c.unsqueeze(value, *windows.offsets)


def _places(c: Emitter, windows: Windows, axis: int, offsets: Sequence[int], rank: int, batch: Sequence[int]) -> Value:
    """The places along one axis of the array, broadcast over `rank` axes: those of the batch at `batch`, those of windows at `offsets`."""
    parts = []
    if axis in windows.batching:
        place = windows.batching[axis]
        numbers = counted(c, windows.batch[place], np.int64)
        parts.append(_spread(c, numbers, [batch[place]], rank))
    if axis in windows.starts:
        parts.append(_spread(c, windows.starts[axis], batch, rank))
    if axis in windows.window and not (is_static(windows.sizes[axis]) and windows.sizes[axis] == 1 and parts):
        numbers = counted(c, windows.sizes[axis], np.int64)
        parts.append(_spread(c, numbers, [offsets[windows.window.index(axis)]], rank))
    if not parts:
        return c.array(np.zeros([1] * rank, np.int64))
    return parts[0] if len(parts) == 1 else c.op("Add", *parts)


def _spread(c: Emitter, value: Value, axes: Sequence[int], rank: int) -> Value:
    """Puts the axes of a value at `axes` among `rank` axes."""
    return c.unsqueeze(value, *(axis for axis in range(rank) if axis not in axes))


def _is_whole(windows: Windows, axis: int, shape: Sequence[Any]) -> bool:
    """Whether the windows have all of an axis, so that their start can only be 0."""
    return axis in windows.window and axis not in windows.batching and bool(windows.sizes[axis] == shape[axis])


def _full_index(c: Emitter, windows: Windows, indexed: Sequence[int]) -> tuple[Value, list[int]]:
    """The index of every element of the result along the `indexed` axes (in a last axis), over the result's axes without those of whole
    windows; and which axes of the result these are."""
    kept = [
        place for place in range(windows.rank)
        if place not in windows.offsets or windows.window[windows.offsets.index(place)] in indexed
    ]  # fmt: skip
    rank = len(kept)
    batch = [kept.index(place) for place in windows.batch_places]
    offsets = [kept.index(place) if place in kept else -1 for place in windows.offsets]
    columns = [_places(c, windows, axis, offsets, rank, batch) for axis in indexed]
    extents = [windows.batch[windows.batch_places.index(place)] if place in windows.batch_places else
               windows.sizes[windows.window[windows.offsets.index(place)]] for place in kept]  # fmt: skip
    shape = c.sizes([*extents, 1])
    return c.op("Concat", *(c.op("Expand", c.unsqueeze(column, rank), shape) for column in columns), axis=rank), kept


def gathered(c: Emitter, x: Array, windows: Windows) -> Value:
    """The elements of windows that lie inside the array."""
    value = c.value(x)
    assert value is not None
    shape = x.shape
    for axis in range(x.rank):  # windows at the front of an axis
        if axis in windows.window and axis not in windows.starts and axis not in windows.batching and windows.sizes[axis] != shape[axis]:
            value = c.slice(value, axis, 0, windows.sizes[axis])
            shape = (*shape[:axis], windows.sizes[axis], *shape[axis + 1 :])
    indexed = [axis for axis in range(x.rank) if not _is_whole(windows, axis, shape)]
    if len(indexed) == 1 and not windows.batching:
        return _gathered_along(c, value, x, windows, indexed[0])
    if not indexed:
        return _gathered_whole(c, value, x, windows)
    whole = [axis for axis in range(x.rank) if axis not in indexed]
    index, kept = _full_index(c, windows, indexed)
    tail = list(range(x.rank, x.rank + len(x.tail)))
    found = c.op("GatherND", c.transpose(value, [*indexed, *whole, *tail]), index)
    order = [*kept, *(windows.offsets[windows.window.index(axis)] for axis in whole)]
    tail = list(range(windows.rank, windows.rank + len(x.tail)))
    return c.transpose(found, [*(order.index(place) for place in range(windows.rank)), *tail])


def _gathered_whole(c: Emitter, value: Value, x: Array, windows: Windows) -> Value:
    """The array itself, for every index."""
    value = c.unsqueeze(value, *windows.batch_places)
    if not windows.batch:
        return value
    extents = [windows.batch[windows.batch_places.index(place)] if place in windows.batch_places else
               windows.sizes[windows.window[windows.offsets.index(place)]] for place in range(windows.rank)]  # fmt: skip
    return c.expand(value, [*extents, *x.tail])


def _gathered_along(c: Emitter, value: Value, x: Array, windows: Windows, axis: int) -> Value:
    """A Gather along one axis, its new axes moved to their places."""
    start = windows.starts.get(axis, None)
    if start is None:
        start = c.expand(np.array(0), windows.batch) if windows.batch else c.array(np.array(0))
    here = axis in windows.window
    rank = len(windows.batch)
    if here:
        if is_static(windows.sizes[axis]) and windows.sizes[axis] == 1:
            start = c.unsqueeze(start, rank)
        else:
            start = c.op("Add", c.unsqueeze(start, rank), counted(c, windows.sizes[axis], np.int64))
    found = c.op("Gather", value, start, axis=axis)
    others = [place for place in range(x.rank) if place != axis]
    labels: list[int] = []
    for place in others[:axis]:
        labels.append(windows.offsets[windows.window.index(place)])
    labels.extend(windows.batch_places)
    if here:
        labels.append(windows.offsets[windows.window.index(axis)])
    for place in others[axis:]:
        labels.append(windows.offsets[windows.window.index(place)])
    tail = list(range(windows.rank, windows.rank + len(x.tail)))
    return c.transpose(found, [*(labels.index(place) for place in range(windows.rank)), *tail])


def _mode(mode: Any) -> str:
    return str(getattr(mode, "name", mode)).upper()


@structural("gather")
def gather(
    c: Emitter, x: Array, indices: Array, *, dimension_numbers: Any, slice_sizes: Sequence[Any], mode: Any, fill_value: Any = None, **parameters: Any
) -> Value:
    numbers = dimension_numbers
    batch = indices.shape[:-1]
    lost = {*numbers.collapsed_slice_dims, *numbers.operand_batching_dims}
    window = tuple(axis for axis in range(x.rank) if axis not in lost)
    batching = dict(zip(map(int, numbers.operand_batching_dims), map(int, numbers.start_indices_batching_dims), strict=True))
    starts = _starts(c, indices, [int(axis) for axis in numbers.start_index_map])
    windows = Windows(starts, batch, tuple(slice_sizes), window, tuple(map(int, numbers.offset_dims)), batching)
    if any(bool(extent == 0) for extent in c.result.shape):
        return c.expand(c.number(0, x.dtype), [*c.result.shape, *x.tail])
    windows = _without_fixed(c, windows, x.shape) if _mode(mode) != "FILL_OR_DROP" else windows
    inside = _inside(c, windows, x.shape) if _mode(mode) == "FILL_OR_DROP" else None
    if not (_mode(mode) == "PROMISE_IN_BOUNDS" and indices.known is not None):
        windows = _clipped(c, windows, x.shape)
    found = gathered(c, x, windows)
    if inside is None:
        return found
    filler = fill_value if fill_value is not None else _filler(x)
    condition = _placed(c, inside, windows)
    for _ in x.tail:
        condition = c.unsqueeze(condition, windows.rank)
    return c.where(condition, found, c.number(filler, x.dtype))


def _without_fixed(c: Emitter, windows: Windows, shape: Sequence[Any]) -> Windows:
    """Without the starts of axes whose windows are whole."""
    starts = {axis: start for axis, start in windows.starts.items() if not _is_whole(windows, axis, shape)}
    return Windows(starts, windows.batch, windows.sizes, windows.window, windows.offsets, windows.batching)


def _filler(x: Array) -> Any:
    """What JAX puts where an index is outside."""
    if x.is_float or x.is_complex:
        return np.nan
    kind = np.dtype(x.dtype)
    return True if kind == np.bool_ else extreme(kind, kind.kind == "u")


@structural("dynamic_slice")
def dynamic_slice(c: Emitter, x: Array, *starts: Array, slice_sizes: Sequence[Any], **parameters: Any) -> Value:
    """Axes whose start is known are sliced; the others are gathered, so that the result's sizes are known."""
    value = c.value(x)
    assert value is not None
    starts = starts[: x.rank]
    for axis, start in enumerate(starts):
        size, extent = slice_sizes[axis], x.shape[axis]
        if bool(size == extent):
            continue
        if start.known is not None and is_static(extent):
            first = min(max(int(start.known), 0), int(extent) - int(size))
            value = c.slice(value, axis, first, first + int(size))
            continue
        first = c.op("Max", c.op("Min", c.convert(start, np.int64), c.size(extent - size)), np.array(0))
        if is_static(size) and size == 1:
            value = c.op("Gather", value, c.op("Reshape", first, np.array([1])), axis=axis)
        else:
            value = c.op("Gather", value, c.op("Add", first, counted(c, size, np.int64)), axis=axis)
    return value


@structural("dynamic_update_slice")
def dynamic_update_slice(c: Emitter, x: Array, update: Array, *starts: Array, **parameters: Any) -> Value:
    windows = Windows(
        {axis: c.convert(start, np.int64) for axis, start in enumerate(starts[: x.rank])}, (), tuple(update.shape), tuple(range(x.rank)),
        tuple(range(x.rank)), {},
    )  # fmt: skip
    windows = _clipped(c, _without_fixed(c, windows, x.shape), x.shape)
    if not windows.starts:
        return c.op("Identity", update)
    return scattered(c, x, update, windows, "none", False)


REDUCTIONS = {"scatter": "none", "scatter-add": "add", "scatter-sub": "add", "scatter-mul": "mul", "scatter-max": "max", "scatter-min": "min"}


@primitive(*REDUCTIONS, *(name.replace("-", "_") for name in REDUCTIONS))
def scatter(c: Emitter, x: Array, indices: Array, updates: Array, *, dimension_numbers: Any, mode: Any, update_jaxpr: Any = None, **parameters: Any) -> Value:
    numbers = dimension_numbers
    batch = indices.shape[:-1]
    lost = {*numbers.inserted_window_dims, *numbers.operand_batching_dims}
    window = tuple(axis for axis in range(x.rank) if axis not in lost)
    offsets = tuple(map(int, numbers.update_window_dims))
    sizes = tuple(updates.shape[offsets[window.index(axis)]] if axis in window else 1 for axis in range(x.rank))
    batching = dict(zip(map(int, numbers.operand_batching_dims), map(int, numbers.scatter_indices_batching_dims), strict=True))
    starts = _starts(c, indices, [int(axis) for axis in numbers.scatter_dims_to_operand_dims])
    windows = Windows(starts, batch, sizes, window, offsets, batching)
    name = c.primitive.replace("_", "-")
    if name == "scatter" and update_jaxpr is not None and getattr(update_jaxpr, "eqns", None):
        raise UnsupportedOperator("scattering by a function of one's own")
    value: Any = Array(c.op("Neg", updates), updates.dtype, updates.shape) if name == "scatter-sub" else updates
    if any(bool(extent == 0) for extent in updates.shape):
        return c.op("Identity", x)
    if x.is_bool:
        return _scattered_truth(c, x, value, windows, name, mode)
    return _scattered_in_mode(c, x, value, windows, REDUCTIONS[name], mode)


def _scattered_truth(c: Emitter, x: Array, updates: Array, windows: Windows, name: str, mode: Any) -> Value:
    whole = Array(c.convert(x, np.int32), np.dtype(np.int32), x.shape)
    given = Array(c.convert(updates, np.int32), np.dtype(np.int32), updates.shape)
    reduction = {"add": "max", "mul": "min"}.get(REDUCTIONS[name], REDUCTIONS[name])
    return c.convert(_scattered_in_mode(c, whole, given, windows, reduction, mode), np.bool_)


def _scattered_in_mode(c: Emitter, x: Array, updates: Array, windows: Windows, reduction: str, mode: Any) -> Value:
    if _mode(mode) == "CLIP":
        return scattered(c, x, updates, _clipped(c, windows, x.shape), reduction, False)
    return scattered(c, x, updates, windows, reduction, True)


def scattered(c: Emitter, x: Array, updates: Array, windows: Windows, reduction: str, drop: bool) -> Value:
    """A ScatterND along the axes whose windows are not whole. What lies outside goes, with `drop`, to a place behind the end of the
    first of these axes, which is cut off."""
    inside = _inside(c, windows, x.shape) if drop else None
    indexed = [axis for axis in range(x.rank) if not _is_whole(windows, axis, x.shape)]
    if not indexed:
        indexed = [0]
    whole = [axis for axis in range(x.rank) if axis not in indexed]
    tail = list(range(x.rank, x.rank + len(x.tail)))
    order = [*indexed, *whole, *tail]
    value = c.transpose(x, order)
    index, kept = _full_index(c, windows, indexed)
    if inside is not None:
        spare = [c.size(x.shape[indexed[0]]), *(c.array(np.array(0)) for _ in indexed[1:])]
        outside = c.sizes(spare)
        batch = [kept.index(place) for place in windows.batch_places]
        index = c.where(c.unsqueeze(_spread(c, inside, batch, len(kept)), len(kept)), index, outside)
        value = c.op("Pad", value, [0] * len(order) + [1] + [0] * (len(order) - 1))
    given_order = [*kept, *(windows.offsets[windows.window.index(axis)] for axis in whole), *range(windows.rank, windows.rank + len(x.tail))]
    given = c.transpose(updates, given_order)
    made = c.op("ScatterND", value, index, given, reduction=reduction if reduction != "none" else None)
    if inside is not None:
        made = c.slice(made, 0, 0, -1)
    return c.transpose(made, [order.index(axis) for axis in range(len(order))])
