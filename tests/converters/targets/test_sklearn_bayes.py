"""Naive Bayes and thresholds of models that note nothing, in the forms of other converters, as estimators of scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest

import onward
from onward.converters.builder import ModelBuilder
from onward.ir import Model
from onward.ir.datatypes import DataType

pytest.importorskip("sklearn")

from sklearn import linear_model, naive_bayes, preprocessing

RANDOM = np.random.default_rng(0)
CLASSES = np.array([3, 5, 9])


def normal(source: naive_bayes.GaussianNB) -> Model:
    """In single precision: distances to means by variances, their logarithms, labels and probabilities."""
    b = ModelBuilder("normal")
    x = b.op("Unsqueeze", b.input("x", DataType.FLOAT, ["rows", source.n_features_in_]), b.constant(np.array([1])))
    gaps = b.op("Pow", b.op("Sub", x, b.constant(source.theta_[None].astype(np.float32))), b.constant(np.float32(2)))
    sums = b.op("ReduceSum", b.op("Div", gaps, b.constant(source.var_[None].astype(np.float32))), b.constant(np.array([2])), keepdims=0)
    constant = np.log(2 * np.pi * source.var_).sum(axis=1)
    known = b.op("Sub", b.constant(-0.5 * constant.astype(np.float32)), b.op("Mul", sums, b.constant(np.float32(0.5))))
    joint = b.op("Add", b.constant(np.log(source.class_prior_).astype(np.float32)), known)
    b.output(b.op("Gather", b.constant(source.classes_), b.op("ArgMax", joint, axis=1, keepdims=0)), "label")
    b.output(b.op("Exp", b.op("Sub", joint, b.op("ReduceLogSumExp", joint, b.constant(np.array([1]))))), "probabilities")
    return b.model()


@pytest.mark.parametrize(("shift", "size"), [(0, 1), (1000, 0.5), (0, 1000)])
def test_classes_of_normal_distributions(shift: float, size: float) -> None:
    """Far from 0, too, where the graph loses digits for rows that are none of the classes'."""
    rows = shift + size * RANDOM.standard_normal((200, 4)).astype(np.float32)
    source = naive_bayes.GaussianNB().fit(rows, CLASSES[np.digitize(rows[:, 0] - shift, [-size / 2, size / 2])])
    again = onward.convert(normal(source), to="sklearn")
    assert type(again) is naive_bayes.GaussianNB
    np.testing.assert_array_equal(again.predict(rows), source.predict(rows))
    np.testing.assert_allclose(again.predict_proba(rows), source.predict_proba(rows), atol=1e-5)


@pytest.mark.parametrize("operator", ["Binarizer", "Greater"])
def test_a_threshold_before_layers(operator: str) -> None:
    """What BernoulliNB is: a linear model of truth values."""
    b = ModelBuilder("threshold")
    x = b.input("x", DataType.FLOAT, ["rows", 3])
    if operator == "Greater":
        marks = b.op("Cast", b.op("Greater", x, b.constant(np.float32(0.25))), to=DataType.FLOAT)
    else:
        marks = b.op("Binarizer", x, domain="ai.onnx.ml", threshold=0.25)
    weights = RANDOM.standard_normal((3, 3)).astype(np.float32)
    b.output(b.op("Softmax", b.op("MatMul", marks, b.constant(weights)), axis=1), "probabilities")
    threshold, last = onward.convert(b.model(), to="sklearn")
    assert type(threshold) is preprocessing.Binarizer and threshold.threshold == 0.25
    assert type(last) is linear_model.LogisticRegression
    rows = RANDOM.standard_normal((50, 3))
    scores = np.exp((rows > 0.25) @ weights)
    np.testing.assert_allclose(last.predict_proba(threshold.transform(rows)), scores / scores.sum(axis=1, keepdims=True), rtol=1e-5)
