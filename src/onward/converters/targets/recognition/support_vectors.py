"""Support vectors: kernels between rows and vectors, and weighted sums of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from onward.converters.targets.recognition.layers import matrix_of
from onward.converters.targets.recognition.rows import RowModel, Unrecognized
from onward.ir import Node, Value

KERNELS = ("LINEAR", "POLY", "RBF", "SIGMOID")
DEGREES = range(1, 11)


@dataclass(frozen=True)
class SupportVectors:
    """Scores are kernel(rows, `vectors` (vectors, columns)) @ `weights` (vectors, scores) + `bias`; of a classifier one for each pair of
    `classes`, positive where the first wins."""

    kernel: str
    gamma: float
    coef0: float
    degree: int
    vectors: np.ndarray
    weights: np.ndarray
    bias: np.ndarray
    classes: tuple[object, ...] | None = None


def support_vectors_of(rows: RowModel) -> SupportVectors:
    """The support vectors of a model. Raises Unrecognized for another one."""
    for node in rows.model.graph.nodes:
        if node.op_type in ("SVMRegressor", "SVMClassifier"):
            return _of_node(node, rows)
    for node in rows.model.graph.nodes:
        weights = node.inputs[1].tensor if node.op_type == "MatMul" and node.inputs[1] is not None else None
        if weights is not None and node.inputs[0] is not None and node.inputs[0].tensor is None:
            found = _of_product(rows, node, weights.numpy().reshape(len(weights.numpy()), -1))
            if found is not None:
                return found
    raise Unrecognized("it has no support vectors")


def _of_node(node: Node, rows: RowModel) -> SupportVectors:
    """The operators of ai.onnx.ml."""
    if node.inputs[0] is not matrix_of(rows):
        raise Unrecognized("the rows are changed before its support vectors")
    gamma, coef0, degree = (*(node.attribute("kernel_params", None) or []), 0.0, 0.0, 3.0)[:3]
    kernel = str(node.attribute("kernel_type", "LINEAR"))
    coefficients = np.array(node.attribute("coefficients", []), np.float32).astype(np.float64)
    bias = np.array(node.attribute("rho", []), np.float32).astype(np.float64)
    flat = np.array(node.attribute("support_vectors", None) or [], np.float32).astype(np.float64)
    if node.op_type == "SVMRegressor":
        if node.attribute("one_class", 0) or not flat.size:
            raise Unrecognized("it has one class, or no support vectors")
        vectors = flat.reshape(node.attribute("n_supports", 1), -1)
        return SupportVectors(kernel, gamma, coef0, int(degree), vectors, coefficients.reshape(-1, 1), bias)
    counts = list(node.attribute("vectors_per_class", None) or [])
    if not counts or not flat.size or node.attribute("prob_a", None):
        raise Unrecognized("it has a linear classifier, or probabilities, instead of votes of support vectors")
    classes = [
        item.decode() if isinstance(item, bytes) else item
        for item in node.attribute("classlabels_strings", None) or node.attribute("classlabels_ints", None) or []
    ]
    vectors = flat.reshape(sum(counts), -1)
    table = coefficients.reshape(len(counts) - 1, -1)
    return SupportVectors(kernel, gamma, coef0, int(degree), vectors, _by_pairs(table, counts), bias, tuple(classes))


def _by_pairs(table: np.ndarray, counts: list[int]) -> np.ndarray:
    """(vectors, pairs) of libsvm's (classes - 1, vectors)."""
    ends = np.cumsum([0, *counts])
    columns = []
    for first in range(len(counts)):
        for second in range(first + 1, len(counts)):
            column = np.zeros(table.shape[1])
            ours, theirs = slice(ends[first], ends[first + 1]), slice(ends[second], ends[second + 1])
            column[ours], column[theirs] = table[second - 1, ours], table[first, theirs]
            columns.append(column)
    return np.stack(columns, axis=1)


