"""Clusters: the nearest centre."""

from __future__ import annotations

from typing import Any

import numpy as np

from onward.converters.sklearn.registry import method
from onward.converters.sklearn.tracer import distances, squared_distances
from onward.converters.tracing import Array, as_array


@method("predict", "_BaseKMeans", "MeanShift")
def nearest(estimator: Any, x: Array) -> Any:
    return np.argmin(squared_distances(x, np.asarray(estimator.cluster_centers_)), axis=1).astype(np.int32)


@method("predict", "BisectingKMeans")
def bisected(estimator: Any, x: Array) -> Any:
    """Down the tree of halves: each split compares the distances to its two centres."""
    centred = x - estimator._X_mean if hasattr(estimator, "_X_mean") else x

    def below(node: Any) -> Any:
        if node.left is None:
            return as_array(x.trace, np.array(node.label, np.int32))
        near = squared_distances(centred, np.stack([node.left.center, node.right.center]))
        return np.where(np.argmin(near, axis=1) == 0, below(node.left), below(node.right))

    found = below(estimator._bisecting_tree)
    return (found + np.zeros_like(x[:, 0], np.int32)).astype(np.int32)  # of a single cluster the label is no column


@method("predict", "AffinityPropagation")
def exemplar(estimator: Any, x: Array) -> Any:
    """The nearest exemplar; -1 where the fit found none."""
    centres = estimator.cluster_centers_
    if not centres.shape[0]:
        return np.full(x.shape[0], -1)
    return np.argmin(squared_distances(x, centres.toarray() if hasattr(centres, "toarray") else np.asarray(centres)), axis=1)


@method("predict", "Birch")
def subclusters(estimator: Any, x: Array) -> Any:
    place = np.argmin(squared_distances(x, np.asarray(estimator.subcluster_centers_)), axis=1)
    return as_array(x.trace, estimator.subcluster_labels_)[place]


@method("transform", "FeatureAgglomeration")
def pooled(estimator: Any, x: Array) -> Any:
    """The pooled columns of each cluster; means are taken in double precision."""
    labels = np.asarray(estimator.labels_)
    x = x.astype(np.float64, copy=False) if estimator.pooling_func is np.mean else x
    groups = [estimator.pooling_func(x[:, np.flatnonzero(labels == label)], axis=1) for label in np.unique(labels)]
    return np.stack(groups, axis=1)


@method("score_samples", "KernelDensity")
def density(estimator: Any, x: Array) -> Any:
    """The logarithm of the mean of the kernels around the training rows."""
    from scipy.special import gammaln

    rows = np.asarray(estimator.tree_.data)
    weights = estimator.tree_.sample_weight
    weights = np.ones(len(rows)) if weights is None else np.asarray(weights)
    size, columns = estimator.bandwidth_, rows.shape[1]
    gap = distances(x, rows, estimator.metric) / size
    volume = 0.5 * columns * np.log(np.pi) - gammaln(0.5 * columns + 1)
    shapes = {
        "gaussian": (lambda: -0.5 * gap * gap, -0.5 * columns * np.log(2 * np.pi)),
        "tophat": (lambda: np.where(gap < 1, 0.0, -np.inf), -volume),
        "epanechnikov": (lambda: np.where(gap < 1, np.log(np.maximum(1 - gap * gap, 1e-300)), -np.inf), -(volume + np.log(2 / (columns + 2)))),
        "exponential": (lambda: -gap, -(volume + np.log(columns) + gammaln(columns))),
        "linear": (lambda: np.where(gap < 1, np.log(np.maximum(1 - gap, 1e-300)), -np.inf), -(volume - np.log(columns + 1))),
    }
    from onward.converters.sklearn.tracer import _logsumexp
    from onward.errors import UnsupportedOperator

    if estimator.kernel not in shapes:
        raise UnsupportedOperator(f"densities with kernel '{estimator.kernel}'")
    values, norm = shapes[estimator.kernel]
    return _logsumexp(values() + np.log(weights), axis=1) + (norm - columns * np.log(size) - np.log(weights.sum()))


@method("mahalanobis", "EmpiricalCovariance")
def mahalanobis(estimator: Any, x: Array) -> Any:
    """Squared distances to the mean, measured by the covariance."""
    gap = x.astype(np.float64, copy=False) - np.asarray(estimator.location_)
    return np.sum((gap @ np.asarray(estimator.get_precision())) * gap, axis=1)
