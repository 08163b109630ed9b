"""Models that were trained on DataFrames with columns of categories: the input is the category."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pandas
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import onward
from onward.converters import Certificate, verify
from onward.errors import InvalidArgument
from onward.ir import Model
from onward.ir.datatypes import DataType

RANDOM = np.random.default_rng(11)
ROWS = 300
TABLE = pandas.DataFrame({
    "size": RANDOM.standard_normal(ROWS), "color": pandas.Categorical(RANDOM.choice(["red", "green", "blue", "grün"], ROWS)),
    "level": pandas.Categorical(RANDOM.choice([7, 35, 10], ROWS), categories=[35, 7, 10]), "count": RANDOM.integers(0, 5, ROWS),
})  # fmt: skip
TARGET = TABLE["size"] + TABLE["color"].cat.codes * TABLE["level"].cat.codes % 3
ASCII = TABLE.assign(color=TABLE["color"].cat.rename_categories({"grün": "dark green"}))


def trained(library: str, table: pandas.DataFrame = ASCII, target: Any = TARGET) -> Any:
    module = pytest.importorskip(library)
    if library == "xgboost":
        return module.XGBRegressor(n_estimators=4, enable_categorical=True, max_cat_to_onehot=1, max_depth=3).fit(table, target)
    options = {"max_cat_to_onehot": 1, "min_data_per_group": 2, "cat_smooth": 1, "min_child_samples": 5, "verbose": -1}
    return module.LGBMRegressor(n_estimators=4, **options).fit(table, target)


def feeds(model: Model, table: pandas.DataFrame) -> dict[str, np.ndarray]:
    """Rows of a DataFrame as the inputs take them."""
    found = {}
    for value in model.graph.inputs:
        column = table[value.name].astype(object)
        text = value.dtype == DataType.STRING
        items = ["" if item is None or item != item else item for item in column] if text else column.astype(np.float64)
        found[value.name] = np.array(items, object if text else value.dtype.numpy).reshape(-1, 1)
    return found


@pytest.mark.parametrize("library", ["xgboost", "lightgbm"])
def test_known_and_missing_categories(library: str) -> None:
    source = trained(library)
    model = onward.convert(source)
    assert [value.name for value in model.graph.inputs] == list(ASCII.columns)
    rows = ASCII.head(60).copy()
    rows["color"] = pandas.Categorical(["blue", None, "dark green"] * 20)  # other codes in another DataFrame
    rows["level"] = pandas.Categorical([7, 7, np.nan, 10] * 15)
    expected = source.predict(rows)
    np.testing.assert_array_equal(onward.InferenceSession(model).run(None, feeds(model, rows))[0], expected)
    peer = onnxruntime.InferenceSession(model.to_bytes()).run(None, feeds(model, rows))[0]
    np.testing.assert_allclose(peer, expected, rtol=2e-6, atol=1e-6)
    certificate = Certificate.of(model)
    assert certificate is not None and certificate.differences["prediction"]["absolute"] == 0 and "missing values, categories unknown" in certificate.shapes


def test_unknown_categories() -> None:
    """LightGBM takes them for missing values. XGBoost refuses them; it gets missing values, and the certificate says so."""
    rows = ASCII.head(6).copy()
    rows["color"] = pandas.Categorical(["zebra", "blue", "Blue", "aaa", "", "red"])
    rows["level"] = pandas.Categorical([8, 7, 36, -1, 35, 10])
    source = trained("lightgbm")
    model = onward.convert(source, ASCII)
    np.testing.assert_array_equal(onward.InferenceSession(model).run(None, feeds(model, rows))[0], source.predict(rows))
    source = trained("xgboost")
    model = onward.convert(source, ASCII)
    for name in ("color", "level"):
        rows[name] = rows[name].cat.set_categories(ASCII[name].cat.categories)
    np.testing.assert_array_equal(onward.InferenceSession(model).run(None, feeds(model, rows))[0], source.predict(rows))
    certificate = Certificate.of(model)
    assert certificate is not None and any("the library refuses them" in note for note in certificate.notes)


@pytest.mark.parametrize("library", ["xgboost", "lightgbm"])
def test_files_and_codes(library: str, tmp_path: Path) -> None:
    """A file has the categories, too; a matrix as example takes codes, as the libraries do."""
    source = trained(library)
    path = tmp_path / ("m.json" if library == "xgboost" else "m.txt")
    getattr(source, "booster_", source).save_model(path)
    model = onward.convert(path, ASCII.astype({"color": str}))
    np.testing.assert_array_equal(onward.InferenceSession(model).run(None, feeds(model, ASCII))[0], source.predict(ASCII))
    assert "the example" in verify(model, path, ASCII).shapes
    codes = ASCII.assign(color=ASCII["color"].cat.codes, level=ASCII["level"].cat.codes).to_numpy(np.float64)
    matrix = onward.convert(path, codes)
    (value,) = matrix.graph.inputs
    certificate = Certificate.of(matrix)
    assert certificate is not None and any(note.startswith("columns of categories take their codes: ") for note in certificate.notes)
    np.testing.assert_array_equal(onward.InferenceSession(matrix).run(None, {value.name: codes.astype(value.dtype.numpy)})[0], source.predict(ASCII))


def test_categories_that_are_not_told() -> None:
    """LightGBM's text does not say whose its categories are: with a constant column too many, the example does. XGBoost loses text beyond ASCII."""
    constant = TABLE.assign(shop=pandas.Categorical(["one"] * ROWS))
    source = trained("lightgbm", constant)
    model = onward.convert(source, constant)
    np.testing.assert_array_equal(onward.InferenceSession(model).run(None, feeds(model, constant))[0], source.predict(constant))
    with pytest.raises(InvalidArgument, match="categories of 3 columns and does not say which"):
        onward.convert(source, constant.astype({"shop": str}))
    source = trained("xgboost", TABLE)
    assert [value.name for value in onward.convert(source).graph.inputs] == ["x"]
    with pytest.raises(InvalidArgument, match="has lost parts of its 4 categories"):
        onward.convert(source, TABLE.astype({"color": str}))
    model = onward.convert(source, TABLE)
    np.testing.assert_array_equal(onward.InferenceSession(model).run(None, feeds(model, TABLE))[0], source.predict(TABLE))


