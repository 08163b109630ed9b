"""Support vectors as estimators of scikit-learn."""

from __future__ import annotations

import numpy as np
from sklearn import svm

from onward.converters.targets.recognition.rows import Unrecognized
from onward.converters.targets.recognition.support_vectors import SupportVectors
from onward.converters.targets.sklearn.fitting import fitted, with_numbers
from onward.converters.targets.sklearn.linear import Built


def machine(found: SupportVectors) -> Built:
    """SVR or SVC. Raises Unrecognized for what these do not have."""
    kernel = found.kernel.lower()
    if not np.isfinite(found.gamma):
        raise Unrecognized(f"support vectors whose gamma is {found.gamma}")
    scores = 1 if found.classes is None else len(found.classes) * (len(found.classes) - 1) // 2
    if found.weights.shape != (len(found.vectors), scores) or found.bias.shape != (scores,):  # the library does not look
        raise Unrecognized(f"{len(found.vectors)} support vectors with weights of shape {found.weights.shape} and {found.bias.size} numbers besides")
    parameters = {"kernel": kernel, "gamma": found.gamma or "scale", "coef0": found.coef0, "degree": found.degree}
    columns = found.vectors.shape[1]
    if found.classes is None:
        estimator = fitted(svm.SVR(**parameters), columns)
        return Built(with_vectors(estimator, found, found.vectors, found.weights.T, np.full(2, len(found.vectors))), "predict")
    if list(found.classes) != sorted(found.classes):  # type: ignore[type-var]
        raise Unrecognized("its classes are not in order")
    estimator = fitted(svm.SVC(**parameters), columns, list(found.classes))
    order, table, counts = _by_class(found.weights, len(found.classes))
    return Built(with_vectors(estimator, found, found.vectors[order], table, counts), "decision_function")


def with_vectors(estimator: object, found: SupportVectors, vectors: np.ndarray, table: np.ndarray, counts: np.ndarray) -> object:
    """The estimator with these vectors. Of two classes what is public has the other sign than what is computed with."""
    table, bias = np.ascontiguousarray(table, np.float64), found.bias.astype(np.float64)
    sign = -1.0 if found.classes is not None and len(found.classes) == 2 else 1.0
    return with_numbers(
        estimator, support_vectors_=np.ascontiguousarray(vectors, np.float64), support_=np.arange(len(vectors), dtype=np.int32), _n_support=counts.astype(np.int32),
        _dual_coef_=table, dual_coef_=sign * table, _intercept_=bias, intercept_=sign * bias, _gamma=found.gamma,
    )  # fmt: skip


def _by_class(weights: np.ndarray, number: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The order of the vectors by class, libsvm's table (classes - 1, vectors) in that order, and the vectors of each class.

    A vector has positive weights in the pairs of which its class is the first, negative ones where it is the second.
    """
    pairs = [(first, second) for first in range(number) for second in range(first + 1, number)]
    own = np.full(len(weights), -1)
    for column, (first, second) in enumerate(pairs):
        own = np.where(weights[:, column] > 0, first, np.where(weights[:, column] < 0, second, own))
    if (own < 0).any():
        raise Unrecognized("a support vector without weight")
    table = np.zeros((number - 1, len(weights)))
    for column, (first, second) in enumerate(pairs):
        table[second - 1] = np.where(own == first, weights[:, column], table[second - 1])
        table[first] = np.where(own == second, weights[:, column], table[first])
    order = np.argsort(own, kind="stable")
    return order, table[:, order], np.bincount(own, minlength=number)
