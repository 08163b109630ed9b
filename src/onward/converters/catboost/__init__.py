"""CatBoost: a model, or its .cbm or .json file.

What is read is the library's own JSON (`document.py`). Features are single precision, leaves and sums double, as in the
library. Categories come as text, in an input of their own; `categories.py` says how.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from onward.converters.builder import ModelBuilder
from onward.converters.catboost.categories import Categories
from onward.converters.catboost.document import Document, Node
from onward.converters.catboost.reference import Columns, reference_of, sums_of
from onward.converters.request import Request
from onward.converters.rounds import told
from onward.converters.trees import LESS_OR_EQUAL, Tree, constant_tree, tree_ensemble
from onward.errors import ConversionError, FormatError, InvalidArgument, UnsupportedModel, UnsupportedOperator
from onward.ir import Model, Value
from onward.ir.datatypes import DataType

EQUAL = 4
"""Code of nodes_modes for equality, ONNX TreeEnsemble-5."""
ONE_EACH = frozenset({"MultiLogloss", "MultiCrossEntropy"})
SIGMOID = frozenset({"Logloss", "CrossEntropy", "Focal"})
CLASSIFIERS = ONE_EACH | SIGMOID | {"MultiClass", "MultiClassOneVsAll"}
EXPONENTIAL = frozenset({"Poisson", "Tweedie"})


def load(path: Path, trust: bool = False) -> Any:
    """The model of a file; for JSON without the library, what the file says. Raises FormatError for one that cannot be read."""
    try:
        import catboost
    except ModuleNotFoundError as problem:
        if path.suffix != ".json":
            raise UnsupportedModel(f"'{path}' is read by CatBoost itself, which is not installed; a .json file is not") from problem
        return _document(path)
    kind = catboost.CatBoostClassifier if path.suffix == ".json" and _document(path).loss in CLASSIFIERS else catboost.CatBoost
    try:
        model = kind().load_model(str(path), format=path.suffix[1:])
    except catboost.CatBoostError as problem:
        raise FormatError(f"'{path}' is no model of CatBoost: {problem}") from problem
    if kind is catboost.CatBoost and _document_of(model).loss in CLASSIFIERS:
        model = catboost.CatBoostClassifier().load_model(str(path), format=path.suffix[1:])
    return model


def convert(request: Request) -> tuple[Model, Any]:
    """The model, and what it is to reproduce.

    A classifier gives `label` and `probabilities`; others `prediction`, as `predict` does. Input `x` has the numeric columns
    in their order, `categories` the categorical ones, as the text that CatBoost makes of them.
    """
    source = request.source
    document = source if isinstance(source, Document) else _document_of(source)
    columns = Columns(document, request.example_inputs)
    b = ModelBuilder("catboost", request.opset)
    names = _input_names(request, document)
    inputs = {}
    if document.floats:
        inputs["x"] = b.input(names[0], DataType.FLOAT, ["rows", len(document.floats)])
    if document.categories:
        inputs["categories"] = b.input(names[-1], DataType.STRING, ["rows", len(document.categories)])
    parts = [b.op("Cast", inputs["x"], to=11)] if document.floats else []
    categories = Categories(document, columns.texts) if document.categories else None
    if categories is not None:
        parts += categories.columns(b, inputs.get("x", inputs["categories"]), inputs["categories"])
    matrix = parts[0] if len(parts) == 1 else b.op("Concat", *parts, axis=1)
    raw = _raw(b, matrix, document, categories)
    results = _results(b, raw, document, source)
    for value, label in zip(results.values(), request.names_of_outputs(list(results)), strict=True):
        b.output(value, label)
    model, reference = b.model(), reference_of(source, document, columns, [names[0], names[-1]])
    ends = range(document.targets, document.targets * len(document.trees) + 1, document.targets)
    return model, told(model, reference, ends, sums_of(source, document, [names[0], names[-1]]))


def outputs(b: ModelBuilder, x: Value, source: Any) -> dict[str, Value]:
    """What an estimator gives for rows in single precision. Raises UnsupportedModel for one of categorical features."""
    document = _document_of(source)
    if document.categories:
        raise UnsupportedModel(f"this {type(source).__name__} has categorical features: convert it by itself, outside of the pipeline")
    return _results(b, _raw(b, b.op("Cast", x, to=11), document, None), document, source)


def limits(source: Any) -> tuple[np.ndarray, np.ndarray]:
    """The columns and the numbers that the trees of a model compare, categories left out."""
    floats = _document_of(source).floats
    found = [(feature["flat_feature_index"], border) for feature in floats for border in feature.get("borders") or []]
    return np.array([feature for feature, _ in found], np.int64), np.array([border for _, border in found], np.float32)


def _document(path: Path) -> Document:
    try:
        return Document(json.loads(path.read_text()))
    except (ValueError, RecursionError) as problem:
        raise FormatError(f"'{path}' is no JSON: {problem}") from problem


def _document_of(model: Any) -> Document:
    """What the library writes about a model. Raises ConversionError for one that is not fitted."""
    if not model.is_fitted():
        raise ConversionError(f"this {type(model).__name__} is not fitted: call fit first")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.json"
        try:
            model.save_model(str(path), format="json")
        except Exception as problem:  # features of text or embeddings
            raise UnsupportedModel(f"CatBoost does not write this model as JSON: {problem}") from problem
        return _document(path)


def _input_names(request: Request, document: Document) -> list[str]:
    usual = [name for name, there in (("x", document.floats), ("categories", document.categories)) if there]
    if request.input_names and len(request.input_names) != len(usual):
        raise InvalidArgument(f"the model has the inputs {usual}, {len(request.input_names)} names were given")
    if not usual:
        raise UnsupportedModel("this model of CatBoost has no features")
    return list(request.input_names or usual)


def _raw(b: ModelBuilder, matrix: Value, document: Document, categories: Categories | None) -> Value:
    """(rows, targets): the sums of the leaves in the order of the trees, scaled, with the bias."""
    trees = [_tree(tree, target, document, categories) for tree in document.trees for target in range(document.targets)]
    raw = tree_ensemble(b, matrix, trees or [constant_tree(0, 0, np.float64)], document.targets)
    if document.scale != 1:
        raw = b.op("Mul", raw, b.constant(np.array(document.scale)))
    return b.op("Add", raw, b.constant(document.bias)) if document.bias.any() else raw


def _tree(root: Any, target: int, document: Document, categories: Categories | None) -> Tree:
    """A tree for one of the targets."""
    if not isinstance(root, Node):
        return constant_tree(root[target], target, np.float64)
    first = {"float": 0, "category": len(document.floats), "statistic": len(document.floats) + len(document.categories)}
    rows: list[list[Any]] = []
    pending: list[tuple[Any, int, int]] = [(root, -1, 0)]
    while pending:
        node, parent, side = pending.pop()
        if parent >= 0:
            rows[parent][side] = len(rows)
        if not isinstance(node, Node):
            rows.append([0, 0, 0.0, -1, -1, False, node[target]])
            continue
        split = node.split
        column = first[split.kind] + split.place
        if split.equal:
            assert categories is not None
            rows.append([column, EQUAL, float(categories.code(split.place, int(split.border))), -1, -1, False, 0.0])
            held, failed = node.high, node.low
        else:
            rows.append([column, LESS_OR_EQUAL, split.border, -1, -1, not split.missing, 0.0])
            held, failed = node.low, node.high
        pending += [(failed, len(rows) - 1, 4), (held, len(rows) - 1, 3)]
    features, modes, splits, true, false, missing, values = (np.array(column) for column in zip(*rows))
    return Tree(features, modes, splits.astype(np.float64), true, false, missing, values.astype(np.float64), target, {})


def _results(b: ModelBuilder, raw: Value, document: Document, source: Any) -> dict[str, Value]:
    one = b.constant(np.array([1]))
    if not _is_classifier(source, document):
        if document.loss in EXPONENTIAL and not _is_plain(source):
            raw = b.op("Exp", raw)
        if document.loss == "RMSEWithUncertainty" and not _is_plain(source):
            mean, deviation = b.op("Split", raw, axis=1, num_outputs=2, outputs=2)
            variance = b.op("Exp", b.op("Mul", deviation, b.constant(np.array(2.0))))
            raw = b.op("Concat", mean, variance, axis=1)
        return {"prediction": raw if document.targets > 1 else b.op("Squeeze", raw, one)}
    if document.loss in ONE_EACH:
        probabilities = b.op("Sigmoid", raw)
        return {"label": b.op("Cast", b.op("Greater", raw, b.constant(np.array(0.0))), to=7), "probabilities": probabilities}
    if document.targets == 1:
        positive = b.op("Sigmoid", raw)
        border = np.log(document.threshold / (1 - document.threshold))
        place = b.op("Cast", b.op("Squeeze", b.op("Greater", raw, b.constant(np.array(border))), one), to=7)
        probabilities = b.op("Concat", b.op("Sub", b.constant(np.ones(())), positive), positive, axis=1)
    elif document.loss in ("MultiClass", "MultiClassOneVsAll"):
        probabilities = b.op("Sigmoid", raw) if document.loss == "MultiClassOneVsAll" else b.op("Softmax", raw, axis=1)
        place = b.op("ArgMax", raw, axis=1, keepdims=0)
    else:
        raise UnsupportedOperator(f"CatBoost classifiers of loss '{document.loss}'")
    return {"label": b.op("Gather", b.constant(_labels(document.classes), "classes"), place), "probabilities": probabilities}


def _labels(classes: list[Any]) -> np.ndarray:
    """The classes as they come out: truth values, whole numbers, or text."""
    for kind, dtype in ((bool, np.bool_), (int, np.int64)):
        if all(isinstance(label, kind) for label in classes):
            return np.array(classes, dtype)
    return np.array([str(label) for label in classes], object)


def _is_classifier(source: Any, document: Document) -> bool:
    if isinstance(source, Document):
        return document.loss in CLASSIFIERS
    return hasattr(source, "predict_proba")


def _is_plain(source: Any) -> bool:
    """Whether a model is of the class whose `predict` gives raw values, whatever the loss."""
    return type(source).__name__ == "CatBoost"
