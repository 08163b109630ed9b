"""SVMRegressor and SVMClassifier."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from onward import program as P
from onward.errors import InvalidArgument
from onward.ir.datatypes import DataType
from onward.operators.classical.scores import best_label, label_table, labelled, transformed
from onward.operators.registry import operator
from onward.program.routines import COUPLING_ROUNDS, coupling_tolerance


@operator("SVMRegressor", domain="ai.onnx.ml")
def support_vector_regressor(
    x: P.Array,
    *,
    coefficients: list[float],
    kernel_params: list[float] | None = None,
    kernel_type: str = "LINEAR",
    n_supports: int = 0,
    one_class: int = 0,
    post_transform: str = "NONE",
    rho: list[float] | None = None,
    support_vectors: list[float] | None = None,
) -> P.Array:
    """sum of coefficient * kernel(x, support vector) + rho, (N, 1). ONNX SVMRegressor-1; Vapnik 1995.

    `one_class` gives 1 for inliers and -1 for outliers.
    """
    rows = _rows(x)
    if n_supports:
        similar = _kernel(rows, _matrix(support_vectors, n_supports), kernel_type, kernel_params)
        total = _product(similar, _matrix(coefficients, 1))
    else:
        total = _kernel(rows, _matrix(coefficients, 1), kernel_type, kernel_params)
    total = total + (rho or [0.0])[0]
    if one_class:
        return P.elementwise(lambda e: P.where(e > 0.0, P.scalar(1.0, e.dtype), P.scalar(-1.0, e.dtype)), total)
    return transformed(total, post_transform)


@operator("SVMClassifier", domain="ai.onnx.ml")
def support_vector_classifier(
    x: P.Array,
    *,
    coefficients: list[float],
    classlabels_ints: list[int] | None = None,
    classlabels_strings: list[str] | None = None,
    kernel_params: list[float] | None = None,
    kernel_type: str = "LINEAR",
    post_transform: str = "NONE",
    prob_a: list[float] | None = None,
    prob_b: list[float] | None = None,
    rho: list[float] | None = None,
    support_vectors: list[float] | None = None,
    vectors_per_class: list[int] | None = None,
) -> tuple[P.Array, P.Array]:
    """The class that wins most of the duels between two classes, and the decisions. ONNX SVMClassifier-1; libsvm.

    Without support vectors each class has a linear score of its own.
    """
    labels = label_table(classlabels_strings, classlabels_ints)
    rows = _rows(x)
    if not vectors_per_class:
        classes = int(labels.size)  # type: ignore[arg-type]
        scores = _kernel(rows, _matrix(coefficients, classes), kernel_type, kernel_params) + (rho or [0.0])[0]
        return best_label(scores, labels), transformed(scores, post_transform)
    count = len(vectors_per_class)
    similar = _kernel(rows, _matrix(support_vectors, sum(vectors_per_class)), kernel_type, kernel_params)
    duels = _product(similar, _duels(coefficients, vectors_per_class)) + P.constant(np.array(rho, np.float32))
    votes = _votes(duels, count)
    if prob_a and prob_b:  # the label is that of the duels all the same, as scikit-learn's predict has it
        return best_label(votes, labels), transformed(_coupled(duels, prob_a, prob_b, count), post_transform)
    if count == 2:
        return labelled(P.arg_extreme("argmax", votes, 1, False), labels), _two_decisions(duels)
    return best_label(votes, labels), transformed(duels, post_transform)


def _rows(x: P.Array) -> P.Array:
    return P.cast(x if x.rank == 2 else P.expand_axes(x, [0]), DataType.FLOAT)


def _matrix(values: Sequence[float] | None, rows: int) -> P.Array:
    return P.constant(np.array(values or [], np.float32).reshape(rows, -1))


def _product(x: P.Array, weights: P.Array) -> P.Array:
    """x (N, K) times weights (M, K)."""
    shape = (x.shape[0], weights.shape[0])
    return P.reduce("sum", shape, (weights.shape[1],), lambda n, m, k: x[n, k] * weights[m, k])


def _kernel(x: P.Array, vectors: P.Array, kind: str, parameters: list[float] | None) -> P.Array:
    """How similar each row is to each vector: (N, vectors)."""
    gamma, shift, degree = parameters or [0.0, 0.0, 0.0]
    if kind == "LINEAR":
        return _product(x, vectors)
    if kind == "POLY":
        return P.power(_product(x, vectors) * gamma + shift, degree)
    if kind == "SIGMOID":
        return P.tanh(_product(x, vectors) * gamma + shift)
    if kind != "RBF":
        raise InvalidArgument(f"no kernel '{kind}'; known are LINEAR, POLY, RBF and SIGMOID")

    def squared(n: P.Dimension, m: P.Dimension, k: P.Dimension) -> P.Scalar:
        distance = x[n, k] - vectors[m, k]
        return distance * distance

    distances = P.reduce("sum", (x.shape[0], vectors.shape[0]), (vectors.shape[1],), squared)
    return P.exp(distances * -gamma)


def _duels(coefficients: list[float], sizes: list[int]) -> P.Array:
    """For each pair of classes i < j the weights of all vectors: row j - 1 for those of i, row i for those of j."""
    table = np.array(coefficients, np.float32).reshape(len(sizes) - 1, -1)
    starts = np.concatenate([[0], np.cumsum(sizes)])
    rows = []
    for i in range(len(sizes)):
        for j in range(i + 1, len(sizes)):
            row = np.zeros(table.shape[1], np.float32)
            row[starts[i] : starts[i + 1]] = table[j - 1, starts[i] : starts[i + 1]]
            row[starts[j] : starts[j + 1]] = table[i, starts[j] : starts[j + 1]]
            rows.append(row)
    return P.constant(np.stack(rows))


def _votes(duels: P.Array, count: int) -> P.Array:
    """How many duels each class wins; a positive decision is for the first of the two."""
    pairs = [(i, j) for i in range(count) for j in range(i + 1, count)]
    first = np.array([[i == c for c in range(count)] for i, _ in pairs], np.int64)
    second = np.array([[j == c for c in range(count)] for _, j in pairs], np.int64)
    for_first, for_second = P.constant(first), P.constant(second)

    def element(n: P.Dimension, c: P.Dimension, pair: P.Dimension) -> P.Scalar:
        return P.where(duels[n, pair] > 0.0, for_first[pair, c], for_second[pair, c])

    return P.reduce("sum", (duels.shape[0], count), (len(pairs),), element)


def _two_decisions(duels: P.Array) -> P.Array:
    """The one decision turned for the first class, as it is for the second. (Other implementations do so.)"""
    return P.compute((duels.shape[0], 2), lambda n, k: P.where(P.equal(P.scalar(k), 1), duels[n, 0], -duels[n, 0]))


def _coupled(duels: P.Array, a: list[float], b: list[float], count: int) -> P.Array:
    """The probabilities of the classes from all duels. Platt 1999; Wu, Lin and Weng 2004, also for two classes, as libsvm has it."""
    pair = np.zeros((count, count), np.int64)
    for number, (first, second) in enumerate(itertools.combinations(range(count), 2)):
        pair[first, second] = pair[second, first] = number
    places, slopes, offsets = P.constant(pair), P.constant(a, DataType.FLOAT), P.constant(b, DataType.FLOAT)

    def element(n: P.Dimension, i: P.Dimension, j: P.Dimension) -> P.Scalar:
        place = places[i, j]
        chance = P.sigmoid(-(duels[n, place] * slopes[place] + offsets[place]))
        chance = P.minimum(P.maximum(chance, 1e-7), 1 - 1e-7)
        return P.where(P.less(P.scalar(i), P.scalar(j)), chance, 1.0 - chance)

    pairs = P.compute((duels.shape[0], count, count), element)
    (result,) = P.routine("pairwise_coupling", [pairs], [((duels.shape[0], count), DataType.FLOAT)], definition=_iterated(pairs, count))
    return result


def _iterated(pairs: P.Array, count: int) -> P.Array:
    """What the routine `pairwise_coupling` computes, in the words of the program: rows that are done stay as they are."""
    rows = pairs.shape[0]
    own = P.reduce("sum", (rows, count), (count,), lambda n, t, j: P.where(P.equal(P.scalar(t), P.scalar(j)), 0.0, pairs[n, j, t] * pairs[n, j, t]))

    def matrix(n: P.Dimension, t: P.Dimension, j: P.Dimension) -> P.Scalar:
        return P.where(P.equal(P.scalar(t), P.scalar(j)), own[n, t], -(pairs[n, j, t] * pairs[n, t, j]))

    table = P.compute(pairs.shape, matrix)

    def round_of(_: P.Scalar, states: Sequence[P.Array], __: Sequence[P.Array]) -> tuple[list[P.Array], list[P.Array]]:
        before = chance = states[0]
        product = P.reduce("sum", (rows, count), (count,), lambda n, t, j: table[n, t, j] * before[n, j])
        total = P.reduce("sum", (rows,), (count,), lambda n, t: before[n, t] * product[n, t])
        error = P.reduce("max", (rows,), (count,), lambda n, t, p=product, s=total: P.absolute(p[n, t] - s[n]))
        for t in range(count):
            chance, product, total = _moved(chance, product, total, table, t)
        unfinished = P.compute((rows,), lambda n: error[n] >= coupling_tolerance(count))
        following = P.compute((rows, count), lambda n, t: P.where(unfinished[n], chance[n, t], before[n, t]))
        left = P.reduce("sum", (), (rows,), lambda n: P.cast(unfinished[n], DataType.INT64))
        return [following, P.compute((), lambda: left[()] > 0)], []

    first = P.full((rows, count), 1.0 / count, DataType.FLOAT)
    (result, _), _ = P.recurrence(round_of, [first, P.full((), True, DataType.BOOL)], [], COUPLING_ROUNDS, condition=1)
    return result


def _moved(chance: P.Array, product: P.Array, total: P.Array, table: P.Array, t: int) -> tuple[P.Array, P.Array, P.Array]:
    """The chance of class t after a step of its own, in which all of them keep the sum 1."""
    step = P.compute(total.shape, lambda n: (total[n] - product[n, t]) / table[n, t, t])
    shrink = P.elementwise(lambda e: e + 1.0, step)
    return (
        P.compute(chance.shape, lambda n, j: (chance[n, j] + P.where(P.equal(P.scalar(j), t), step[n], 0.0)) / shrink[n]),
        P.compute(product.shape, lambda n, j: (product[n, j] + step[n] * table[n, t, j]) / shrink[n]),
        P.compute(total.shape, lambda n: (total[n] + step[n] * (step[n] * table[n, t, t] + 2.0 * product[n, t])) / shrink[n] / shrink[n]),
    )
