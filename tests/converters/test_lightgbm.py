"""LightGBM models: sums of trees equal to the bit, in double precision; predictions within a few units of the last place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

import onward
from onward.converters.certificate import Certificate
from onward.errors import FormatError

lightgbm = pytest.importorskip("lightgbm")

RANDOM = np.random.default_rng(12)
ROWS = 400
X = RANDOM.standard_normal((ROWS, 5))
X[::7, 1] = np.nan
X[::3, 2] = 0
X[:, 4] = RANDOM.integers(0, 40, ROWS)
REAL = np.nan_to_num(X).sum(1) / 9 + RANDOM.standard_normal(ROWS) / 5
POSITIVE = np.exp(REAL)
BINARY = (np.median(REAL) < REAL).astype(int)
CLASSES = RANDOM.integers(0, 3, ROWS)
SHARE = 1 / (1 + POSITIVE)
LABELS = {
    "regression": REAL, "regression_l1": REAL, "huber": REAL, "fair": REAL, "quantile": REAL, "mape": POSITIVE,
    "poisson": CLASSES, "gamma": POSITIVE, "tweedie": POSITIVE, "binary": BINARY, "cross_entropy": SHARE,
    "cross_entropy_lambda": SHARE, "lambdarank": CLASSES, "rank_xendcg": CLASSES,
}  # fmt: skip


def trained(label: np.ndarray, rounds: int = 8, categories: Any = "auto", **parameters: Any) -> Any:
    group = [ROWS] if "rank" in str(parameters.get("objective")) else None
    data = lightgbm.Dataset(X, label=label, group=group, categorical_feature=categories)
    options = {"num_leaves": 8, "verbose": -1, "min_data_in_leaf": 5, "seed": 1, **parameters}
    return lightgbm.train(options, data, rounds)


def check(source: Any) -> dict[str, dict[str, float]]:
    """Converts, and compares with onnxruntime besides."""
    model = onward.convert(source)
    certificate = Certificate.of(model)
    assert certificate is not None
    assert all(found.get("units", 0) <= 8 or found["absolute"] < 1e-15 for found in certificate.differences.values())
    ours = onward.InferenceSession(model).run(None, {"x": X})
    theirs = onnxruntime.InferenceSession(model.to_bytes()).run(None, {"x": X})
    for left, right in zip(ours, theirs, strict=True):
        if left.dtype == object:
            assert left.tolist() == right.tolist()
        else:
            np.testing.assert_allclose(left, right, rtol=1e-5, atol=1e-6)
    return certificate.differences


@pytest.mark.parametrize("objective", LABELS)
def test_objectives(objective: str) -> None:
    found = check(trained(LABELS[objective], objective=objective))
    if objective in ("regression", "huber", "quantile", "lambdarank"):
        assert found["prediction"]["absolute"] == 0


@pytest.mark.parametrize("parameters", [{"sigmoid": 2.5}, {"boosting": "dart", "drop_rate": 0.4}, {"data_sample_strategy": "goss"}])
def test_variants(parameters: dict[str, Any]) -> None:
    check(trained(BINARY, objective="binary", **parameters))


@pytest.mark.parametrize(("objective", "label"), [("regression", REAL), ("binary", BINARY)])
def test_forests_are_averaged(objective: str, label: np.ndarray) -> None:
    check(trained(label, objective=objective, boosting="rf", bagging_fraction=0.7, bagging_freq=1))


@pytest.mark.parametrize("objective", ["multiclass", "multiclassova"])
def test_several_classes(objective: str) -> None:
    check(trained(CLASSES, objective=objective, num_class=3))


def test_square_roots() -> None:
    check(trained(POSITIVE, objective="regression", reg_sqrt=True))


@pytest.mark.parametrize("missing", [{}, {"use_missing": False}])
def test_categories(missing: dict[str, Any]) -> None:
    booster = trained(REAL, categories=[4], objective="regression", max_cat_to_onehot=1, min_data_per_group=2, cat_smooth=1, **missing)
    assert "num_cat=0" not in booster.model_to_string().partition("Tree=1")[0]
    check(booster)


def test_estimators() -> None:
    options: dict[str, Any] = {"n_estimators": 8, "num_leaves": 8, "verbose": -1}
    check(lightgbm.LGBMRegressor(**options).fit(X, REAL))
    check(lightgbm.LGBMClassifier(**options).fit(X, BINARY))
    check(lightgbm.LGBMClassifier(**options).fit(X, CLASSES))
    check(lightgbm.LGBMClassifier(**options).fit(X, np.array(["no", "yes", "maybe"])[CLASSES]))
    check(lightgbm.LGBMRanker(**options).fit(X, CLASSES, group=[ROWS]))


def test_early_stopping() -> None:
    model = lightgbm.LGBMRegressor(n_estimators=200, learning_rate=0.8, verbose=-1)
    model.fit(X[:300], REAL[:300], eval_set=[(X[300:], REAL[300:])], callbacks=[lightgbm.early_stopping(3, verbose=False)])
    assert model.best_iteration_ < 200
    check(model)


def test_files(tmp_path: Path) -> None:
    booster = trained(REAL, objective="regression")
    booster.save_model(tmp_path / "model.txt")
    session = onward.InferenceSession(onward.convert(tmp_path / "model.txt"))
    np.testing.assert_array_equal(session.run(None, {"x": X})[0], booster.predict(X))
    (tmp_path / "broken.txt").write_text("nothing")
    with pytest.raises(FormatError, match=r"broken\.txt"):
        onward.convert(tmp_path / "broken.txt")


def awkward(booster: Any, count: int = 100_000) -> np.ndarray:
    """Rows at thresholds, right beside them, of numbers taken for zero, not finite, and of categories known, unknown and with fractions."""
    zero = np.float64(np.float32(1e-35))
    near = [0, zero, -zero, np.nextafter(zero, 1), -np.nextafter(zero, 1), 1e-36, -1e-36, np.nan, np.inf, -np.inf]
    columns: list[list[float]] = [list(near) for _ in range(booster.num_feature())]
    table = booster.trees_to_dataframe().dropna(subset=["split_feature"])
    for name, threshold, kind in zip(table["split_feature"], table["threshold"], table["decision_type"]):
        column = columns[booster.feature_name().index(name)]
        if kind == "==":
            column += [float(item) + part for item in str(threshold).split("||") for part in (0, 0.5)] + [-0.5, -1, 1000, 3e9, 1e300]
        else:
            column += [float(threshold), np.nextafter(float(threshold), np.inf), np.nextafter(float(threshold), -np.inf)]
    rows = np.stack([RANDOM.choice(np.array(column), count) for column in columns], 1)
    return np.where(RANDOM.random(rows.shape) < 0.3, RANDOM.standard_normal(rows.shape), rows)


@pytest.mark.parametrize("linear", [False, True])
@pytest.mark.parametrize("missing", [{}, {"use_missing": False}, {"zero_as_missing": True}])
@pytest.mark.parametrize("categories", [[], [4]])
def test_sums_are_equal_to_the_bit(linear: bool, missing: dict[str, Any], categories: list[int]) -> None:
    if linear and "zero_as_missing" in missing:
        pytest.skip("the library does not train this")
    options = {"max_cat_to_onehot": 1, "min_data_per_group": 2, "cat_smooth": 1, "linear_tree": linear, **missing}
    booster = trained(REAL, 12, categories, objective="regression", **options)
    rows = awkward(booster)
    with np.errstate(invalid="ignore"):
        expected = booster.predict(rows)
    np.testing.assert_array_equal(onward.InferenceSession(onward.convert(booster)).run(None, {"x": rows})[0], expected)


def test_linear_leaves_of_several_classes() -> None:
    check(trained(CLASSES, objective="multiclass", num_class=3, linear_tree=True))
    check(lightgbm.LGBMClassifier(n_estimators=4, num_leaves=4, verbose=-1, linear_tree=True).fit(X, BINARY))


def test_an_objective_of_the_users_own() -> None:
    """The library gives sums then, of a classifier too."""

    def squares(label: np.ndarray, score: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return score - label, np.ones_like(score)

    for kind in (lightgbm.LGBMRegressor, lightgbm.LGBMClassifier):
        model = onward.convert(kind(objective=squares, n_estimators=4, num_leaves=4, verbose=-1).fit(X, BINARY))
        assert [value.name for value in model.graph.outputs] == ["prediction"]
