"""XGBoost as a target: round trips to the bit, trees of other libraries and forms, random trees, refusals, files."""

from __future__ import annotations

import json
import os
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
from onward.ir.tensor import Tensor
from tests.converters.targets.forests import FORMS, random_trees, regressor

xgboost = pytest.importorskip("xgboost")

RANDOM = np.random.default_rng(3)
X = RANDOM.standard_normal((300, 6)).astype(np.float32)
X[:, 5] = np.arange(300) % 7
REAL = (X[:, 0] * X[:, 1] + 3 * np.isin(X[:, 5], [1, 4]) + 0.3 * X[:, 2]).astype(np.float32)
CLASSES = np.digitize(REAL, [-0.3, 0.8])
TYPES = ["float"] * 5 + ["c"]


def rows(booster: Any, count: int = 10_000) -> np.ndarray:
    """Rows at the limits of a Booster, beside them, missing and great ones. (It refuses infinite ones.)"""
    found = json.loads(booster.save_raw("json"))["learner"]["gradient_booster"]
    trees = found.get("gbtree", found)["model"].get("trees", [])
    limits = np.unique(np.concatenate([[0.0], *(tree["split_conditions"] for tree in trees)]).astype(np.float32))
    around = np.concatenate([limits, np.nextafter(limits, np.float32(9)), np.nextafter(limits, np.float32(-9)), [np.nan, 3e38, -3e38]])
    made = RANDOM.choice(around.astype(np.float32), (count, 6))
    made[:, 5] = RANDOM.integers(0, 9, count)
    return made


def margins(booster: Any, data: np.ndarray, missing: float = np.nan) -> np.ndarray:
    matrix = xgboost.DMatrix(data, missing=missing, feature_names=booster.feature_names, feature_types=booster.feature_types, enable_categorical=True)
    return np.asarray(booster.predict(matrix, output_margin=True))


BOOSTERS: dict[str, dict[str, Any]] = {
    "squared error": {}, "logistic": {"objective": "binary:logistic"}, "raw logistic": {"objective": "binary:logitraw"},
    "softprob": {"objective": "multi:softprob", "num_class": 3}, "softmax": {"objective": "multi:softmax", "num_class": 3},
    "poisson": {"objective": "count:poisson"}, "gamma": {"objective": "reg:gamma"}, "hinge": {"objective": "binary:hinge"},
    "ranking": {"objective": "rank:pairwise"}, "dart": {"booster": "dart", "rate_drop": 0.3}, "forests": {"num_parallel_tree": 3, "subsample": 0.5},
    "a base score": {"objective": "binary:logistic", "base_score": 0.73},
}  # fmt: skip


@pytest.mark.parametrize("name", BOOSTERS)
def test_a_booster_comes_back_to_the_bit(name: str) -> None:
    parameters = BOOSTERS[name]
    objective = str(parameters.get("objective", ""))
    label = CLASSES if objective.startswith("multi") else (REAL > 0.5) if "binary" in objective or "rank" in objective else np.exp(REAL / 2)
    matrix = xgboost.DMatrix(X, label=label, feature_types=TYPES, enable_categorical=True, feature_names=[f"f {place}" for place in range(6)])
    if "rank" in objective:
        matrix.set_group([len(X)])
    booster = xgboost.train({"max_depth": 4, "seed": 1, "nthread": 1, **parameters}, matrix, 7)
    again = onward.convert(booster, to="xgboost")
    assert type(again) is xgboost.Booster and again.feature_names == booster.feature_names
    assert again.feature_types[5] == "c"
    data = rows(booster)
    np.testing.assert_array_equal(margins(booster, data), margins(again, data))


