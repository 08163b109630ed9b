"""Estimators of scikit-learn with given numbers.

An estimator is fitted to a few rows, so that all that this version of the library wants to find is there; then its numbers are replaced.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

REFUSALS = (ArithmeticError, AttributeError, LookupError, MemoryError, RuntimeError, TypeError, ValueError)
"""What estimators raise for rows that they do not take, and where numbers that they were given make no sense."""


def fitted(estimator: Any, columns: int, classes: Sequence[Any] | None = None, targets: int = 1, rows: int = 0) -> Any:
    """The estimator, fitted to (at least so many) rows of so many columns, and to these classes or so many numbers. No number is negative."""
    random = np.random.default_rng(0)
    x = random.random((max(4 * max(len(classes or ()), 3), rows), columns))
    y: Any = random.standard_normal((len(x), targets)) ** 2 + 1
    y = y[:, 0] if targets == 1 else y
    if classes is not None:
        y = np.array([classes[place % len(classes)] for place in range(len(x))])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return estimator.fit(x, y)


def with_numbers(estimator: Any, **numbers: Any) -> Any:
    """The estimator with these attributes."""
    for name, value in numbers.items():
        setattr(estimator, name, value)
    return estimator
