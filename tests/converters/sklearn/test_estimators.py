"""Every estimator of scikit-learn, every method that works on new rows: converted and compared, or listed with the reason."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from sklearn.base import BaseEstimator
from sklearn.datasets import make_classification, make_regression
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.utils import all_estimators
from sklearn.utils._test_common.instance_generator import _construct_instances

import onward
from onward.converters.certificate import Certificate
from onward.errors import OnwardError

METHODS = ("predict", "predict_proba", "decision_function", "transform", "score_samples")
MISSING: dict[str, str] = {
    "BernoulliRBM.score_samples": "draws random numbers",
}  # fmt: skip
"""Estimators, or methods of them, without a translation."""


def special(kind: type, x: np.ndarray, labels: np.ndarray) -> tuple[BaseEstimator, Any] | None:
    """Estimators that scikit-learn's tests make none of, or one that draws random numbers or lacks a method; and those that take no matrix."""
    name = kind.__name__
    if name in ("DictVectorizer", "FeatureHasher"):
        rows = [{"a": 1.5, "b": "x"}, {"b": "y", "c": 2}, {"a": -1}]
        return kind(**({"n_features": 16} if name == "FeatureHasher" else {})).fit(rows), rows
    if name == "MultiLabelBinarizer":
        return kind().fit(np.array([[1, 2], [3, 1]])), np.array([[1, 2], [3, 1]])
    if name == "PatchExtractor":
        return kind(patch_size=(2, 2)).fit(x.reshape(-1, 3, 2)), x.reshape(-1, 3, 2)
    if name == "ClassifierChain":
        return kind(LogisticRegression()).fit(x, np.stack([labels > 0, labels > 1], 1).astype(int)), x
    if name == "DummyClassifier":
        return kind(strategy="prior").fit(x, labels), x
    if name == "FrozenEstimator":
        return kind(LogisticRegression().fit(x, labels)), x
    if name == "KernelCenterer":
        return kind().fit(x @ x.T), x @ x.T
    if name == "SkewedChi2Sampler":
        return kind().fit(np.abs(x)), np.abs(x)
    if name == "SparseCoder":
        return kind(np.eye(6)[::-1] * 0.5 + 0.5, transform_n_nonzero_coefs=2).fit(x), x
    return None


LISTS: dict[str, np.ndarray] = {
    **dict.fromkeys(("LabelBinarizer", "LabelEncoder"), np.array(["b", "c", "a", "b"], object)),
    **dict.fromkeys(("CountVectorizer", "HashingVectorizer", "TfidfVectorizer"), np.array(["The cat, the mat.", "a dog and THE cat", ""], object)),
}
"""What estimators are fitted on that take no matrix: labels, texts."""

WITHOUT = frozenset({
    "AgglomerativeClustering", "ClassicalMDS", "DBSCAN", "EmpiricalCovariance", "GraphicalLasso", "GraphicalLassoCV", "HDBSCAN",
    "LedoitWolf", "LocalOutlierFactor", "MDS", "MinCovDet", "NearestNeighbors", "OAS", "OPTICS", "ShrunkCovariance",
    "SpectralBiclustering", "SpectralClustering", "SpectralCoclustering", "SpectralEmbedding", "TSNE",
})  # fmt: skip
"""Estimators that have none of the methods: nothing of them works on new rows (LocalOutlierFactor: unless it is made
for novelty)."""


