"""Model files of XGBoost and LightGBM that were changed in some place: an error, or what the library computes; never a crash."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import onward
from onward.converters import lightgbm as lightgbm_page
from onward.converters import xgboost as xgboost_page
from onward.converters.trees import LESS, Tree
from onward.errors import ConversionError, FormatError, OnwardError

RANDOM = np.random.default_rng(0)
X = RANDOM.standard_normal((200, 3)).astype(np.float32)
X[:, 2] = RANDOM.integers(0, 6, 200)
Y = X[:, 0] * X[:, 1] + X[:, 2] % 2
SETTINGS = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
ODD = (-5, -1, 0, 1, 3, 2**31 - 1, 10**12, float("nan"), None, "x", [], {})


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    """XGBoost's JSON of a small model with categories."""
    xgboost = pytest.importorskip("xgboost")
    matrix = xgboost.DMatrix(X, Y, feature_types=["q", "q", "c"], enable_categorical=True)
    booster = xgboost.train({"max_depth": 3, "max_cat_to_onehot": 1}, matrix, 3)
    return json.loads(booster.save_raw("json"))  # type: ignore[no-any-return]


@pytest.fixture(scope="module", params=[False, True])
def text(request: pytest.FixtureRequest) -> str:
    """LightGBM's text of a small model with categories; the second has linear leaves."""
    lightgbm = pytest.importorskip("lightgbm")
    options = {"verbose": -1, "num_leaves": 6, "max_cat_to_onehot": 1, "min_data_per_group": 2, "linear_tree": request.param}
    return str(lightgbm.train(options, lightgbm.Dataset(X, Y, categorical_feature=[2]), 3).model_to_string())


@SETTINGS
@given(seed=st.integers(0, 2**32))
def test_xgboost(document: dict[str, Any], tmp_path: Path, seed: int) -> None:
    """What is read without an error has only trees that end."""
    chance = random.Random(seed)
    spoilt = json.loads(json.dumps(document))
    tree = chance.choice(spoilt["learner"]["gradient_booster"]["model"]["trees"])
    name = chance.choice([name for name, value in tree.items() if isinstance(value, list) and value])
    place = chance.randrange(len(tree[name]))
    if chance.random() < 0.6:
        tree[name][place] = chance.choice(ODD)
    else:
        tree[name] = chance.choice([tree[name][:place], tree[name] * 2, None, {}, "x", 3])
    path = tmp_path / "m.json"
    path.write_text(json.dumps(spoilt))
    try:
        xgboost_page.Document.read(path)
    except OnwardError:
        pass


@SETTINGS
@given(seed=st.integers(0, 2**32))
def test_lightgbm(text: str, tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    lines = text.split("\n")
    number = chance.choice([number for number, line in enumerate(lines) if "=" in line])
    name, _, value = lines[number].partition("=")
    items = value.split(" ")
    place = chance.randrange(len(items))
    if chance.random() < 0.6:
        items[place] = str(chance.choice(ODD))
    else:
        items = chance.choice([items[:place], items * 2, [], ["x"]])
    lines[number] = f"{name}={' '.join(items)}"
    try:
        lightgbm_page.checked(lightgbm_page.Document("\n".join(lines)), tmp_path)
    except OnwardError:
        pass


@pytest.mark.parametrize("name", ["leaf_weight", "internal_value", "split_gain"])
def test_statistics_of_a_tree_that_the_library_alone_reads(text: str, tmp_path: Path, name: str) -> None:
    """They end the process of a library that reads trees with several threads."""
    path = tmp_path / "m.txt"
    path.write_text(text.replace(f"\n{name}=", f"\n{name}=x "))
    with pytest.raises(FormatError, match="no model of LightGBM"):
        onward.convert(path)


@pytest.mark.parametrize("ending", ["json", "txt"])
def test_truncated(document: dict[str, Any], text: str, tmp_path: Path, ending: str) -> None:
    whole = json.dumps(document) if ending == "json" else text
    path = tmp_path / f"m.{ending}"
    for share in (0, 0.1, 0.3, 0.5, 0.9):
        path.write_text(whole[: int(len(whole) * share)])
        with pytest.raises(FormatError, match="no model of"):
            onward.convert(path)


def tree(**changes: Any) -> Tree:
    """A root with two leaves, changed."""
    fields: dict[str, Any] = {
        "features": np.zeros(3, int), "modes": np.full(3, LESS), "splits": np.zeros(3), "true": np.array([1, -1, -1]),
        "false": np.array([2, -1, -1]), "missing": np.zeros(3), "values": np.zeros(3), "target": 0, "members": {},
    }  # fmt: skip
    return Tree(**fields | changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"true": np.array([0, -1, -1])}, "two parents"), ({"true": np.array([2, -1, -1])}, "two parents"),
        ({"true": np.array([1, 0, -1]), "false": np.array([2, 2, -1])}, "two parents"), ({"false": np.array([3, -1, -1])}, "children 1 to 3"),
        ({"false": np.array([-1, -1, -1])}, "children -1"), ({"splits": np.full(3, np.nan)}, "NaN"), ({"features": np.full(3, 4)}, "columns 4 to 4"),
        ({"features": np.full(3, -1)}, "columns -1"), ({"values": np.zeros(2)}, "numbers about"), ({"modes": np.full(3, 6)}, "categories"),
    ],
)  # fmt: skip
def test_what_is_no_tree(changes: dict[str, Any], message: str) -> None:
    tree().check(4)
    with pytest.raises(FormatError, match=message):
        tree(**changes).check(4)


def test_a_cycle_is_no_model(document: dict[str, Any], tmp_path: Path) -> None:
    spoilt = json.loads(json.dumps(document))
    spoilt["learner"]["gradient_booster"]["model"]["trees"][0]["left_children"][1] = 0
    path = tmp_path / "m.json"
    path.write_text(json.dumps(spoilt))
    with pytest.raises(FormatError, match="two parents"):
        onward.convert(path)


@pytest.mark.parametrize("name", ["xgboost.XGBClassifier", "xgboost.Booster", "lightgbm.LGBMClassifier", "catboost.CatBoostClassifier"])
def test_what_is_not_fitted(name: str) -> None:
    library, kind = name.split(".")
    source = getattr(pytest.importorskip(library), kind)()
    with pytest.raises(ConversionError, match=f"this {kind} is not fitted"):
        onward.convert(source)