OBJECTIVES = {
    "reg:squaredlogerror": np.abs(REAL), "reg:pseudohubererror": REAL, "reg:absoluteerror": REAL, "reg:quantileerror": REAL, "reg:gamma": np.abs(REAL) + 0.1,
    "reg:tweedie": np.abs(REAL), "reg:logistic": REAL > 0, "binary:logitraw": REAL > 0, "binary:hinge": REAL > 0, "survival:cox": np.abs(REAL) + 0.1,
    "survival:aft": np.abs(REAL) + 0.1, "rank:ndcg": CLASSES, "multi:softmax": CLASSES, "multi:softprob": CLASSES, "count:poisson": CLASSES,
}  # fmt: skip
"""Labels by objective."""
PAIRS = [(booster, objective) for booster in ("gbtree", "dart", "gblinear") for objective in OBJECTIVES]


@pytest.mark.models
def test_objectives_and_boosters() -> None:
    """Margins and predictions are equal to the bit."""
    for booster, objective in PAIRS[:: 1 if os.environ.get("ONWARD_TEST_ALL") else 4]:
        label = OBJECTIVES[objective]
        options: dict[str, Any] = {"num_class": 3} if "multi" in objective else {"quantile_alpha": [0.2, 0.7]} if "quantile" in objective else {}
        matrix = xgboost.DMatrix(X, label=label, group=[len(X)] if "rank" in objective else None)
        if "aft" in objective:
            matrix.set_float_info("label_lower_bound", label)
            matrix.set_float_info("label_upper_bound", label)
        options |= {"rate_drop": 0.4} if booster == "dart" else {}
        source = xgboost.train(
            {"objective": objective, "booster": booster, "nthread": 1, **({} if booster == "gblinear" else {"max_depth": 3}), **options}, matrix, 4
        )
        again = onward.convert(source, to="xgboost")
        data = X.copy()
        data[::3, 2], data[1::3] = np.nan, np.round(data[1::3], 1)
        np.testing.assert_array_equal(margins(source, data), margins(again, data), err_msg=f"{booster} {objective}")
        ours, theirs = (model.predict(xgboost.DMatrix(data, feature_names=model.feature_names)) for model in (again, source))
        np.testing.assert_array_equal(ours.reshape(-1), theirs.reshape(-1), err_msg=f"{booster} {objective}")


@pytest.mark.parametrize("strategy", ["one_output_per_tree", "multi_output_tree"])
def test_several_targets(strategy: str) -> None:
    booster = xgboost.train({"max_depth": 3, "nthread": 1, "multi_strategy": strategy}, xgboost.DMatrix(X, label=np.stack([REAL, -REAL, REAL**2], 1)), 4)
    data = rows(booster)
    np.testing.assert_array_equal(margins(booster, data), margins(onward.convert(booster, to="xgboost"), data))


def test_a_classifier_is_one_again() -> None:
    for label in (CLASSES, (CLASSES > 0).astype(int)):
        source = xgboost.XGBClassifier(n_estimators=5, max_depth=3, n_jobs=1).fit(X, label)
        again = onward.convert(source, to="xgboost")
        assert type(again) is xgboost.XGBClassifier and again.classes_.tolist() == source.classes_.tolist()
        data = rows(source.get_booster())
        np.testing.assert_array_equal(again.predict(data), source.predict(data))
        np.testing.assert_array_equal(again.predict_proba(data), source.predict_proba(data))


def test_a_mark_of_missing_values_becomes_limits() -> None:
    data = X.copy()
    data[::3] = np.round(data[::3])
    source = xgboost.XGBRegressor(n_estimators=5, max_depth=3, n_jobs=1, missing=0).fit(data, REAL)
    again = onward.convert(source, to="xgboost")
    data = np.nan_to_num(rows(source.get_booster()), nan=0.0)
    np.testing.assert_array_equal(margins(source.get_booster(), data, 0), margins(again, data))


def test_the_linear_booster() -> None:
    booster = xgboost.train({"booster": "gblinear"}, xgboost.DMatrix(X, label=REAL), 5)
    again = onward.convert(booster, to="xgboost")
    data = X.copy()
    data[::5, 2] = np.nan
    assert json.loads(again.save_config())["learner"]["gradient_booster"]["name"] == "gblinear"
    np.testing.assert_allclose(margins(again, data), margins(booster, data), rtol=1e-6, atol=1e-6)


