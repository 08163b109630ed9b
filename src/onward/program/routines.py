"""The meaning of each routine in NumPy. The compiler has a native form of each under the same name.

An evaluator takes the routine's attributes and inputs and returns its outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from onward.errors import IndexOutOfBounds

Evaluator = Callable[..., tuple[np.ndarray, ...]]

EVALUATORS: dict[str, Evaluator] = {}
"""name -> function(attributes, *inputs) -> outputs"""


def evaluator(name: str) -> Callable[[Evaluator], Evaluator]:
    """Registers the NumPy form of a routine."""

    def register(function: Evaluator) -> Evaluator:
        EVALUATORS[name] = function
        return function

    return register


@evaluator("read_sizes")
def read_sizes(attributes: Mapping[str, Any], vector: np.ndarray) -> tuple[np.ndarray, ...]:
    """The vector itself; the evaluator binds its elements to the routine's symbols."""
    return (vector,)


@evaluator("cumulative")
def cumulative(attributes: Mapping[str, Any], source: np.ndarray) -> tuple[np.ndarray, ...]:
    """Running sum or product along `axis`, optionally `exclusive` and `reverse`."""
    axis, exclusive, reverse = attributes["axis"], attributes["exclusive"], attributes["reverse"]
    function = np.cumsum if attributes["operation"] == "sum" else np.cumprod
    data = np.flip(source, axis) if reverse else source
    result = function(data, axis, dtype=source.dtype)
    if exclusive:
        result = np.roll(result, 1, axis)
        first = [slice(None)] * source.ndim
        first[axis] = slice(0, 1)
        result[tuple(first)] = 0 if attributes["operation"] == "sum" else 1
    return (np.flip(result, axis) if reverse else result,)


@evaluator("top_k")
def top_k(attributes: Mapping[str, Any], source: np.ndarray) -> tuple[np.ndarray, ...]:
    """The `count` largest (or least) elements along the last axis, in order, and their int64 positions.

    Equal elements keep their order; NaN counts as the largest. `count` may be an int or the whole axis.
    """
    largest, count = attributes["largest"], attributes["count"]
    size = source.shape[-1] if count is None else int(count)
    if largest:
        flipped = np.argsort(np.flip(source, -1), -1, kind="stable")
        order = source.shape[-1] - 1 - np.flip(flipped, -1)
    else:
        order = np.argsort(source, -1, kind="stable")
    order = order[..., :size].astype(np.int64)
    return np.take_along_axis(source, order, -1), order


@evaluator("scatter")
def scatter(attributes: Mapping[str, Any], data: np.ndarray, indices: np.ndarray, updates: np.ndarray) -> tuple[np.ndarray, ...]:
    """`data` with `updates[i]` combined into row `indices[i]` of its flattened leading axes.

    data (R, ...), indices (n,) int64 row numbers, updates (n, ...); `reduction` is none, add, mul, max or min, applied
    in the order of the updates.
    """
    result = data.copy()
    if indices.size and (indices.min() < 0 or indices.max() >= data.shape[0]):
        raise IndexOutOfBounds(f"scatter index {int(indices.min())}..{int(indices.max())} is outside [0, {data.shape[0] - 1}]")
    reduction = attributes["reduction"]
    if reduction == "none":
        result[indices] = updates
        return (result,)
    function = {"add": np.add, "mul": np.multiply, "max": np.maximum, "min": np.minimum}[reduction]
    for row, update in zip(indices, updates):
        result[row] = function(result[row], update)
    return (result,)


@evaluator("non_zero")
def non_zero(attributes: Mapping[str, Any], source: np.ndarray) -> tuple[np.ndarray, ...]:
    """int64 positions of the elements that are not zero, (rank, count), in row-major order."""
    return (np.array(np.nonzero(source), np.int64).reshape(max(source.ndim, 0), -1),)
