"""Neighbours: the distances to all training rows, the smallest of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from onward.converters.sklearn.registry import method
from onward.converters.sklearn.tracer import distances
from onward.converters.tracing import Array, as_array
from onward.converters.tracing.functions import smallest
from onward.converters.tracing.ufuncs import isnan


def _distances(estimator: Any, x: Array) -> Array:
    options = dict(estimator.effective_metric_params_ or {})
    rows = estimator._fit_X
    return distances(x, rows.toarray() if hasattr(rows, "toarray") else rows, estimator.effective_metric_, **options)


@method("kneighbors", "KNeighborsMixin")
def k_neighbours(estimator: Any, x: Array, n_neighbors: Any = None, return_distance: bool = True) -> Any:
    found, places = smallest(_distances(estimator, x), n_neighbors or estimator.n_neighbors)
    return (found, places) if return_distance else places


@method("transform", "KNeighborsTransformer")
def k_graph(estimator: Any, x: Array) -> Any:
    """(rows, training rows): distances to the neighbours, or ones; zero elsewhere."""
    found, near = k_neighbours(estimator, x, estimator.n_neighbors + (estimator.mode == "distance"))
    hits = np.expand_dims(near, 2) == np.arange(estimator.n_samples_fit_)
    values = np.expand_dims(found, 2) if estimator.mode == "distance" else 1.0
    return np.sum(np.where(hits, values, 0.0), axis=1)


@method("transform", "RadiusNeighborsTransformer")
def radius_graph(estimator: Any, x: Array) -> Any:
    found = _distances(estimator, x)
    return np.where(found <= estimator.radius, found if estimator.mode == "distance" else 1.0, 0.0)


def _weights(estimator: Any, found: Array) -> Any:
    """Of each neighbour, by its distance. A row that equals training rows sees those alone."""
    if estimator.weights == "distance":
        equal = np.any(found == 0, axis=1, keepdims=True)
        return np.where(equal, (found == 0).astype(np.float64), 1.0 / np.where(found == 0, 1.0, found))
    return estimator.weights(found) if callable(estimator.weights) else np.ones_like(found)


def _votes(estimator: Any, weights: Array, near: Any = None) -> Any:
    """(rows, classes): the weights of neighbours by class; one for each output."""
    labels = estimator._y if estimator._y.ndim > 1 else estimator._y[:, None]
    classes = estimator.classes_ if estimator.outputs_2d_ else [estimator.classes_]
    made = []
    for column, known in enumerate(classes):
        hits = np.asarray(labels[:, column])[:, None] == np.arange(len(known))
        table = hits.astype(np.float64)
        if near is None:
            made.append(weights @ table)
        else:
            made.append(np.sum(np.expand_dims(weights, 2) * as_array(weights.trace, table)[near], axis=1))
    return made


@method("predict_proba", "KNeighborsClassifier")
def k_probabilities(estimator: Any, x: Array) -> Any:
    found, near = k_neighbours(estimator, x)
    made = [item / np.sum(item, axis=1, keepdims=True) for item in _votes(estimator, _weights(estimator, found), near)]
    return made if estimator.outputs_2d_ else made[0]


@method("predict", "KNeighborsClassifier")
def k_labels(estimator: Any, x: Array) -> Any:
    found, near = k_neighbours(estimator, x)
    return _labels(estimator, _votes(estimator, _weights(estimator, found), near))


def _labels(estimator: Any, votes: list[Any]) -> Any:
    classes = estimator.classes_ if estimator.outputs_2d_ else [estimator.classes_]
    made = [as_array(item.trace, known)[np.argmax(item, axis=1)] for item, known in zip(votes, classes)]
    return np.stack(made, axis=1) if estimator.outputs_2d_ else made[0]


@method("predict", "KNeighborsRegressor")
def k_regression(estimator: Any, x: Array) -> Any:
    found, near = k_neighbours(estimator, x)
    values = as_array(x.trace, estimator._y.reshape(len(estimator._y), -1).astype(np.float64))[near]
    weights = np.expand_dims(_weights(estimator, found), 2)
    result = np.sum(values * weights, axis=1) / np.sum(weights, axis=1)
    return result if estimator._y.ndim > 1 else result[:, 0]


def _within(estimator: Any, x: Array) -> Any:
    """(rows, training rows): the weight of each training row within the radius."""
    found = _distances(estimator, x)
    inside = found <= estimator.radius
    if estimator.weights == "distance":
        equal = np.any(inside & (found == 0), axis=1, keepdims=True)
        weights = np.where(equal, (found == 0).astype(np.float64), 1.0 / np.where(found == 0, 1.0, found))
    else:
        weights = np.ones_like(found)
    return np.where(inside, weights, 0.0)


@method("predict", "RadiusNeighborsRegressor")
def radius_regression(estimator: Any, x: Array) -> Any:
    weights = _within(estimator, x)
    values = estimator._y.reshape(len(estimator._y), -1)
    total = np.sum(weights, axis=1, keepdims=True)
    with np.errstate(invalid="ignore"):
        nothing = np.full_like(values[0], np.nan).astype(np.float64)  # of whole numbers it is one of them, on each processor another
    result = np.where(total == 0, nothing, (weights @ values.astype(np.float64)) / np.where(total == 0, 1.0, total))
    return result if estimator._y.ndim > 1 else result[:, 0]


@method("predict_proba", "RadiusNeighborsClassifier")
def radius_probabilities(estimator: Any, x: Array) -> Any:
    made = []
    for votes, outlier in zip(_votes(estimator, _within(estimator, x)), _outliers(estimator)):
        total = np.sum(votes, axis=1, keepdims=True)
        made.append(np.where(total == 0, outlier, votes / np.where(total == 0, 1.0, total)))
    return made if estimator.outputs_2d_ else made[0]


def _outliers(estimator: Any) -> list[np.ndarray]:
    """The probabilities of rows without neighbours."""
    classes = estimator.classes_ if estimator.outputs_2d_ else [estimator.classes_]
    labels = estimator.outlier_label_ if estimator.outlier_label_ is not None else [None] * len(classes)
    return [(np.asarray(known) == label).astype(np.float64) if label is not None else np.full(len(known), np.nan)
            for known, label in zip(classes, labels)]  # fmt: skip


@method("predict", "RadiusNeighborsClassifier")
def radius_labels(estimator: Any, x: Array) -> Any:
    made = radius_probabilities(estimator, x)
    votes = made if estimator.outputs_2d_ else [made]
    found = _labels(estimator, votes)
    if estimator.outlier_label_ is None or estimator.outputs_2d_:
        return found
    alone = np.sum(votes[0], axis=1) == 0
    return np.where(alone, np.asarray(estimator.outlier_label_[0]), found)


@method("transform", "KNNImputer")
def imputed(estimator: Any, x: Array) -> Any:
    """A missing number becomes the mean of it in the nearest training rows that have it; distances skip what is missing."""
    known = np.asarray(estimator._fit_X)
    absent = np.asarray(estimator._mask_fit_X)
    trained, present = np.where(absent, 0.0, known), (~absent).astype(np.float64)
    gaps = isnan(x) if np.isnan(estimator.missing_values) else x == estimator.missing_values
    filled, here = np.where(gaps, 0.0, x), np.where(gaps, 0.0, 1.0)
    both = here @ present.T
    gap = (np.expand_dims(filled, 1) - trained) * (np.expand_dims(here, 1) * present)
    distance = np.sum(gap * gap, axis=2) * (known.shape[1] / np.where(both == 0, 1.0, both))
    distance = np.where(both == 0, np.inf, np.sqrt(distance))
    columns = [column for column in range(known.shape[1]) if estimator.keep_empty_features or estimator._valid_mask[column]]
    made = []
    for column in columns:
        if not present[:, column].any():
            made.append(np.where(gaps[:, column], 0.0, x[:, column]))
            continue
        far = np.where(absent[:, column], np.inf, distance)
        found, near = smallest(far, min(estimator.n_neighbors, int(present[:, column].sum())))
        usable = np.isfinite(found).astype(np.float64)
        weights = usable if estimator.weights == "uniform" else _weights(estimator, found) * usable
        values = as_array(x.trace, trained[:, column])[near]
        total = np.sum(weights, axis=1)
        average = float(trained[:, column].sum() / present[:, column].sum())
        mean = np.where(total == 0, average, np.sum(weights * values, axis=1) / np.where(total == 0, 1.0, total))
        made.append(np.where(gaps[:, column], mean, x[:, column]))
    return np.stack(made, axis=1)
