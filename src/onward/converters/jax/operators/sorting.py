"""Order: sorting, the largest."""

from __future__ import annotations

from typing import Any

import numpy as np

from onward.converters.jax.emitter import Array, Emitter, stored
from onward.converters.jax.registry import primitive
from onward.ir import Value


def order_of(c: Emitter, key: Any, dtype: Any, extent: Any, axis: int) -> Value:
    """The places of the elements in ascending order, equal ones in the order they have; NaN comes last."""
    kind = np.dtype(stored(dtype))
    value = c.convert(key, np.int32) if kind == np.bool_ or kind.itemsize < 4 and kind.kind in "iu" else c.value(key)
    _, places = c.op("TopK", value, [extent], axis=axis, largest=0, sorted=1, outputs=2)
    return places


@primitive("sort")
def sort(c: Emitter, *arrays: Array, dimension: int, is_stable: bool, num_keys: int) -> list[Value]:
    """By the last key first: what has equal keys keeps its order."""
    extent = arrays[0].shape[dimension]
    values = [c.value(item) for item in arrays]
    if len(arrays) == 1 and np.dtype(arrays[0].dtype).kind in "iu" and np.dtype(arrays[0].dtype).itemsize >= 4:
        return [c.op("TopK", values[0], [extent], axis=dimension, largest=0, sorted=1, outputs=2)[0]]
    for place in reversed(range(num_keys)):
        order = order_of(c, values[place], arrays[place].dtype, extent, dimension)
        values = [c.op("GatherElements", value, order, axis=dimension) for value in values]
    return values  # type: ignore[return-value]


@primitive("top_k", "approx_top_k")
def top_k(c: Emitter, x: Array, *, k: Any = None, **parameters: Any) -> list[Value]:
    axis = parameters.get("axis", parameters.get("reduction_dimension", -1)) % x.rank
    largest = parameters.get("is_max_k", True)
    value = c.convert(x, np.int32) if np.dtype(x.dtype).itemsize < 4 and not x.is_float else x
    values, places = c.op("TopK", value, [k], axis=axis, largest=int(largest), sorted=1, outputs=2)
    return [c.convert(values, x.dtype), c.convert(places, c.results[1].dtype)]
