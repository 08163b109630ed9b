"""Estimators of scikit-learn whose numbers the conversion to ONNX has noted: they come back, and what a note says that is no such number does not."""

from __future__ import annotations

import json
import os
from typing import Any

import numpy as np
import pytest

import onward
from onward.converters.builder import ModelBuilder
from onward.ir.datatypes import DataType

pytest.importorskip("sklearn")

from sklearn import (  # noqa: E402
    calibration,
    cluster,
    compose,
    covariance,
    cross_decomposition,
    decomposition,
    discriminant_analysis,
    ensemble,
    feature_extraction,
    feature_selection,
    gaussian_process,
    impute,
    kernel_approximation,
    kernel_ridge,
    linear_model,
    mixture,
    model_selection,
    multiclass,
    multioutput,
    naive_bayes,
    neighbors,
    neural_network,
    preprocessing,
    random_projection,
    svm,
    tree,
)  # fmt: skip
from sklearn.gaussian_process import kernels  # noqa: E402
from sklearn.utils import all_estimators  # noqa: E402

from tests.converters.sklearn.test_estimators import WITHOUT, fitted  # noqa: E402
from tests.converters.targets.test_sklearn import BOTH, CLASSES, LAYERS, RANDOM, REAL, SMALL, WORDS, X, make  # noqa: E402

STEP = 1 if os.environ.get("ONWARD_TEST_ALL") else 4
"""Of long lists every so many-th is tried, unless all are asked for."""

POSITIVE = np.abs(X)
REMEMBERED: list[tuple[Any, Any]] = [
    (naive_bayes.GaussianNB(), CLASSES > 0), (naive_bayes.MultinomialNB(alpha=0.5), CLASSES), (naive_bayes.BernoulliNB(binarize=0.5), WORDS),
    (naive_bayes.ComplementNB(norm=True), CLASSES), (neighbors.KNeighborsClassifier(weights="distance"), WORDS), (neighbors.KNeighborsRegressor(3, metric="manhattan"), BOTH),
    (neighbors.RadiusNeighborsRegressor(20.0), REAL), (neighbors.NearestCentroid(shrink_threshold=0.1), WORDS), (cluster.MiniBatchKMeans(3), None),
    (neighbors.LocalOutlierFactor(novelty=True), None), (mixture.GaussianMixture(2), None), (discriminant_analysis.LinearDiscriminantAnalysis(), WORDS),
    (discriminant_analysis.QuadraticDiscriminantAnalysis(), CLASSES), (decomposition.KernelPCA(2, kernel="rbf"), None), (kernel_ridge.KernelRidge(kernel="rbf"), REAL),
    (cross_decomposition.PLSRegression(2), BOTH), (impute.MissingIndicator(features="all"), None), (linear_model.SGDClassifier(loss="log_loss"), WORDS),
    (make(feature_selection.VarianceThreshold(float(np.median(POSITIVE.var(axis=0)))), preprocessing.StandardScaler(), neighbors.KNeighborsClassifier()), WORDS),
    (make(preprocessing.PolynomialFeatures(2), linear_model.Ridge(2.0)), REAL),
    (make(preprocessing.QuantileTransformer(n_quantiles=20), linear_model.LogisticRegression()), WORDS),
    (make(preprocessing.RobustScaler(), decomposition.PCA(3), cluster.KMeans(3)), None),
    (make(preprocessing.MinMaxScaler(), preprocessing.PowerTransformer(), neural_network.MLPClassifier(**LAYERS)), WORDS),
    (make(decomposition.TruncatedSVD(4), kernel_approximation.RBFSampler(n_components=10), linear_model.TheilSenRegressor(max_iter=5)), REAL),
    (make(decomposition.FactorAnalysis(3), kernel_approximation.PolynomialCountSketch(n_components=6), linear_model.MultiTaskLasso(0.1)), BOTH),
    (make(decomposition.FastICA(3), kernel_approximation.Nystroem(n_components=20), linear_model.RidgeClassifierCV()), WORDS),
    (make(preprocessing.Binarizer(threshold=0.5), decomposition.IncrementalPCA(2), linear_model.SGDOneClassSVM()), None),
    (make(random_projection.GaussianRandomProjection(4), linear_model.RANSACRegressor()), REAL), (decomposition.SparsePCA(2, max_iter=5), None),
    (make(feature_selection.SelectKBest(k=2), linear_model.TweedieRegressor()), CLASSES),
    (make(preprocessing.KBinsDiscretizer(3, encode="ordinal", quantile_method="linear"), linear_model.LassoLarsIC()), REAL),
    (make(impute.KNNImputer(n_neighbors=3), covariance.EllipticEnvelope()), None),
]  # fmt: skip


