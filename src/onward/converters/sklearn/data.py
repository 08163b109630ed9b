"""Rows that try what an estimator can tell apart."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np


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
    found = thresholds(source, columns)
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


def thresholds(source: Any, columns: int) -> np.ndarray | None:
    """Rows whose numbers are what trees compare with, and the single-precision numbers beside them."""
    known: list[list[float]] = [[] for _ in range(columns)]
    for tree in (part for part in parts_of(source) if hasattr(part, "children_left")):
        for feature, split, left in zip(tree.feature, tree.threshold, tree.children_left):
            if left >= 0 and feature < columns:
                known[feature].append(float(split))
    if not any(known):
        return None
    random = np.random.default_rng(1)
    rows = np.empty((300, columns))
    for feature, splits in enumerate(known):
        values = np.unique(np.array([0.0, *splits]))
        single = values.astype(np.float32)
        beside = [np.nextafter(single, np.float32(np.inf)), np.nextafter(single, -np.float32(np.inf)), single]
        rows[:, feature] = random.choice(np.concatenate([values, *beside]), 300)
    return rows


def parts_of(item: Any, seen: set[int] | None = None) -> Iterator[Any]:
    """The estimators and trees inside an estimator, itself among them."""
    seen = set() if seen is None else seen
    if id(item) in seen:
        return
    seen.add(id(item))
    inside: list[Any] = []
    if isinstance(item, (list, tuple)):
        inside = list(item)
    elif isinstance(item, dict):
        inside = list(item.values())
    elif isinstance(item, np.ndarray):
        inside = item.ravel().tolist() if item.dtype == object else []
    elif hasattr(item, "children_left"):
        yield item
    elif hasattr(item, "get_params") and hasattr(item, "__dict__"):
        yield item
        inside = list(vars(item).values())
    for part in inside:
        yield from parts_of(part, seen)