def sources() -> dict[str, Any]:
    """Fitted estimators of other libraries."""
    lightgbm = pytest.importorskip("lightgbm")
    catboost, ensemble, tree = (pytest.importorskip(name) for name in ("catboost", "sklearn.ensemble", "sklearn.tree"))
    quiet = {"iterations": 5, "depth": 3, "verbose": 0, "allow_writing_files": False}
    small = {"n_estimators": 6, "max_depth": 3, "random_state": 0}
    boosted = {**small, "verbose": -1}
    text = np.array(["low", "middle", "high"])[CLASSES]
    return {
        "tree": tree.DecisionTreeRegressor(max_depth=5).fit(X, REAL),
        "tree of classes": tree.DecisionTreeClassifier(max_depth=5).fit(X, text),
        "forest": ensemble.RandomForestRegressor(**small).fit(X, REAL),
        "forest of classes": ensemble.ExtraTreesClassifier(**small).fit(X, CLASSES),
        "boosting": ensemble.GradientBoostingRegressor(**small).fit(X, REAL),
        "boosting of classes": ensemble.GradientBoostingClassifier(**small).fit(X, CLASSES),
        "boosting of two classes": ensemble.GradientBoostingClassifier(**small).fit(X, CLASSES > 0),
        "histograms": ensemble.HistGradientBoostingRegressor(max_iter=6, categorical_features=[5]).fit(X, REAL),
        "histograms of classes": ensemble.HistGradientBoostingClassifier(max_iter=6).fit(X, CLASSES),
        "lightgbm": lightgbm.LGBMRegressor(**boosted, cat_smooth=0.1, min_data_per_group=2).fit(X, REAL, categorical_feature=[5]),
        "lightgbm of classes": lightgbm.LGBMClassifier(**boosted).fit(X, CLASSES),
        "lightgbm, zero is missing": lightgbm.LGBMRegressor(**boosted, zero_as_missing=True).fit(np.round(X), REAL),
        "catboost": catboost.CatBoostRegressor(**quiet, grow_policy="Depthwise").fit(X, REAL),
        "catboost of classes": catboost.CatBoostClassifier(**quiet).fit(X, CLASSES),
        "lightgbm, one versus all": lightgbm.LGBMClassifier(**boosted, objective="multiclassova").fit(X, CLASSES),
    }