def _of_product(rows: RowModel, node: Node, weights: np.ndarray) -> SupportVectors | None:
    """A matrix product whose left side is a kernel of the rows and vectors that the graph holds."""
    kernel = rows.array_of(node.inputs[0])  # type: ignore[arg-type]
    if kernel.rank != 2 or kernel.shape[1] != len(weights):
        return None
    probes = np.random.default_rng(0).standard_normal((24, rows.columns)) * 0.5
    values = rows.before(kernel, probes)
    for vectors in _candidates(rows, len(weights)):
        found = _kernel(probes, vectors, values)
        if found is not None:
            bias, classes = np.zeros(weights.shape[1]), None
            users = {user for user, _ in node.outputs[0].uses}
            result = node.outputs[0]
            if len(users) == 1 and (added := users.pop()).op_type == "Add":
                addend = next((item.tensor for item in added.inputs if item is not None and item.tensor is not None), None)
                if addend is not None and addend.numpy().size in (1, len(bias)):
                    bias, result = bias + addend.numpy().reshape(-1), added.outputs[0]
            classes = _classes(rows, result, len(bias))
            return SupportVectors(*found, vectors, weights, bias, classes)
    return None


def _candidates(rows: RowModel, count: int) -> list[np.ndarray]:
    """Constants that may be so many vectors."""
    found = []
    for value in rows.model.graph.values():
        array = None if value.tensor is None else value.tensor.numpy()
        if array is None or array.dtype.kind != "f" or array.size != count * rows.columns:
            continue
        shape = tuple(extent for extent in array.shape if extent != 1) if 1 not in (count, rows.columns) else array.shape[-2:]
        if shape == (count, rows.columns):
            found.append(array.reshape(count, rows.columns))
        if shape == (rows.columns, count):
            found.append(array.reshape(rows.columns, count).T)
    return found


def _kernel(rows: np.ndarray, vectors: np.ndarray, values: np.ndarray) -> tuple[str, float, float, int] | None:
    """(kernel, gamma, coef0, degree) of which these are the values."""
    product = rows @ vectors.T
    distances = ((rows[:, None] - vectors[None]) ** 2).sum(axis=2)
    with np.errstate(all="ignore"):
        gamma = float(np.median(-np.log(values) / distances))
        if gamma > 0 and np.allclose(values, np.exp(-gamma * distances), rtol=1e-5, atol=1e-12):
            return "RBF", gamma, 0.0, 3
        for name, inverse, degree in _FORMS:
            inner = inverse(values)
            usable = np.isfinite(inner)
            if usable.sum() < 10:
                continue
            gamma, coef0 = (float(number) for number in np.polyfit(product[usable], inner[usable], 1))
            coef0 = coef0 if abs(coef0) > 1e-12 else 0.0
            made = np.tanh(gamma * product + coef0) if name == "SIGMOID" else (gamma * product + coef0) ** degree
            if np.allclose(values, made, rtol=1e-5, atol=1e-9):
                linear = degree == 1 and coef0 == 0 and abs(gamma - 1) < 1e-9
                return ("LINEAR", 1.0, 0.0, 3) if linear else (name, gamma, coef0, degree)
    return None


def _root(degree: int) -> Callable[[np.ndarray], np.ndarray]:
    """The root of numbers; of even degree that of those which a positive number gives cannot be told, so only the sign of odd ones is kept."""
    return lambda values: np.sign(values) * np.abs(values) ** (1 / degree) if degree % 2 else np.where(values > 0, np.abs(values) ** (1 / degree), np.nan)


_FORMS: list[tuple[str, Callable[[np.ndarray], np.ndarray], int]] = [
    ("SIGMOID", lambda values: np.arctanh(values), 3), *(("POLY", _root(degree), degree) for degree in DEGREES),
]  # fmt: skip
"""Kernels of products of rows and vectors: their names, how the product is got back, and their degrees."""


def _classes(rows: RowModel, scores: Value, count: int) -> tuple[object, ...] | None:
    """The classes, if labels are votes of the pairs: with all pairs of a class won, it is the label. None where the model gives no labels."""
    cut = rows.array_of(scores)
    number = int((1 + np.sqrt(1 + 8 * count)) / 2)
    pairs = [(first, second) for first in range(number) for second in range(first + 1, number)]
    if len(pairs) != count or not any(value.dtype is not None and not value.dtype.is_float for value in rows.outputs):
        return None
    z = np.array([[9.0 if first == winner else -9.0 if second == winner else 1e-3 for first, second in pairs] for winner in range(number)])
    outputs = rows.after(cut, z.reshape(len(z), *(int(extent) for extent in cut.shape[1:])))  # type: ignore[arg-type]
    (labels,) = [item for item in outputs if item.dtype.kind in "iubO"]
    return tuple(labels.tolist())
