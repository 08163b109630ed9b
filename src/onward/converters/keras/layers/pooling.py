"""Pools, of windows and of whole axes."""

from __future__ import annotations

from typing import Any

from onward.converters.keras.emitter import Tensor
from onward.converters.keras.operations.network import is_first, many
from onward.converters.keras.registry import kind_of, layer, operate
from onward.converters.keras.walk import Walk
from onward.errors import UnsupportedOperator

RANKS = ("1D", "2D", "3D")


def _kind(owner: Any) -> str:
    return "Max" if "Max" in kind_of(owner) else "Average"


@layer(*(f"{kind}Pooling{rank}" for kind in ("Max", "Average") for rank in RANKS))
def pool(w: Walk, owner: Any, inputs: Tensor) -> Any:
    return operate(w.c, f"{_kind(owner)}Pool", inputs, pool_size=owner.pool_size, strides=owner.strides, padding=owner.padding, data_format=owner.data_format)


@layer(*(f"Adaptive{kind}Pooling{rank}" for kind in ("Max", "Average") for rank in RANKS))
def adaptive_pool(w: Walk, owner: Any, inputs: Tensor) -> Any:
    """Windows that share the extent of each axis as evenly as whole numbers can, one axis after the other."""
    c, first, found = w.c, is_first(w.c, owner.data_format), inputs.value
    axes = range(2, inputs.rank) if first else range(1, inputs.rank - 1)
    for axis, size in zip(axes, many(owner.output_size, len(axes))):
        extent = inputs.shape[axis]
        if extent is None:
            raise UnsupportedOperator("windows that follow from an open size")
        parts = []
        for place in range(size):
            edges = [c.integers([place * extent // size]), c.integers([-(-(place + 1) * extent // size)])]
            window = c.op("Slice", found, *edges, c.integers([axis]))
            parts.append(c.op("ReduceMax" if _kind(owner) == "Max" else "ReduceMean", window, c.integers([axis]), keepdims=1))
        found = c.op("Concat", *parts, axis=axis)
    return found


@layer(*(f"Global{kind}Pooling{rank}" for kind in ("Max", "Average") for rank in RANKS))
def global_pool(w: Walk, owner: Any, inputs: Tensor, mask: Any = None) -> Any:
    c, first = w.c, is_first(w.c, owner.data_format)
    axes = list(range(2, inputs.rank) if first else range(1, inputs.rank - 1))
    if mask is None:
        return operate(c, _kind(owner) if _kind(owner) == "Max" else "Mean", inputs, axis=axes, keepdims=owner.keepdims)
    weights = c.tensor(c.unsqueeze(c.tensor(mask, "bool"), 1 if first else 2), inputs.dtype)
    total, count = (c.op("ReduceSum", item, c.integers(axes), keepdims=int(owner.keepdims)) for item in (c.op("Mul", inputs, weights), weights))
    return c.op("Div", total, count)