@pytest.fixture(autouse=True)
def seeded() -> None:
    """Fitting draws numbers: the same whatever ran before."""
    np.random.seed(0)


def remembered(source: Any, data: np.ndarray) -> Any:
    """The estimator, which comes back with class, parameters and results."""
    again = onward.convert(source, data, to="sklearn")
    assert repr(again) == repr(source)
    for method in ("predict", "predict_proba", "decision_function", "transform", "score_samples"):
        if hasattr(source, method):
            ours, expected = getattr(again, method)(data), getattr(source, method)(data)
            ours, expected = (item.toarray() if hasattr(item, "toarray") else item for item in (ours, expected))
            if expected.dtype.kind == "f":
                np.testing.assert_allclose(ours, expected, rtol=1e-10, atol=1e-12, err_msg=f"{source}.{method}")
            else:
                np.testing.assert_array_equal(ours, expected, err_msg=f"{source}.{method}")
    return again


@pytest.mark.parametrize("place", range(4, len(REMEMBERED), 25))
def test_an_estimator_is_remembered(place: int) -> None:
    """Its numbers are noted, as what the model computes does not tell them."""
    source, targets = REMEMBERED[place]
    remembered(source.fit(POSITIVE, targets), POSITIVE)


@pytest.mark.models
def test_estimators_are_remembered() -> None:
    for source, targets in REMEMBERED[::STEP]:
        remembered(source.fit(POSITIVE, targets), POSITIVE)


STUMP = tree.DecisionTreeClassifier(max_depth=2, random_state=0)
COMPOSED: list[tuple[Any, Any]] = [
    (ensemble.AdaBoostClassifier(STUMP, n_estimators=3), WORDS), (cluster.Birch(threshold=1.0), None), (compose.ColumnTransformer([
        ("scaled", preprocessing.StandardScaler(), [0, 2]), ("cut", make(impute.SimpleImputer(), preprocessing.KBinsDiscretizer(3, quantile_method="linear")), slice(3, 5)), ("kept", "passthrough", [5]),
    ]), None),
    (ensemble.StackingClassifier([("forest", ensemble.RandomForestClassifier(**SMALL)), ("near", neighbors.KNeighborsClassifier())], cv=2), WORDS),
    (calibration.CalibratedClassifierCV(svm.LinearSVC(), method="isotonic", cv=2), WORDS),
    (ensemble.BaggingRegressor(n_estimators=3, max_features=4), BOTH), (ensemble.IsolationForest(n_estimators=4, max_features=3), None),
    (multiclass.OneVsOneClassifier(linear_model.LogisticRegression()), WORDS), (gaussian_process.GaussianProcessRegressor(kernels.RBF() + kernels.WhiteKernel()), REAL),
    (compose.TransformedTargetRegressor(linear_model.Ridge(), transformer=preprocessing.StandardScaler()), REAL),
    (model_selection.GridSearchCV(linear_model.Ridge(), {"alpha": [1, 2]}, cv=2), REAL), (multioutput.ClassifierChain(linear_model.LogisticRegression()), BOTH > 0),
]  # fmt: skip


@pytest.mark.parametrize("place", range(0, len(COMPOSED), 3))
def test_estimators_of_estimators_are_remembered(place: int) -> None:
    source, targets = COMPOSED[place]
    remembered(source.fit(POSITIVE, targets), POSITIVE)


@pytest.mark.models
@pytest.mark.filterwarnings("ignore")
def test_other_estimators_of_estimators_are_remembered() -> None:
    for source, targets in [
        *COMPOSED[1::STEP],
        (svm.SVC(probability=True), WORDS),
        (svm.OneClassSVM(), None),
        (cluster.MeanShift(), None),
        (preprocessing.SplineTransformer(), None),
    ]:
        remembered(source.fit(POSITIVE, targets), POSITIVE)


def test_trees_that_lead_astray_are_left_out() -> None:
    """The library's compiled code trusts its trees: those of a note are looked at first."""
    model = onward.convert(ensemble.AdaBoostRegressor(tree.DecisionTreeRegressor(max_depth=2), n_estimators=1).fit(X, REAL), X)
    text = model.metadata["onward.estimator"]
    assert type(onward.convert(model, to="sklearn")) is ensemble.AdaBoostRegressor
    tables = json.loads(text)["numbers"]["estimators_"]["list"][0]["estimator"]["numbers"]["tree_"]["tree"]
    last = max(place for place, child in enumerate(tables["left"]["array"]) if child >= 0)
    for name, place, number in [("left", 0, 0), ("right", 0, 1), ("left", 1, 10**6), ("column", 0, 6), ("right", last, last - 1)]:
        array = json.loads(json.dumps(tables[name]["array"]))
        array[place] = number
        model.metadata["onward.estimator"] = text.replace(json.dumps(tables[name]), json.dumps({**tables[name], "array": array}))
        assert model.metadata["onward.estimator"] != text
        assert type(onward.convert(model, to="sklearn", verify=False)) is not ensemble.AdaBoostRegressor, name


