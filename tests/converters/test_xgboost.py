"""XGBoost models: margins equal to the bit, predictions within a unit of the last place, in onnxruntime as well."""

from __future__ import annotations

import json
import platform
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

import onward
from onward.converters.builder import ModelBuilder
from onward.converters.certificate import Certificate
from onward.converters.xgboost import _exponential_of_numpy
from onward.errors import ConversionMismatch, FormatError, UnsupportedModel
from onward.ir.datatypes import DataType

xgboost = pytest.importorskip("xgboost")

RANDOM = np.random.default_rng(11)
ROWS = 300
X = RANDOM.standard_normal((ROWS, 6)).astype(np.float32)
X[::7, 1] = np.nan
REAL = RANDOM.standard_normal(ROWS)
POSITIVE = np.exp(REAL)
BINARY = (REAL > 0).astype(int)
CLASSES = RANDOM.integers(0, 3, ROWS)
CATEGORIES = np.concatenate([RANDOM.integers(0, 12, (ROWS, 2)), X[:, :3]], 1).astype(np.float32)
GLIBC = platform.libc_ver()[0] == "glibc"
SEPARATE = platform.machine() in ("x86_64", "AMD64")
"""Whether the library rounds products before it adds them (compilers for other processors make one instruction of both), and whether NumPy has
an exponential function of its own."""
LABELS = {
    "reg:squarederror": REAL, "reg:squaredlogerror": POSITIVE, "reg:pseudohubererror": REAL, "reg:absoluteerror": REAL,
    "reg:gamma": POSITIVE, "reg:tweedie": POSITIVE, "count:poisson": CLASSES, "reg:logistic": BINARY,
    "binary:logistic": BINARY, "binary:logitraw": BINARY, "binary:hinge": BINARY, "survival:cox": POSITIVE,
    "rank:ndcg": BINARY, "rank:pairwise": BINARY, "rank:map": BINARY,
}  # fmt: skip


def trained(data: np.ndarray, label: Any, rounds: int = 8, types: Any = None, **parameters: Any) -> Any:
    group = [len(data)] if str(parameters.get("objective", "")).startswith("rank") else None
    matrix = xgboost.DMatrix(data, label=label, feature_types=types, enable_categorical=types is not None)
    if group:
        matrix.set_group(group)
    return xgboost.train({"max_depth": 4, "seed": 1, **parameters}, matrix, rounds)


def check(source: Any, units: float = 1.0) -> onnx.ModelProto:
    """Converts, and looks at the certificate, the checker of onnx and onnxruntime."""
    model = onward.convert(source)
    certificate = Certificate.of(model)
    assert certificate is not None
    for found in certificate.differences.values():
        assert found.get("units", 0) <= units or found["absolute"] < 2e-7, "of a probability 1 - p the last places of p count"
    onnx.checker.check_model(onnx.load_from_string(model.to_bytes()), full_check=False)
    rows = RANDOM.standard_normal((50, len(X[0]))).astype(np.float32)
    session = onnxruntime.InferenceSession(model.to_bytes())
    port = session.get_inputs()[0]
    rows = rows[:, : port.shape[1]]
    for ours, theirs in zip(onward.InferenceSession(model).run(None, {port.name: rows}), session.run(None, {port.name: rows})):
        np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=2e-6)
    return model


@pytest.mark.parametrize("objective", LABELS)
def test_objectives(objective: str) -> None:
    check(trained(X, LABELS[objective], objective=objective))


@pytest.mark.parametrize("objective", ["reg:squarederror", "binary:logitraw", "rank:ndcg"])
def test_margins_are_equal_to_the_bit(objective: str) -> None:
    """On many rows, at thresholds and beside them, with NaN and the greatest numbers (the library refuses infinite ones)."""
    booster = trained(X, LABELS[objective], 60, objective=objective)
    session = onward.InferenceSession(onward.convert(booster))
    trees = json.loads(booster.save_raw("json"))["learner"]["gradient_booster"]["model"]["trees"]
    splits = np.unique(np.concatenate([tree["split_conditions"] for tree in trees]).astype(np.float32))
    around = np.concatenate([splits, np.nextafter(splits, np.float32(9)), np.nextafter(splits, np.float32(-9)), [np.nan, 3e38, -3e38]])
    rows = RANDOM.choice(around.astype(np.float32), (100_000, 6))
    expected = booster.predict(xgboost.DMatrix(rows, missing=np.nan), output_margin=True)
    np.testing.assert_array_equal(session.run(None, {"x": rows})[0], expected)


@pytest.mark.parametrize("objective", ["binary:logistic", "multi:softprob", "count:poisson", "survival:cox"])
def test_last_places_of_probabilities(objective: str) -> None:
    """Equal to the bit on 1e5 rows, where the library's expf is that of glibc; within the two units of another one elsewhere."""
    several = objective.startswith("multi")
    label = {"binary:logistic": BINARY, "multi:softprob": CLASSES, "count:poisson": BINARY, "survival:cox": POSITIVE}[objective]
    booster = trained(X, label, 30, objective=objective, **({"num_class": 3} if several else {}))
    rows = RANDOM.standard_normal((100_000, 6)).astype(np.float32)
    ours, theirs = onward.InferenceSession(onward.convert(booster)).run(None, {"x": rows})[0], booster.predict(xgboost.DMatrix(rows))
    units = np.abs(ours.astype(np.float64) - theirs) / np.spacing(theirs)
    assert units.max() <= (0 if GLIBC else 2)


