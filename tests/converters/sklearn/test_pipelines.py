"""Pipelines, estimators of the user's own, data types, and what is refused; onnxruntime is asked besides."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import joblib
import numpy as np
import onnxruntime
import pytest
import skops.io
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.cluster import AffinityPropagation, KMeans
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.datasets import make_classification
from sklearn.decomposition import PCA, DictionaryLearning
from sklearn.ensemble import (
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    IsolationForest,
    RandomForestClassifier,
    RandomForestRegressor,
    VotingRegressor,
)
from sklearn.experimental import enable_iterative_imputer  # noqa: F401 (makes IterativeImputer known)
from sklearn.frozen import FrozenEstimator
from sklearn.impute import IterativeImputer, KNNImputer, SimpleImputer
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import GridSearchCV
from sklearn.naive_bayes import CategoricalNB
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import (
    Binarizer,
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    OneHotEncoder,
    PowerTransformer,
    QuantileTransformer,
    RobustScaler,
    StandardScaler,
)
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeRegressor
from sklearn.utils.validation import check_array, check_is_fitted

import onward
from onward.converters import divergence, verify
from onward.converters.certificate import Certificate
from onward.converters.sklearn.limits import LIBRARIES, limits
from onward.converters.sklearn.operators import forests, neighbours
from onward.converters.sklearn.registry import METHODS, method
from onward.converters.tracing.functions import smallest
from onward.converters.trees import LESS
from onward.errors import ConversionError, ConversionMismatch, FormatError, InvalidArgument, UnsupportedOperator

X, Y = make_classification(80, 5, n_informative=4, n_redundant=0, n_classes=3, random_state=1)


def check(estimator: Any, rows: np.ndarray = X, **options: Any) -> onward.Model:
    """Converts, which compares with scikit-learn, and compares with onnxruntime besides, where it has the operators."""
    model = onward.convert(estimator, rows, **options)
    name = model.graph.inputs[0].name
    ours = onward.InferenceSession(model).run(None, {name: rows})
    try:
        session = onnxruntime.InferenceSession(model.to_bytes())
    except onnxruntime.capi.onnxruntime_pybind11_state.NotImplemented:
        return model
    for left, right in zip(ours, session.run(None, {name: rows}), strict=True):
        if left.dtype.kind == "f":
            np.testing.assert_allclose(left, right, rtol=1e-6, atol=1e-8)
        else:
            np.testing.assert_array_equal(left, right)
    return model


class Clipper(BaseEstimator, TransformerMixin):
    """An estimator of a user: its NumPy code is traced."""

    def fit(self, X: np.ndarray, y: Any = None) -> Clipper:  # noqa: N803
        self.low_, self.high_ = np.percentile(X, [10, 90], axis=0)
        return self

    def transform(self, X: np.ndarray) -> np.ndarray:  # noqa: N803
        made = np.clip(X, self.low_, self.high_)
        made[:, 0] = np.log1p(np.abs(made[:, 0]))
        made[made > 1.5] = 1.5
        return np.hstack([made, made.sum(axis=1, keepdims=True)])


class Checked(BaseEstimator, TransformerMixin):
    """Uses scikit-learn's own checks, and code that needs a translation."""

    def fit(self, X: np.ndarray, y: Any = None) -> Checked:  # noqa: N803
        self.mean_ = check_array(X).mean(axis=0)
        return self

    def transform(self, X: np.ndarray) -> np.ndarray:  # noqa: N803
        check_is_fitted(self)
        return self.centred(check_array(X))

    def centred(self, X: np.ndarray) -> np.ndarray:  # noqa: N803
        return np.array([[float(item) for item in row] for row in X]) - self.mean_


