"""Estimators that compare rows with rows that the model holds: centres of clusters, neighbours, means of classes. What a model holds is tried, as its graph may say it in any way."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations

import numpy as np
from sklearn.cluster import KMeans
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor

from onward.converters.targets.recognition.heads import Head
from onward.converters.targets.recognition.rows import RowModel
from onward.converters.targets.sklearn.fitting import fitted, with_numbers
from onward.converters.targets.sklearn.linear import Built

METRICS = ("euclidean", "manhattan")
WEIGHTS = ("uniform", "distance")


def comparing(rows: RowModel) -> Iterator[tuple[Built, Head, np.ndarray | None]]:
    """Estimators that the model may be, with the outputs that they give, and rows that they are for where they are not for any."""
    floats = [place for place, value in enumerate(rows.outputs) if value.dtype is not None and value.dtype.is_float]
    labels = next((place for place in range(len(rows.outputs)) if place not in floats), None)
    if len(floats) > 1 or len(rows.outputs) - len(floats) > 1:
        return
    scores = floats[0] if floats else None
    held = [np.squeeze(value.tensor.numpy()) for value in rows.model.graph.values() if value.tensor is not None]
    tables = [array for array in held if array.dtype.kind == "f" and array.ndim == 2 and array.shape[1] == rows.columns]
    for node in rows.model.graph.nodes:
        if node.op_type == "ArgMin":
            for table in tables:
                centres = fitted(KMeans(len(table)), rows.columns, rows=len(table))
                yield Built(with_numbers(centres, cluster_centers_=np.ascontiguousarray(table)), "transform"), Head("identity", scores, 2, None, labels), None
        if node.op_type == "TopK" and node.inputs[1] is not None and node.inputs[1].tensor is not None:
            for table in tables:
                for built, head in _neighbours(table, held, int(node.inputs[1].tensor.numpy().reshape(-1)[0]), scores, labels):
                    yield built, head, None
        if node.op_type in ("ReduceLogSumExp", "LogSoftmax", "Softmax") and labels is not None:
            for means, variances in permutations(tables, 2):
                if means.shape == variances.shape and (variances > 0).all():
                    yield from _normal(means.astype(np.float64), variances.astype(np.float64), held, scores, labels)


def _normal(means: np.ndarray, variances: np.ndarray, held: list[np.ndarray], scores: int | None, labels: int) -> Iterator[tuple[Built, Head, np.ndarray]]:
    """Classes of normal distributions, with any logarithms of their chances and any names that are held for so many. Rows are drawn from them: of others
    graphs in single precision lose all digits."""
    random, count = np.random.default_rng(0), len(means)
    places = random.integers(0, count, 200)
    drawn = means[places] + np.sqrt(variances[places]) * random.standard_normal((200, means.shape[1]))
    for chances in (np.exp(array.astype(np.float64)) for array in held if array.dtype.kind == "f" and array.shape == (count,) and (array <= 0).all()):
        for names in held if np.isclose(chances.sum(), 1, atol=1e-5) else ():
            if names.shape == (count,) and names.dtype.kind in "iO":
                classes = names.astype(str) if names.dtype == object else names
                learned = fitted(GaussianNB(), means.shape[1], classes.tolist())
                built = with_numbers(learned, theta_=means, var_=variances, class_prior_=chances / chances.sum())
                yield Built(built, "predict_proba"), Head("identity", scores, 2, classes.tolist(), labels), drawn


def _neighbours(table: np.ndarray, held: list[np.ndarray], count: int, scores: int | None, labels: int | None) -> Iterator[tuple[Built, Head]]:
    """Neighbours among the rows of a table, with any targets that are held for so many rows."""
    for metric in METRICS if 0 < count <= len(table) else ():
        for weights in WEIGHTS:
            options = {"n_neighbors": count, "metric": metric, "weights": weights}
            for target in held:
                if labels is None and target.dtype.kind == "f" and len(table) in target.shape and target is not table and target.ndim <= 2:
                    numbers = target if len(target) == len(table) else target.T
                    yield Built(KNeighborsRegressor(**options).fit(table, numbers), "predict"), Head("identity", scores, 2, None, None)
                places = None if labels is None else _classes(target, len(table))
                for names in held if places is not None else ():
                    if names.ndim == 1 and names.dtype.kind in "iO" and len(names) == places.max() + 1:  # type: ignore[union-attr]
                        classes = names.astype(str) if names.dtype == object else names
                        built = KNeighborsClassifier(**options).fit(table, classes[places])
                        yield Built(built, "predict_proba"), Head("identity", scores, 2, classes.tolist(), labels)


def _classes(target: np.ndarray, count: int) -> np.ndarray | None:
    """The class of each of so many rows, where an array says it by number or by a mark in its column."""
    if target.ndim == 2 and len(target) == count and (np.sort(target, axis=1) == np.eye(target.shape[1])[-1]).all():
        return target.argmax(axis=1)
    return target if target.dtype.kind == "i" and target.shape == (count,) and target.min() >= 0 else None