@pytest.mark.models
def test_trees_of_other_libraries() -> None:
    """Rows go the same ways: single precision is all that is lost."""
    for name, source in sources().items():
        model = onward.convert(source, X)
        result = onward.convert(model, to="xgboost")
        booster = result.get_booster() if hasattr(result, "get_booster") else result
        data = rows(booster)
        if name.startswith("boosting"):  # it refuses missing values
            data = np.nan_to_num(data, nan=0.0)
        port = model.graph.inputs[0]
        expected = onward.InferenceSession(model).run(None, {port.name: data.astype(port.dtype.numpy)})
        if hasattr(result, "predict_proba"):
            np.testing.assert_array_equal(result.predict(data), expected[0], err_msg=name)
            ours = result.predict_proba(data)
        else:
            ours = result.predict(xgboost.DMatrix(data, feature_types=booster.feature_types, feature_names=booster.feature_names, enable_categorical=True))
        np.testing.assert_allclose(ours, expected[-1], rtol=1e-5, atol=3e-6, err_msg=name)


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(FORMS))
def test_random_trees_of_every_mode(seed: int, form: str) -> None:
    model, limits = random_trees(seed, form)
    booster = onward.convert(model, to="xgboost")
    random = np.random.default_rng(seed)
    around = np.concatenate([limits, np.nextafter(limits, np.float32(99)), np.nextafter(limits, np.float32(-99)), [np.nan, 3e38, -3e38]])
    data = random.choice(around.astype(np.float32), (10_000, 4))
    (expected,) = onward.InferenceSession(model).run(None, {"x": data})
    ours = booster.predict(xgboost.DMatrix(data)).reshape(expected.shape)
    np.testing.assert_allclose(ours, expected, rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize("transform", ["NONE", "LOGISTIC", "SOFTMAX"])
def test_post_transforms_and_base_values(transform: str) -> None:
    """The form of other converters: TreeEnsembleClassifier with everything in its attributes."""
    model = regressor(7, classes=2 if transform == "LOGISTIC" else 3, transform=transform, base=True)
    result = onward.convert(model, to="xgboost")
    data = RANDOM.standard_normal((10_000, 4)).astype(np.float32)
    label, expected = onward.InferenceSession(model).run(None, {"x": data})
    if transform == "NONE":
        np.testing.assert_allclose(result.predict(xgboost.DMatrix(data)), expected, rtol=1e-5, atol=1e-6)
        assert json.loads(result.attr("classes")) == [0, 1, 2]
    else:
        np.testing.assert_allclose(result.predict_proba(data), expected, rtol=1e-5, atol=1e-6)
        assert (result.predict(data) == label).mean() > 0.999, "where two scores are nearly equal the last place decides"


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32 - 1), st.booleans())
def test_scalers_before_trees_move_limits(seed: int, imputed: bool) -> None:
    """Exactly: rows at the new limits and beside them reach the same leaves."""
    random = np.random.default_rng(seed)
    trees = regressor(seed)
    b = ModelBuilder("scaled")
    x = b.input("x", DataType.FLOAT, ["rows", 4])
    if imputed:
        x = b.op("Where", b.op("IsNaN", x), b.constant(random.standard_normal(4).astype(np.float32)), x)
    shift, scale = random.standard_normal(4).astype(np.float32), (10.0 ** random.uniform(-3, 3, 4) * random.choice([-1, 1], 4)).astype(np.float32)
    x = b.op("Div", b.op("Sub", x, b.constant(shift)), b.constant(scale))
    b.output(b.op("TreeEnsembleRegressor", x, domain="ai.onnx.ml", **attributes(trees)), "y")
    b.domains["ai.onnx.ml"] = 3
    model = b.model()
    booster = onward.convert(model, to="xgboost")
    found = json.loads(booster.save_raw("json"))["learner"]["gradient_booster"]["model"]["trees"]
    limits = np.concatenate([[0.0], *(tree["split_conditions"] for tree in found)]).astype(np.float32)
    around = np.concatenate([limits, np.nextafter(limits, np.float32(1e30)), np.nextafter(limits, np.float32(-1e30)), [np.nan]])
    data = random.choice(around[~np.isinf(around)], (10_000, 4)).astype(np.float32)
    (expected,) = onward.InferenceSession(model).run(None, {"x": data})
    np.testing.assert_allclose(booster.predict(xgboost.DMatrix(data)).reshape(expected.shape), expected, rtol=2e-6, atol=2e-6)


def mlp() -> Model:
    b = ModelBuilder("mlp")
    x = b.input("x", DataType.FLOAT, ["rows", 4])
    hidden = b.op("Relu", b.op("MatMul", x, b.constant(RANDOM.standard_normal((4, 3)).astype(np.float32))))
    b.output(b.op("MatMul", hidden, b.constant(RANDOM.standard_normal((3, 1)).astype(np.float32))), "y")
    return b.model()


def test_what_is_no_sum_of_trees_is_refused_with_reasons() -> None:
    with pytest.raises(UnsupportedModel, match="no trees.*Dense, Activation, Dense"):
        onward.convert(mlp(), to="xgboost")
    b = ModelBuilder("linear")
    b.output(b.op("MatMul", b.input("x", DataType.FLOAT, ["rows", 2]), b.constant(np.ones((2, 1), np.float32))), "y")
    with pytest.raises(UnsupportedModel, match="does not take missing values for 0"):
        onward.convert(b.model(), to="xgboost")
    b = ModelBuilder("mixed")
    scaled = b.op("MatMul", b.input("x", DataType.FLOAT, ["rows", 4]), b.constant(RANDOM.standard_normal((4, 4)).astype(np.float32)))
    b.output(b.op("TreeEnsembleRegressor", scaled, domain="ai.onnx.ml", **attributes(regressor(1))), "y")
    b.domains["ai.onnx.ml"] = 3
    with pytest.raises(UnsupportedModel, match="made of several columns"):
        onward.convert(b.model(), to="xgboost")
    with pytest.raises(InvalidArgument, match="xgboost-source"):
        onward.convert(mlp(), to="xgboost-source")


