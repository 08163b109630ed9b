"""Reading and writing parts of a traced array, with NumPy's rules."""

from __future__ import annotations

from typing import Any

import numpy as np

from onward.converters.tracing.array import Array, RowCount, as_array, refusal

END = np.iinfo(np.int64).max


def broadcast_shape(*shapes: tuple[Any, ...]) -> tuple[Any, ...]:
    """The common shape. A number of rows meets an extent of 1, or itself."""
    rank = max(map(len, shapes))
    result: list[Any] = []
    for place in range(rank):
        found: Any = 1
        for shape in shapes:
            extent = shape[place - rank + len(shape)] if place - rank + len(shape) >= 0 else 1
            if isinstance(extent, int | np.integer) and extent == 1:
                continue
            if isinstance(found, RowCount) or (isinstance(found, int) and found != 1 and not isinstance(extent, RowCount)):
                if not isinstance(found, RowCount) and found != extent:
                    raise ValueError(f"operands could not be broadcast together with shapes {shapes}")
                continue
            found = extent
        result.append(found if isinstance(found, RowCount) else int(found))
    return tuple(result)


def normalized(x: Array, key: Any) -> list[Any]:
    """One entry for every axis and every None."""
    keys = list(key) if isinstance(key, tuple) else [key]
    used = sum(_axes_of(item) for item in keys)
    fill = [slice(None)] * (x.ndim - used)
    for place, item in enumerate(keys):
        if item is Ellipsis:
            return [*keys[:place], *fill, *keys[place + 1 :]]
    return [*keys, *fill]


def _axes_of(item: Any) -> int:
    if item is None or item is Ellipsis:
        return 0
    array = isinstance(item, (Array, np.ndarray))
    return item.ndim if array and item.dtype == bool and item.ndim else 1


def read(x: Array, key: Any) -> Array:
    """x[key]."""
    keys = normalized(x, key)
    traced_mask = [item for item in keys if isinstance(item, Array) and item.dtype == bool]
    if traced_mask:
        raise refusal("elements are chosen by their values")
    lists = [place for place, item in enumerate(keys) if isinstance(item, (list, np.ndarray, Array)) and np.ndim(item) > 0]
    if len(lists) > 1:
        return _read_points(x, keys, lists)
    axis = 0
    for item in keys:
        if item is None:
            x = np.expand_dims(x, axis)
            axis += 1
        elif isinstance(item, slice):
            x = _sliced(x, axis, item)
            axis += 1
        else:
            index = as_array(x.trace, np.flatnonzero(item) if _is_mask(item) else item)
            if index.dtype.kind == "f":
                index = index.astype(np.int64)
            shape = (*x.shape[:axis], *index.shape, *x.shape[axis + 1 :])
            x = x.trace.op("Gather", x, index.astype(np.int64, copy=False), dtype=x.dtype, shape=shape, axis=axis)
            axis += index.ndim
    return x


def _is_mask(item: Any) -> bool:
    return not isinstance(item, Array) and np.asarray(item).dtype == bool


def _sliced(x: Array, axis: int, item: slice) -> Array:
    if item == slice(None):
        return x
    start, stop, step = item.start, item.stop, item.step or 1
    extent = x.shape[axis]
    stop = None if isinstance(stop, RowCount) else stop
    if isinstance(extent, RowCount):
        if step != -1 or start is not None or stop is not None:
            if start in (None, 0) and stop is None and step == 1:
                return x
            raise refusal("some of the rows are taken")
        size: Any = extent
        bounds = (-1, -END, -1)
    else:
        low, high, step = slice(start, stop, step).indices(extent)
        size = len(range(low, high, step))
        bounds = (low, high if high >= 0 else -END, step)
    start_, stop_, step_ = (x.trace.vector([bound]) for bound in bounds)
    shape = (*x.shape[:axis], size, *x.shape[axis + 1 :])
    return x.trace.op("Slice", x, start_, stop_, x.trace.vector([axis]), step_, dtype=x.dtype, shape=shape)


