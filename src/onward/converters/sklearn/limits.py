"""Rows at the limits of trees: numbers that they compare with, and those beside them; behind steps of a pipeline that can be undone, rows of which the steps
make these."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np

from onward.converters import catboost, lightgbm, xgboost
from onward.converters.sklearn.parts import is_histogram_tree, parts_of

FEWEST, MOST = 300, 3000
"""How many rows are at limits."""
LIBRARIES = {"catboost": catboost.limits, "lightgbm": lightgbm.limits, "xgboost": xgboost.limits}
"""What the estimators of the boosting libraries compare with."""


def limits(source: Any, columns: int) -> np.ndarray | None:
    """(rows, columns): numbers that trees compare with, and the numbers of single and of double precision beside them. None where there are no trees."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # steps that were fitted on names of columns
        found = list(_matrices(source, columns))
    return np.concatenate([rows[: max(1, MOST // len(found))] for rows in found]) if found else None


def _matrices(source: Any, columns: int) -> Iterator[np.ndarray]:
    """One for the trees outside of pipelines, and one for each step of a pipeline that has some."""
    from sklearn.pipeline import Pipeline

    parts = list(parts_of(source))
    inside: set[int] = set()
    for part in parts:
        if isinstance(part, Pipeline) and id(part) not in inside:
            inside |= {id(item) for item in parts_of(part)}
            yield from _of_pipeline(part, columns)
    rows = _of_trees([part for part in parts if id(part) not in inside], _columns_seen(source), columns)
    if rows is not None:
        yield rows


def _of_pipeline(pipeline: Any, columns: int) -> Iterator[np.ndarray]:
    steps = [step for _, step in pipeline.steps if step not in (None, "passthrough")]
    for place, step in enumerate(steps):
        for rows in _matrices(step, getattr(step, "n_features_in_", None) or columns):
            before = _undone(steps[:place], rows)
            if before is not None and before.shape[1] == columns:
                yield before


def _of_trees(parts: list[Any], seen: dict[int, np.ndarray], columns: int) -> np.ndarray | None:
    known: list[list[float]] = [[] for _ in range(columns)]
    for part in parts:
        for feature, split in zip(*_comparisons(part)):
            column = seen.get(id(part), range(columns))[feature] if feature < columns else columns
            if column < columns:
                known[column].append(float(split))
    if not any(known):
        return None
    candidates = [_beside(np.unique(np.array([0.0, *splits]))) for splits in known]
    count = min(max(FEWEST, *map(len, candidates)), MOST)
    random = np.random.default_rng(1)
    return np.stack([np.resize(random.permutation(values), count) for values in candidates], axis=1)


def _comparisons(part: Any) -> tuple[np.ndarray, np.ndarray]:
    """The features and the numbers that a tree, or an estimator of a boosting library, compares; none for what is neither."""
    if hasattr(part, "children_left"):
        inner = part.children_left >= 0
        return part.feature[inner], part.threshold[inner]
    if is_histogram_tree(part):
        inner = (part.nodes["is_leaf"] == 0) & (part.nodes["is_categorical"] == 0)
        return part.nodes["feature_idx"][inner], part.nodes["num_threshold"][inner]
    packages = {base.__module__.partition(".")[0] for base in type(part).__mro__}
    for package, of in LIBRARIES.items():
        if package in packages and _is_fitted(part):
            return of(part)
    return np.zeros(0, np.int64), np.zeros(0)


def _is_fitted(estimator: Any) -> bool:
    from sklearn.exceptions import NotFittedError
    from sklearn.utils.validation import check_is_fitted

    try:
        check_is_fitted(estimator)
    except (NotFittedError, TypeError):
        return False
    return True


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


def _undone(steps: list[Any], rows: np.ndarray) -> np.ndarray | None:
    """Rows of which fitted steps make these, as nearly as numbers allow; None behind a step that cannot be undone."""
    found: np.ndarray | None = rows
    for step in reversed(steps):
        found = None if found is None else _before(step, found)
    return found


def _before(step: Any, rows: np.ndarray) -> np.ndarray | None:
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import Pipeline

    try:
        if isinstance(step, Pipeline):
            return _undone([inner for _, inner in step.steps if inner not in (None, "passthrough")], rows)
        if isinstance(step, ColumnTransformer):
            return _before_columns(step, rows)
        if _makes(step, rows, rows):
            return rows  # as imputers do
        found = np.asarray(step.inverse_transform(rows), np.float64)
        if not _makes(step, found, rows):
            return None
        for side in (np.inf, -np.inf):  # rounding may have missed a limit by one
            beside = np.nextafter(found, side)
            found = np.where((step.transform(found) != rows) & (step.transform(beside) == rows), beside, found) if found.shape == rows.shape else found
        return found
    except (ValueError, TypeError, AttributeError, IndexError):
        return None


def _makes(step: Any, before: np.ndarray, rows: np.ndarray) -> bool:
    """Whether a step makes the greater part of these rows of those."""
    made = np.asarray(step.transform(before)) if before.shape[1] == step.n_features_in_ else np.zeros(0)
    return made.shape == rows.shape and bool(np.isclose(made, rows, rtol=1e-6).mean() > 0.5)


def _before_columns(step: Any, rows: np.ndarray) -> np.ndarray:
    """Columns that come from no step that can be undone are random numbers."""
    found = np.random.default_rng(2).standard_normal((len(rows), step.n_features_in_))
    for name, transformer, _ in step.transformers_:
        columns = step._transformer_to_input_indices[name]
        part = rows[:, step.output_indices_[name]]
        before = None if isinstance(transformer, str) and transformer == "drop" else part if isinstance(transformer, str) else _before(transformer, part)
        if before is not None and before.shape[1] == len(columns):
            found[:, columns] = before
    return found