@pytest.mark.parametrize("objective", ["binary:logistic", "count:poisson"])
def test_many_base_scores(objective: str) -> None:
    for score in RANDOM.uniform(0.01, 0.99, 12):
        booster = trained(X, BINARY, 2, objective=objective, base_score=score)
        found = onward.InferenceSession(onward.convert(booster, verify=False)).run(None, {"x": X})[0]
        np.testing.assert_array_equal(found, booster.predict(xgboost.DMatrix(X)))


def test_accelerated_failure_times() -> None:
    matrix = xgboost.DMatrix(X, label_lower_bound=POSITIVE, label_upper_bound=POSITIVE * 2)
    check(xgboost.train({"objective": "survival:aft", "max_depth": 3}, matrix, 6))


@pytest.mark.parametrize("objective", ["multi:softprob", "multi:softmax"])
def test_several_classes(objective: str) -> None:
    check(trained(X, CLASSES, objective=objective, num_class=3))


def test_quantiles() -> None:
    check(trained(X, REAL, objective="reg:quantileerror", quantile_alpha=np.array([0.1, 0.5, 0.9])))


@pytest.mark.parametrize("strategy", ["one_output_per_tree", "multi_output_tree"])
def test_several_targets(strategy: str) -> None:
    check(trained(X, np.stack([REAL, POSITIVE], 1), multi_strategy=strategy, tree_method="hist"))


@pytest.mark.parametrize("parameters", [{"rate_drop": 0.3}, {"rate_drop": 0.3, "normalize_type": "forest"}])
def test_dropped_trees(parameters: dict[str, Any]) -> None:
    check(trained(X, REAL, booster="dart", **parameters))


@pytest.mark.parametrize(("model", "label"), [(xgboost.XGBRegressor, REAL), (xgboost.XGBClassifier, BINARY), (xgboost.XGBClassifier, CLASSES)])
def test_dropped_trees_of_estimators(model: Any, label: np.ndarray) -> None:
    """Estimators sum otherwise than boosters: each tree by itself, without the base score."""
    source = model(booster="dart", rate_drop=0.3, n_estimators=40, max_depth=3).fit(X, label)
    rows = RANDOM.standard_normal((10_000, 6)).astype(np.float32)
    expected = source.predict_proba(rows) if model is xgboost.XGBClassifier else source.predict(rows)
    assert np.abs(onward.InferenceSession(check(source)).run(None, {"x": rows})[-1] - expected).max() <= (0 if GLIBC else 3e-7)


@pytest.mark.parametrize(("objective", "label"), [("reg:squarederror", REAL), ("binary:logistic", BINARY)])
def test_linear_boosters(objective: str, label: np.ndarray) -> None:
    check(trained(np.nan_to_num(X), label, booster="gblinear", objective=objective), units=0 if SEPARATE else 64)


def test_linear_boosters_of_several_outputs() -> None:
    """The library adds the first base score to all of them."""
    rows = np.nan_to_num(X)
    for label, options in ((CLASSES, {"objective": "multi:softprob", "num_class": 3}), (np.stack([REAL, POSITIVE], 1), {})):
        booster = trained(rows, label, booster="gblinear", **options)
        (ours,) = onward.InferenceSession(onward.convert(booster)).run(None, {"x": rows})
        theirs = booster.predict(xgboost.DMatrix(rows))
        assert np.abs(ours - theirs).max() <= (0 if SEPARATE else 1e-6 * np.abs(theirs).max())


@pytest.mark.parametrize("one_hot", [1, 100])
def test_categories(one_hot: int) -> None:
    types = ["c", "c", "q", "q", "q"]
    booster = trained(CATEGORIES, REAL, types=types, tree_method="hist", max_cat_to_onehot=one_hot)
    model = onward.convert(booster)
    rows = CATEGORIES.copy()
    rows[::3, 0], rows[::5, 1] = 30, np.nan
    rows[1::9] += np.float32(0.75)  # the library takes the whole part
    expected = booster.predict(xgboost.DMatrix(rows, feature_types=types, enable_categorical=True))
    np.testing.assert_array_equal(onward.InferenceSession(model).run(None, {"x": rows})[0], expected)


@pytest.mark.parametrize("score", [0.0, 0.3, -2.0])
def test_base_scores(score: float) -> None:
    check(trained(X, REAL, base_score=score))


def test_estimators() -> None:
    options: dict[str, Any] = {"n_estimators": 8, "max_depth": 3}
    check(xgboost.XGBRegressor(**options).fit(X, REAL))
    check(xgboost.XGBRegressor(objective="reg:logistic", **options).fit(X, BINARY))
    check(xgboost.XGBRegressor(objective="survival:cox", **options).fit(X, POSITIVE))
    check(xgboost.XGBClassifier(booster="gblinear", n_estimators=8).fit(np.nan_to_num(X), BINARY), units=0 if SEPARATE else 64)
    check(xgboost.XGBRFRegressor(**options).fit(X, REAL))
    check(xgboost.XGBRanker(**options).fit(X, BINARY, group=[ROWS]))


