"""scikit-learn as a target: estimators come back, forms of other converters, generated estimators and the library's own checks of them."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

import onward
from onward.cli import converting  # noqa: F401 (it registers its commands)
from onward.cli.commands import app
from onward.converters.builder import ModelBuilder
from onward.errors import InvalidArgument, UnsupportedModel
from onward.ir import Model
from onward.ir.datatypes import DataType
from tests.converters.targets.forests import FORMS, random_trees, regressor

pytest.importorskip("sklearn")

import joblib  # noqa: E402 (it comes with scikit-learn)
from sklearn import (  # noqa: E402
    cluster,
    decomposition,
    ensemble,
    impute,
    linear_model,
    neighbors,
    neural_network,
    pipeline,
    preprocessing,
    svm,
    tree,
)
from sklearn.base import clone  # noqa: E402
from sklearn.utils import get_tags  # noqa: E402
from sklearn.utils.estimator_checks import check_estimator, check_transformer_preserve_dtypes  # noqa: E402

RANDOM = np.random.default_rng(5)
X = RANDOM.standard_normal((200, 6))
REAL = X[:, 0] * X[:, 1] + 0.3 * X[:, 2]
CLASSES = np.digitize(REAL, [-0.3, 0.4])
WORDS = np.array(["low", "middle", "high"])[CLASSES]
BOTH = np.stack([REAL, X[:, 3]], axis=1)
SMALL = {"n_estimators": 5, "max_depth": 3, "random_state": 0}
LAYERS = {"hidden_layer_sizes": (5, 4), "max_iter": 5, "random_state": 0}

make = pipeline.make_pipeline
QUICK: dict[str, Any] = {
    "LinearRegression": lambda: linear_model.LinearRegression().fit(X, REAL),
    "Pipeline of LogisticRegression": lambda: make(preprocessing.StandardScaler(), linear_model.LogisticRegression()).fit(X, WORDS),
    "MLPClassifier": lambda: neural_network.MLPClassifier(**LAYERS).fit(X, CLASSES),
    "RandomForestClassifier": lambda: ensemble.RandomForestClassifier(**SMALL).fit(X, WORDS),
}
REST: dict[str, Any] = {
    "LinearRegression of two": lambda: linear_model.LinearRegression().fit(X, BOTH),
    "LogisticRegression": lambda: linear_model.LogisticRegression().fit(X, CLASSES > 0),
    "LinearSVC": lambda: svm.LinearSVC().fit(X, CLASSES),
    "LinearSVC of two": lambda: svm.LinearSVC().fit(X, CLASSES > 0),
    "PoissonRegressor": lambda: linear_model.PoissonRegressor().fit(X, CLASSES),
    "Pipeline of MLPRegressor": lambda: make(preprocessing.MinMaxScaler(), neural_network.MLPRegressor(**LAYERS, activation="logistic")).fit(X, BOTH),
    "Pipeline of MLPClassifier": lambda: make(preprocessing.StandardScaler(), neural_network.MLPClassifier(**LAYERS, activation="tanh")).fit(X, CLASSES > 0),
    "StandardScaler": lambda: preprocessing.StandardScaler().fit(X),
    "PCA": lambda: decomposition.PCA(3).fit(X),
    "DecisionTreeClassifier": lambda: tree.DecisionTreeClassifier(max_depth=6).fit(X, WORDS),
    "DecisionTreeRegressor": lambda: tree.DecisionTreeRegressor(max_depth=6).fit(X, BOTH),
    "RandomForestRegressor": lambda: ensemble.RandomForestRegressor(**SMALL).fit(X, REAL),
    "Pipeline of RandomForestClassifier": lambda: make(preprocessing.StandardScaler(), ensemble.RandomForestClassifier(**SMALL)).fit(X, CLASSES),
    "GradientBoostingRegressor": lambda: ensemble.GradientBoostingRegressor(**SMALL).fit(X, REAL),
    "GradientBoostingClassifier": lambda: ensemble.GradientBoostingClassifier(**SMALL).fit(X, CLASSES),
    "HistGradientBoostingRegressor": lambda: ensemble.HistGradientBoostingRegressor(max_iter=5).fit(X, REAL),
    "HistGradientBoostingClassifier": lambda: ensemble.HistGradientBoostingClassifier(max_iter=5).fit(X, CLASSES > 0),
    "SVR": lambda: svm.SVR().fit(X, REAL),
    "SVR of a polynomial": lambda: svm.SVR(kernel="poly", coef0=1, degree=2).fit(X, REAL),
    "SVR of a sigmoid": lambda: svm.SVR(kernel="sigmoid", gamma=0.05).fit(X, REAL),
    "NuSVC": lambda: svm.NuSVC().fit(X, WORDS),
    "SVC of two": lambda: svm.SVC(kernel="linear").fit(X, CLASSES > 0),
    "HistGradientBoostingRegressor of counts": lambda: ensemble.HistGradientBoostingRegressor(max_iter=5, loss="poisson").fit(X, CLASSES),
}


def comes_back(name: str, source: Any) -> None:
    """The estimator of the model has the class and the results of its source, on rows and at limits."""
    again = onward.convert(source, X, to="sklearn")
    last = again[-1] if isinstance(again, pipeline.Pipeline) else again
    theirs = source[-1] if isinstance(source, pipeline.Pipeline) else source
    assert type(last) is type(theirs), name
    assert again.n_features_in_ == 6
    rows = RANDOM.standard_normal((10_000, 6))
    for tree_ in (part.tree_ for part in [*np.ravel(getattr(theirs, "estimators_", [])), theirs] if hasattr(part, "tree_") and theirs is source):
        limits = np.repeat(tree_.threshold[tree_.children_left >= 0].astype(np.float32), 3)
        limits[1::3], limits[2::3] = np.nextafter(limits[1::3], np.float32(9)), np.nextafter(limits[2::3], np.float32(-9))
        rows[: len(limits)] = limits[:, None]
    for method in ("predict", "predict_proba", "decision_function", "transform"):
        if hasattr(source, method):
            ours, expected = getattr(again, method)(rows), getattr(source, method)(rows)
            if expected.dtype.kind == "f":
                np.testing.assert_allclose(ours, expected, rtol=1e-10, atol=1e-12, err_msg=f"{name}.{method}")
            else:
                assert (ours == expected).mean() > 0.9999, f"{name}.{method}"
    if hasattr(source, "classes_"):
        assert again.classes_.tolist() == source.classes_.tolist()


@pytest.mark.parametrize("name", QUICK)
def test_an_estimator_comes_back(name: str) -> None:
    comes_back(name, QUICK[name]())


@pytest.mark.models
def test_estimators_come_back() -> None:
    for name, source in REST.items():
        comes_back(name, source())


@pytest.mark.models
def test_names_and_parameters_are_noted() -> None:
    """What predictions do not tell, the conversion to ONNX has noted."""
    steps = [("scale", preprocessing.RobustScaler()), ("model", linear_model.Ridge(alpha=2))]
    for source in (
        linear_model.Lasso(alpha=0.1).fit(X, REAL), linear_model.LogisticRegressionCV(Cs=3).fit(X, WORDS), linear_model.RidgeClassifier().fit(X, CLASSES),
        ensemble.ExtraTreesRegressor(**SMALL, min_samples_leaf=2).fit(X, BOTH), pipeline.Pipeline(steps).fit(X, REAL), svm.LinearSVR(C=0.5).fit(X, REAL),
        ensemble.GradientBoostingClassifier(n_estimators=5, learning_rate=0.3, max_depth=2).fit(X, WORDS), ensemble.HistGradientBoostingRegressor(max_iter=5, learning_rate=0.3).fit(X, REAL),
    ):  # fmt: skip
        again = onward.convert(source, X, to="sklearn")
        assert repr(again) == repr(source)
        assert (again.predict(X) == source.predict(X)).all() if hasattr(source, "classes_") else np.allclose(again.predict(X), source.predict(X), rtol=1e-10)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(FORMS))
def test_random_trees_of_every_mode(seed: int, form: str) -> None:
    model, limits = random_trees(seed, form)
    estimator = onward.convert(model, to="sklearn")
    around = np.concatenate([limits, np.nextafter(limits, np.float32(99)), np.nextafter(limits, np.float32(-99)), [np.nan, 3e38, -3e38]])
    data = np.random.default_rng(seed).choice(around.astype(np.float32), (10_000, 4))
    (expected,) = onward.InferenceSession(model).run(None, {"x": data})
    np.testing.assert_allclose(estimator.predict(data).reshape(expected.shape), expected, rtol=2e-6, atol=2e-6)


def test_missing_values_go_the_same_way() -> None:
    data = np.where(RANDOM.random(X.shape) < 0.2, np.nan, X)
    for source in (tree.DecisionTreeRegressor(max_depth=5).fit(data, REAL), ensemble.HistGradientBoostingRegressor(max_iter=5).fit(data, REAL)):
        again = onward.convert(source, data, to="sklearn")
        assert type(again) is type(source)
        np.testing.assert_allclose(again.predict(data), source.predict(data), rtol=1e-12, atol=1e-12)


def classifier(probabilities: str, classes: int = 3) -> Model:
    """The form of other converters: Scaler, LinearClassifier and ZipMap."""
    b = ModelBuilder("classifier")
    b.domains["ai.onnx.ml"] = 3
    x = b.op("Scaler", b.input("x", DataType.FLOAT, ["rows", 6]), domain="ai.onnx.ml", offset=X.mean(0).tolist(), scale=(1 / X.std(0)).tolist())
    weights, bias = RANDOM.standard_normal((classes, 6)), RANDOM.standard_normal(classes)
    if classes == 2:
        weights[0], bias[0] = -weights[1], -bias[1]
    names: dict[str, Any] = {"classlabels_strings": ["a", "b", "c"][:classes]}
    label, scores = b.op(
        "LinearClassifier", x, domain="ai.onnx.ml", outputs=2, coefficients=weights.ravel().tolist(), intercepts=bias.tolist(), post_transform=probabilities,
        multi_class=1 if probabilities == "SOFTMAX" else 0, **names,
    )  # fmt: skip
    if probabilities == "LOGISTIC":
        scores = b.op("Normalizer", scores, domain="ai.onnx.ml", norm="L1")
    b.output(label, "label")
    result = scores if probabilities == "NONE" else b.op("ZipMap", scores, domain="ai.onnx.ml", **names)
    result.name = "probabilities"
    b.graph.outputs.append(result)
    b.domains["ai.onnx.ml"] = 3
    return Model(b.graph, b.domains, ir_version=10)


@pytest.mark.parametrize(("probabilities", "classes", "kind"), [
    ("SOFTMAX", 3, linear_model.LogisticRegression), ("LOGISTIC", 2, linear_model.LogisticRegression), ("LOGISTIC", 3, linear_model.SGDClassifier),
    ("NONE", 3, svm.LinearSVC),
])  # fmt: skip
def test_classifiers_of_other_converters(probabilities: str, classes: int, kind: type) -> None:
    model = classifier(probabilities, classes)
    again = onward.convert(model, to="sklearn")
    assert type(again[0]) is preprocessing.StandardScaler and type(again[1]) is kind
    rows = RANDOM.standard_normal((1000, 6)).astype(np.float32)
    labels, scores = onward.InferenceSession(model).run(None, {"x": rows})
    assert again.predict(rows).tolist() == labels.tolist()
    if isinstance(scores, list):
        np.testing.assert_allclose(again.predict_proba(rows), [list(row.values()) for row in scores], atol=2e-6)
    else:
        np.testing.assert_allclose(again.decision_function(rows), scores, atol=1e-4)


def test_regressors_of_other_converters() -> None:
    b = ModelBuilder("regressor")
    x = b.op("Imputer", b.input("x", DataType.FLOAT, ["rows", 6]), domain="ai.onnx.ml", imputed_value_floats=[0.5] * 6, replaced_value_float=float("nan"))
    x = b.op("Normalizer", x, domain="ai.onnx.ml", norm="L2")
    b.output(b.op("LinearRegressor", x, domain="ai.onnx.ml", coefficients=RANDOM.standard_normal(6).tolist(), intercepts=[0.25]), "y")
    b.domains["ai.onnx.ml"] = 3
    model = b.model()
    again = onward.convert(model, to="sklearn")
    assert [type(step) for _, step in again.steps] == [impute.SimpleImputer, preprocessing.Normalizer, linear_model.LinearRegression]
    rows = np.where(RANDOM.random((500, 6)) < 0.2, np.nan, RANDOM.standard_normal((500, 6))).astype(np.float32)
    (expected,) = onward.InferenceSession(model).run(None, {"x": rows})
    np.testing.assert_allclose(again.predict(rows).reshape(-1, 1), expected, atol=1e-5)


@pytest.mark.parametrize("kernel", ["LINEAR", "RBF", "POLY", "SIGMOID"])
@pytest.mark.parametrize("classes", [0, 3])
def test_support_vectors_of_other_converters(kernel: str, classes: int) -> None:
    random = np.random.default_rng(classes)
    counts = [3, 4, 5] if classes else [7]
    vectors = random.standard_normal((sum(counts), 6)).astype(np.float32) / 3
    common: dict[str, Any] = {"kernel_type": kernel, "kernel_params": [0.2, 0.5, 3.0], "support_vectors": vectors.ravel().tolist()}
    b = ModelBuilder("vectors")
    x = b.input("x", DataType.FLOAT, ["rows", 6])
    if classes:
        own = np.repeat(np.arange(3), counts)  # the first of a pair has positive weights
        table = np.abs(random.standard_normal((2, 12))) * np.where(np.stack([own == 0, own < 2]), 1, -1)
        results = b.op("SVMClassifier", x, domain="ai.onnx.ml", outputs=2, coefficients=table.ravel().tolist(), rho=[0.1, -0.2, 0.05], vectors_per_class=counts,
                       classlabels_ints=[4, 5, 9], post_transform="NONE", **common)  # fmt: skip
        b.output(results[0], "label")
    else:
        weights = random.standard_normal(7).tolist()
        b.output(b.op("SVMRegressor", x, domain="ai.onnx.ml", coefficients=weights, rho=[0.25], n_supports=7, post_transform="NONE", **common), "y")
    model = b.model()
    again = onward.convert(model, to="sklearn")
    assert type(again) is (svm.SVC if classes else svm.SVR) and again.kernel == kernel.lower()
    rows = random.standard_normal((1000, 6)).astype(np.float32)
    (expected,) = onward.InferenceSession(model).run(None, {"x": rows})
    if classes:
        assert (again.predict(rows) == expected).mean() > 0.999, "where scores are nearly equal the last place decides"
    else:
        np.testing.assert_allclose(again.predict(rows).reshape(-1, 1), expected, rtol=1e-4, atol=1e-4)


def test_trees_of_other_libraries_are_histogram_based_boosting() -> None:
    again = onward.convert(regressor(3, classes=3, transform="SOFTMAX", base=True), to="sklearn")
    assert type(again) is ensemble.HistGradientBoostingClassifier
    xgboost = pytest.importorskip("xgboost")
    data = np.where(RANDOM.random(X.shape) < 0.1, np.nan, X).astype(np.float32)
    source = xgboost.XGBRegressor(n_estimators=5, max_depth=3, n_jobs=1).fit(data, REAL)
    again = onward.convert(source, to="sklearn")
    assert type(again) is ensemble.HistGradientBoostingRegressor
    np.testing.assert_allclose(again.predict(data), source.predict(data), rtol=1e-5, atol=1e-6)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32 - 1), st.lists(st.integers(1, 9), max_size=3), st.sampled_from(["Relu", "Tanh", "Sigmoid"]), st.sampled_from(["", "Softmax"]))
def test_networks_of_any_framework(seed: int, hidden: list[int], activation: str, last: str) -> None:
    """Layers of weights, as a framework of neural networks writes them, are a perceptron."""
    random = np.random.default_rng(seed)
    b = ModelBuilder("network")
    x = b.input("x", DataType.FLOAT, ["rows", 4])
    sizes = [4, *hidden, 3]
    for place, (before, after) in enumerate(zip(sizes, sizes[1:])):
        x = b.op(
            "Gemm",
            x,
            b.constant(random.standard_normal((after, before)).astype(np.float32)),
            b.constant(random.standard_normal(after).astype(np.float32)),
            transB=1,
        )
        x = b.op(activation, x) if place < len(hidden) else x
    b.output(b.op(last, x, axis=1) if last else x, "y")
    model = b.model()
    again = onward.convert(model, to="sklearn")
    kinds = (
        (neural_network.MLPClassifier if last else neural_network.MLPRegressor)
        if hidden
        else linear_model.LogisticRegression
        if last
        else linear_model.LinearRegression
    )
    assert type(again) is kinds
    rows = random.standard_normal((200, 4)).astype(np.float32)
    (expected,) = onward.InferenceSession(model).run(None, {"x": rows})
    np.testing.assert_allclose(again.predict_proba(rows) if last else again.predict(rows), expected, rtol=1e-4, atol=1e-5)


NEEDS_TRAINING = {
    "check_classifiers_one_label": "it trains on one class", "check_classifiers_classes": "it trains on other classes",
    "check_classifiers_train": "it asks for accuracy after training", "check_regressors_train": "it asks for accuracy after training",
    "check_classifiers_regression_target": "labels for training are refused", "check_supervised_y_2d": "labels for training are reshaped with a warning",
    "check_n_features_in": "no number of columns before training",
}  # fmt: skip
"""The library's checks that do not apply to what never trains."""


