"""Trees behind scalers as trees on the rows themselves: limits are moved instead of rows.

A scaler of columns keeps their order (or turns it round), in floating point too. So where scaled numbers are at most a limit, rows are at most
another one, which bisection finds exactly among the numbers of single precision.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from onward.converters.targets.recognition.forests import DecisionTree, Forest, forest_of, has_trees
from onward.converters.targets.recognition.layers import Imputed, Scaled, chain_of
from onward.converters.targets.recognition.rows import RowModel, Unrecognized

GREATEST = int(np.float32(np.finfo(np.float32).max).view(np.int32))


def forest_of_rows(rows: RowModel) -> Forest:
    """The trees of a model, on numbers of single precision, whether it scales rows before or not. Raises Unrecognized for another model."""
    chain = chain_of(rows)
    if not chain.steps or not has_trees(rows):
        return forest_of(rows)
    for step in chain.steps:
        if not isinstance(step, (Scaled, Imputed)):
            raise Unrecognized("what its trees look at is made of several columns")
        if isinstance(step, Scaled) and not (np.isfinite(step.scale) & (step.scale != 0)).all():
            raise Unrecognized("it scales a column by 0")
    end = rows.array_of(chain.values[-1])
    found = forest_of(rows, end)
    if any(tree.categories for tree in found.trees):
        raise Unrecognized("it scales categories")

    def scaled(numbers: np.ndarray) -> np.ndarray:
        """Columns (rows, columns) as the trees see them."""
        seen = rows.before(end, numbers)
        return seen.astype(np.float32).astype(np.float64) if found.single else seen.astype(np.float64)

    rising = scaled(np.full((1, rows.columns), 1e3))[0] >= scaled(np.full((1, rows.columns), -1e3))[0]
    missing = scaled(np.full((1, rows.columns), np.nan))[0]
    limits = found.limits()
    moved = _moved(scaled, limits, rising)
    return replace(found, trees=[_tree(tree, limits, moved, rising, missing) for tree in found.trees], columns=rows.columns)


def _numbers(keys: np.ndarray) -> np.ndarray:
    """The numbers of single precision by their place in the order of all of them, 0 being zero."""
    magnitudes = np.abs(keys).astype(np.int32).view(np.float32).astype(np.float64)
    return np.where(keys < 0, -magnitudes, magnitudes)


def _moved(scaled: Callable[[np.ndarray], np.ndarray], limits: list[np.ndarray], rising: np.ndarray) -> list[np.ndarray]:
    """For each limit of each column, the greatest number whose scaled one is on the side of small rows; -inf where there is none."""
    count = max((len(numbers) for numbers in limits), default=0)
    wanted = np.stack([np.resize(numbers if len(numbers) else np.zeros(1), count) for numbers in limits], axis=1)
    low, high = np.full(wanted.shape, -GREATEST - 1), np.full(wanted.shape, GREATEST)  # the answer is in (low, high]
    while (low < high).any():
        middle = (low + high + 1) // 2
        seen = scaled(_numbers(middle))
        small = np.where(rising, seen <= wanted, ~(seen <= wanted))
        low, high = np.where(small, middle, low), np.where(small, high, middle - 1)
    found = np.where(low == -GREATEST - 1, -np.inf, _numbers(np.maximum(low, -GREATEST)))
    return [found[: len(numbers), column] for column, numbers in enumerate(limits)]


def _tree(tree: DecisionTree, limits: list[np.ndarray], moved: list[np.ndarray], rising: np.ndarray, missing: np.ndarray) -> DecisionTree:
    limit, missing_left = tree.limit.copy(), tree.missing_left.copy()
    left, right = tree.left.copy(), tree.right.copy()
    for node in np.flatnonzero(tree.left >= 0).tolist():
        column = int(tree.column[node])
        limit[node] = moved[column][np.searchsorted(limits[column], tree.limit[node])]
        if not np.isnan(missing[column]):  # something stands in for missing values
            missing_left[node] = missing[column] <= tree.limit[node]
        if not rising[column]:
            left[node], right[node], missing_left[node] = tree.right[node], tree.left[node], not missing_left[node]
    return replace(tree, limit=limit, left=left, right=right, missing_left=missing_left)