PIPELINES: dict[str, Any] = {
    "classifier": make_pipeline(SimpleImputer(), StandardScaler(), PCA(3), LogisticRegression()),
    "own": make_pipeline(Clipper(), StandardScaler(), LogisticRegression()),
    "function": make_pipeline(FunctionTransformer(lambda x: np.log1p(np.abs(x)) * np.where(x > 0, 1, -1)), LinearRegression()),
    "columns": make_pipeline(ColumnTransformer([("a", StandardScaler(), [0, 2]), ("b", PCA(2), slice(1, 4)), ("c", "passthrough", [4])]), LogisticRegression()),
    "remainder": ColumnTransformer([("a", StandardScaler(), [0, 2])], remainder="passthrough"),
    "union": make_pipeline(FeatureUnion([("a", PCA(2)), ("b", PowerTransformer())]), RandomForestClassifier(20, random_state=0)),
    "search": GridSearchCV(make_pipeline(StandardScaler(), SVC()), {"svc__C": [0.5, 2.0]}, cv=2),
    "frozen": FrozenEstimator(LogisticRegression().fit(X, Y)),
    "target": TransformedTargetRegressor(Ridge(), func=np.exp, inverse_func=np.log),
    "target of powers": TransformedTargetRegressor(Ridge(), transformer=PowerTransformer()),
    "target of positive powers": TransformedTargetRegressor(Ridge(), transformer=make_pipeline(FunctionTransformer(np.exp, np.log), PowerTransformer("box-cox"))),
    "target of quantiles": TransformedTargetRegressor(Ridge(), transformer=QuantileTransformer(n_quantiles=20, output_distribution="normal")),
    "temperature": CalibratedClassifierCV(LogisticRegression(), method="temperature", cv=2),
    "temperature of probabilities": CalibratedClassifierCV(RandomForestClassifier(5, random_state=0), method="temperature", cv=2),
    "clusters": make_pipeline(StandardScaler(), KMeans(3, n_init=1, random_state=0)),
    "histogram": HistGradientBoostingClassifier(max_iter=10),
    "neighbours": make_pipeline(QuantileTransformer(n_quantiles=20, output_distribution="normal"), KNeighborsClassifier(weights="distance")),
    "manhattan": KNeighborsRegressor(metric="manhattan"),
    "boosting": GradientBoostingRegressor(loss="huber", n_estimators=20),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore")
def test_whole_numbers() -> None:
    """They go through NumPy code as they are: a mixture keeps the whole part of squared distances then."""
    rows = np.round(X * 3).astype(np.int64)
    check(GaussianMixture(2, random_state=0).fit(rows), rows)
    check(FunctionTransformer(lambda x: 100 * x + x.sum(axis=1, keepdims=True, dtype=np.uint8)).fit(rows), rows.astype(np.uint8))
    check(DictionaryLearning(3, max_iter=2, transform_algorithm="threshold").fit(rows), rows)
    check(KernelRidge().fit(X > 0, Y), X > 0)
    check(CategoricalNB().fit(X > 0, Y), X > 0)
    check(AffinityPropagation(max_iter=1).fit(rows), rows)  # finds no clusters


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", PIPELINES)
def test_pipelines(name: str) -> None:
    check(PIPELINES[name].fit(X, Y))


def test_a_translation_of_the_user() -> None:
    pipeline = make_pipeline(StandardScaler(), Checked(), LogisticRegression()).fit(X, Y)
    with pytest.raises(UnsupportedOperator, match="number of rows"):
        onward.convert(pipeline)
    try:
        method("centred", "Checked")(lambda estimator, x: x - estimator.mean_)
        check(pipeline)
    finally:
        METHODS.pop(("centred", "Checked"))
    assert Checked.centred.__name__ == "centred"


def test_all_methods_at_once() -> None:
    forest = IsolationForest(n_estimators=5, random_state=0).fit(X)
    model = check(forest, methods=["predict", "decision_function", "score_samples"])
    assert [value.name for value in model.graph.outputs] == ["label", "scores", "sample_scores"]


@pytest.mark.parametrize("estimator", [LogisticRegression(), RandomForestClassifier(5), KNeighborsClassifier(), SVC(), GradientBoostingRegressor()])
def test_no_rows(estimator: Any) -> None:
    model = onward.convert(estimator.fit(X, Y))
    for found, usual in zip(*(onward.InferenceSession(model).run(None, {"x": rows}) for rows in (X[:0], X))):
        assert found.shape == (0, *usual.shape[1:])


def test_names_and_outputs() -> None:
    model = check(LogisticRegression().fit(X, Y), input_names=["rows"], output_names=["class", "chances"])
    assert [value.name for value in (*model.graph.inputs, *model.graph.outputs)] == ["rows", "class", "chances"]
    model = onward.convert(LogisticRegression().fit(X, Y), methods=["decision_function"])
    assert [value.name for value in model.graph.outputs] == ["scores"]
    labelled = check(LogisticRegression().fit(X, np.array(["a", "b", "c"])[Y]))
    (found, _) = onward.InferenceSession(labelled).run(None, {"x": X})
    assert set(found) <= {"a", "b", "c"}


def test_single_precision() -> None:
    """The input has the example's data type; results have that of scikit-learn."""
    rows = X.astype(np.float32)
    model = check(StandardScaler().fit(rows), rows)
    (found,) = onward.InferenceSession(model).run(None, {"x": rows})
    assert found.dtype == np.float32
    check(RandomForestRegressor(10, random_state=0).fit(rows, Y), rows)


def test_forests_compare_as_the_library_does() -> None:
    """Rows exactly at thresholds and the numbers beside them take the library's ways: no label differs."""
    forest = RandomForestClassifier(50, random_state=0).fit(X, Y)
    certificate = Certificate.of(onward.convert(forest))
    assert certificate is not None
    assert {"thresholds and their neighbours", "missing values"} & set(certificate.shapes)
    assert certificate.differences["label"]["different"] == 0
    assert certificate.differences["probabilities"]["units"] <= 4


def test_histogram_based_trees_compare_as_the_library_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each threshold is among the rows that are tried, in the column that it is about; sums are equal to the bit."""
    rows = np.concatenate([X, np.floor(np.abs(X[:, :1]) * 3)], 1)
    estimator = HistGradientBoostingRegressor(max_iter=10, categorical_features=[5]).fit(rows, X[:, 0] + rows[:, 5] % 2)
    tried = limits(estimator, 6)
    assert tried is not None
    nodes = np.concatenate([tree.nodes for stage in estimator._predictors for tree in stage])
    inner = nodes[(nodes["is_leaf"] == 0) & (nodes["is_categorical"] == 0)]
    order = [5, 0, 1, 2, 3, 4]  # categories come first in the trees
    assert inner.size and all((tried[:, order[node["feature_idx"]]] == node["num_threshold"]).any() for node in inner)
    certificate = Certificate.of(onward.convert(estimator, rows))
    assert certificate is not None and certificate.differences["prediction"]["absolute"] == 0
    monkeypatch.setattr(forests, "LESS_OR_EQUAL", LESS)
    with pytest.raises(ConversionMismatch, match="thresholds"):
        onward.convert(estimator, rows)


def test_thresholds_behind_scalers() -> None:
    """Rows that scaling brings to thresholds; two scalers are two divisions in the session, too."""
    estimator = make_pipeline(RobustScaler(), MaxAbsScaler(clip=True), RandomForestClassifier(10, random_state=0)).fit(X, Y)
    tried = limits(estimator, X.shape[1])
    assert tried is not None
    scaled = estimator[:-1].transform(tried).astype(np.float32)
    tree = estimator[-1].estimators_[0].tree_
    for feature, threshold in zip(tree.feature[tree.children_left >= 0], tree.threshold[tree.children_left >= 0]):
        assert np.isin(np.float32(threshold), scaled[:, feature])
    model = check(estimator)
    (labels, _) = onward.InferenceSession(model).run(None, {"x": tried})
    assert np.array_equal(labels, estimator.predict(tried))
    check(MinMaxScaler(clip=True).fit(X[:50]))


@pytest.mark.parametrize("library", ["xgboost", "lightgbm", "catboost"])
def test_limits_of_boosters_behind_steps_that_can_be_undone(library: str) -> None:
    """Columns that are scaled, taken as they are, put in another order or left out; a rotation of rows."""
    module = pytest.importorskip(library)
    made = {
        "xgboost": lambda: module.XGBRegressor(n_estimators=3, max_depth=3),
        "lightgbm": lambda: module.LGBMRegressor(n_estimators=3, num_leaves=5, verbose=-1),
        "catboost": lambda: module.CatBoostRegressor(iterations=3, depth=3, verbose=0, allow_writing_files=False),
    }[library]
    single = library != "lightgbm"
    chosen = ColumnTransformer([("kept", "passthrough", [4]), ("scaled", make_pipeline(SimpleImputer(), StandardScaler()), [0, 3, 1])])
    estimator = VotingRegressor([("one", make_pipeline(chosen, made())), ("other", make_pipeline(PCA(), made()))]).fit(X, X[:, 0] - X[:, 4])
    tried = limits(estimator, X.shape[1])
    assert tried is not None
    for pipeline, exactly in zip(estimator.estimators_, (True, False)):
        rows = pipeline[:-1].transform(tried)
        rows = rows.astype(np.float32) if single else rows
        features, numbers = LIBRARIES[library](pipeline[-1])
        assert features.size
        for feature, number in zip(features, numbers):
            found = np.abs(rows[:, feature] - number).min()
            few = 4 * np.spacing(rows.dtype.type(1 + abs(number)))  # a rotation rounds, and not every double is a scaled one
            assert found == 0 if exactly and single else found <= few


def test_missing_values() -> None:
    rows = np.where(np.random.default_rng(0).random(X.shape) < 0.2, np.nan, X)
    for estimator in (SimpleImputer(add_indicator=True), KNNImputer(n_neighbors=3), KNNImputer(weights="distance")):
        check(estimator.fit(rows), rows)
    check(HistGradientBoostingClassifier(max_iter=10).fit(rows, Y), rows)


@pytest.mark.parametrize(
    "options",
    [
        {"add_indicator": True, "min_value": -1, "max_value": [1, 2, 3, 0.5, 1]}, {"n_nearest_features": 2, "imputation_order": "random"},
        {"keep_empty_features": True, "estimator": DecisionTreeRegressor(max_depth=3)},
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore")
def test_columns_that_are_imputed_in_turn(options: dict[str, Any]) -> None:
    rows = np.where(np.random.default_rng(0).random(X.shape) < 0.2, np.nan, X)
    rows[:, 3] = np.nan if "keep_empty_features" in options else rows[:, 3]
    imputer = IterativeImputer(max_iter=3, random_state=0, **options).fit(rows)
    check(imputer, rows)
    if "estimator" not in options:
        imputer.sample_posterior = True
        with pytest.raises(UnsupportedOperator, match="draws random numbers"):
            onward.convert(imputer, rows)


@pytest.mark.parametrize("estimator", [KNeighborsClassifier(), KNeighborsRegressor(algorithm="brute", weights="distance"), "imputer"])
def test_neighbours_that_are_equally_near(estimator: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which of them are the nearest is a matter of rounding: rows for which that matters are not compared, and counted."""
    rows = np.round(X)
    if estimator == "imputer":
        rows, estimator = np.where(np.random.default_rng(0).random(X.shape) < 0.2, np.nan, rows), KNNImputer()
    estimator.fit(rows, Y)
    certificate = Certificate.of(onward.convert(estimator, rows))
    assert certificate is not None and any("equally near" in note for note in certificate.notes)
    monkeypatch.setattr(neighbours, "smallest", lambda a, count: smallest(-a, count))  # the farthest
    with pytest.raises(ConversionMismatch):
        onward.convert(estimator, rows)


def test_limits_are_compared_as_they_are() -> None:
    """Noise decides on which side of a limit a row is that lies on it; that excuses nothing but neighbours."""
    rows = np.round(X)
    estimator = Binarizer(threshold=1.0).fit(rows)
    model = onward.convert(estimator, rows)
    (comparison,) = [node for node in model.graph.nodes if node.op_type == "Greater"]
    comparison.op_type = "GreaterOrEqual"
    with pytest.raises(ConversionMismatch):
        verify(model, estimator, rows)


def test_categories() -> None:
    rows = np.floor(np.abs(X) * 2) % 4
    check(OneHotEncoder(handle_unknown="ignore", sparse_output=False, min_frequency=10).fit(rows), rows)
    check(OneHotEncoder(drop="if_binary", handle_unknown="infrequent_if_exist", max_categories=3).fit(rows), rows)
    check(HistGradientBoostingClassifier(categorical_features=[0, 1], max_iter=10).fit(rows, Y), rows)


def test_what_cannot_be_traced_is_named() -> None:
    with pytest.raises(UnsupportedOperator, match=r"(?s)branches on a value.*test_pipelines\.py"):
        onward.convert(FunctionTransformer(lambda x: x if x.sum() > 0 else -x).fit(X), X)
    with pytest.raises(UnsupportedOperator, match=r"linalg\.svd|svd"):
        onward.convert(FunctionTransformer(lambda x: np.linalg.svd(x)[0]).fit(X), X)
    for example in (None, X):
        with pytest.raises(ConversionError, match="not fitted yet"):
            onward.convert(LogisticRegression(), example)
    spoilt = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, Y)
    del spoilt[-1].solver
    with pytest.raises(ConversionError, match="LogisticRegression lacks solver, which scikit-learn"):
        onward.convert(spoilt)
    with pytest.raises(InvalidArgument, match="refuses the example inputs: could not convert string"):
        onward.convert(LogisticRegression().fit(X, Y), np.array([["a", "b"]], object))
    with pytest.raises(InvalidArgument, match="refuses the example inputs: X has 2 features"):
        onward.convert(LogisticRegression().fit(X, Y), X[:, :2])
    with pytest.raises(InvalidArgument, match="opset 9 cannot be written; known are 13 to"):
        onward.convert(LogisticRegression().fit(X, Y), opset=9)
    with pytest.raises(InvalidArgument, match="2 outputs, label, probabilities; 1 names"):
        onward.convert(LogisticRegression().fit(X, Y), output_names=["class"])
    with pytest.raises(InvalidArgument, match="1 input, 2 names"):
        onward.convert(LogisticRegression().fit(X, Y), input_names=["a", "b"])
    with pytest.raises(ConversionError, match="shape"):
        onward.convert(LogisticRegression().fit(X, Y), X[0])


