"""Estimators of the boosting libraries inside those of scikit-learn: each library's own page says what they give."""

from __future__ import annotations

from typing import Any

import numpy as np

from onward.converters import catboost, lightgbm, xgboost
from onward.converters.sklearn.registry import method
from onward.converters.tracing import Array, RowCount
from onward.ir import Model, TensorType, Value


@method("predict", "XGBModel", "XGBClassifier")
def xgboost_prediction(estimator: Any, x: Array) -> Array:
    """The label, or else the number."""
    return _first(x, xgboost.outputs(x.trace.b, x.astype(np.float32, copy=False).value, estimator))


@method("predict_proba", "XGBClassifier")
def xgboost_probabilities(estimator: Any, x: Array) -> Array:
    """The probabilities of the classes."""
    return _last(x, xgboost.outputs(x.trace.b, x.astype(np.float32, copy=False).value, estimator))


@method("predict", "LGBMModel", "LGBMClassifier")
def lightgbm_prediction(estimator: Any, x: Array) -> Array:
    """The label, or else the number."""
    return _first(x, lightgbm.outputs(x.trace.b, x.astype(np.float64, copy=False).value, estimator))


@method("predict_proba", "LGBMClassifier")
def lightgbm_probabilities(estimator: Any, x: Array) -> Array:
    """The probabilities of the classes; sums for an objective of the user's own."""
    return _last(x, lightgbm.outputs(x.trace.b, x.astype(np.float64, copy=False).value, estimator))


@method("decision_function", "LGBMClassifier")
def lightgbm_scores(estimator: Any, x: Array) -> Array:
    """The sums of trees."""
    return _first(x, lightgbm.outputs(x.trace.b, x.astype(np.float64, copy=False).value, estimator, raw=True))


@method("predict", "CatBoost", "CatBoostRegressor", "CatBoostRanker", "CatBoostClassifier")
def catboost_prediction(estimator: Any, x: Array) -> Array:
    """The label, or else the number."""
    found = _first(x, catboost.outputs(x.trace.b, x.astype(np.float32, copy=False).value, estimator))
    column = estimator.get_all_params()["loss_function"].startswith("MultiClass")  # labels of several classes are a column there
    return found.reshape(-1, 1) if column else found


@method("predict_proba", "CatBoostClassifier")
def catboost_probabilities(estimator: Any, x: Array) -> Array:
    """The probabilities of the classes."""
    return _last(x, catboost.outputs(x.trace.b, x.astype(np.float32, copy=False).value, estimator))


def _first(x: Array, results: dict[str, Value]) -> Array:
    return _typed(x, next(iter(results.values())))


def _last(x: Array, results: dict[str, Value]) -> Array:
    return _typed(x, list(results.values())[-1])


def _typed(x: Array, value: Value) -> Array:
    """A value as a traced array: its type follows from the graph so far."""
    from onward.operators import infer

    infer(Model(x.trace.b.graph, x.trace.b.domains))
    kind = value.type
    assert isinstance(kind, TensorType) and kind.shape is not None
    made = Array(x.trace, value, kind.dtype.numpy, ())
    made._shape = tuple(extent if isinstance(extent, int) else RowCount(made, axis) for axis, extent in enumerate(kind.shape))
    return made