def generated(what: str, columns: int) -> Any:
    """A generated estimator of rows of so many columns."""
    b = ModelBuilder("generated")
    x = b.input("x", DataType.DOUBLE, ["rows", columns])
    sine = b.op("Sin", b.op("MatMul", x, b.constant(np.random.default_rng(0).standard_normal((columns, 3)))))
    if what == "transformer":
        b.output(sine, "transformed")
    elif what == "regressor":
        b.output(b.op("ReduceSum", sine, b.constant(np.array([1])), keepdims=0), "prediction")
    else:
        b.output(b.op("Softmax", sine, axis=1), "probabilities")
    return onward.convert(b.model(), to="sklearn")


@pytest.mark.parametrize(("what", "name"), [("classifier", "OnnxClassifier"), ("regressor", "OnnxRegressor"), ("transformer", "OnnxTransformer")])
def test_the_checks_of_the_library(what: str, name: str) -> None:
    """Each check wants rows of its own number of columns: it must pass for a model of that."""
    passed: dict[str, bool] = {}
    for columns in (1, 2, 3, 4, 5, 10):
        estimator = generated(what, columns)
        assert type(estimator).__name__ == name
        for result in check_estimator(estimator, on_fail=None):
            passed[result["check_name"]] = passed.get(result["check_name"], False) or result["status"] != "failed"
    assert len(passed) > 40
    assert {check for check, fine in passed.items() if not fine} <= NEEDS_TRAINING.keys()