class Branching(BaseEstimator, TransformerMixin):
    """Looks at the data."""

    def fit(self, X: np.ndarray, y: Any = None) -> Branching:  # noqa: N803
        return self

    def transform(self, X: np.ndarray) -> np.ndarray:  # noqa: N803
        return X if X.sum() > 0 else -X


def test_all_that_cannot_be_traced_is_named_at_once() -> None:
    pipeline = make_pipeline(Branching(), StandardScaler(), FunctionTransformer(lambda x: np.fft.fft(x).real), LogisticRegression()).fit(X, Y)
    with pytest.raises(UnsupportedOperator, match="2 methods have no translation") as refusal:
        onward.convert(pipeline, X)
    first, second = str(refusal.value).splitlines()[1:]
    assert "Branching.transform (at 'branching'): the code branches on a value" in first and "return X if X.sum() > 0" in first
    assert (
        "at 'functiontransformer'" in second
        and "numpy.fft" in second
        and "test_pipelines.py" in second
        and "method('transform', 'FunctionTransformer')" in second
    )


def test_the_first_part_that_differs() -> None:
    def pipeline(factor: float) -> Any:
        return make_pipeline(StandardScaler(), FunctionTransformer(lambda x: x * factor), LogisticRegression()).fit(X, Y)

    source = pipeline(1.0)
    model = onward.convert(source, X)
    names = [value.name for node in model.graph.nodes for value in node.outputs]
    assert names.count("standardscaler.transform") == 1 and divergence(model, source) is None
    other = pipeline(1.01)
    other.steps[2] = source.steps[2]
    found = divergence(model, other, X)
    assert found is not None and (found.value, found.module) == ("functiontransformer.transform",) * 2
    assert "test_pipelines.py:" in found.source and found.ours.shape == X.shape and found.theirs.greatest > found.ours.greatest
    with pytest.raises(ConversionMismatch, match=r"(?s)output 'probabilities' differs.*'functiontransformer.transform', computed by Mul"):
        verify(model, other, X)


