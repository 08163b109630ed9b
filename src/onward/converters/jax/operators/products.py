"""Products of arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from onward.converters.jax.emitter import Array, Emitter
from onward.converters.jax.registry import primitive
from onward.ir import Value

LETTERS = "abcdefghijklmnopqrstuvwxyz"


@primitive("dot_general")
def dot_general(c: Emitter, left: Array, right: Array, *, dimension_numbers: Any, preferred_element_type: Any = None, **parameters: Any) -> Value:
    dtype = np.dtype(c.result.dtype)
    if dtype == np.bool_:
        counts = product(c, c.convert(left, np.int32), c.convert(right, np.int32), left.rank, right.rank, dimension_numbers)
        return c.convert(counts, np.bool_)
    return product(c, c.convert(left, dtype), c.convert(right, dtype), left.rank, right.rank, dimension_numbers)


def product(c: Emitter, left: Value, right: Value, left_rank: int, right_rank: int, dimension_numbers: Any) -> Value:
    """MatMul where the axes allow it, with transpositions where they are needed; else Einsum."""
    (inner_left, inner_right), (batch_left, batch_right) = ([list(map(int, axes)) for axes in pair] for pair in dimension_numbers)
    free_left = [axis for axis in range(left_rank) if axis not in (*inner_left, *batch_left)]
    free_right = [axis for axis in range(right_rank) if axis not in (*inner_right, *batch_right)]
    if len(inner_left) == 1 and not batch_left and len(free_right) <= 1:
        order = [*free_left, *inner_left]
        return c.op("MatMul", c.transpose(left, order), c.transpose(right, [*inner_right, *free_right]))
    if len(inner_left) == 1 and batch_left and len(free_left) == len(free_right) == 1:
        return c.op("MatMul", c.transpose(left, [*batch_left, *free_left, *inner_left]), c.transpose(right, [*batch_right, *inner_right, *free_right]))
    return einsum(c, left, right, (inner_left, inner_right), (batch_left, batch_right), (free_left, free_right))


def einsum(c: Emitter, left: Value, right: Value, inner: Any, batch: Any, free: Sequence[list[int]]) -> Value:
    letters = iter(LETTERS)
    names: tuple[dict[int, str], dict[int, str]] = ({}, {})
    for first, second in (batch, inner):
        for one, other in zip(first, second, strict=True):
            names[0][one] = names[1][other] = next(letters)
    for side in (0, 1):
        names[side].update({axis: next(letters) for axis in free[side]})
    terms = ["".join(names[side][axis] for axis in sorted(names[side])) for side in (0, 1)]
    result = "".join([*(names[0][axis] for axis in batch[0]), *(names[0][axis] for axis in free[0]), *(names[1][axis] for axis in free[1])])
    return c.op("Einsum", left, right, equation=f"{terms[0]},{terms[1]}->{result}")
