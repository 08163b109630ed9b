"""CatBoost to ONNX: every loss, both kinds of trees, categories and their statistics, files, against the library."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import onward
from onward.converters import Certificate
from onward.converters.catboost.city_hash import category_hash
from onward.errors import ConversionError, InvalidArgument, OnwardError, UnsupportedModel, UnsupportedOperator

catboost = pytest.importorskip("catboost")

RANDOM = np.random.default_rng(0)
ROWS = RANDOM.standard_normal((300, 5)).astype(np.float32)
ROWS[RANDOM.random(ROWS.shape) < 0.1] = np.nan
SUM = np.nansum(ROWS, 1)
POSITIVE = np.exp(SUM / 4)
SHARE = 1 / (1 + np.exp(-SUM))
CLASSES = np.digitize(SUM, [-1, 1])
SETTINGS = {"iterations": 8, "depth": 4, "verbose": 0, "allow_writing_files": False, "random_seed": 0}

REGRESSORS = {
    "RMSE": SUM, "MAE": SUM, "Quantile:alpha=0.2": SUM, "LogLinQuantile": POSITIVE, "Huber:delta=1": SUM, "MAPE": POSITIVE, "Poisson": POSITIVE,
    "Tweedie:variance_power=1.5": POSITIVE, "Expectile:alpha=0.3": SUM, "Lq:q=3": SUM, "LogCosh": SUM, "Cox": POSITIVE, "RMSEWithUncertainty": SUM,
    "MultiQuantile:alpha=0.1,0.5,0.9": SUM, "MultiRMSE": np.stack([SUM, POSITIVE], 1),
}  # fmt: skip
CLASSIFIERS = {
    "Logloss": SUM > 0, "CrossEntropy": SHARE, "Focal:focal_alpha=0.5;focal_gamma=0.2": (SUM > 0).astype(int), "MultiClass": CLASSES,
    "MultiClassOneVsAll": np.array(["low", "middle", "high"])[CLASSES], "MultiLogloss": np.stack([SUM > 0, POSITIVE > 1.5], 1).astype(int),
    "MultiCrossEntropy": np.stack([SHARE, 1 - SHARE], 1),
}  # fmt: skip


def converted(model: Any, example: Any = None) -> Any:
    """The converted model, which onnx finds valid, and its certificate: predictions equal, probabilities within rounding."""
    import onnx

    result = onward.convert(model, example)
    onnx.checker.check_model(onnx.load_from_string(result.to_bytes()), full_check=True)
    certificate = Certificate.of(result)
    assert certificate is not None and certificate.framework.startswith("catboost")
    for name, found in certificate.differences.items():
        assert found.get("different", 0) == 0 and found.get("relative", 0) <= 1e-14, (name, found)
    return result


@pytest.mark.parametrize("policy", ["SymmetricTree", "Depthwise", "Lossguide"])
@pytest.mark.parametrize("loss", REGRESSORS)
def test_regressors(loss: str, policy: str) -> None:
    converted(catboost.CatBoostRegressor(loss_function=loss, grow_policy=policy, **SETTINGS).fit(ROWS, REGRESSORS[loss]))


@pytest.mark.parametrize("policy", ["SymmetricTree", "Lossguide"])
@pytest.mark.parametrize("loss", CLASSIFIERS)
def test_classifiers(loss: str, policy: str) -> None:
    converted(catboost.CatBoostClassifier(loss_function=loss, grow_policy=policy, **SETTINGS).fit(ROWS, CLASSIFIERS[loss]))


@pytest.mark.parametrize("loss", ["YetiRank", "QueryRMSE", "PairLogit"])
def test_rankers(loss: str) -> None:
    groups = np.repeat(np.arange(30), 10)
    converted(catboost.CatBoostRanker(loss_function=loss, **SETTINGS).fit(ROWS, np.digitize(SUM, [-1, 1]) / 2, group_id=groups))


@pytest.mark.parametrize("mode", ["Min", "Max"])
def test_missing_values(mode: str) -> None:
    converted(catboost.CatBoostRegressor(nan_mode=mode, **SETTINGS).fit(ROWS, SUM))


def test_raw_values_are_equal_to_the_bit() -> None:
    model = catboost.CatBoostRegressor(iterations=200, depth=6, verbose=0, allow_writing_files=False).fit(ROWS, SUM)
    borders = np.concatenate([model.get_borders()[place] for place in range(ROWS.shape[1])]).astype(np.float32)
    borders = borders[np.abs(borders) < np.finfo(np.float32).max]
    values = np.concatenate([borders, np.nextafter(borders, np.float32(np.inf)), np.nextafter(borders, -np.float32(np.inf)), [np.nan, np.inf, -np.inf]])
    rows = RANDOM.choice(values.astype(np.float32), (100_000, ROWS.shape[1]))
    (ours,) = onward.InferenceSession(converted(model)).run(None, {"x": rows})
    assert np.array_equal(ours, model.predict(rows))


def test_scale_and_bias() -> None:
    model = catboost.CatBoostRegressor(**SETTINGS).fit(ROWS, SUM)
    model.set_scale_and_bias(0.3, 1.7)
    converted(model)


def test_a_plain_model_gives_raw_values() -> None:
    model = catboost.CatBoost({"loss_function": "Poisson", **SETTINGS}).fit(ROWS, POSITIVE)
    assert [value.name for value in converted(model).graph.outputs] == ["prediction"]


def frame(rows: int = 400) -> pandas.DataFrame:
    """Numbers and categories: text, whole numbers, long names."""
    random = np.random.default_rng(1)
    names = np.array(["red", "green", "blue", "", "a rather long name of a category, longer than a word or two", "Ω"], object)
    return pandas.DataFrame({
        "width": random.standard_normal(rows).astype(np.float32), "colour": names[random.integers(0, 6, rows)],
        "height": random.standard_normal(rows).astype(np.float32), "count": random.integers(0, 7, rows), "code": random.integers(0, 5, rows).astype(str),
    })  # fmt: skip


def target(table: pandas.DataFrame) -> np.ndarray:
    """What depends on the categories and on their combinations."""
    codes = table["colour"].astype("category").cat.codes.to_numpy()
    return table["width"].to_numpy() * 0.3 + codes % 2 * 2 + (table["count"] == 3) * 2 + (codes + table["code"].astype(int)) % 3 * 2.0


@pytest.mark.parametrize("one_hot", [1, 3, 20])
@pytest.mark.parametrize("kind", ["regression", "two classes", "three classes"])
def test_categories(kind: str, one_hot: int) -> None:
    table = frame()
    wanted = target(table).to_numpy()
    options = {"cat_features": ["colour", "count", "code"], "one_hot_max_size": one_hot, "learning_rate": 0.5, **SETTINGS, "iterations": 20}
    if kind == "regression":
        model = catboost.CatBoostRegressor(**options).fit(table, wanted)
    else:
        model = catboost.CatBoostClassifier(**options).fit(table, np.digitize(wanted, [2] if kind == "two classes" else [1, 4]))
    result = converted(model, table)
    assert [value.name for value in result.graph.inputs] == ["x", "categories"]


@pytest.mark.parametrize("statistic", ["Borders", "Buckets", "BinarizedTargetMeanValue", "Counter"])  # the library has two more on graphics processors
def test_statistics_of_categories(statistic: str) -> None:
    table = frame()
    model = catboost.CatBoostRegressor(
        cat_features=["colour", "count", "code"], one_hot_max_size=1, simple_ctr=statistic, combinations_ctr=statistic, **SETTINGS
    )
    converted(model.fit(table, target(table)), table)


def test_categories_that_nobody_names_are_refused() -> None:
    table = frame()
    model = catboost.CatBoostRegressor(cat_features=["colour", "count", "code"], **SETTINGS).fit(table, target(table))
    with pytest.raises(InvalidArgument, match="'colour' only by their hashes: pass example inputs"):
        onward.convert(model)
    converted(model, table.drop_duplicates(["colour", "code"]))


def test_text_features_are_refused() -> None:
    table = pandas.DataFrame({"text": ["some words here", "other words there"] * 100, "number": np.arange(200.0)})
    model = catboost.CatBoostClassifier(text_features=["text"], **SETTINGS).fit(table, np.arange(200) % 2)
    with pytest.raises(OnwardError) as refusal:
        onward.convert(model)
    assert isinstance(refusal.value, (UnsupportedOperator, UnsupportedModel)), refusal.value


@pytest.mark.parametrize("ending", ["cbm", "json"])
def test_files(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"model.{ending}"
    model = catboost.CatBoostClassifier(**SETTINGS).fit(ROWS, CLASSES)
    model.save_model(str(path), format=ending)
    result = converted(path)
    assert [value.name for value in result.graph.outputs] == ["label", "probabilities"]
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(OnwardError):
        onward.convert(path)


def test_a_file_without_the_library(tmp_path: Path) -> None:
    model = catboost.CatBoostRegressor(**SETTINGS).fit(ROWS, SUM)
    model.save_model(str(tmp_path / "model.json"), format="json")
    code = (
        "import sys; sys.modules['catboost'] = None\n"
        "import onward\nfrom onward.converters import Certificate\n"
        f"model = onward.convert(r'{tmp_path / 'model.json'}')\n"
        f"print(Certificate.of(model).notes); onward.save(model, r'{tmp_path / 'model.onnx'}')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0 and "could not be run" in done.stdout, done.stderr
    (ours,) = onward.InferenceSession(tmp_path / "model.onnx").run(None, {"x": ROWS})
    assert np.array_equal(ours, model.predict(ROWS))


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_spoilt_documents_are_read_or_refused(data: st.DataObject) -> None:
    from onward.converters.catboost.document import Document

    document = json.loads(spoilt_base())
    place: Any = document
    while isinstance(place, (dict, list)) and place:
        key = data.draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
        if not isinstance(place[key], (dict, list)) or not place[key] or data.draw(st.integers(0, 4)) == 0:
            place[key] = data.draw(st.sampled_from([None, -1, 10**9, "text", [], {}, float("nan"), 0.5]))
            break
        place = place[key]
    try:
        Document(document)
    except OnwardError:
        pass


_BASE: list[str] = []


def spoilt_base() -> str:
    """The JSON of a small model with categories, made once."""
    if not _BASE:
        import tempfile

        table = frame(100)
        model = catboost.CatBoostRegressor(cat_features=["colour", "count", "code"], one_hot_max_size=1, **SETTINGS).fit(table, target(table))
        with tempfile.TemporaryDirectory() as folder:
            model.save_model(f"{folder}/m.json", format="json")
            _BASE.append(Path(f"{folder}/m.json").read_text())
    return _BASE[0]


@pytest.mark.parametrize("size", [0, 1, 3, 4, 7, 8, 9, 16, 17, 24, 32, 33, 64, 65, 127, 128, 129, 300])
def test_hashes_are_those_of_the_library(size: int) -> None:
    texts = [(letter * size)[: max(size - 1, 0)] + letter if size else "" for letter in "abc"]
    texts = list(dict.fromkeys(texts)) if size else ["", "b", "c"]
    table = pandas.DataFrame({"s": np.array(texts, object)[np.arange(60) % 3]})
    wanted = np.array([0.0, 1.0, 5.0])[np.arange(60) % 3]
    model = catboost.CatBoostRegressor(cat_features=["s"], one_hot_max_size=9, **SETTINGS).fit(table, wanted)
    values = model_values(model)
    assert values and values <= {category_hash(text) for text in texts}


def model_values(model: Any) -> set[int]:
    """The hashes of categories that a model compares with."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        model.save_model(f"{folder}/m.json", format="json")
        features = json.loads(Path(f"{folder}/m.json").read_text())["features_info"]
    return {int(value) for feature in features["categorical_features"] for value in feature.get("values", [])}


def test_a_file_that_the_library_opens_and_does_not_run(tmp_path: Path) -> None:
    rows, path = np.arange(40, dtype=np.float32).reshape(20, 2), tmp_path / "m.json"
    catboost.CatBoostClassifier(iterations=2, depth=2, verbose=0, allow_writing_files=False).fit(rows, rows[:, 0] > 9).save_model(str(path), format="json")
    said = json.loads(path.read_text())
    said["model_info"]["class_params"]["class_label_type"] = True
    path.write_text(json.dumps(said))
    with pytest.raises(ConversionError, match="CatBoost does not run this model"):
        onward.convert(path)
