"""Chains of scalers and layers as estimators of scikit-learn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn import linear_model, neural_network, preprocessing, svm
from sklearn.decomposition import PCA
from sklearn.impute import SimpleImputer

from onward.converters.targets.recognition.heads import Head
from onward.converters.targets.recognition.layers import Activation, Binarized, Dense, Imputed, Network, Normalized, Scaled, Step
from onward.converters.targets.recognition.rows import Unrecognized
from onward.converters.targets.sklearn.fitting import fitted, with_numbers


@dataclass(frozen=True)
class Built:
    """An estimator, and the name of the method whose result is the output of scores; `column` is taken of it where that is not None."""

    estimator: Any
    method: str
    column: int | None = None


def transformers(steps: Sequence[Step], columns: int) -> list[Any]:
    """Fitted transformers. Raises Unrecognized for a step that is none."""
    found = []
    for step in _merged(steps):
        found.append(_transformer(step, columns))
        columns = step.weights.shape[1] if isinstance(step, Dense) else columns
    return found


def _merged(steps: Sequence[Step]) -> list[Step]:
    """Steps in which what is subtracted right before a matrix product is in its bias."""
    found: list[Step] = []
    for step in steps:
        before = found[-1] if found else None
        if isinstance(step, Dense) and isinstance(before, Scaled) and not before.multiplied and (before.scale == 1).all():
            found[-1] = Dense(step.weights, step.bias - before.shift @ step.weights)
        else:
            found.append(step)
    return found


def _transformer(step: Step, columns: int) -> Any:
    match step:
        case Dense():
            return _projection(step)
        case Scaled() if step.multiplied:
            scaler = fitted(preprocessing.MinMaxScaler(), columns)
            low, high = -step.shift / step.scale, (1 - step.shift) / step.scale
            return with_numbers(scaler, scale_=step.scale, min_=step.shift, data_min_=low, data_max_=high, data_range_=high - low)
        case Scaled():
            scaler = fitted(preprocessing.StandardScaler(with_mean=bool(step.shift.any()), with_std=not (step.scale == 1).all()), columns)
            if scaler.with_mean:
                scaler.mean_ = step.shift
            return with_numbers(scaler, scale_=step.scale, var_=step.scale**2) if scaler.with_std else scaler
        case Imputed():
            return with_numbers(fitted(SimpleImputer(), columns), statistics_=np.broadcast_to(step.values, (columns,)).astype(np.float64))
        case Binarized():
            return fitted(preprocessing.Binarizer(threshold=step.threshold), columns)
        case Normalized():
            return fitted(preprocessing.Normalizer(norm=step.norm), columns)
    raise Unrecognized("an activation is no transformer of scikit-learn")


def _projection(step: Dense) -> Any:
    """A matrix product as PCA, whose mean is one that gives this bias."""
    columns, outputs = step.weights.shape
    if outputs > columns:
        raise Unrecognized(f"a matrix product of {columns} columns that gives {outputs} is no PCA")
    mean = -step.bias @ np.linalg.pinv(step.weights)
    if not np.allclose(mean @ step.weights, -step.bias, rtol=1e-6, atol=1e-9):
        raise Unrecognized("a matrix product with a bias that no mean gives is no PCA")
    return with_numbers(fitted(PCA(outputs), columns, rows=columns + 1), components_=step.weights.T.copy(), mean_=mean)


def network(found: Network) -> tuple[list[Step], Built]:
    """The scalers of a network, and the estimator of its layers: a linear model, or a perceptron with hidden layers.

    Raises Unrecognized for layers that scikit-learn does not have.
    """
    first = _first_layer(found.steps)
    scalers, layers = found.steps[:first], found.steps[first:]
    dense = [step for step in layers if isinstance(step, Dense)]
    activations = {step.name for step in layers if isinstance(step, Activation)}
    alternate = all(isinstance(step, (Dense, Activation)[place % 2]) for place, step in enumerate(layers))
    if not alternate or len(activations) > 1:
        raise Unrecognized("its layers are no perceptron: scikit-learn's have one activation after each hidden layer")
    weights, bias, head = two_scores_as_one(dense[-1].weights, dense[-1].bias, found.head)
    classes = _order(head)
    if classes is not None and weights.shape[1] > 1:
        weights, bias = weights[:, classes], bias[classes]
    labels = None if head.classes is None else sorted(head.classes)
    if len(dense) == 1:
        return scalers, _linear(weights, bias, head, labels)
    hidden = dense[:-1]
    return scalers, _perceptron([*(step.weights for step in hidden), weights], [*(step.bias for step in hidden), bias], activations.pop(), head, labels)


def _first_layer(steps: Sequence[Step]) -> int:
    """The place of the first layer of the estimator. A matrix product with a scaler or another product right after it is a transformer."""
    for place, step in enumerate(steps):
        after = steps[place + 1] if place + 1 < len(steps) else None
        if isinstance(step, Dense) and (after is None or isinstance(after, Activation)):
            return place
    raise Unrecognized("it has no layer of weights")


def _order(head: Head) -> list[int] | None:
    """The places of the scores in the order that scikit-learn has its classes in."""
    if head.classes is None:
        return None
    order = sorted(range(len(head.classes)), key=lambda place: head.classes[place])  # type: ignore[index]
    if len(order) == 2 and order != [0, 1] and head.link not in ("softmax", "identity", "one versus rest"):
        raise Unrecognized("its two classes are not in order")
    return order


def two_scores_as_one(weights: np.ndarray, bias: np.ndarray, head: Head) -> tuple[np.ndarray, np.ndarray, Head]:
    """Scores of two classes as the one score that scikit-learn has: their difference, or the second where they are opposites."""
    if weights.shape[1] != 2 or head.link not in ("softmax", "one versus rest", "logistic", "identity"):
        return weights, bias, head
    opposite = np.array_equal(weights[:, 0], -weights[:, 1]) and bias[0] == -bias[1]
    if head.link == "softmax":
        return weights[:, 1:] - weights[:, :1], bias[1:] - bias[:1], _with_link(head, "logistic of two")
    if opposite and head.link == "identity" and head.classes is not None:
        return weights[:, 1:], bias[1:], _with_link(head, "opposites")
    if opposite and head.link in ("one versus rest", "logistic"):
        return weights[:, 1:], bias[1:], _with_link(head, "logistic of two")
    return weights, bias, head


def _with_link(head: Head, link: str) -> Head:
    classes = [0, 1] if head.classes is None and link == "logistic of two" else head.classes
    return Head(link, head.scores, head.rank, classes, head.labels)


def _linear(weights: np.ndarray, bias: np.ndarray, head: Head, labels: list[Any] | None) -> Built:
    columns, scores = weights.shape
    numbers = {"coef_": weights.T.copy(), "intercept_": bias}
    match head.link:
        case "identity" if labels is None:
            estimator = fitted(linear_model.LinearRegression(), columns, targets=scores)
            if head.rank == 1:
                return Built(with_numbers(estimator, coef_=weights[:, 0].copy(), intercept_=bias[0]), "predict")
            return Built(with_numbers(estimator, **numbers), "predict")
        case "exponential" if scores == 1:
            return Built(with_numbers(fitted(linear_model.PoissonRegressor(), columns), coef_=weights[:, 0].copy(), intercept_=bias[0]), "predict")
        case "softmax" | "logistic of two" | "logistic" if head.link != "logistic" or scores == 1:
            estimator = fitted(linear_model.LogisticRegression(), columns, labels or list(range(max(scores, 2))))
            return Built(with_numbers(estimator, **numbers), "predict_proba", 1 if head.link == "logistic" else None)
        case "one versus rest":
            return Built(with_numbers(fitted(linear_model.SGDClassifier(loss="log_loss"), columns, labels or list(range(scores))), **numbers), "predict_proba")
        case "identity" | None if labels is not None:
            return Built(with_numbers(fitted(svm.LinearSVC(), columns, labels), **numbers), "decision_function")
    raise Unrecognized(f"scikit-learn has no linear model with the link '{head.link}' for {scores} scores")


def _perceptron(weights: list[np.ndarray], biases: list[np.ndarray], activation: str, head: Head, labels: list[Any] | None) -> Built:
    columns, scores = len(weights[0]), weights[-1].shape[1]
    shape: dict[str, Any] = {"hidden_layer_sizes": tuple(layer.shape[1] for layer in weights[:-1]), "activation": activation, "max_iter": 1}
    numbers = {"coefs_": weights, "intercepts_": biases}
    if head.link == "identity" and labels is None and (scores > 1 or head.rank == 1):
        return Built(with_numbers(fitted(neural_network.MLPRegressor(**shape), columns, targets=scores), **numbers), "predict")
    if head.link == "identity" and labels is None:
        estimator = fitted(neural_network.MLPRegressor(**shape), columns)
        return Built(with_numbers(estimator, **numbers), "predict")
    if head.link in ("softmax", "logistic of two") or head.link == "logistic" and scores == 1:
        estimator = fitted(neural_network.MLPClassifier(**shape), columns, labels or list(range(max(scores, 2))))
        return Built(with_numbers(estimator, **numbers), "predict_proba", 1 if head.link == "logistic" else None)
    raise Unrecognized(f"scikit-learn has no perceptron with the link '{head.link}'")
