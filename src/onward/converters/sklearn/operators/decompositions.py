"""Rows as sums of parts: non-negative factors by multiplicative updates, embeddings by neighbours, sketches."""

from __future__ import annotations

from typing import Any

import numpy as np

from onward.converters.sklearn.operators.neighbours import k_neighbours
from onward.converters.sklearn.registry import method
from onward.converters.sklearn.tracer import distances
from onward.converters.tracing import Array, as_array, repeat

# -- non-negative factors ------------------------------------------------------------------------------------------

LEAST = float(np.finfo(np.float32).eps)
"""What stands for zero in quotients and powers."""

BETWEEN = 10
"""So many updates stand between two looks at the error."""


class MultiplicativeUpdates:
    """Weights (rows, parts) of fixed parts. Source: Fevotte and Idier, Algorithms for non-negative matrix factorization with the
    beta-divergence, 2011."""

    def __init__(self, estimator: Any, x: Array) -> None:
        self.x, self.parts = x, np.asarray(estimator.components_, x.dtype)
        self.beta = float({"frobenius": 2, "kullback-leibler": 1, "itakura-saito": 0}.get(estimator.beta_loss, estimator.beta_loss))
        self.power = 1 / (2 - self.beta) if self.beta < 1 else 1 / (self.beta - 1) if self.beta > 2 else 1.0
        self.first, _, self.second, _ = estimator._compute_regularization(np.zeros((1, self.parts.shape[1])))

    def start(self) -> Any:
        """Equal weights, whose products have about the mean of the rows."""
        return self.x[:, :1] * 0 + np.ones(len(self.parts), self.x.dtype) * np.sqrt(np.mean(self.x) / len(self.parts))

    def after(self, weights: Any) -> Any:
        """The weights after one update."""
        up, down = self._slopes(weights)
        down = down + self.first + self.second * weights
        return weights * (up / np.where(down == 0, LEAST, down)) ** self.power

    def _slopes(self, weights: Any) -> tuple[Any, Any]:
        turned = self.parts.T
        if self.beta == 2:
            return self.x @ turned, weights @ (self.parts @ turned)
        made = weights @ self.parts
        above = np.maximum(made, LEAST) if self.beta < 2 else made
        up = (self.x * above ** (self.beta - 2)) @ turned
        if self.beta == 1:
            return up, np.sum(self.parts, axis=1)[None, :]
        return up, (np.maximum(made, LEAST) if self.beta < 1 else made) ** (self.beta - 1) @ turned

    def error(self, weights: Any) -> Any:
        """The square root of twice the beta-divergence of all rows."""
        x, made = self.x, weights @ self.parts
        if self.beta == 2:
            return np.sqrt(np.sum((x - made) ** 2))
        some, above = x > LEAST, np.maximum(made, LEAST)
        ratio, kept = np.where(some, x, 1.0) / np.where(some, above, 1.0), np.where(some, x, 0.0)
        if self.beta == 1:
            total = np.sum(kept * np.log(ratio)) + np.sum(made) - np.sum(kept)
        elif self.beta == 0:
            total = np.sum(np.where(some, ratio - np.log(ratio), 0.0)) - x.shape[0] * x.shape[1]
        else:
            powers = np.where(some, x, 1.0) ** self.beta - self.beta * np.where(some, x, 1.0) * np.where(some, above, 1.0) ** (self.beta - 1)
            total = (np.sum(np.where(some, powers, 0.0)) + np.sum(made**self.beta) * (self.beta - 1)) / (self.beta * (self.beta - 1))
        return np.sqrt(2 * np.maximum(total, 0))


