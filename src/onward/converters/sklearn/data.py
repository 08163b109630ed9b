"""Rows that try what an estimator can tell apart."""

from __future__ import annotations

from typing import Any

import numpy as np

from onward.converters.sklearn.limits import limits


def generated(source: Any, columns: int, dtype: np.dtype, example: np.ndarray | None) -> dict[str, np.ndarray]:
    """Rows at thresholds of trees and beside them, random ones of several kinds, one row; those that the estimator refuses
    are left out by the comparison."""
    random = np.random.default_rng(0)
    scale = 1.0 if example is None else np.abs(np.nan_to_num(example.astype(np.float64))).mean() or 1.0
    normal = random.standard_normal((200, columns)) * scale
    if _takes_no_negative_numbers(source):
        normal = np.abs(normal)
    data = {}
    if example is not None and len(example):
        mixed = np.stack([random.permutation(example[:, column]) for column in range(columns)], axis=1)
        data = {"the example": example, "its columns shuffled": mixed, "a row of it": example[:1]}
    data |= {"random numbers": normal, "positive numbers": np.abs(normal), "small whole numbers": np.floor(np.abs(normal)) % 3,
             "shares": np.abs(normal) / np.abs(normal).sum(axis=1, keepdims=True)}  # fmt: skip
    found = limits(source, columns)
    if found is not None:
        data["thresholds and their neighbours"] = found
    known = normal if found is None else found
    if dtype.kind == "f":
        data["missing values"] = np.where(random.random(known.shape) < 0.3, np.nan, known)
        data["infinite numbers"] = np.where(random.random(known.shape) < 0.1, np.copysign(np.inf, known), known)
    data["zeros, ones, large numbers"] = np.concatenate([np.zeros((1, columns)), np.ones((1, columns)), normal[:20] * 1e6])
    data["one row"] = normal[:1]
    return {what: rows.astype(dtype) for what, rows in data.items()}


def _takes_no_negative_numbers(source: Any) -> bool:
    """Whether the estimator says that it means numbers from zero on, which not all that say so check when they predict."""
    from sklearn.utils import get_tags

    return bool(hasattr(source, "__sklearn_tags__") and get_tags(source).input_tags.positive_only)
