"""Estimators of the boosting libraries inside those of scikit-learn: each library's own page says what they give."""

from __future__ import annotations

from typing import Any

import numpy as np

from onward.converters import catboost, lightgbm, xgboost
from onward.converters.columns import codes_of
from onward.converters.sklearn.registry import method
from onward.converters.tracing import Array, Frame, RowCount, series
from onward.ir import Model, TensorType, Value


@method("predict", "XGBModel", "XGBClassifier", tables=True)
def xgboost_prediction(estimator: Any, x: Any) -> Array:
    """The label, or else the number."""
    return _first(x, xgboost.outputs(x.trace.b, _rows(x, np.float32, xgboost.categories_of(xgboost.learner_of(estimator))).value, estimator))


@method("predict_proba", "XGBClassifier", tables=True)
def xgboost_probabilities(estimator: Any, x: Any) -> Array:
    """The probabilities of the classes."""
    return _last(x, xgboost.outputs(x.trace.b, _rows(x, np.float32, xgboost.categories_of(xgboost.learner_of(estimator))).value, estimator))


@method("predict", "LGBMModel", "LGBMClassifier", tables=True)
def lightgbm_prediction(estimator: Any, x: Any) -> Array:
    """The label, or else the number."""
    return _first(x, lightgbm.outputs(x.trace.b, _rows(x, np.float64, lightgbm.categories_of(estimator)).value, estimator))


@method("predict_proba", "LGBMClassifier", tables=True)
def lightgbm_probabilities(estimator: Any, x: Any) -> Array:
    """The probabilities of the classes; sums for an objective of the user's own."""
    return _last(x, lightgbm.outputs(x.trace.b, _rows(x, np.float64, lightgbm.categories_of(estimator)).value, estimator))


@method("decision_function", "LGBMClassifier", tables=True)
def lightgbm_scores(estimator: Any, x: Any) -> Array:
    """The sums of trees."""
    return _first(x, lightgbm.outputs(x.trace.b, _rows(x, np.float64, lightgbm.categories_of(estimator)).value, estimator, raw=True))


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


def _rows(x: Any, dtype: Any, categories: dict[int, list[Any]]) -> Array:
    """Rows of numbers; of a table's columns of categories their codes."""
    if not isinstance(x, Frame):
        return x.astype(dtype, copy=False)  # type: ignore[no-any-return]
    if not categories:
        return x.matrix().astype(dtype, copy=False)  # type: ignore[no-any-return]
    columns = [
        codes_of(values, categories[place], dtype) if place in categories else values.astype(dtype, copy=False) for place, values in enumerate(series(x))
    ]
    return np.stack(columns, axis=1)  # type: ignore[return-value]


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
