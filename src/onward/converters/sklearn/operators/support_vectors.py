"""Support vectors: libsvm's decision values and votes."""

from __future__ import annotations

from typing import Any

import numpy as np

from onward.converters.sklearn.registry import method
from onward.converters.sklearn.tracer import squared_distances
from onward.converters.tracing import Array, repeat
from onward.errors import UnsupportedOperator


def _kernel(estimator: Any, x: Array) -> Any:
    vectors = _dense(estimator.support_vectors_)
    if estimator.kernel == "linear":
        return x @ vectors.T
    if estimator.kernel == "rbf":
        return np.exp(squared_distances(x, vectors) * -estimator._gamma)
    if estimator.kernel == "poly":
        return (x @ vectors.T * estimator._gamma + estimator.coef0) ** int(estimator.degree)
    if estimator.kernel == "sigmoid":
        return np.tanh(x @ vectors.T * estimator._gamma + estimator.coef0)
    raise UnsupportedOperator(f"support vectors with kernel {estimator.kernel!r}")


def _dense(matrix: Any) -> np.ndarray:
    """What is sparse where the estimator was fitted on sparse rows."""
    return np.asarray(matrix.toarray() if hasattr(matrix, "toarray") else matrix)


def _pairs(estimator: Any) -> list[tuple[int, int]]:
    count = len(estimator._n_support)
    return [(first, second) for first in range(count) for second in range(first + 1, count)]


@method("_dense_decision_function", "BaseLibSVM")
@method("_sparse_decision_function", "BaseLibSVM")
def decision(estimator: Any, x: Array) -> Array:
    """(rows, pairs of classes), or one column."""
    weights, shift = _dense(estimator._dual_coef_), np.asarray(estimator._intercept_)
    if estimator._impl in ("c_svc", "nu_svc"):
        ends = np.cumsum([0, *estimator._n_support])
        rows = np.zeros((len(_pairs(estimator)), weights.shape[1]))
        for number, (first, second) in enumerate(_pairs(estimator)):
            ours, theirs = slice(ends[first], ends[first + 1]), slice(ends[second], ends[second + 1])
            rows[number, ours], rows[number, theirs] = weights[second - 1, ours], weights[first, theirs]
        weights = rows
    return _kernel(estimator, x) @ weights.T + shift


@method("_dense_predict", "BaseLibSVM")
@method("_sparse_predict", "BaseLibSVM")
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
@method("_sparse_predict_proba", "BaseSVC")
def probabilities(estimator: Any, x: Array) -> Array:
    """Each pair's probability by a sigmoid of its margin (Platt), then coupled: a single pair too, which ends near, not at it."""
    margins = decision(estimator, x) * np.asarray(estimator._probA) + np.asarray(estimator._probB)
    pairs = np.clip(1.0 / (1.0 + np.exp(margins)), LEAST, 1 - LEAST)
    return _coupled(pairs, _pairs(estimator), len(estimator.classes_))


LEAST = 1e-7


def _coupled(pairs: Array, order: list[tuple[int, int]], count: int) -> Array:
    """Probabilities of classes of those of pairs: Wu, Lin and Weng (2004), algorithm 2, ended where libsvm ends it. Rows that have
    converged stay as they are while others go on."""
    table: dict[tuple[int, int], Any] = {}
    for place, (first, second) in enumerate(order):
        table[first, second], table[second, first] = pairs[:, place], 1 - pairs[:, place]
    others = [[other for other in range(count) if other != one] for one in range(count)]
    own = [sum(table[other, one] * table[other, one] for other in others[one]) for one in range(count)]
    matrix = np.stack([
        np.stack([own[one] if one == other else -table[other, one] * table[one, other] for other in range(count)], axis=1) for one in range(count)
    ], axis=1)  # fmt: skip

    def product(p: Any) -> tuple[Any, Any]:
        first = np.sum(matrix * p[:, None, :], axis=2)
        return first, np.sum(p * first, axis=1)

    def error(p: Any) -> Any:
        first, second = product(p)
        return np.max(np.abs(first - second[:, None]), axis=1)

    def turn(p: Any) -> Any:
        first, second = product(p)
        columns, sums = [p[:, place] for place in range(count)], [first[:, place] for place in range(count)]
        for one in range(count):
            step = (second - sums[one]) / own[one]
            scale = 1 + step
            second = (second + step * (step * own[one] + 2 * sums[one])) / scale / scale
            sums = [(item + step * matrix[:, one, other]) / scale for other, item in enumerate(sums)]
            columns = [(item + step if other == one else item) / scale for other, item in enumerate(columns)]
        goes_on = error(p) >= 0.005 / count
        after = np.where(goes_on[:, None], np.stack(columns, axis=1), p)
        return [after], np.any(error(after) >= 0.005 / count)

    return repeat(max(100, count), [pairs[:, :1] * 0 + np.full((1, count), 1 / count)], turn)[0]
