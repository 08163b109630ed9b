"""LightGBM: a Booster, an estimator of its scikit-learn interface, or a text file of a model.

What is read is the library's own text. It computes in double precision, so the model's input and sums are double, and
equal to the library's to the last bit.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from onward.converters.builder import ModelBuilder
from onward.converters.certificate import Reference
from onward.converters.columns import Rows
from onward.converters.frames import dataframe_of
from onward.converters.linear_leaves import LinearLeaves, linear_ensemble
from onward.converters.request import Request
from onward.converters.rounds import told
from onward.converters.trees import (
    LESS,
    LESS_OR_EQUAL,
    MEMBER,
    MOST,
    Tree,
    constant_tree,
    count,
    malformed,
    tree_ensemble,
)
from onward.errors import ConversionError, FormatError, InvalidArgument, UnsupportedOperator
from onward.ir import Model, Value
from onward.ir.datatypes import DataType

ZERO = float(np.float32(1e-35))
"""Numbers up to this size are taken for 0 by the library, whatever they are compared with."""

CATEGORIES = "pandas_categorical:"
"""What the last line of a model's text begins with."""

EXPONENTIAL = frozenset({"poisson", "gamma", "tweedie"})
IDENTICAL = frozenset({
    "regression", "regression_l1", "huber", "fair", "quantile", "mape", "lambdarank", "rank_xendcg", "custom", "none",
})  # fmt: skip


@dataclass(frozen=True)
class Document:
    """The text of a model file where the library is not installed."""

    text: str


def load(path: Path, trust: bool = False) -> Any:
    """The Booster of a model file, or the Document where the library is not installed. Raises FormatError for a file that is no model.

    The library sees only files that were found sound.
    """
    document = checked(Document(path.read_text(errors="replace")), path)
    try:
        import lightgbm
    except ModuleNotFoundError:
        return document
    try:
        trees, end, _ = re.sub(r"\ntree_sizes=[^\n]*", "", document.text).partition("end of trees")  # with sizes, threads read: a damaged tree ends the process
        categories = f"\n{CATEGORIES}{json.dumps(_pandas_categories(document.text))}\n"
        return lightgbm.Booster(model_str=f"{trees}{end}\n{categories}")  # damaged parameters, which no prediction needs, end the process
    except lightgbm.basic.LightGBMError as problem:
        raise FormatError(f"'{path}' is no model of LightGBM: {problem}") from problem


def checked(document: Document, path: Path) -> Document:
    """A document of which a model can be made. Raises FormatError for another one."""
    with malformed(f"'{path}' is no model of LightGBM"):
        if not document.text.startswith("tree"):
            raise FormatError("its first line should be 'tree'")
        for begin, end in (("tree", "end of trees"), ("\nparameters:", "\nend of parameters")):
            if begin in document.text and end not in document.text:
                raise FormatError(f"it is cut short: there is no line '{end.strip()}'")
        _pandas_categories(document.text)
        b = ModelBuilder("lightgbm")
        outputs(b, b.input("x", DataType.DOUBLE, ["rows", MOST]), document)
    return document


def convert(request: Request) -> tuple[Model, Reference]:
    """The model of a Booster or estimator, and what it is to reproduce.

    A Booster gives one output, `prediction`, as its `predict` does; a classifier gives `label` and `probabilities`.
    """
    source = request.source
    text = _text(source)
    header, trees = _sections(text)
    columns, _ = _sizes(header)
    b = ModelBuilder("lightgbm", request.opset)
    features = header.get("feature_names", "").split()
    rows = Rows(request, DataType.DOUBLE, columns, features, _categories_of_columns(text, header, dataframe_of(request.example_inputs)))
    results = outputs(b, rows.value(b), source)
    for value, label in zip(results.values(), request.names_of_outputs(list(results)), strict=True):
        b.output(value, label)
    model, reference = rows.finished(b.model(), _reference(source, _parts(header, trees), columns))
    _, targets = _sizes(header)

    def sums(feeds: Mapping[str, np.ndarray], count: int) -> np.ndarray:
        found = getattr(source, "booster_", source).predict(rows.original(feeds), raw_score=True, num_iteration=count)
        return np.asarray(found).reshape(-1, targets)

    return model, told(model, reference, range(targets, len(trees) + 1, targets), sums)