def test_numbers_in_single_precision_stay_so() -> None:
    """The library's check of transformers holds for a model's own data type."""
    b = ModelBuilder("generated")
    b.output(b.op("Sin", b.input("x", DataType.FLOAT, ["rows", 3])), "transformed")
    estimator = onward.convert(b.model(), to="sklearn")
    assert get_tags(estimator).transformer_tags.preserves_dtype == ["float32"]
    check_transformer_preserve_dtypes("OnnxTransformer", estimator)


def test_labels_and_scores_that_are_columns() -> None:
    """As another converter writes IsolationForest: labels -1 and 1, and scores, each (rows, 1)."""
    b = ModelBuilder("generated")
    x = b.input("x", DataType.DOUBLE, ["rows", 3])
    scores = b.op("ReduceSum", b.op("Sin", x), b.constant(np.array([1])), keepdims=1)
    b.output(b.op("Where", b.op("Less", scores, b.constant(np.zeros(()))), b.constant(np.array(-1)), b.constant(np.array(1))), "label")
    b.output(scores, "scores")
    estimator = onward.convert(b.model(), to="sklearn")
    expected = np.sin(X[:, :3]).sum(axis=1)
    assert estimator.classes_.tolist() == [-1, 1] and estimator.predict(X[:, :3]).tolist() == np.where(expected < 0, -1, 1).tolist()
    np.testing.assert_allclose(estimator.decision_function(X[:, :3]), expected, rtol=1e-12, atol=1e-15)


