"""DataFrames with an input for each column, text categories, missing values; onnxruntime is asked besides."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import onnxruntime
import pandas as pd
import pytest
import scipy.sparse
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier, VotingClassifier
from sklearn.impute import KNNImputer, MissingIndicator, SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    LabelBinarizer,
    LabelEncoder,
    OneHotEncoder,
    OrdinalEncoder,
    StandardScaler,
    TargetEncoder,
)

import onward
from onward.converters.certificate import Certificate
from onward.errors import ConversionError, InvalidArgument, UnsupportedOperator

RANDOM = np.random.default_rng(0)
ROWS = 150
PASSENGERS = pd.DataFrame({
    "age": np.where(RANDOM.random(ROWS) < 0.2, np.nan, RANDOM.normal(30, 10, ROWS)), "fare": RANDOM.exponential(30, ROWS),
    "class": RANDOM.integers(1, 4, ROWS), "sex": RANDOM.choice(["male", "female"], ROWS),
    "port": RANDOM.choice(["S", "C", "Q", None], ROWS, p=[0.6, 0.2, 0.15, 0.05]), "alone": RANDOM.random(ROWS) < 0.5,
    "deck": pd.Categorical(RANDOM.choice(list("ABC"), ROWS)), "siblings": pd.array(RANDOM.integers(0, 3, ROWS), "Int64"),
})  # fmt: skip
PASSENGERS.loc[3, "siblings"] = pd.NA
SURVIVED = np.where((PASSENGERS["sex"] == "female") | (PASSENGERS["fare"] > 60), "yes", "no")


def check(estimator: Any, rows: Any = PASSENGERS, outside: bool = True, **options: Any) -> onward.Model:
    """Converts, which compares with scikit-learn, and compares with onnxruntime besides."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = onward.convert(estimator, rows, **options)
    if outside:
        feeds = feeds_of(model, rows)
        theirs = onnxruntime.InferenceSession(model.to_bytes()).run(None, feeds)
        for left, right in zip(onward.InferenceSession(model).run(None, feeds), theirs, strict=True):
            if left.dtype.kind == "f":
                np.testing.assert_allclose(left, right, rtol=1e-6, atol=1e-8)
            else:
                np.testing.assert_array_equal(left, right)
    return model


def feeds_of(model: onward.Model, rows: pd.DataFrame) -> dict[str, np.ndarray]:
    """The columns as a caller feeds them."""
    feeds = {}
    for value in model.graph.inputs:
        column = rows[value.name]
        if value.dtype.name == "STRING":
            feeds[value.name] = np.array([["" if pd.isna(item) else item] for item in column], object)
        else:
            feeds[value.name] = column.to_numpy(value.dtype.numpy, na_value=np.nan).reshape(-1, 1) if column.isna().any() else (
                column.to_numpy(value.dtype.numpy).reshape(-1, 1))  # fmt: skip
    return feeds


def prepared(remainder: Any = "drop") -> ColumnTransformer:
    """Every way to choose columns."""
    numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    texts = make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore"))
    return ColumnTransformer([
        ("numbers", numbers, ["age", "fare", "siblings"]), ("texts", texts, ["sex", "port"]), ("place", OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1), [2]),
        ("type", OneHotEncoder(), make_column_selector(dtype_include="category")), ("slice", "passthrough", slice(1, 3)),
        ("mask", StandardScaler(), [False, True, *[False] * 6]), ("callable", "passthrough", lambda rows: ["alone"]), ("none", "drop", ["age"]),
    ], remainder=remainder, transformer_weights={"numbers": 0.5})  # fmt: skip


def named() -> Any:
    """Columns named by `set_output` and chosen by those names."""
    first = ColumnTransformer(
        [("n", SimpleImputer(), ["age", "fare"]), ("c", OneHotEncoder(sparse_output=False, handle_unknown="ignore"), ["sex"])],
        verbose_feature_names_out=False,
    ).set_output(transform="pandas")
    return make_pipeline(first, ColumnTransformer([("a", StandardScaler(), ["age"]), ("b", "passthrough", ["sex_male"])]), LogisticRegression())


def each(rows: pd.DataFrame) -> pd.DataFrame:
    """A function of columns, as people write them."""
    rows = rows.fillna({"siblings": 0}).rename(columns={"class": "rank"})
    rows["each"] = rows["fare"] / (rows["siblings"].astype(float) + 1)
    rows = rows.assign(most=rows[["each", "rank"]].max(axis=1), root=lambda made: np.sqrt(made["fare"]))
    return rows.drop(columns=["sex", "port", "deck", "age", "siblings"])