def test_encoders_are_remembered() -> None:
    """They are tried with the categories that they know."""
    data = np.floor(POSITIVE)
    for source in (
        preprocessing.OneHotEncoder(drop="first"),
        preprocessing.OrdinalEncoder(),
        make(preprocessing.OneHotEncoder(), linear_model.LogisticRegression()),
    ):
        remembered(source.fit(data, WORDS), data)
    model = onward.convert(preprocessing.OrdinalEncoder().fit(data), data)
    noted = json.loads(model.metadata["onward.estimator"])
    for items in ([5] * 6, [None] * 6, [{"array": [], "dtype": "float64"}] * 6):
        model.metadata["onward.estimator"] = json.dumps({**noted, "numbers": {**noted["numbers"], "categories_": {"items": items}}})
        assert type(onward.convert(model, to="sklearn")).__name__ == "OnnxTransformer", items


def test_numbers_that_are_not_those_of_the_model_are_left_out() -> None:
    """A note is believed as far as it computes what the model does, and holds no more rows or columns than that."""
    source = cluster.KMeans(3, random_state=0).fit(X)
    model = onward.convert(source, X)
    noted = json.loads(model.metadata["onward.estimator"])
    assert noted["numbers"]["cluster_centers_"].keys() == {"initializer", "transposed"} and "labels_" not in noted["numbers"]
    for where, name, value in [
        ("numbers", "cluster_centers_", {"array": np.ones((3, 6)).tolist(), "dtype": "float64"}), ("numbers", "cluster_centers_", {"array": [[1.0]], "dtype": "float64"}),
        ("numbers", "cluster_centers_", {"array": [["x"]], "dtype": "object"}), ("numbers", "cluster_centers_", {"initializer": "none", "transposed": False}),
        ("numbers", "cluster_centers_", {"code": "x"}), ("numbers", "n_features_in_", 10**9), ("numbers", "n_features_in_", 5), ("numbers", "n_features_in_", "x"),
        ("parameters", "n_clusters", 10**9), ("parameters", "n_clusters", 2), ("parameters", "n_clusters", [3]),
    ]:  # fmt: skip
        model.metadata["onward.estimator"] = json.dumps({**noted, where: {**noted[where], name: value}})
        again = onward.convert(model, to="sklearn")
        assert again.n_clusters == 3 and again.n_features_in_ == 6, (name, value)
        np.testing.assert_array_equal(again.cluster_centers_, source.cluster_centers_)
    model.metadata["onward.estimator"] = json.dumps({**noted, "numbers": {**noted["numbers"], "_n_threads": 10**9, "predict": 1, "labels_": "x"}})
    again = onward.convert(model, to="sklearn")
    assert type(again) is cluster.KMeans and again._n_threads < 10**9 and not hasattr(again, "labels_") and callable(again.predict)


@pytest.mark.parametrize("noted", [
    '{"class": "KMeans", "parameters": {}, "numbers": {"n_features_in_": 6}}', '{"class": "system", "parameters": {}, "numbers": {}}', '{"steps": [["a", {"numbers": 3}]]}', '{"steps": []}',
    '{"class": "Ridge", "parameters": {"alpha": "much", "__class__": 1}}', '{"class": "system", "parameters": {}}', '{"class": ["Ridge"], "parameters": 5}', "[1]", "no JSON",
    '{"class": "Pipeline", "steps": 3}', '{"class": "Ridge", "parameters": 5}', '{"class": "Pipeline", "steps": [[1], 2]}',
])  # fmt: skip
def test_notes_that_make_no_sense_are_left_out(noted: str) -> None:
    b = ModelBuilder("linear")
    x = b.op("Div", b.input("x", DataType.FLOAT, ["rows", 2]), b.constant(np.array([2, 3], np.float32)))
    b.output(b.op("MatMul", x, b.constant(np.ones((2, 1), np.float32))), "y")
    model = b.model()
    model.metadata["onward.estimator"] = noted
    assert type(onward.convert(model, to="sklearn")[1]) is linear_model.LinearRegression
    model = onward.convert(linear_model.LinearRegression().fit(X, REAL), X)
    model.metadata["onward.estimator"] = noted
    assert type(onward.convert(model, to="sklearn", verify=False)) in (linear_model.LinearRegression, linear_model.Ridge)