def without_note(source: Any) -> Model:
    """The ONNX model of an estimator, as a converter writes it that notes nothing."""
    model = onward.convert(source, X)
    del model.metadata["onward.estimator"]
    return model


@pytest.mark.parametrize(("source", "targets"), [
    (cluster.KMeans(3, random_state=0), None), (neighbors.KNeighborsClassifier(weights="distance"), WORDS), (neighbors.KNeighborsRegressor(3, metric="manhattan"), BOTH),
])  # fmt: skip
def test_rows_that_a_model_holds(source: Any, targets: Any) -> None:
    """Centres and neighbours are found among the numbers of a model that notes nothing."""
    again = onward.convert(without_note(source.fit(X, targets)), to="sklearn")
    assert type(again) is type(source) and getattr(again, "weights", None) == getattr(source, "weights", None)
    rows = RANDOM.standard_normal((500, 6))
    expected = source.predict(rows)
    np.testing.assert_array_equal(again.predict(rows), expected) if expected.dtype.kind != "f" else np.testing.assert_allclose(again.predict(rows), expected)


def test_a_generated_estimator_is_saved_without_onward(tmp_path: Path) -> None:
    model = without_note(ensemble.AdaBoostClassifier(n_estimators=3).fit(X, WORDS))
    estimator = onward.convert(model, to="sklearn", output=tmp_path / "model.joblib")
    assert "generated" in json.loads((tmp_path / "model.joblib.certificate.json").read_text())["notes"][0]
    assert clone(estimator) is estimator and estimator.classes_.tolist() == ["high", "low", "middle"]
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(estimator))
    np.savez(tmp_path / "data.npz", x=X, label=estimator.predict(X).astype(str))
    program = f"""
import sys
sys.modules["onward"] = None
import joblib, numpy, pathlib, pickle
folder = pathlib.Path({str(tmp_path)!r})
data = numpy.load(folder / "data.npz")
for estimator in (joblib.load(folder / "model.joblib"), pickle.loads((folder / "model.pkl").read_bytes())):
    assert (estimator.predict(data["x"]) == data["label"]).all() and estimator.score(data["x"], data["label"]) == 1
    assert (pickle.loads(pickle.dumps(estimator)).predict(data["x"]) == data["label"]).all()
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_rows_of_pictures_and_of_a_fixed_number() -> None:
    """Other inputs than a matrix are made of columns; a model of so many rows is called for these."""
    b = ModelBuilder("pictures")
    x = b.input("x", DataType.FLOAT, [4, 2, 5, 3])
    b.output(b.op("GlobalAveragePool", b.op("Relu", x)), "y")
    with pytest.raises(UnsupportedModel, match="other shapes"):
        onward.convert(b.model(), to="sklearn")
    b = ModelBuilder("pictures")
    x = b.input("x", DataType.FLOAT, [4, 2, 5, 3])
    b.output(b.op("Flatten", b.op("GlobalAveragePool", b.op("Relu", x))), "transformed")
    estimator = onward.convert(b.model(), to="sklearn")
    assert estimator.n_features_in_ == 30
    rows = RANDOM.standard_normal((7, 30)).astype(np.float32)
    np.testing.assert_allclose(estimator.transform(rows), np.maximum(rows, 0).reshape(7, 2, 15).mean(2), rtol=1e-5)


def test_tables() -> None:
    """An input for each column is one matrix again, with the columns' names."""
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame(X, columns=list("uvwxyz"))
    source = make(preprocessing.StandardScaler(), linear_model.LogisticRegression()).fit(table, WORDS)
    model = onward.convert(source, table)
    assert len(model.graph.inputs) == 6
    again = onward.convert(model, to="sklearn")
    assert repr(again) == repr(source) and again.feature_names_in_.tolist() == list("uvwxyz")
    np.testing.assert_allclose(again.predict_proba(table), source.predict_proba(table), rtol=1e-10)