def cleaned(rows: pd.DataFrame) -> pd.DataFrame:
    """What pandas' columns have and NumPy's arrays have not."""
    rows = rows.copy()
    rows["known"] = rows["age"].notna() & ~rows["port"].isnull()
    rows["age"] = rows["age"].fillna(30).clip(lower=5, upper=60)
    rows["deck"] = rows["deck"].map({"A": 1, "B": 2}).fillna(0)
    rows["port"] = rows["port"].fillna("S").map({"S": 0.25, "C": 0.5})
    rows["child"] = rows["age"].between(0, 18, inclusive="left")
    rows["fare"] = rows["fare"].where(rows["class"].isin([1, 2]), 0.0).abs().values
    return rows[["known", "age", "deck", "child", "fare"]].assign(port=rows["port"].mask(rows["port"].isna(), 1))


class Shares(BaseEstimator, TransformerMixin):
    """An estimator as people write it: quantiles, and how frequent a category is."""

    def fit(self, rows: pd.DataFrame, y: Any = None) -> Shares:
        self.bounds_ = np.nanquantile(np.asarray(rows[["fare"]], float), [0.05, 0.95], axis=0)
        self.shares_ = rows["sex"].value_counts(normalize=True).to_dict()
        return self

    def transform(self, rows: pd.DataFrame) -> np.ndarray:
        return np.column_stack([np.clip(np.asarray(rows[["fare"]], float), *self.bounds_), rows["sex"].map(self.shares_).fillna(0.0)])


PIPELINES: dict[str, Any] = {
    "regression": make_pipeline(prepared(), LogisticRegression()),
    "forest": make_pipeline(prepared("passthrough"), RandomForestClassifier(10, random_state=0)),
    "boosting": make_pipeline(prepared(), HistGradientBoostingClassifier(max_iter=5)),
    "nested": make_pipeline(ColumnTransformer([("all", prepared(), list(PASSENGERS.columns))]), LogisticRegression()),
    "named": named(),
    "union": make_pipeline(FeatureUnion([("a", prepared()), ("b", prepared())], transformer_weights={"b": 2.0}), LogisticRegression()),
    "native categories": HistGradientBoostingClassifier(max_iter=5, categorical_features=["sex", "port", "deck"]),
    "types": make_pipeline(
        FunctionTransformer(lambda rows: rows.drop(columns=["sex", "port"])),
        HistGradientBoostingClassifier(max_iter=5, categorical_features="from_dtype"),
    ),
    "function": make_pipeline(FunctionTransformer(each), LogisticRegression()),
    "columns": make_pipeline(FunctionTransformer(cleaned), LogisticRegression()),
    "user's estimator": make_pipeline(Shares(), StandardScaler(), LogisticRegression()),
}  # fmt: skip


@pytest.mark.parametrize("name", PIPELINES)
def test_pipelines(name: str) -> None:
    model = check(PIPELINES[name].fit(PASSENGERS, SURVIVED))
    assert [value.name for value in model.graph.inputs] == list(PASSENGERS.columns)
    assert [value.dtype.name for value in model.graph.inputs] == ["DOUBLE", "DOUBLE", "INT64", "STRING", "STRING", "BOOL", "STRING", "DOUBLE"]
    certificate = Certificate.of(model)
    assert certificate is not None
    assert len(certificate.shapes) >= 6
    assert any("hardly known" in what for what in certificate.shapes)
    assert "empty text stands for a missing value" in certificate.notes


ENCODERS: dict[str, Any] = {
    "unknown ignored": OneHotEncoder(handle_unknown="ignore", sparse_output=False),
    "unknown refused": OneHotEncoder(),
    "infrequent": OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=15, drop="first"),
    "few categories": OneHotEncoder(max_categories=2, handle_unknown="ignore", dtype=np.float32),
    "binary dropped": OneHotEncoder(drop="if_binary", handle_unknown="ignore"),
    "given": OneHotEncoder(categories=[["male", "female"], ["S", "C", "Q", np.nan], [1, 2, 3]], handle_unknown="ignore"),
    "ordinal": OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-2),
    "ordinal with few": OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan, max_categories=2),
    "target": TargetEncoder(),
    "frequent": SimpleImputer(strategy="most_frequent", add_indicator=True),
    "constant": make_pipeline(SimpleImputer(strategy="constant", fill_value="gap"), OneHotEncoder()),
    "gaps": MissingIndicator(features="all"),
}  # fmt: skip


@pytest.mark.parametrize("name", ENCODERS)
@pytest.mark.parametrize("columns", [["sex", "port", "class"], ["port", "sex", "deck"]])
def test_encoders(name: str, columns: list[str]) -> None:
    if name in ("frequent", "constant") and "class" in columns or name == "given" and "deck" in columns:
        columns = ["sex", "port", "class"] if name == "given" else ["port", "sex"]
    rows = PASSENGERS[columns]
    estimator = ENCODERS[name].fit(rows, SURVIVED)
    if name == "frequent":
        estimator = make_pipeline(estimator, OneHotEncoder()).fit(rows)
    certificate = Certificate.of(check(estimator, rows))
    assert certificate is not None
    assert all(found.get("absolute", 0) < 1e-12 and found.get("different", 0) == 0 for found in certificate.differences.values())


