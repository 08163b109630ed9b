"""LinearRegressor and LinearClassifier."""

from __future__ import annotations

import numpy as np

from onward import program as P
from onward.ir.datatypes import DataType
from onward.operators.classical.scores import best_label, label_table, labelled, second_column, transformed, two_classes
from onward.operators.registry import operator


@operator("LinearRegressor", domain="ai.onnx.ml")
def linear_regressor(
    x: P.Array,
    *,
    coefficients: list[float],
    intercepts: list[float] | None = None,
    post_transform: str = "NONE",
    targets: int = 1,
) -> P.Array:
    """x (N, F) times the coefficients (targets, F), plus the intercepts. ONNX LinearRegressor-1."""
    return transformed(_scores(x, coefficients, intercepts, targets), post_transform)


@operator("LinearClassifier", domain="ai.onnx.ml")
def linear_classifier(
    x: P.Array,
    *,
    coefficients: list[float],
    classlabels_ints: list[int] | None = None,
    classlabels_strings: list[str] | None = None,
    intercepts: list[float] | None = None,
    multi_class: int = 0,
    post_transform: str = "NONE",
) -> tuple[P.Array, P.Array]:
    """The label of the greatest score, and the scores. ONNX LinearClassifier-1. One score serves two classes."""
    labels = label_table(classlabels_strings, classlabels_ints)
    count = len(intercepts) if intercepts else int(labels.size)  # type: ignore[arg-type]
    scores = _scores(x, coefficients, intercepts, count)
    if count == 1 and labels.size == 2:
        return labelled(two_classes(scores, 0.0), labels), second_column(scores, post_transform, True)
    return best_label(scores, labels), transformed(scores, post_transform)


def _scores(x: P.Array, coefficients: list[float], intercepts: list[float] | None, count: int) -> P.Array:
    rows = P.cast(x if x.rank == 2 else P.expand_axes(x, [0]), DataType.FLOAT)
    weights = P.constant(np.array(coefficients, np.float32).reshape(count, -1))
    shape = (rows.shape[0], count)
    product = P.reduce("sum", shape, (rows.shape[1],), lambda n, target, k: rows[n, k] * weights[target, k])
    return product if not intercepts else product + P.constant(np.array(intercepts, np.float32))
