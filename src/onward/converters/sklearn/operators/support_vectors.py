"""Support vectors: libsvm's decision values and votes."""

from __future__ import annotations

from typing import Any

import numpy as np

from onward.converters.sklearn.registry import method
from onward.converters.sklearn.tracer import squared_distances
from onward.converters.tracing import Array
from onward.errors import UnsupportedOperator


def _kernel(estimator: Any, x: Array) -> Any:
    vectors = estimator.support_vectors_
    vectors = np.asarray(vectors.toarray() if hasattr(vectors, "toarray") else vectors)
    if estimator.kernel == "linear":
        return x @ vectors.T
    if estimator.kernel == "rbf":
        return np.exp(squared_distances(x, vectors) * -estimator._gamma)
    if estimator.kernel == "poly":
        return (x @ vectors.T * estimator._gamma + estimator.coef0) ** int(estimator.degree)
    if estimator.kernel == "sigmoid":
        return np.tanh(x @ vectors.T * estimator._gamma + estimator.coef0)
    raise UnsupportedOperator(f"support vectors with kernel {estimator.kernel!r}")


def _pairs(estimator: Any) -> list[tuple[int, int]]:
    count = len(estimator._n_support)
    return [(first, second) for first in range(count) for second in range(first + 1, count)]


@method("_dense_decision_function", "BaseLibSVM")
def decision(estimator: Any, x: Array) -> Array:
    """(rows, pairs of classes), or one column."""
    weights, shift = np.asarray(estimator._dual_coef_), np.asarray(estimator._intercept_)
    if estimator._impl in ("c_svc", "nu_svc"):
        ends = np.cumsum([0, *estimator._n_support])
        rows = np.zeros((len(_pairs(estimator)), weights.shape[1]))
        for number, (first, second) in enumerate(_pairs(estimator)):
            ours, theirs = slice(ends[first], ends[first + 1]), slice(ends[second], ends[second + 1])
            rows[number, ours], rows[number, theirs] = weights[second - 1, ours], weights[first, theirs]
        weights = rows
    return _kernel(estimator, x) @ weights.T + shift


@method("_dense_predict", "BaseLibSVM")
def predicted(estimator: Any, x: Array) -> Array:
    """The class with most votes of the pairs, the first of equal ones; or the value."""
    found = decision(estimator, x)
    if estimator._impl == "one_class":
        return np.where(found[:, 0] > 0, 1.0, -1.0)
    if estimator._impl not in ("c_svc", "nu_svc"):
        return found[:, 0]
    pairs = _pairs(estimator)
    count = len(estimator._n_support)
    for_first, for_second = np.zeros((len(pairs), count)), np.zeros((len(pairs), count))
    for number, (first, second) in enumerate(pairs):
        for_first[number, first] = for_second[number, second] = 1
    won = (found > 0).astype(np.float64)
    return np.argmax(won @ for_first + (1 - won) @ for_second, axis=1)


@method("_dense_predict_proba", "BaseSVC")
def probabilities(estimator: Any, x: Array) -> Array:
    """For two classes; more are coupled by an iteration that ends by the values (Wu, Lin and Weng, 2004)."""
    if len(estimator.classes_) != 2:
        raise UnsupportedOperator("probabilities of support vectors for more than two classes")
    a, b = float(estimator._probA[0]), float(estimator._probB[0])
    margin = decision(estimator, x)[:, 0] * a + b
    first = np.clip(1.0 / (1.0 + np.exp(margin)), 1e-7, 1 - 1e-7)
    return np.stack([first, 1 - first], axis=1)
