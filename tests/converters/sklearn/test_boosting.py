"""Estimators of the boosting libraries inside pipelines and meta-estimators of scikit-learn."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import StackingClassifier, StackingRegressor, VotingClassifier, VotingRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import MultiOutputRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import onward

RANDOM = np.random.default_rng(5)
X = RANDOM.standard_normal((200, 4))
Y = X[:, 0] * X[:, 1] + RANDOM.standard_normal(200) / 5
BINARY = (Y > 0).astype(int)
TEXT = np.array(["low", "middle", "high"])[np.digitize(Y, [-0.5, 0.5])]


def estimators(kind: str) -> list[Any]:
    """The estimators of a kind of those libraries that are installed."""
    found = []
    for package, name, options in (
        ("xgboost", f"XGB{kind}", {"n_estimators": 5, "max_depth": 3}),
        ("lightgbm", f"LGBM{kind}", {"n_estimators": 5, "num_leaves": 6, "verbose": -1}),
        ("catboost", f"CatBoost{kind}", {"iterations": 5, "depth": 3, "verbose": 0, "allow_writing_files": False}),
    ):
        found.append(getattr(pytest.importorskip(package), name)(**options))
    return found


def compare(source: Any, rows: np.ndarray = X) -> None:
    results = onward.InferenceSession(onward.convert(source)).run(None, {"x": rows})
    label = source.predict(rows)
    assert results[0].tolist() == label.tolist() if label.dtype.kind in "iUO" else np.allclose(results[0], label, rtol=1e-6, atol=1e-7)
    if hasattr(source, "predict_proba"):
        np.testing.assert_allclose(results[1], source.predict_proba(rows), rtol=2e-6, atol=1e-7)


@pytest.mark.parametrize("number", range(3))
def test_pipelines(number: int) -> None:
    regressor, classifier = estimators("Regressor")[number], estimators("Classifier")[number]
    compare(make_pipeline(StandardScaler(), regressor).fit(X, Y))
    compare(make_pipeline(SimpleImputer(), StandardScaler(), classifier).fit(X, BINARY))
    if number:  # XGBoost knows no labels of text
        compare(make_pipeline(StandardScaler(), estimators("Classifier")[number]).fit(X, TEXT))


def test_votes_and_stacks() -> None:
    regressors = list(zip("abc", estimators("Regressor")))
    classifiers = list(zip("abc", estimators("Classifier")))
    compare(VotingRegressor(regressors).fit(X, Y))
    compare(StackingRegressor(regressors, Ridge(), cv=2).fit(X, Y))
    compare(VotingClassifier(classifiers, voting="soft").fit(X, BINARY))
    compare(StackingClassifier(classifiers, LogisticRegression(), cv=2).fit(X, TEXT))


@pytest.mark.parametrize("number", range(3))
def test_wrappers(number: int) -> None:
    compare(OneVsRestClassifier(estimators("Classifier")[number]).fit(X, TEXT))
    compare(MultiOutputRegressor(estimators("Regressor")[number]).fit(X, np.stack([Y, -Y * 2], 1)))
    compare(TransformedTargetRegressor(estimators("Regressor")[number], transformer=StandardScaler()).fit(X, Y))
