"""Rows that try what a recognised model can tell apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from onward.converters.targets.recognition.rows import RowModel


def rows_at(limits: Sequence[np.ndarray], categorical: set[int], missing: bool = True) -> dict[str, np.ndarray]:
    """Rows at the limits of trees and at the numbers of single precision beside them; categories known and unknown; random numbers.

    All are numbers of single precision, which is what most trees compare, in float64.
    """
    random = np.random.default_rng(0)
    found = np.empty((2000, len(limits)))
    for column, numbers in enumerate(limits):
        if column in categorical:
            found[:, column] = random.integers(0, int(numbers.max(initial=0)) + 4, len(found))
            continue
        with np.errstate(over="ignore"):
            single = np.concatenate([[0.0], numbers[np.isfinite(numbers)]]).astype(np.float32)
        around = [np.nextafter(single, np.float32(np.inf)), np.nextafter(single, -np.float32(np.inf)), single]
        found[:, column] = random.choice(np.concatenate(around), len(found))
    normal = random.standard_normal(found.shape).astype(np.float32).astype(np.float64)
    normal[:, sorted(categorical)] = found[:, sorted(categorical)]
    data = {"limits and their neighbours": found, "random numbers": normal[:500], "one row": normal[:1]}
    if missing:
        data["missing values"] = np.where(random.random(found.shape) < 0.3, np.nan, found)
    return data


def by_input(rows: RowModel, data: Mapping[str, np.ndarray]) -> dict[str, dict[str, np.ndarray]]:
    """Matrices as inputs of the model, in their types and, where the model fixes it, number."""
    count = rows.fixed_rows
    return {
        what: {item.label: array for item, array in rows.feeds(matrix[:count]).items()}
        for what, matrix in data.items()
        if count is None or len(matrix) >= count
    }