def test_text_of_a_model_is_no_code() -> None:
    """Labels and names of columns with quotes and lines stay text in a generated estimator."""
    hostile = ['a"""\nimport os\n', "b')];{x}", "c\\"]
    b = ModelBuilder('"""\nimport os')
    x = b.input("x", DataType.FLOAT, ["rows", 3])
    scores = b.op("Softmax", b.op("Sin", b.op("MatMul", x, b.constant(np.eye(3, dtype=np.float32)))), axis=1)
    b.output(b.op("Gather", b.constant(np.array(hostile, object)), b.op("ArgMax", scores, axis=1, keepdims=0)), 'label"""')
    b.output(scores, "probabilities")
    model = b.model()
    model.metadata["onward.features"] = json.dumps(hostile)
    estimator = onward.convert(model, to="sklearn")
    assert estimator.classes_.tolist() == hostile and estimator.feature_names_in_.tolist() == hostile
    assert estimator.predict(np.eye(3, dtype=np.float32)).tolist() == hostile
    assert not hasattr(sys.modules.get(type(estimator).__module__), "os")


def test_names_of_columns() -> None:
    b = ModelBuilder("linear")
    b.output(b.op("MatMul", b.input("x", DataType.FLOAT, ["rows", 2]), b.constant(np.ones((2, 1), np.float32))), "y")
    model = b.model()
    model.metadata["onward.features"] = json.dumps(["a", "b"])
    assert onward.convert(model, to="sklearn").feature_names_in_.tolist() == ["a", "b"]