@pytest.mark.parametrize("mark", [-1.0, 0.0])
def test_another_mark_of_missing_values(mark: float) -> None:
    rows = np.where(np.isnan(X) | (X < -1), np.float32(mark), X)
    for model in (xgboost.XGBRegressor, xgboost.XGBClassifier):
        source = model(n_estimators=8, max_depth=3, missing=mark).fit(rows, BINARY)
        session = onward.InferenceSession(check(source))
        expected = source.predict_proba(rows) if model is xgboost.XGBClassifier else source.predict(rows)
        np.testing.assert_allclose(session.run(None, {"x": rows})[-1], expected, rtol=1e-5)


@pytest.mark.parametrize("labels", [BINARY, CLASSES, np.stack([BINARY, 1 - BINARY, CLASSES > 1], 1).astype(int)])
def test_classifiers(labels: np.ndarray) -> None:
    check(xgboost.XGBClassifier(n_estimators=8, max_depth=3).fit(X, labels))
    if labels.ndim == 1:
        check(xgboost.XGBRFClassifier(n_estimators=8, max_depth=3).fit(X, labels))


@pytest.mark.parametrize("objective", ["binary:logitraw", "binary:hinge", "multi:softmax", "own"])
def test_objectives_of_classifiers(objective: str) -> None:
    def own(label: np.ndarray, score: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return score - label, np.ones_like(score)

    model = xgboost.XGBClassifier(n_estimators=5, max_depth=3, objective=own if objective == "own" else objective)
    softmax = objective == "multi:softmax"
    check(model.fit(X, CLASSES if softmax else BINARY), units=8 if softmax and not SEPARATE else 1)


@pytest.mark.parametrize("classes", [3, 8, 21, 140])
def test_probabilities_of_the_greatest_margin(classes: int) -> None:
    """SciPy makes them of the margins, with NumPy's exponential function and its order of adding, which depends on the number of classes."""
    source = xgboost.XGBClassifier(n_estimators=3, max_depth=3, objective="multi:softmax").fit(X, np.arange(ROWS) % classes)
    rows = RANDOM.standard_normal((100_000 // classes, 6)).astype(np.float32)
    ours, theirs = onward.InferenceSession(onward.convert(source)).run(None, {"x": rows})[1], source.predict_proba(rows)
    assert (np.abs(ours - theirs) / np.spacing(theirs)).max() <= (0 if SEPARATE else 8)


def test_powers_of_margins_that_lie_far_apart() -> None:
    """Below the least power they are 0, however far, and a margin that is no number stays none."""
    b = ModelBuilder("powers")
    b.output(_exponential_of_numpy(b, b.input("x", DataType.FLOAT, ["n"])), "y")
    x = np.array([0, -1e-30, -1, -87, -109, -111, -1e4, -1e30, -3e38, -np.inf, np.nan], np.float32)
    for session in (onward.InferenceSession(b.model()), onnxruntime.InferenceSession(b.model().to_bytes(), providers=["CPUExecutionProvider"])):
        (y,) = session.run(None, {"x": x})
        np.testing.assert_allclose(y, np.exp(x), rtol=1e-6, atol=0)


def test_early_stopping() -> None:
    model = xgboost.XGBRegressor(n_estimators=200, max_depth=3, early_stopping_rounds=3, learning_rate=0.9)
    model.fit(X[:200], REAL[:200], eval_set=[(X[200:], REAL[200:])], verbose=False)
    assert model.best_iteration < 199
    check(model)


@pytest.mark.parametrize("ending", [".json", ".ubj"])
def test_files(tmp_path: Path, ending: str) -> None:
    booster = trained(X, REAL)
    booster.save_model(tmp_path / f"model{ending}")
    session = onward.InferenceSession(onward.convert(tmp_path / f"model{ending}"))
    np.testing.assert_array_equal(session.run(None, {"x": X})[0], booster.predict(xgboost.DMatrix(X)))


def test_names_and_version() -> None:
    model = onward.convert(trained(X, REAL), input_names=["features"], output_names=["score"], opset=18)
    assert [value.name for value in model.graph.inputs] == ["features"]
    assert [value.name for value in model.graph.outputs] == ["score"] and model.opset_imports[""] == 18


def test_what_cannot_be_converted(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedModel, match="builtins.dict"):
        onward.convert({})
    (tmp_path / "broken.json").write_text("{}")
    with pytest.raises(FormatError, match="broken.json"):
        onward.convert(tmp_path / "broken.json")


def test_a_wrong_result_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    from onward.converters import xgboost as converter

    monkeypatch.setattr(converter, "LESS", 0)  # less or equal: wrong at the thresholds alone
    with pytest.raises(ConversionMismatch, match="thresholds"):
        onward.convert(trained(X, REAL))
