"""An input for each column of a booster, where the caller names them."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import onnxruntime
import pytest

import onward
from onward.converters import verify
from onward.converters.columns import FEATURES
from onward.errors import InvalidArgument

RANDOM = np.random.default_rng(3)
X = RANDOM.standard_normal((120, 3)).astype(np.float32)
Y = X[:, 0] - X[:, 2]
NAMES = ["age", "height", "blood_pressure"]


def booster(library: str) -> Any:
    """A model that knows the names of its columns."""
    module = pytest.importorskip(library)
    if library == "xgboost":
        return module.train({"max_depth": 3}, module.DMatrix(X, Y, feature_names=NAMES), 4)
    return module.train({"num_leaves": 5, "verbose": -1}, module.Dataset(X, Y, feature_name=NAMES), 4)


@pytest.mark.parametrize("library", ["xgboost", "lightgbm"])
def test_columns(library: str) -> None:
    source = booster(library)
    matrix, columns = onward.convert(source, X), onward.convert(source, X, input_names=NAMES)
    for model in (matrix, columns):
        assert json.loads(model.metadata[FEATURES]) == NAMES
    assert [value.name for value in matrix.graph.inputs] == ["x"] and [value.name for value in columns.graph.inputs] == NAMES
    rows = X if library == "xgboost" else X.astype(np.float64)
    feeds = {name: rows[:, [place]] for place, name in enumerate(NAMES)}
    (expected,) = onward.InferenceSession(matrix).run(None, {"x": rows})
    np.testing.assert_array_equal(onward.InferenceSession(columns).run(None, feeds)[0], expected)
    np.testing.assert_allclose(onnxruntime.InferenceSession(columns.to_bytes()).run(None, feeds)[0], expected, rtol=2e-5, atol=2e-6)
    assert "the example" in verify(columns, source, X).shapes


@pytest.mark.parametrize("names", [["a", "b"], ["a", "a", "b"]])
def test_names_of_columns_that_do_not_fit(names: list[str]) -> None:
    with pytest.raises(InvalidArgument, match="3 different ones"):
        onward.convert(booster("xgboost"), input_names=names)


@pytest.mark.parametrize("library", ["xgboost", "lightgbm"])
def test_examples_that_do_not_fit(library: str) -> None:
    source = booster(library)
    with pytest.raises(InvalidArgument, match=r"shape \(120, 2\); expected rows of 3 columns"):
        onward.convert(source, X[:, :2])
    with pytest.raises(InvalidArgument, match="no matrix of numbers"):
        onward.convert(source, np.array([["a", "b", "c"]], object))