def multiplicative(estimator: Any, x: Array) -> Any:
    """The weights when the error of all rows together hardly falls any more."""
    updates = MultiplicativeUpdates(estimator, x)

    def several(weights: Any, count: int) -> Any:
        for _ in range(count):
            weights = updates.after(weights)
            weights = np.where(weights < np.finfo(np.float64).eps, 0.0, weights) if updates.beta < 1 else weights
        return weights

    def turn(weights: Any, before: Any, _going: Any) -> Any:
        made = several(weights, BETWEEN)
        now = updates.error(made)
        going = (before - now) / first >= estimator.tol if estimator.tol > 0 else now == now
        return [made, now, going], going

    start = updates.start()
    first = updates.error(start)
    weights, _, going = repeat(estimator.max_iter // BETWEEN, [start, first, first == first], turn)
    rest = estimator.max_iter % BETWEEN
    return np.where(going, several(weights, rest), weights) if rest else weights


@method("_solve_W", "MiniBatchNMF")
def weights_of_rows(estimator: Any, x: Array, parts: Any, limit: int) -> Any:
    """The weights when they hardly change any more."""
    updates = MultiplicativeUpdates(estimator, x)

    def turn(weights: Any) -> Any:
        made = updates.after(weights)
        change = np.sqrt(np.sum((made - weights) ** 2)) / np.sqrt(np.sum(made**2))
        return [made], (change > estimator.tol if estimator.tol > 0 else change == change)

    return repeat(limit, [updates.start()], turn)[0]


# -- embeddings ----------------------------------------------------------------------------------------------------


@method("transform", "LocallyLinearEmbedding")
def placed(estimator: Any, x: Array) -> Any:
    """The places of the neighbours, weighted so that the neighbours themselves make the row (Roweis and Saul, 2000)."""
    _, near = k_neighbours(estimator.nbrs_, x, estimator.n_neighbors)
    gap = as_array(x.trace, np.asarray(estimator.nbrs_._fit_X))[near] - np.expand_dims(x, 1)
    products = gap @ np.swapaxes(gap, 1, 2)
    trace = sum(products[:, place, place] for place in range(estimator.n_neighbors))
    ridge = estimator.reg * np.where(trace > 0, trace, 1.0)
    weights = _solved(products + ridge.reshape(-1, 1, 1) * np.eye(estimator.n_neighbors), estimator.n_neighbors)
    shares = weights / np.sum(weights, axis=1, keepdims=True)
    places = as_array(x.trace, np.asarray(estimator.embedding_))[near]
    return np.sum(places * np.expand_dims(shares, 2), axis=1)


def _solved(matrices: Any, extent: int) -> Any:
    """(rows, extent): the solutions of positive definite systems whose right sides are ones, by conjugate directions."""
    spread: Any = None
    total: Any = 0.0
    for place in range(extent):
        column = matrices[:, :, place]
        direction: Any = np.eye(extent)[place] + column * 0
        if spread is not None:
            direction = direction - np.squeeze(spread @ np.expand_dims(column, 2), 2)
        size = np.sum(direction * column, axis=1, keepdims=True)
        total = total + direction * (np.sum(direction, axis=1, keepdims=True) / size)
        wide = np.expand_dims(direction, 2) * np.expand_dims(direction / size, 1)
        spread = wide if spread is None else spread + wide
    return total


@method("transform", "Isomap")
def unrolled(estimator: Any, x: Array) -> Any:
    """The shortest ways to all training rows, by way of the neighbours, which know theirs; kernel PCA places them."""
    ways = as_array(x.trace, np.asarray(estimator.dist_matrix_))
    if estimator.n_neighbors is not None:
        found, near = k_neighbours(estimator.nbrs_, x)
        through = ways[near] + np.expand_dims(found, 2)
    else:
        found = distances(x, np.asarray(estimator.nbrs_._fit_X), estimator.nbrs_.effective_metric_, **(estimator.nbrs_.effective_metric_params_ or {}))
        through = ways + np.expand_dims(np.where(found <= estimator.nbrs_.radius, found, np.inf), 2)
    shortest = np.min(through, axis=1)
    return estimator.kernel_pca_.transform(-0.5 * shortest * shortest)


@method("transform", "PolynomialCountSketch")
def sketched(estimator: Any, x: Array) -> Any:
    """The products of sketches in the frequency domain (Pham and Pagh, 2013); the Fourier transforms are products with matrices."""
    rows = np.sqrt(estimator.gamma) * x
    if estimator.coef0 != 0:
        rows = np.concatenate([rows, x[:, :1] * 0 + np.sqrt(estimator.coef0)], axis=1)
    count = estimator.n_components
    angles = 2 * np.pi * np.outer(np.arange(count), np.arange(count)) % (2 * np.pi * count) / count
    cosines, sines = np.cos(angles), np.sin(angles)
    real: Any = None
    imaginary: Any = None
    for places, signs in zip(np.asarray(estimator.indexHash_), np.asarray(estimator.bitHash_)):
        table = np.zeros((len(places), count))
        table[np.arange(len(places)), places] = signs
        along, across = rows @ (table @ cosines), rows @ -(table @ sines)
        real, imaginary = (along, across) if real is None else (real * along - imaginary * across, real * across + imaginary * along)
    return (real @ cosines - imaginary @ sines) / count