def _read_points(x: Array, keys: list[Any], lists: list[int]) -> Array:
    """x[i, j] with two lists or more: GatherND over the axes they stand at, which come first."""
    if (
        any(item is None for item in keys)
        or lists != list(range(lists[0], lists[0] + len(lists)))
        or any(not isinstance(item, slice) for place, item in enumerate(keys) if place not in lists)
    ):
        raise refusal("an index mixes lists with other kinds")
    for axis, item in enumerate(keys):
        if isinstance(item, slice):
            x = _sliced(x, axis, item)
    indices = [as_array(x.trace, np.flatnonzero(keys[place]) if _is_mask(keys[place]) else keys[place]) for place in lists]
    shape = broadcast_shape(*(index.shape for index in indices))
    parts = [np.broadcast_to(index.astype(np.int64, copy=False), shape) for index in indices]
    points = np.stack(parts, axis=-1)
    first = lists[0]
    order = [*lists, *[axis for axis in range(x.ndim) if axis not in lists]]
    rest = tuple(x.shape[axis] for axis in order[len(lists) :])
    front = np.transpose(x, order)
    result = x.trace.op("GatherND", front, points, dtype=x.dtype, shape=(*shape, *rest))
    places = list(range(len(shape), len(shape) + len(rest)))
    return np.transpose(result, [*places[:first], *range(len(shape)), *places[first:]]) if first else result


def written(x: Array, key: Any, item: Array) -> Array:
    """x after x[key] = item."""
    if isinstance(key, Array) and key.dtype == bool:
        mask = key.reshape(*key.shape, *(1,) * (x.ndim - key.ndim))
        if item.ndim and item.ndim >= x.ndim and any(isinstance(extent, RowCount) for extent in item.shape) and key.ndim == x.ndim:
            raise refusal("chosen elements are replaced by a list of their own")
        return np.where(mask, item.astype(x.dtype, copy=False), x)
    keys = normalized(x, key)
    if any(item is None for item in keys):
        raise refusal("an axis is added in an assignment")
    lists = [place for place, part in enumerate(keys) if not isinstance(part, slice) or part != slice(None)]
    if not lists:
        return np.broadcast_to(item.astype(x.dtype, copy=False), x.shape)
    if len(lists) > 1:
        return _written_points(x, keys, lists, item)
    (axis,) = lists
    chosen = keys[axis]
    extent = x.shape[axis]
    if isinstance(chosen, Array) and chosen.dtype == bool:
        mask = chosen.reshape(*(-1 if place == axis else 1 for place in range(x.ndim)))
        return np.where(mask, item.astype(x.dtype, copy=False), x)
    if isinstance(extent, RowCount) or isinstance(chosen, Array):
        raise refusal("some of the rows are replaced")
    places = np.arange(extent)[chosen]
    lone = np.ndim(places) == 0
    places = np.atleast_1d(places)
    source, mask = np.zeros(extent, np.int64), np.zeros(extent, bool)
    source[places], mask[places] = np.arange(places.size), True
    tail = (1,) * (x.ndim - 1 - axis)
    if lone and item.ndim >= x.ndim - axis:
        item = np.expand_dims(item, item.ndim - (x.ndim - 1 - axis))
    from_end = x.ndim - axis
    if item.ndim >= from_end and item.shape[-from_end] != 1:
        item = np.take(item, source, axis=item.ndim - from_end)
    return np.where(mask.reshape(-1, *tail), item.astype(x.dtype, copy=False), x)


def _written_points(x: Array, keys: list[Any], lists: list[int], item: Array) -> Array:
    """x[arange(rows), j] = number, as labels are written into a matrix of indicators; and parts of a known size."""
    first, second = keys[lists[0]], keys[lists[-1]]
    whole = isinstance(first, Array) and getattr(first, "is_range", False)
    if len(lists) == 2 and x.ndim == 2 and whole and isinstance(second, Array):
        hit = second.astype(np.int64).reshape(-1, 1) == np.arange(x.shape[1])
        return np.where(hit, (item.reshape(-1, 1) if item.ndim else item).astype(x.dtype, copy=False), x)
    if any(isinstance(extent, RowCount) for extent in x.shape):
        raise refusal("elements at computed places are replaced")
    shape = tuple(int(extent) for extent in x.shape)
    places = np.arange(int(np.prod(shape))).reshape(shape)[tuple(keys)]
    item = np.broadcast_to(item, places.shape).reshape(-1)
    return written(x.reshape(-1), places.reshape(-1), item).reshape(*shape)