def test_tables_and_lists_of_text() -> None:
    """Columns of text and numbers side by side are a table again, and texts are a list."""
    pandas = pytest.importorskip("pandas")
    names = np.array(["a", "b", "c"], object)
    table = pandas.DataFrame({"size": X[:, 0], "kind": RANDOM.choice(names, len(X)), "words": RANDOM.choice(np.array(["a cat", "a dog"], object), len(X))})
    steps = [
        ("size", preprocessing.StandardScaler(), ["size"]),
        ("kind", preprocessing.OneHotEncoder(), ["kind"]),
        ("words", feature_extraction.text.CountVectorizer(), "words"),
    ]
    remembered(make(compose.ColumnTransformer(steps), linear_model.LogisticRegression()).fit(table, WORDS), table)
    texts = np.array(["The cat, the mat.", "a dog and THE cat", ""] * 9, object)
    remembered(make(feature_extraction.text.TfidfVectorizer(), naive_bayes.MultinomialNB()).fit(texts, WORDS[:27]), texts)


RECORDS = [{"a": 1.0, "c": "red"}, {"a": 2.0, "c": "blue"}, {"b": 3.0}, {"c": "red", "b": 1.5}, {"a": -1.0, "c": "green"}]


@pytest.mark.parametrize(("source", "rows"), [
    (make(feature_extraction.DictVectorizer(), linear_model.LogisticRegression()).fit(RECORDS, [0, 1, 0, 1, 1]), RECORDS),
    (feature_extraction.FeatureHasher(8), RECORDS), (feature_extraction.FeatureHasher(8, input_type="pair"), [list(row.items()) for row in RECORDS]),
    (feature_extraction.FeatureHasher(8, input_type="string"), np.array([["a", "b"], ["c", "a"]], object)),
])  # fmt: skip
def test_dictionaries(source: Any, rows: Any) -> None:
    """The inputs, one for each key, are dictionaries again."""
    again = onward.convert(onward.convert(source, rows), to="sklearn")
    assert type(again) is type(source)
    ours, expected = (item.predict_proba(rows) if hasattr(item, "predict_proba") else item.transform(rows).toarray() for item in (again, source))
    np.testing.assert_allclose(ours, expected, rtol=1e-12)


@pytest.mark.parametrize("count", [1, 5])
def test_halves_of_clusters(count: int) -> None:
    source = cluster.BisectingKMeans(count, random_state=0).fit(X)
    remembered(source, X)
    model = onward.convert(source)
    noted = json.loads(model.metadata["onward.estimator"])
    noted["numbers"]["_bisecting_tree"]["center"] = {"array": [1.0], "dtype": "float64"}
    model.metadata["onward.estimator"] = json.dumps(noted)
    assert type(onward.convert(model, to="sklearn")) is not type(source), "compiled code would read beyond the centre"


def test_a_threshold_by_a_scorer() -> None:
    source = model_selection.TunedThresholdClassifierCV(linear_model.LogisticRegression(), scoring="f1").fit(X, REAL > 0.5)
    again = remembered(source, X)
    assert again.best_threshold_ == source.best_threshold_ and again.scoring == "f1"


@pytest.mark.models
@pytest.mark.filterwarnings("ignore")
def test_every_estimator_of_the_library_comes_back() -> None:
    """Fitted as the tests of the other direction do it. The rows of text or numbers that it was fitted on give the same again."""
    known = [(name, kind) for name, kind in all_estimators() if name not in WITHOUT]
    assert len(known) > 184
    for name, kind in known[::STEP]:
        np.random.seed(0)  # fitting draws numbers
        source, rows = fitted(kind)
        again = onward.convert(onward.convert(source, rows, verify=False), to="sklearn")
        assert type(again) is kind, name
        for method in ("predict", "predict_proba", "decision_function", "transform", "score_samples"):
            if not hasattr(source, method) or f"{name}.{method}" in ("BernoulliRBM.score_samples",):
                continue
            ours, expected = getattr(again, method)(rows), getattr(source, method)(rows)
            for one, other in zip(ours, expected) if isinstance(expected, list) else [(ours, expected)]:
                one, other = (np.asarray(item.toarray() if hasattr(item, "toarray") else item) for item in (one, other))
                if other.dtype.kind == "f":
                    np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-9 * np.abs(other[np.isfinite(other)]).max(initial=0), err_msg=f"{name}.{method}")
                else:
                    assert (one == other).all(), f"{name}.{method}"