def attributes(model: Model) -> dict[str, Any]:
    """The attributes of a model's first node."""
    return {name: item.value for name, item in model.graph.nodes[0].attributes.items()}


def test_files_and_their_certificate(tmp_path: Path) -> None:
    booster = xgboost.train({"max_depth": 3}, xgboost.DMatrix(X, label=REAL), 4)
    booster.save_model(tmp_path / "source.json")
    data = rows(booster)
    for ending in ("json", "ubj"):
        path = tmp_path / f"again.{ending}"
        result = CliRunner().invoke(app, ["convert", str(tmp_path / "source.json"), "--to", "xgboost", "-o", str(path)])
        assert result.exit_code == 0, result.output
        again = xgboost.Booster(model_file=path)
        np.testing.assert_array_equal(margins(again, data), margins(booster, data))
        certificate = json.loads(path.with_name(f"{path.name}.certificate.json").read_text())
        assert certificate["differences"]["prediction"]["absolute"] == 0
        assert certificate["before"]["framework"].startswith("xgboost")
    with pytest.raises(InvalidArgument, match=r"\.ubj or \.json"):
        onward.convert(booster, to="xgboost", output=tmp_path / "model.txt")
    with pytest.raises(InvalidArgument, match="no folder"):
        onward.convert(booster, to="xgboost", output=tmp_path / "none" / "model.json")
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith(".")) == []


def test_membership_of_numbers_that_are_not_made_whole() -> None:
    """Without Floor a set of numbers is no set of categories: 2.5 is in none."""
    b = ModelBuilder("members")
    b.output(
        b.op(
            "TreeEnsemble", b.input("x", DataType.FLOAT, ["rows", 1]), domain="ai.onnx.ml", aggregate_function=1, leaf_targetids=[0, 0],
            leaf_weights=Tensor.of(np.array([1, 2], np.float32)), membership_values=Tensor.of(np.array([1, 2, 5, np.nan], np.float32)), n_targets=1,
            nodes_falseleafs=[1], nodes_falsenodeids=[1], nodes_featureids=[0], nodes_missing_value_tracks_true=[1],
            nodes_modes=Tensor.of(np.array([6], np.uint8)), nodes_splits=Tensor.of(np.zeros(1, np.float32)), nodes_trueleafs=[1], nodes_truenodeids=[0],
            post_transform=0, tree_roots=[0],
        ),
        "y",
    )  # fmt: skip
    booster = onward.convert(b.model(), to="xgboost")
    data = np.array([[0], [1], [1.5], [2], [2.5], [5], [np.nan], [6], [-1]], np.float32)
    np.testing.assert_array_equal(booster.predict(xgboost.DMatrix(data)), [2, 1, 2, 1, 2, 1, 1, 2, 2])


def test_trees_as_a_program_of_torch_export(tmp_path: Path) -> None:
    """Trees of several classes keep their number of rows open."""
    torch = pytest.importorskip("torch")
    booster = xgboost.train({"objective": "multi:softprob", "num_class": 3, "max_depth": 3, "nthread": 1}, xgboost.DMatrix(X, label=CLASSES), 3)
    onward.convert(booster, to="torch", output=tmp_path / "model.pt2")
    (found,) = torch.utils._pytree.tree_leaves(torch.export.load(tmp_path / "model.pt2").module()(torch.from_numpy(X)))
    np.testing.assert_allclose(found.numpy(), booster.predict(xgboost.DMatrix(X)), rtol=1e-6)
