"""Rows that try what an estimator can tell apart."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

FEWEST, MOST = 300, 3000
"""How many rows are at thresholds."""


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
    """Rows whose numbers are what trees compare with, and the numbers of single and of double precision beside them; where a pipeline
    scales first, what it scales to those."""
    known: list[list[float]] = [[] for _ in range(columns)]
    seen = _columns_seen(source)
    for part in parts_of(source):
        for feature, split in zip(*_comparisons(part)):
            column = seen.get(id(part), range(columns))[feature] if feature < columns else columns
            if column < columns:
                known[column].append(float(split))
    if not any(known):
        return None
    candidates = [_beside(np.unique(np.array([0.0, *splits]))) for splits in known]
    count = min(max(FEWEST, *map(len, candidates)), MOST)
    random = np.random.default_rng(1)
    rows = np.stack([np.resize(random.permutation(values), count) for values in candidates], axis=1)
    for scaler in reversed(_scalers(source)):
        rows = scaler.inverse_transform(rows)
    return rows


def _comparisons(part: Any) -> tuple[np.ndarray, np.ndarray]:
    """The features and the numbers that a tree compares; none for what is no tree."""
    if hasattr(part, "children_left"):
        inner = part.children_left >= 0
        return part.feature[inner], part.threshold[inner]
    if _is_histogram_tree(part):
        inner = (part.nodes["is_leaf"] == 0) & (part.nodes["is_categorical"] == 0)
        return part.nodes["feature_idx"][inner], part.nodes["num_threshold"][inner]
    return np.zeros(0, np.int64), np.zeros(0)


def _is_histogram_tree(item: Any) -> bool:
    return hasattr(item, "nodes") and hasattr(item, "get_n_leaf_nodes")


def _columns_seen(source: Any) -> dict[int, np.ndarray]:
    """By the identity of a tree, the columns that are its features where these are others, or in another order."""
    found: dict[int, np.ndarray] = {}
    for part in parts_of(source):
        groups = list(zip(getattr(part, "estimators_", ()), getattr(part, "estimators_features_", ())))
        if getattr(part, "_preprocessor", None) is not None:  # of histogram-based trees: categories first
            groups.append((part._predictors, np.argsort(~part.is_categorical_, kind="stable")))
        found |= {id(tree): np.asarray(features) for inside, features in groups for tree in parts_of(inside)}
    return found


def _beside(values: np.ndarray) -> np.ndarray:
    single = values.astype(np.float32)
    near = [np.nextafter(numbers, numbers.dtype.type(side)) for numbers in (values, single) for side in (np.inf, -np.inf)]
    return np.unique(np.concatenate([values, single, *near]))


def _scalers(source: Any) -> list[Any]:
    """The steps before the last of a pipeline, if all of them scale columns in the same arithmetic as their models."""
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, RobustScaler, StandardScaler

    for part in parts_of(source):
        if isinstance(part, Pipeline):
            steps = [step for _, step in part.steps[:-1] if step not in (None, "passthrough")]
            fitted = all(isinstance(step, (MaxAbsScaler, MinMaxScaler, RobustScaler, StandardScaler)) and hasattr(step, "n_features_in_") for step in steps)
            if fitted and steps:
                return steps
    return []


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
    elif hasattr(item, "children_left") or _is_histogram_tree(item):
        yield item
    elif hasattr(item, "get_params") and hasattr(item, "__dict__"):
        yield item
        inside = list(vars(item).values())
    for part in inside:
        yield from parts_of(part, seen)
