"""Methods that iterate until the data end it."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.linalg import solve

from onward.converters.sklearn.operators.decompositions import multiplicative
from onward.converters.sklearn.registry import method
from onward.converters.tracing import Array, repeat
from onward.errors import UnsupportedOperator


@method("latent_mean_and_variance", "_BinaryGaussianProcessClassifierLaplace")
def latent(estimator: Any, x: Array) -> Any:
    """Rasmussen and Williams, algorithm 3.2; the linear system is of the training rows alone."""
    kernel = estimator.kernel_(x, estimator.X_train_)
    factors = solve(estimator.L_, np.diag(estimator.W_sr_))
    spread = kernel @ factors.T
    return kernel @ (estimator.y_train_ - estimator.pi_), estimator.kernel_.diag(x) - np.sum(spread * spread, axis=1)


@method("_fit_transform", "NMF")
def factors_of_rows(estimator: Any, x: Array, H: Any = None, update_H: bool = False, **_: Any) -> Any:  # noqa: N803 (scikit-learn's names)
    """Coordinate descent (Cichocki and Phan, 2009), or multiplicative updates. The rows of a run end together, as in scikit-learn."""
    if estimator.solver == "mu":
        return multiplicative(estimator, x), estimator.components_, 0
    if estimator.shuffle:
        raise UnsupportedOperator("the coordinates are shuffled")
    parts = np.asarray(estimator.components_, x.dtype)
    first, _, second, _ = estimator._compute_regularization(np.zeros((1, parts.shape[1])))
    products = parts @ parts.T + second * np.eye(len(parts), dtype=x.dtype)
    wanted = x @ parts.T - first
    diagonal = np.diag(products)

    def violations(columns: list[Any]) -> tuple[list[Any], Any]:
        total: Any = 0.0
        columns = list(columns)
        for place in range(len(parts)):
            slope = sum(products[place, other] * item for other, item in enumerate(columns)) - wanted[:, place]
            total = total + np.sum(np.abs(np.where(columns[place] == 0, np.minimum(slope, 0), slope)))
            if diagonal[place] != 0:
                columns[place] = np.maximum(columns[place] - slope / diagonal[place], 0)
        return columns, total

    start, greatest = violations([wanted[:, place] * 0 for place in range(len(parts))])

    def turn(weights: Any, left: Any) -> Any:
        columns, total = violations([weights[:, place] for place in range(len(parts))])
        after = np.stack(columns, axis=1)
        return [after, total], total > estimator.tol * greatest

    weights, _ = repeat(estimator.max_iter - 1, [np.stack(start, axis=1), greatest], turn)
    return weights, parts, 0


@method("_e_step", "LatentDirichletAllocation")
def topics(estimator: Any, x: Array, **_: Any) -> Any:
    """Mean-field inference (Hoffman, Blei and Bach, 2010), of all rows at a time; rows that have converged stay as they are."""
    words = np.asarray(estimator.exp_dirichlet_component_, x.dtype)
    least = np.finfo(x.dtype).eps

    def expected(topics: Any) -> Any:
        return np.exp(_psi(topics) - _psi(np.sum(topics, axis=1, keepdims=True)))

    def turn(topics: Any, weights: Any, left: Any) -> Any:
        norms = weights @ words + least
        found = weights * ((x / norms) @ words.T) + estimator.doc_topic_prior_
        change = np.mean(np.abs(found - topics), axis=1)
        going = left[:, None]
        after = np.where(going, found, topics), np.where(going, expected(found), weights)
        left = left & (change >= estimator.mean_change_tol)
        return [*after, left], np.any(left)

    start = x[:, :1] * 0 + np.ones((1, len(words)), x.dtype)
    made, *_rest = repeat(estimator.max_doc_update_iter, [start, expected(start), x[:, 0] == x[:, 0]], turn)
    return made, None


def _psi(x: Any) -> Any:
    """The digamma function as this method has it, with three terms of its series from 6 on: not to the last digit."""
    total: Any = 0.0
    for _ in range(6):
        below = x < 6
        total = total - np.where(below, 1 / x, 0)
        x = x + np.where(below, 1.0, 0.0)
    square = 1 / (x * x)
    return total + np.log(x) - 0.5 / x - square * (1 / 12 - square * (1 / 120 - square * (1 / 252)))