def test_files_and_refusals(tmp_path: Path) -> None:
    source = linear_model.LinearRegression().fit(X, REAL)
    onward.save(onward.convert(source, X), tmp_path / "model.onnx")
    result = CliRunner().invoke(app, ["convert", str(tmp_path / "model.onnx"), "--to", "sklearn", "-o", str(tmp_path / "model.joblib")])
    assert result.exit_code == 0, result.output
    np.testing.assert_allclose(joblib.load(tmp_path / "model.joblib").predict(X), source.predict(X), rtol=1e-10)
    skops = pytest.importorskip("skops.io")
    onward.convert(source, X, to="sklearn", output=tmp_path / "model.skops")
    np.testing.assert_allclose(skops.load(tmp_path / "model.skops").predict(X), source.predict(X), rtol=1e-10)
    with pytest.raises(InvalidArgument, match=r"\.joblib"):
        onward.convert(source, X, to="sklearn", output=tmp_path / "model.txt")
    with pytest.raises(InvalidArgument, match=r"\.skops"):
        onward.convert(without_note(ensemble.AdaBoostRegressor(n_estimators=3).fit(X, REAL)), to="sklearn", output=tmp_path / "generated.skops")
    b = ModelBuilder("square")
    b.output(b.op("Relu", b.input("x", DataType.FLOAT, ["a", "b"])), "y")
    with pytest.raises(UnsupportedModel, match="rows of numbers"):
        onward.convert(b.model(), to="sklearn")