@pytest.mark.parametrize("library", ["xgboost", "lightgbm"])
def test_inside_a_pipeline(library: str) -> None:
    """Behind steps that leave the categories as they are."""
    scaled = ColumnTransformer([("scaled", StandardScaler(), ["size", "count"])], remainder="passthrough", verbose_feature_names_out=False)
    estimator = trained(library)
    source = make_pipeline(scaled.set_output(transform="pandas"), estimator).fit(ASCII, TARGET)
    model = onward.convert(source, ASCII)
    rows = {
        name: array if array.dtype == object else array.astype(ASCII[name].dtype if name != "level" else np.float64)
        for name, array in feeds(model, ASCII).items()
    }
    np.testing.assert_allclose(onward.InferenceSession(model).run(None, rows)[0], source.predict(ASCII), rtol=1e-6)


def test_tables_of_polars_and_pyarrow() -> None:
    """Examples that are no DataFrames of pandas."""
    polars = pytest.importorskip("polars")
    table = polars.DataFrame({"size": ASCII["size"].to_numpy(), "color": ASCII["color"].astype(str).to_list(), "level": ASCII["level"].astype(int).to_list(),
                              "count": [None, *ASCII["count"].to_list()[1:]]}).with_columns(polars.col("color").cast(polars.Categorical))  # fmt: skip
    source = trained("lightgbm")
    model = onward.convert(source, table)
    np.testing.assert_array_equal(onward.InferenceSession(model).run(None, feeds(model, ASCII))[0], source.predict(ASCII))
    scaled = make_pipeline(ColumnTransformer([("scaled", StandardScaler(), ["size"])], remainder="drop")).fit(ASCII)
    for example in (table, table.lazy(), *([table.to_arrow()] if _is_installed("pyarrow") else [])):
        inputs = onward.convert(scaled, example).graph.inputs
        assert [(value.name, value.dtype.name) for value in inputs][:2] == [("size", "DOUBLE"), ("color", "STRING")]


def _is_installed(package: str) -> bool:
    from importlib.util import find_spec

    return find_spec(package) is not None