def test_objects() -> None:
    """A matrix of text has one input; one of text and numbers has an input for each column."""
    texts = np.array([["a", "x"], ["b", "y"], ["a", "y"]], object)
    model = check(OneHotEncoder().fit(texts), texts, outside=False)
    assert [value.name for value in model.graph.inputs] == ["x0", "x1"]
    mixed = np.array([["a", 1.0], ["b", 2.0], ["a", np.nan]], object)
    model = check(OrdinalEncoder().fit(mixed), mixed, outside=False)
    assert [value.dtype.name for value in model.graph.inputs] == ["STRING", "DOUBLE"]


@pytest.mark.parametrize("labels", [["b", "a", "c", "a"], ["yes", "no"], [3, 1, 2], ["one"]])
def test_labels(labels: list[Any]) -> None:
    for estimator in (LabelEncoder(), LabelBinarizer(), LabelBinarizer(neg_label=-2, pos_label=3)):
        model = onward.convert(estimator.fit(labels), labels)
        found = onward.InferenceSession(model).run(None, {"x": np.array(labels, object if isinstance(labels[0], str) else None)})
        np.testing.assert_array_equal(found[0], estimator.transform(labels))


def test_voters_choose_columns_themselves() -> None:
    members = [("a", make_pipeline(prepared(), LogisticRegression())), ("b", make_pipeline(prepared(), LogisticRegression(C=0.1)))]
    check(VotingClassifier(members, voting="soft").fit(PASSENGERS, SURVIVED))


def test_sparse_rows() -> None:
    rows = scipy.sparse.random(40, 5, 0.4, "csr", random_state=0)
    model = onward.convert(LogisticRegression().fit(rows, np.arange(40) % 3), rows)
    assert [value.shape[1] for value in model.graph.inputs] == [5]


def test_columns_that_the_model_does_not_look_at() -> None:
    rows = PASSENGERS.assign(since=pd.Timestamp("2024-01-01"), mixed=["a", 1] * (ROWS // 2))[["since", "age", "mixed", "sex"]]
    chosen = ColumnTransformer([("n", make_pipeline(SimpleImputer(), StandardScaler()), ["age"]), ("t", OneHotEncoder(), ["sex"])])
    model = check(make_pipeline(chosen, LogisticRegression()).fit(rows, SURVIVED), rows)
    assert [value.name for value in model.graph.inputs] == ["age", "sex"]
    assert any("since, mixed" in note for note in Certificate.of(model).notes)
    with pytest.raises(ConversionError, match="column 'mixed' holds int and str"):
        onward.convert(ColumnTransformer([("t", OneHotEncoder(), ["mixed"])]).fit(rows.astype({"mixed": str})), rows)


def test_neighbours_beside_nullable_numbers() -> None:
    """What is equally near is tried with numbers that a nullable type of whole numbers does not take."""
    rows = PASSENGERS[["class", "age", "siblings"]].assign(age=PASSENGERS["age"].round(-1))
    chosen = ColumnTransformer([("n", KNNImputer(), ["class", "age"]), ("s", SimpleImputer(), ["siblings"])]).fit(rows)
    assert any("equally near" in note for note in Certificate.of(check(chosen, rows, outside=False)).notes)


def test_refusals() -> None:
    estimator = make_pipeline(prepared(), LogisticRegression()).fit(PASSENGERS, SURVIVED)
    with pytest.raises(InvalidArgument, match="8 inputs, 1 names"):
        onward.convert(estimator, PASSENGERS, input_names=["rows"])
    with pytest.raises(ConversionError, match="'port' has empty texts and column 'port' missing values"):
        onward.convert(estimator, PASSENGERS.assign(port=["", None] * (ROWS // 2)))
    with pytest.raises(ConversionError, match="'fare' holds Timestamp"):
        onward.convert(estimator, PASSENGERS.assign(fare=pd.Timestamp(0)))
    passed = ColumnTransformer([("a", "passthrough", ["sex", "fare"])]).fit(PASSENGERS)
    with pytest.raises(UnsupportedOperator, match=r"columns of text \(0\) and of numbers"):
        onward.convert(passed, PASSENGERS)
    chosen = make_pipeline(FunctionTransformer(lambda rows: rows if (rows["fare"] > 3).any() else rows * 2), LinearRegression())
    numbers = PASSENGERS[["fare", "class"]]
    with pytest.raises(UnsupportedOperator, match=r"branches on a value.*test_tables\.py"):
        onward.convert(chosen.fit(numbers, numbers["fare"]), numbers)