def test_files(tmp_path: Path) -> None:
    estimator = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, Y)
    joblib.dump(estimator, tmp_path / "model.joblib")
    skops.io.dump(estimator, tmp_path / "model.skops")
    with pytest.raises(InvalidArgument, match="trust"):
        onward.convert(tmp_path / "model.joblib")
    for model in (onward.convert(tmp_path / "model.joblib", trust=True), onward.convert(tmp_path / "model.skops")):
        np.testing.assert_array_equal(onward.InferenceSession(model).run(["label"], {"x": X})[0], estimator.predict(X))
    (tmp_path / "broken.pkl").write_bytes(b"nothing")
    with pytest.raises(FormatError, match=r"broken\.pkl"):
        onward.convert(tmp_path / "broken.pkl", trust=True)


def test_verified_once_more() -> None:
    estimator, other = LogisticRegression().fit(X, Y), LogisticRegression(C=0.01).fit(X, Y)
    model = onward.convert(estimator, input_names=["rows"])
    assert verify(model, estimator).differences["probabilities"]["relative"] < 1e-12
    with pytest.raises(ConversionMismatch):
        verify(model, other)


def test_the_estimator_stays_as_it_was() -> None:
    estimator = make_pipeline(StandardScaler(), RandomForestClassifier(5, random_state=0)).fit(X, Y)
    before = estimator.predict_proba(X)
    onward.convert(estimator)
    np.testing.assert_array_equal(estimator.predict_proba(X), before)
    assert type(estimator[0].mean_) is np.ndarray


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_probabilities_of_support_vectors_are_coupled_as_libsvm_does(classes: int) -> None:
    from sklearn.svm import SVC, NuSVC

    random = np.random.default_rng(classes)
    x = random.standard_normal((90, 3))
    y = np.digitize(x[:, 0] + 0.3 * random.standard_normal(90), np.linspace(-1, 1, classes - 1)) if classes > 2 else (x[:, 0] > 0).astype(int)
    for estimator in (SVC(probability=True, random_state=0), NuSVC(nu=0.1, probability=True, kernel="poly", random_state=0)):
        onward.convert(estimator.fit(x, y))
