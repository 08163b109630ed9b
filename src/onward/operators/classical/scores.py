"""From scores to labels and probabilities: what the classifiers of ai.onnx.ml share."""

from __future__ import annotations

import numpy as np

from onward import program as P
from onward.errors import InvalidArgument
from onward.ir.datatypes import DataType
from onward.operators.activation.softmax import softmax_over


def label_table(strings: list[str] | None, integers: list[int] | None) -> P.Array:
    """The labels of the classes. Raises InvalidArgument when there are none."""
    if strings:
        return P.constant(np.array(strings, object))
    if integers:
        return P.constant(np.array(integers, np.int64))
    raise InvalidArgument("a classifier needs labels: integers or strings")


def labelled(index: P.Array, labels: P.Array) -> P.Array:
    """The label of each class index."""
    return P.compute(index.shape, lambda n: labels[index[n]])


def best_label(scores: P.Array, labels: P.Array) -> P.Array:
    """The label of the greatest score of each row."""
    return labelled(P.arg_extreme("argmax", scores, 1, False), labels)


def two_classes(score: P.Array, threshold: float) -> P.Array:
    """The class index 0 or 1 for a column (N, 1) of scores of the second class."""
    return P.compute(score.shape[:1], lambda n: P.cast(score[n, 0] > threshold, DataType.INT64))


def second_column(score: P.Array, transform: str, complement: bool) -> P.Array:
    """Scores of both classes from a column of those of the second: 1 - s (or -s) and s, or their logistic values."""

    def element(n: P.Dimension, k: P.Dimension) -> P.Scalar:
        value, second = score[n, 0], P.equal(P.scalar(k), 1)
        if transform == "LOGISTIC":
            return P.sigmoid(P.where(second, value, -value))
        return P.where(second, value, 1.0 - value if complement else -value)

    return P.compute((score.shape[0], 2), element)


def transformed(scores: P.Array, transform: str) -> P.Array:
    """The post transform of ai.onnx.ml, row by row. Raises InvalidArgument for an unknown one."""
    if transform == "NONE":
        return scores
    if transform == "LOGISTIC":
        return P.sigmoid(scores)
    if transform == "SOFTMAX":
        return softmax_over(scores, [1])
    if transform == "SOFTMAX_ZERO":
        greatest = P.max(scores, [1], keepdims=True)
        e = P.elementwise(lambda s, m: P.where(P.equal(s, 0.0), 0.0, P.exp(s - m)), scores, greatest)
        return e / P.sum(e, [1], keepdims=True)
    if transform == "PROBIT":
        return P.elementwise(_probit, scores)
    raise InvalidArgument(f"no post transform '{transform}'; known are NONE, LOGISTIC, SOFTMAX, SOFTMAX_ZERO and PROBIT")


def _probit(p: P.Scalar) -> P.Scalar:
    """The inverse of the normal distribution function, by Winitzki's inverse of the error function (2008)."""
    x = 2.0 * p - 1.0
    sign = P.where(x < 0.0, -1.0, P.scalar(1.0, x.dtype))
    logarithm = P.log((1.0 - x) * (1.0 + x))
    first = 2.0 / (np.pi * 0.147) + 0.5 * logarithm
    return np.sqrt(2.0).item() * sign * P.sqrt(P.sqrt(first * first - logarithm / 0.147) - first)
