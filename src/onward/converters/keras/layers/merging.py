"""Layers of several inputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from onward.converters.keras.emitter import Emitter, Tensor
from onward.converters.keras.operations.arithmetic import alike
from onward.converters.keras.registry import kind_of, layer, operate
from onward.converters.keras.walk import Walk

OPERATORS = {"Add": "Add", "Average": "Add", "Subtract": "Sub", "Multiply": "Mul", "Maximum": "Max", "Minimum": "Min"}


@layer(*OPERATORS)
def merge(w: Walk, owner: Any, inputs: Sequence[Tensor]) -> Any:
    """Inputs of fewer axes get theirs behind the batch."""
    c, kind = w.c, kind_of(owner)
    rank = max(item.rank for item in inputs)
    found, *others = (_of_rank(c, item, rank) for item in alike(c, *inputs))
    for item in others:
        found = c.op(OPERATORS[kind], found, item)
    return c.op("Div", found, c.number(len(inputs), c.described(found).dtype)) if kind == "Average" else found


def _of_rank(c: Emitter, x: Tensor, rank: int) -> Any:
    return c.unsqueeze(x, *range(1, rank - x.rank + 1)) if x.rank < rank else x


@layer("Concatenate")
def concatenate(w: Walk, owner: Any, inputs: Sequence[Tensor]) -> Any:
    return operate(w.c, "Concatenate", inputs, axis=owner.axis)


@layer("Dot")
def dot(w: Walk, owner: Any, inputs: Sequence[Tensor]) -> Any:
    """Sums of products over one axis of each of two inputs, row by row of the batch."""
    c, (left, right) = w.c, alike(w.c, *inputs)
    axes = [owner.axes] * 2 if isinstance(owner.axes, int) else owner.axes
    one, two = axes[0] % left.rank, axes[1] % right.rank
    if owner.normalize:
        left, right = (operate(c, "Normalize", item, axis=axis, order=2, epsilon=1e-12) for item, axis in ((left, one), (right, two)))
    names = iter("cdefghijklm")
    given = [["b", *(next(names) for _ in range(item.rank - 1))] for item in (left, right)]
    given[0][one] = given[1][two] = "a"
    kept = [name for item in given for name in item[1:] if name != "a"]
    found = c.op("Einsum", left, right, equation=f"{''.join(given[0])},{''.join(given[1])}->b{''.join(kept)}")
    return found if kept else c.unsqueeze(found, 1)