def outputs(b: ModelBuilder, x: Value, source: Any, raw: bool = False) -> dict[str, Value]:
    """What a Booster or estimator gives for rows in double precision; the sums of trees if `raw`."""
    header, trees = _sections(_text(source))
    columns, targets = _sizes(header)
    margins = _margins(b, x, trees, _parts(header, trees), targets, columns)
    if "average_output" in header and not raw:
        margins = b.op("Div", margins, b.constant(np.array(len(trees) // targets, np.float64)))
    result = margins if raw else _transformed(b, margins, header.get("objective", "none").split())
    classes = _classes(source)
    if classes is not None and not raw:
        return _classified(b, result, targets, classes)
    return {"prediction": b.op("Squeeze", result, b.constant(np.array([1]))) if targets == 1 else result}


def _text(source: Any) -> str:
    """The library's text of a model, up to its best round. Raises ConversionError for one that is not fitted."""
    if isinstance(source, Document):
        return source.text
    if not getattr(source, "__sklearn_is_fitted__", lambda: True)():
        raise ConversionError(f"this {type(source).__name__} is not fitted: call fit first")
    booster = getattr(source, "booster_", source)
    rounds = booster.best_iteration if booster.best_iteration and booster.best_iteration > 0 else -1
    return str(booster.model_to_string(num_iteration=rounds))


def categories_of(source: Any) -> dict[int, list[Any]]:
    """By column, the categories that a model was trained on, where its text tells of which columns they are."""
    text = _text(source)
    return _categories_of_columns(text, _sections(text)[0], None)


def _pandas_categories(text: str) -> list[list[Any]]:
    """The categories of each column of the DataFrame that a model was trained on, as its text ends with them. Raises ValueError for another end."""
    _, _, line = text.rpartition(CATEGORIES)
    found = json.loads(line.strip() or "null") or []
    if not isinstance(found, list) or not all(isinstance(item, list) for item in found):
        raise ValueError(f"'{CATEGORIES}' is no list of lists")
    return found


def _categories_of_columns(text: str, header: dict[str, str], table: Any) -> dict[int, list[Any]]:
    """By column, the categories in the order of their codes. The text has them without saying of which columns: these are the example's
    columns of categories, or else those that it tells codes of.

    Raises InvalidArgument for an example where neither are as many.
    """
    known = _pandas_categories(text)
    if not known:
        return {}
    shown = [place for place, kind in enumerate(table.dtypes) if hasattr(kind, "categories")] if table is not None else []
    told = {place: item.split(":") for place, item in enumerate(header.get("feature_infos", "").split()) if item[:1] not in "[n"}
    if len(shown) == len(known):
        return dict(zip(shown, known))
    if len(told) == len(known) and all(max(map(int, codes)) < len(categories) for codes, categories in zip(told.values(), known)):
        return dict(zip(told, known))
    if table is not None:
        raise InvalidArgument(
            f"the model knows categories of {len(known)} columns and does not say which; the example has {len(shown)} columns of categories: pass rows of "
            "the DataFrame that it was trained on, or a matrix of codes"
        )
    return {}


def _classes(source: Any) -> np.ndarray | None:
    """The classes of a classifier. With an objective of the user's own it gives sums."""
    if callable(getattr(source, "objective", None)) or not hasattr(source, "classes_"):
        return None
    return np.asarray(source.classes_)


def _sizes(header: dict[str, str]) -> tuple[int, int]:
    """How many columns and targets a model has."""
    columns, targets = count(int(header["max_feature_idx"]) + 1, "columns"), count(header["num_tree_per_iteration"], "targets")
    if targets == 0:
        raise ValueError("a model of no targets")
    return columns, targets


def _parts(header: dict[str, str], trees: list[dict[str, str]]) -> list[Tree]:
    columns, targets = _sizes(header)
    if len(trees) % targets or len(header.get("tree_sizes", "").split()) not in (0, len(trees)):
        raise ValueError(f"{len(trees)} trees of {len(header.get('tree_sizes', '').split())} that the head tells of, for {targets} targets")
    return [_tree(data, number % targets, columns) for number, data in enumerate(trees)]


def _margins(b: ModelBuilder, x: Value, trees: list[dict[str, str]], parts: list[Tree], targets: int, columns: int) -> Value:
    """The sums of the trees."""
    if any(data.get("is_linear") == "1" for data in trees):
        x = b.op("Where", _is_zero(b, x), b.constant(np.zeros(())), x)
        tests = _tested(b, x, parts, columns)
        return linear_ensemble(b, x, columns, tests, parts, [_linear(data, columns) for data in trees], targets)
    return tree_ensemble(b, _tested(b, x, parts, columns), parts or [constant_tree(0, 0, np.float64)], targets, 2 * columns)


def _tested(b: ModelBuilder, x: Value, parts: list[Tree], columns: int) -> Value:
    """What the nodes look at: categories without their fractions, and beside the columns these with zeros taken for missing."""
    categorical = {int(tree.features[node]) for tree in parts for node in tree.members}
    if categorical:
        towards_zero = b.op("Where", b.op("Less", x, b.constant(np.zeros(()))), b.op("Ceil", x), b.op("Floor", x))
        x = b.op("Where", b.constant(np.isin(np.arange(columns), list(categorical))), towards_zero, x)
    if any((tree.features >= columns).any() for tree in parts):
        x = b.op("Concat", x, b.op("Where", _is_zero(b, x), b.constant(np.array(np.nan)), x), axis=1)
    return x


def _is_zero(b: ModelBuilder, x: Value) -> Value:
    return b.op("LessOrEqual", b.op("Abs", x), b.constant(np.array(ZERO)))  # type: ignore[no-any-return]


def _within(numbers: np.ndarray, size: int) -> bool:
    return bool(((numbers >= 0) & (numbers < size)).all())


def _linear(data: dict[str, str], columns: int) -> LinearLeaves:
    """What the leaves of a tree compute; a constant where they are not linear."""
    values = _numbers(data, "leaf_value", np.float64)
    if data.get("is_linear") != "1":
        return LinearLeaves(values, [np.zeros(0, np.int64)] * values.size, [np.zeros(0)] * values.size, values)
    sizes, constants = _numbers(data, "num_features", np.int64), _numbers(data, "leaf_const", np.float64)
    features, factors = _numbers(data, "leaf_features", np.int64), _numbers(data, "leaf_coeff", np.float64)
    whole = sizes.shape == constants.shape == values.shape and features.shape == factors.shape == (sizes.sum(),)
    if not whole or (sizes < 0).any() or not _within(features, columns):
        raise ValueError("linear leaves with more or fewer numbers than they tell of, or columns that there are not")
    ends = np.cumsum(sizes)[:-1]
    return LinearLeaves(constants, np.split(features, ends), np.split(factors, ends), values)


def _sections(text: str) -> tuple[dict[str, str], list[dict[str, str]]]:
    """The entries of the head, and of each tree."""
    head, *trees = text.partition("end of trees")[0].split("\nTree=")
    return dict(_entries(head)), [dict(_entries(tree)) for tree in trees]


def _entries(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        name, _, value = line.partition("=")
        yield name, value


def _numbers(data: dict[str, str], name: str, dtype: Any) -> np.ndarray:
    return np.array(data.get(name, "").split(), dtype)


def _tree(data: dict[str, str], target: int, columns: int) -> Tree:
    """Inner nodes first, then leaves, which the library numbers -1, -2, ... Nodes that take zeros for missing look at the second
    half of twice as many columns."""
    values = _numbers(data, "leaf_value", np.float64)
    inner = int(data["num_leaves"]) - 1
    if inner == 0:
        return constant_tree(float(values[0]), target, np.float64)
    kinds = _numbers(data, "decision_type", np.int64)
    thresholds = _numbers(data, "threshold", np.float64)
    left, right = (_numbers(data, f"{side}_child", np.int64) for side in ("left", "right"))
    features = _numbers(data, "split_feature", np.int64)
    if values.size != inner + 1 or max(left.max(), right.max()) >= inner or not _within(features, columns):
        raise ValueError(f"a tree of {inner} inner nodes with {values.size} leaves, or children or columns that there are not")
    left, right = (np.where(side < 0, inner - 1 - side, side) for side in (left, right))
    categorical, default_left, missing_kind = kinds & 1 == 1, kinds & 2 != 0, kinds >> 2 & 3
    modes = np.where(categorical, MEMBER, LESS_OR_EQUAL)
    missing = np.where(missing_kind == 2, default_left, thresholds >= 0)
    below = ~categorical & (thresholds >= -ZERO) & (thresholds < 0)
    modes[below], thresholds[below] = LESS, -ZERO
    near = ~categorical & (thresholds >= 0) & (thresholds <= ZERO)
    thresholds[near] = ZERO
    zeros_missing = (missing_kind == 1) & ~categorical
    missing = np.where(zeros_missing, default_left, missing)
    features = features + np.where(zeros_missing, columns, 0)
    members = {int(node): _categories(data, int(thresholds[node])) for node in np.flatnonzero(categorical)}
    leaf, nothing = np.full(values.size, -1), np.zeros(values.size, np.int64)
    return Tree(
        np.concatenate([features, nothing]),
        np.concatenate([modes, nothing]),
        np.concatenate([np.where(categorical, 0, thresholds), nothing]).astype(np.float64),
        np.concatenate([left, leaf]),
        np.concatenate([right, leaf]),
        np.concatenate([np.where(categorical, False, missing), nothing]),
        np.concatenate([np.zeros(inner), values]),
        target,
        members,
    )


def _categories(data: dict[str, str], place: int) -> list[float]:
    """The members of a bit set."""
    bounds, words = _numbers(data, "cat_boundaries", np.int64), _numbers(data, "cat_threshold", np.uint32)
    if not 0 <= place < bounds.size - 1 or not 0 <= bounds[place] <= bounds[place + 1] <= words.size:
        raise ValueError(f"set {place} of categories is not there")
    own = words[bounds[place] : bounds[place + 1]]
    return [float(32 * number + bit) for number, word in enumerate(own) for bit in range(32) if int(word) >> bit & 1]


def _transformed(b: ModelBuilder, margins: Value, objective: list[str]) -> Value:
    """What Booster.predict makes of the sums."""
    name, options = (
        objective[0] if objective else "none",
        dict(item.split(":") for item in objective[1:] if ":" in item),
    )
    if name in ("binary", "multiclassova"):
        scale = b.constant(np.array(float(options.get("sigmoid", 1)), np.float64))
        return b.op("Sigmoid", b.op("Mul", margins, scale))
    if name == "multiclass":
        return b.op("Softmax", margins, axis=1)
    if name == "cross_entropy":
        return b.op("Sigmoid", margins)
    if name == "cross_entropy_lambda":
        return b.op("Log", b.op("Add", b.constant(np.ones(())), b.op("Exp", margins)))  # Softplus, which others lack in double
    if name in EXPONENTIAL:
        return b.op("Exp", margins)
    if name in IDENTICAL:
        return b.op("Mul", b.op("Abs", margins), margins) if "sqrt" in objective else margins
    raise UnsupportedOperator(f"LightGBM objective '{name}'")


def _classified(b: ModelBuilder, result: Value, targets: int, classes: np.ndarray) -> dict[str, Value]:
    """What LGBMClassifier.predict and predict_proba give."""
    if targets == 1:
        result = b.op("Concat", b.op("Sub", b.constant(np.ones(())), result), result, axis=1)
    labels = classes.astype(np.int64) if classes.dtype.kind in "iub" else classes.astype(str).astype(object)
    place = b.op("ArgMax", result, axis=1, keepdims=0)
    return {"label": b.op("Gather", b.constant(labels, "classes"), place), "probabilities": result}


def _reference(source: Any, trees: list[Tree], columns: int) -> Reference:
    if isinstance(source, Document):
        return Reference.unjudged("LightGBM", _rows(trees, columns))
    import lightgbm

    classes = _classes(source)

    def outputs(rows: np.ndarray) -> dict[str, np.ndarray]:
        if classes is None:
            return {"prediction": source.predict(rows)}
        label = source.predict(rows)
        label = label.astype(np.int64) if label.dtype.kind in "iub" else label.astype(object)
        return {"label": label, "probabilities": source.predict_proba(rows)}

    return Reference(f"lightgbm {lightgbm.__version__}", _rows(trees, columns), outputs)


def limits(source: Any) -> tuple[np.ndarray, np.ndarray]:
    """The columns and the numbers that the trees of a Booster or estimator compare, categories left out."""
    header, trees = _sections(_text(source))
    return _limits(_parts(header, trees), _sizes(header)[0])


def _limits(trees: list[Tree], columns: int) -> tuple[np.ndarray, np.ndarray]:
    compared = [(tree.true >= 0) & (tree.modes != MEMBER) for tree in trees]
    features = np.concatenate([np.zeros(0, np.int64), *[tree.features[inner] % columns for tree, inner in zip(trees, compared)]])
    return features, np.concatenate([np.zeros(0), *[tree.splits[inner] for tree, inner in zip(trees, compared)]])


def _rows(trees: list[Tree], columns: int) -> dict[str, np.ndarray]:
    """Data that goes all ways: at thresholds, right beside them, missing, zero, infinite, categories known and unknown."""
    random = np.random.default_rng(0)
    thresholds = np.empty((500, columns))
    categorical = {int(tree.features[node]) for tree in trees for node in tree.members}
    features, splits = _limits(trees, columns)
    for feature in range(columns):
        values = np.unique(np.append(splits[features == feature], 0.0))
        values = np.concatenate([values, np.nextafter(values, np.inf), np.nextafter(values, -np.inf), [np.inf, -np.inf, ZERO, -ZERO]])
        thresholds[:, feature] = random.integers(-2, 80, 500) / 2 if feature in categorical else random.choice(values, 500)
    missing = np.where(random.random(thresholds.shape) < 0.4, np.nan, thresholds)
    normal = thresholds.copy()
    numeric = [feature for feature in range(columns) if feature not in categorical]
    normal[:, numeric] = random.standard_normal((500, len(numeric)))
    return {
        "thresholds and their neighbours": thresholds,
        "missing values": missing,
        "random numbers": normal,
        "one row": normal[:1],
    }