def fitted(kind: type, dtype: Any = np.float64) -> tuple[BaseEstimator, Any]:
    """An estimator as scikit-learn's own tests make it, fitted on the first data it takes; numbers are of one data type."""
    x, labels = make_classification(60, 6, n_informative=4, n_redundant=0, n_classes=3, random_state=0)
    x = x.astype(dtype)
    made = special(kind, x, labels)
    if made is not None:
        return made
    estimator = next(iter(_construct_instances(kind)))
    if kind.__name__ in LISTS:
        return estimator.fit(LISTS[kind.__name__]), LISTS[kind.__name__]
    if estimator.__sklearn_tags__().estimator_type == "regressor":
        x, labels = make_regression(60, 6, noise=1, random_state=0)
        x, labels = x.astype(dtype), labels / 50
    positive, whole = np.abs(x), np.floor(np.abs(x)) % 3
    several = np.stack([labels > 0, labels > 1], 1).astype(int)
    tries: list[tuple[Any, Any]] = [
        (x, labels), (positive, labels), (whole, labels), (x, (labels > 0).astype(int)), (positive, np.abs(labels) + 0.1),
        (x, np.stack([labels, labels], 1)), (x[:, :1], labels), (x, several), (x, None),
    ]  # fmt: skip
    problem: Exception | None = None
    for rows, targets in tries:
        try:
            return estimator.fit(rows, targets), rows
        except Exception as failure:  # the estimator wants other data
            problem = problem or failure
    assert problem is not None
    raise problem


def convert(estimator: Any, method: str, rows: Any) -> None:
    model = onward.convert(estimator, rows, methods=[method])
    certificate = Certificate.of(model)
    assert certificate is not None
    assert len(certificate.shapes) >= 2  # some take nothing but the example and a row of it: others have no neighbours


@pytest.mark.parametrize("name", [name for name, _ in all_estimators()])
def test_estimators(name: str) -> None:
    kind = dict(all_estimators())[name]
    if name in WITHOUT:  # no need to fit it
        assert not any(callable(getattr(next(iter(_construct_instances(kind))), method, None)) for method in METHODS)
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        estimator, rows = fitted(kind)
        methods = [method for method in METHODS if callable(getattr(estimator, method, None))]
        assert methods
        refused = [method for method in methods if name in MISSING or f"{name}.{method}" in MISSING]
        for method in methods:
            if method in refused:
                with pytest.raises(OnwardError):
                    convert(estimator, method, rows)
            else:
                convert(estimator, method, rows)


@pytest.mark.parametrize(
    "name", [
        "BisectingKMeans", "EllipticEnvelope", "FeatureAgglomeration", "KNeighborsClassifier", "KNeighborsTransformer", "LocallyLinearEmbedding",
        "QuadraticDiscriminantAnalysis", "RadiusNeighborsRegressor", "SGDRegressor",
    ],
)  # fmt: skip
def test_rows_in_single_precision(name: str) -> None:
    """Some are measured in double precision all the same, some computed with as they are."""
    x, labels = make_classification(60, 6, n_informative=4, n_redundant=0, n_classes=3, random_state=0)
    rows = x.astype(np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        estimator = next(iter(_construct_instances(dict(all_estimators())[name]))).fit(rows, labels)
        for method in [method for method in METHODS if callable(getattr(estimator, method, None))][-1:]:
            convert(estimator, method, rows)


def test_trees_of_several_targets() -> None:
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

    x, y = make_regression(60, 6, n_targets=2, random_state=0)
    convert(DecisionTreeRegressor(max_depth=4).fit(x, y), "predict", x)
    convert(DecisionTreeClassifier(max_depth=4).fit(x, (y > 0).astype(int)), "predict", x)


@pytest.mark.parametrize("loss", ["log_loss", "modified_huber"])
@pytest.mark.parametrize("classes", [2, 3])
def test_probabilities_of_stochastic_descent(loss: str, classes: int) -> None:
    """Rows that no class takes for itself have equal probabilities, too."""
    random = np.random.default_rng(0)
    x = random.standard_normal((200, 5))
    labels = np.digitize(x[:, 0] + x[:, 1], [0.0, 1.0][: classes - 1])
    estimator = SGDClassifier(loss=loss, random_state=0).fit(x, labels)
    estimator.intercept_ = estimator.intercept_ - 2
    found = estimator.predict_proba(x)
    assert classes == 2 or loss == "log_loss" or (found == 1 / 3).all(1).any()
    onward.convert(estimator, x)
