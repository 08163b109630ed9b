"""Linear classifiers: probabilities of several classes, each of which is decided against all others."""

from __future__ import annotations

from typing import Any

import numpy as np

from onward.converters.sklearn.registry import method
from onward.converters.tracing import Array


@method("_predict_proba_lr", "LinearClassifierMixin")
def logistic(estimator: Any, x: Array) -> Any:
    """(rows, classes) of logistic functions of the decisions."""
    return _shared(1.0 / (1.0 + np.exp(-estimator.decision_function(x))))


@method("predict_proba", "SGDClassifier")
def stochastic(estimator: Any, x: Array) -> Any:
    """Logistic, or for a modified Huber loss the decisions between -1 and 1 (Zhang 2002, appendix B)."""
    if estimator.loss == "log_loss":
        return logistic(estimator, x)
    return _shared((np.clip(estimator.decision_function(x), -1.0, 1.0) + 1.0) / 2.0)


def _shared(found: Any) -> Any:
    """Of two classes the numbers are those of the second; of more they are divided by their sum, and equal where all are 0."""
    if len(found.shape) == 1:
        return np.stack([1.0 - found, found], axis=1)
    total = found.sum(axis=1, keepdims=True)
    return np.where(total == 0, 1.0 / found.shape[1], found / total)
