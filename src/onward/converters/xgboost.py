"""XGBoost: a Booster, an estimator of its scikit-learn interface, or a model file (JSON or UBJSON).

What is read is the library's own JSON. The sums are those of the library to the last bit: the base score comes first, as a
tree of one leaf, then the trees in their order, each sum rounded to float32.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import functools
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from onward.converters.builder import ModelBuilder
from onward.converters.certificate import Reference
from onward.converters.columns import Rows
from onward.converters.frames import dataframe_of
from onward.converters.request import Request
from onward.converters.rounds import told
from onward.converters.trees import LESS, MEMBER, Tree, constant_tree, count, malformed, tree_ensemble
from onward.converters.ubjson import decode
from onward.errors import ConversionError, FormatError, InvalidArgument, UnsupportedOperator
from onward.ir import Model, Value
from onward.ir.datatypes import DataType

CUBIC = (0.05550361559341535, 0.2402284522445722, 0.6931471806916203)
"""The polynomial 1 + c r + b r**2 + a r**3 nearest to 2**r for |r| <= 1 / 64."""

LN2 = (-0.693145752, -1.42860677e-6)
NUMERATOR = (5.082762527590693e-4, 6.757896990527505e-3, 5.114512081637298e-2, 0.2473615434895521, 0.7257664613233124, 0.9999999999980871)
DENOMINATOR = (2.1595093756858299e-2, -0.27423353903904117, 1.0)
"""NumPy's exponential function in single precision: the logarithm of 2 in two parts, and the polynomials from their highest powers down."""

LEAST_EXPONENT = -110.0
"""Its power is 0 in single precision."""

ROOT = 2**31 - 1
"""Stands for the parent of a root, as -1 does where leaves are vectors."""

LOGISTIC = frozenset({"binary:logistic", "reg:logistic"})
EXPONENTIAL = frozenset({"count:poisson", "reg:gamma", "reg:tweedie", "survival:cox", "survival:aft"})
IDENTICAL = frozenset({
    "reg:squarederror", "reg:squaredlogerror", "reg:pseudohubererror", "reg:absoluteerror", "reg:quantileerror", "reg:linear",
    "binary:logitraw", "rank:ndcg", "rank:map", "rank:pairwise", "reg:expectileerror",
})  # fmt: skip
"""Objectives by what they make of a margin; besides binary:hinge, multi:softmax and multi:softprob."""


@dataclass(frozen=True)
class Document:
    """A model file where the library is not installed: what it says of the learner."""

    learner: dict[str, Any]

    @classmethod
    def read(cls, path: Path) -> Document:
        """Raises FormatError for a file that is cut short or no model."""
        with malformed(f"'{path}' is no model of XGBoost"):
            data = path.read_bytes()
            found = json.loads(data) if path.suffix == ".json" else decode(data)
            document = cls({"attributes": {}, **found["learner"]})
            b = ModelBuilder("xgboost")
            categories_of(document.learner)
            outputs(b, b.input("x", DataType.FLOAT, ["rows", count(document.learner["learner_model_param"]["num_feature"], "columns")]), document)
            return document


def load(path: Path, trust: bool = False) -> Any:
    """The Booster of a model file, or the Document where the library is not installed. Raises FormatError for a file that is no model.

    The library sees only files that were found sound: it ends the process for some that are not.
    """
    document = Document.read(path)
    try:
        import xgboost
    except ModuleNotFoundError:
        return document
    booster = xgboost.Booster()
    try:
        booster.load_model(path)
    except xgboost.core.XGBoostError as problem:
        raise FormatError(f"'{path}' is no model of XGBoost: {str(problem).splitlines()[0]}") from problem
    return booster


def convert(request: Request) -> tuple[Model, Reference]:
    """The model of a Booster or estimator, and what it is to reproduce.

    A Booster gives one output, `prediction`, as its `predict` does; a classifier gives `label` and `probabilities`.
    """
    source = request.source
    learner = learner_of(source)
    b = ModelBuilder("xgboost", request.opset)
    columns = int(learner["learner_model_param"]["num_feature"])
    categories = categories_of(learner, dataframe_of(request.example_inputs))
    rows = Rows(request, DataType.FLOAT, columns, learner.get("feature_names", []), categories, takes_unknown=False)
    results = outputs(b, rows.value(b), source)
    for value, label in zip(results.values(), request.names_of_outputs(list(results)), strict=True):
        b.output(value, label)
    model, reference = rows.finished(b.model(), _reference(source, learner, _classes(source)))
    ends, sums = _rounds(source, learner, rows)
    return model, told(model, reference, ends, sums)


def _rounds(source: Any, learner: dict[str, Any], given: Rows) -> tuple[list[int], Callable[[Mapping[str, np.ndarray], int], np.ndarray]]:
    """How many trees there are after each round, and what the first rounds add up to."""
    targets = _targets(learner)
    booster = learner["gradient_booster"].get("gbtree", learner["gradient_booster"])
    model = booster.get("model", {})
    first = int(np.count_nonzero(base_margins(learner, targets)))
    width = max([1, *(int(tree["tree_param"]["size_leaf_vector"]) for tree in model.get("trees", []))])
    ends = [first + width * int(end) for end in model.get("iteration_indptr", [])[1:]][: _iterations(source, learner)]

    def sums(feeds: Mapping[str, np.ndarray], count: int) -> np.ndarray:
        options: dict[str, Any] = {"iteration_range": (0, count)}
        if hasattr(source, "get_booster"):
            found = source.predict(given.original(feeds), output_margin=True, **options)
        else:
            found = source.predict(_data(source, given.original(feeds)), output_margin=True, **options)
        return np.asarray(found).reshape(-1, targets)

    return ends, sums


def outputs(b: ModelBuilder, x: Value, source: Any) -> dict[str, Value]:
    """What a Booster or estimator gives for rows in single precision."""
    learner = learner_of(source)
    missing = _missing(source)
    if not np.isnan(missing):
        x = b.op("Where", b.op("Equal", x, b.constant(missing)), b.constant(np.array(np.nan, np.float32)), x)
    margins = _margins(b, x, learner, _trees_used(source, learner), in_place=hasattr(source, "get_booster"))
    name, targets, classes = learner["objective"]["name"], _targets(learner), _classes(source)
    return {"prediction": _prediction(b, margins, name, targets)} if classes is None else _classified(b, margins, name, targets, classes)


def _booster(source: Any) -> Any:
    return source.get_booster() if hasattr(source, "get_booster") else source


def learner_of(source: Any) -> dict[str, Any]:
    """The library's own JSON of a model. Raises ConversionError for one that is not fitted."""
    if isinstance(source, Document):
        return source.learner
    try:
        said = _booster(source).save_raw("json")
    except ValueError as problem:  # what scikit-learn's error of it and the library's own have in common
        raise ConversionError(f"this {type(source).__name__} is not fitted: {str(problem).splitlines()[0]}") from problem
    return json.loads(said)["learner"]  # type: ignore[no-any-return]


def _classes(source: Any) -> np.ndarray | None:
    """The classes of a classifier."""
    return np.asarray(source.classes_) if hasattr(source, "predict_proba") else None


def _reference(source: Any, learner: dict[str, Any], classes: Any) -> Reference:
    columns = count(learner["learner_model_param"]["num_feature"], "columns")
    if isinstance(source, Document):
        return Reference.unjudged("XGBoost", _rows(learner, columns))
    import xgboost

    booster = _booster(source)

    def outputs(rows: Any) -> dict[str, np.ndarray]:
        if classes is None:
            return {"prediction": booster.predict(_data(booster, rows, _missing(source)), iteration_range=(0, _iterations(source, learner) or 0))}
        return {"label": np.asarray(source.predict(rows)).astype(np.int64), "probabilities": source.predict_proba(rows)}

    data = _rows(learner, columns)
    missing = _missing(source)
    if not np.isnan(missing):
        data["its own mark of what is missing"] = np.where(np.isnan(data["missing values"]), missing, data["missing values"])
    return Reference(f"xgboost {xgboost.__version__}", data, outputs)


def _data(booster: Any, rows: Any, missing: Any = np.nan) -> Any:
    """Rows, or a DataFrame with categories, as a Booster takes them."""
    import xgboost

    if hasattr(rows, "columns"):
        return xgboost.DMatrix(rows, missing=float(missing), enable_categorical=True)
    names, types = booster.feature_names, booster.feature_types
    return xgboost.DMatrix(rows, missing=missing, feature_names=names, feature_types=types, enable_categorical=types is not None)


def categories_of(learner: dict[str, Any], table: Any = None) -> dict[int, list[Any]]:
    """By column, the categories of the DataFrame that a model was trained on, in the order of their codes.

    Up to 3.2 the library counts characters where it should count bytes, and loses the ends of texts that are not ASCII: then a `table` with as
    many categories says what they were, and without one nothing is known of any column. Raises InvalidArgument for a table with others.
    """
    booster = learner["gradient_booster"]
    kept = booster.get("gbtree", booster).get("model", {}).get("cats") or {}
    found: dict[int, list[Any]] = {}
    for place, data in enumerate(kept.get("enc", [])):
        ends, values = data.get("offsets"), data["values"]
        if ends is None:
            found[place] = [int(item) for item in values]
        elif len(ends) > 1:
            if ends[0] < 0 or ends[-1] > len(values) or any(begin > end for begin, end in zip(ends, ends[1:])):
                raise ValueError(f"categories of column {place} lie at {ends[0]} to {ends[-1]} of {len(values)} bytes")
            text = bytes(item & 255 for item in values)
            found[place] = [text[begin:end].decode("latin-1") for begin, end in zip(ends, ends[1:])]
            if not text.isascii():
                if table is None:
                    return {}
                found[place] = _shown(table, place, found[place])
    return found


def _shown(table: Any, place: int, lost: list[str]) -> list[Any]:
    """The categories of a table's column."""
    shown = getattr(table.dtypes.iloc[place], "categories", ()) if place < table.shape[1] else ()
    if len(shown) != len(lost):
        raise InvalidArgument(
            f"column {place}: XGBoost has lost parts of its {len(lost)} categories, which are not ASCII, and the example's column has {len(shown)}; "
            "pass rows of the DataFrame that it was trained on, or a matrix of codes"
        )
    return list(shown)


def _missing(source: Any) -> np.ndarray:
    """The number that an estimator takes for a missing value."""
    return np.array(getattr(source, "missing", np.nan), np.float32)


def _rows(learner: dict[str, Any], columns: int) -> dict[str, np.ndarray]:
    """Data that goes all ways: at thresholds, right beside them, missing, infinite, and categories known and unknown."""
    random = np.random.default_rng(0)
    booster = learner["gradient_booster"]
    trees = booster.get("gbtree", booster).get("model", {}).get("trees", [])
    categorical = {int(tree["split_indices"][node]) for tree in trees for node in tree["categories_nodes"]}
    features, splits = _limits(trees)
    thresholds = np.empty((500, columns), np.float32)
    for feature in range(columns):
        values = np.unique(np.append(splits[features == feature], np.float32(0)))
        values = np.concatenate([values, np.nextafter(values, np.float32(np.inf)), np.nextafter(values, -np.float32(np.inf))])
        thresholds[:, feature] = random.choice(values, 500)
        if feature in categorical:
            thresholds[:, feature] = random.integers(0, 80, 500) / 2
    missing = np.where(random.random(thresholds.shape) < 0.4, np.float32(np.nan), thresholds)
    numeric = [feature for feature in range(columns) if feature not in categorical]
    normal = thresholds.copy()
    normal[:, numeric] = random.standard_normal((500, len(numeric)))
    return {
        "thresholds and their neighbours": thresholds,
        "missing values": missing,
        "random numbers": normal,
        "one row": normal[:1],
    }


def limits(source: Any) -> tuple[np.ndarray, np.ndarray]:
    """The columns and the numbers that the trees of a Booster or estimator compare, categories left out."""
    booster = learner_of(source)["gradient_booster"]
    return _limits(booster.get("gbtree", booster).get("model", {}).get("trees", []))


def _limits(trees: list[dict[str, Any]]) -> tuple[np.ndarray, np.ndarray]:
    found = [
        (feature, split)
        for tree in trees
        for feature, split, kind, left in zip(tree["split_indices"], tree["split_conditions"], tree["split_type"], tree["left_children"])
        if left >= 0 and not kind
    ]
    return np.array([feature for feature, _ in found], np.int64), np.array([split for _, split in found], np.float32)


def _iterations(source: Any, learner: dict[str, Any]) -> int | None:
    """How many rounds an estimator that has stopped early uses; None for all."""
    stopped = hasattr(source, "get_booster") and learner["attributes"].get("best_iteration")
    return int(source.best_iteration) + 1 if stopped else None


def _trees_used(source: Any, learner: dict[str, Any]) -> int | None:
    """How many trees an estimator that has stopped early uses; None for all."""
    rounds = _iterations(source, learner)
    model = learner["gradient_booster"].get("gbtree", learner["gradient_booster"]).get("model", {})
    steps = model.get("iteration_indptr")
    return None if rounds is None or steps is None else int(steps[rounds])


def _targets(learner: dict[str, Any]) -> int:
    """How many margins a row has."""
    parameters = learner["learner_model_param"]
    return max(1, count(parameters["num_class"], "classes"), count(parameters.get("num_target", 1), "targets"))


def base_margins(learner: dict[str, Any], targets: int) -> np.ndarray:
    """The margins that every row begins with, (targets,) in single precision, of the library's own JSON of a learner."""
    text = learner["learner_model_param"]["base_score"]
    scores = np.atleast_1d(np.array(json.loads(text), np.float32))
    name = learner["objective"]["name"]
    if name in LOGISTIC:
        scores = -_logarithms(np.float32(1) / scores - np.float32(1))
    elif name in EXPONENTIAL:
        scores = _logarithms(scores)
    if scores.size not in (1, targets):
        raise ValueError(f"{scores.size} base scores for {targets} targets")
    return np.broadcast_to(scores, (targets,))


def _logarithms(numbers: np.ndarray) -> np.ndarray:
    """By the C library's logf, as the library has them: it rounds one number in two hundred otherwise than NumPy."""
    found = ctypes.util.find_library("m")
    if found is None:
        return np.log(numbers.astype(np.float64)).astype(np.float32)  # type: ignore[no-any-return]
    logf = ctypes.CDLL(found).logf
    logf.argtypes, logf.restype = [ctypes.c_float], ctypes.c_float
    return np.array([logf(number) for number in numbers], np.float32)


def _margins(b: ModelBuilder, x: Value, learner: dict[str, Any], used: int | None, in_place: bool) -> Value:
    """(rows, targets). `in_place`: as `inplace_predict` sums, which of dropped trees takes the base score away again, each by itself."""
    booster = learner["gradient_booster"]
    targets, columns = _targets(learner), count(learner["learner_model_param"]["num_feature"], "columns")
    if booster["name"] == "gblinear":
        weights = np.array(booster["model"]["weights"], np.float32).reshape(-1, targets)
        if weights.shape != (columns + 1, targets):
            raise ValueError(f"weights of shape {weights.shape}; expected {(columns + 1, targets)}")
        return _linear(b, x, weights[:-1], weights[-1] + base_margins(learner, targets)[0])  # the library adds the first score to all
    margins = base_margins(learner, targets)
    weight = None
    if booster["name"] == "dart":
        weight = np.array(booster["weight_drop"], np.float32)
        booster = booster["gbtree"]
    elif booster["name"] != "gbtree":
        raise UnsupportedOperator(f"XGBoost booster '{booster['name']}'; known are gbtree, dart and gblinear")
    model = booster["model"]
    trees = [constant_tree(score, target, np.float32) for target, score in enumerate(margins) if score]
    for number, (data, group) in list(enumerate(zip(model["trees"], model["tree_info"], strict=True)))[:used]:
        for tree in _trees(data, int(group)):
            if weight is not None:
                base = margins[tree.target] if in_place else np.float32(0)
                tree.values = ((tree.values + base) - base) * weight[number]
            trees.append(tree)
    categorical = {int(tree.features[node]) for tree in trees for node in tree.members}
    if categorical:  # of a category the library takes the whole part
        x = b.op("Where", b.constant(np.isin(np.arange(columns), list(categorical))), b.op("Floor", x), x)
    return tree_ensemble(b, x, trees or [constant_tree(0, 0, np.float32)], targets, columns)


def _linear(b: ModelBuilder, x: Value, weights: np.ndarray, bias: np.ndarray) -> Value:
    """(rows, targets): the bias, then column after column, each product and each sum rounded, which a Gemm does not promise."""
    known = b.op("Where", b.op("IsNaN", x), b.constant(np.zeros((), np.float32)), x)
    beside_one = b.op("Pad", known, b.constant(np.array([0, 1, 0, 0])), b.constant(np.ones((), np.float32)))
    products = b.op("Mul", b.op("Unsqueeze", beside_one, b.constant(np.array([2]))), b.constant(np.concatenate([bias[None], weights]), "weights"))
    return b.op("Gather", b.op("CumSum", products, b.constant(np.array(1))), b.constant(np.array(-1)), axis=1)  # type: ignore[no-any-return]


def _trees(data: dict[str, Any], group: int) -> list[Tree]:
    """A tree of the library: one, or one for each element of its leaves when these are vectors."""
    left, right = np.array(data["left_children"]), np.array(data["right_children"])
    splits = np.array(data["split_conditions"], np.float32)
    default_left = np.array(data["default_left"], np.int64)
    categorical = np.array(data["split_type"], np.int64) == 1
    members = _categories(data)
    parents = np.array(data["parents"], np.int64)
    if parents.shape != left.shape or ((parents != ROOT) & ((parents < -1) | (parents >= left.size))).any():
        raise ValueError(f"a tree of {left.size} nodes has parents beyond them")
    width = int(data["tree_param"]["size_leaf_vector"])
    leaves = left < 0
    if width > 1:
        values = _vector_leaves(data, leaves, width)
    else:
        values = splits[:, None]
    # Categories in the set go to the right.
    return [
        Tree(
            np.array(data["split_indices"]),
            np.where(categorical, MEMBER, LESS),
            np.where(categorical, 0, splits).astype(np.float32),
            np.where(leaves, -1, np.where(categorical, right, left)),
            np.where(leaves, -1, np.where(categorical, left, right)),
            np.where(categorical, 1 - default_left, default_left),
            values[:, column],
            column if width > 1 else group,
            members,
        )
        for column in range(width if width > 1 else 1)
    ]


def _categories(data: dict[str, Any]) -> dict[int, list[float]]:
    """By node, the categories that go right."""
    found = {}
    for node, start, size in zip(data["categories_nodes"], data["categories_segments"], data["categories_sizes"], strict=True):
        if not 0 <= start <= start + size <= len(data["categories"]):
            raise ValueError(f"categories {start} to {start + size} of {len(data['categories'])}")
        found[int(node)] = [float(item) for item in data["categories"][start : start + size]]
    return found


def _vector_leaves(data: dict[str, Any], leaves: np.ndarray, width: int) -> np.ndarray:
    weights = np.array(data["leaf_weights"] if "leaf_weights" in data else data["base_weights"], np.float32)
    if weights.size == leaves.size * width:
        return weights.reshape(-1, width)
    values = np.zeros((leaves.size, width), np.float32)
    order = np.array(data["right_children"])[leaves]  # the leaf's number stands in the place of its right child
    values[leaves] = weights.reshape(-1, width)[order]
    return values


def _prediction(b: ModelBuilder, margins: Value, name: str, targets: int) -> Value:
    """What Booster.predict gives."""
    if name == "multi:softprob":
        return _softmax(b, margins)
    if name == "multi:softmax":
        return b.op("Cast", b.op("ArgMax", margins, axis=1, keepdims=0), to=1)  # type: ignore[no-any-return]
    found = _elementwise(b, margins, name)
    return b.op("Squeeze", found, b.constant(np.array([1]))) if targets == 1 else found  # type: ignore[no-any-return]


def _elementwise(b: ModelBuilder, margins: Value, name: str) -> Value:
    """What an objective of no classes makes of margins."""
    if name in LOGISTIC:
        return _sigmoid(b, margins)
    if name in EXPONENTIAL:
        return _exponential(b, margins)
    if name == "binary:hinge":
        return b.op("Cast", b.op("Greater", margins, b.constant(np.zeros((), np.float32))), to=1)  # type: ignore[no-any-return]
    if name in IDENTICAL:
        return margins
    raise UnsupportedOperator(f"XGBoost objective '{name}'; known are {', '.join(sorted(LOGISTIC | EXPONENTIAL | IDENTICAL))} and multi:*")


def _exponential(b: ModelBuilder, x: Value) -> Value:
    """e**x as glibc's expf gives it, to the bit: in double, 2**(k / 32) times a cubic of what is left of the exponent.

    Rounded correctly instead, one number in 1,500 would differ by a unit, and probabilities made of these by two.
    """
    number = lambda value: b.constant(np.array(value))  # noqa: E731
    steps = b.op("Mul", b.op("Clip", b.op("Cast", x, to=11), number(-200.0), number(200.0)), number(32 / math.log(2)))
    whole = b.op("Round", steps)
    rest = b.op("Mul", b.op("Sub", steps, whole), number(1 / 32))
    high = b.op("Add", b.op("Mul", rest, number(CUBIC[0])), number(CUBIC[1]))
    low = b.op("Add", b.op("Mul", rest, number(CUBIC[2])), number(1.0))
    cubic = b.op("Add", b.op("Mul", high, b.op("Mul", rest, rest)), low)
    return b.op("Cast", b.op("Mul", b.op("Exp", b.op("Mul", whole, number(math.log(2) / 32))), cubic), to=1)  # type: ignore[no-any-return]


def _sigmoid(b: ModelBuilder, x: Value) -> Value:
    """In the library's own steps. The operator Sigmoid differs by up to 3 units of the last place, in onnxruntime by thousands."""
    power = _exponential(b, b.op("Min", b.op("Neg", x), b.constant(np.array(88.7, np.float32))))
    one = b.constant(np.ones((), np.float32))
    return b.op("Div", one, b.op("Add", power, one))  # type: ignore[no-any-return]


def _softmax(b: ModelBuilder, x: Value) -> Value:
    """In the library's own steps: powers are single, their sum is double."""
    axis = b.constant(np.array([1]))
    powers = _exponential(b, b.op("Sub", x, b.op("ReduceMax", x, axis, keepdims=1)))
    total = b.op("ReduceSum", b.op("Cast", powers, to=11), axis, keepdims=1)
    return b.op("Div", powers, b.op("Cast", total, to=1))  # type: ignore[no-any-return]


def _softmax_of_numpy(b: ModelBuilder, x: Value, targets: int) -> Value:
    """In SciPy's steps, which are single, with NumPy's exponential function and its order of adding."""
    powers = _exponential_of_numpy(b, b.op("Sub", x, b.op("ReduceMax", x, b.constant(np.array([1])), keepdims=1)))
    columns = b.op("Split", powers, outputs=targets, axis=1, num_outputs=targets)
    return b.op("Div", powers, _sum_of_numpy(b, list(columns)))  # type: ignore[no-any-return]


def _exponential_of_numpy(b: ModelBuilder, x: Value) -> Value:
    """e**x as NumPy's vectors of single precision give it, to the bit, for x <= 0: a quotient of polynomials times 2**k.

    Each step is a product and a sum rounded at once; in double the product is exact. What is below the least power counts as one that is 0, too.
    """
    single = lambda value: b.constant(np.array(value, np.float32))  # noqa: E731
    wide = lambda value: b.op("Cast", value, to=11)  # noqa: E731

    def step(first: Value, second: Value, added: Value) -> Value:
        return b.op("Cast", b.op("Add", b.op("Mul", wide(first), wide(second)), wide(added)), to=1)  # type: ignore[no-any-return]

    def polynomial(coefficients: tuple[float, ...], at: Value) -> Value:
        found, *others = map(single, coefficients)
        for other in others:
            found = step(found, at, other)
        return found

    x = b.op("Max", x, single(LEAST_EXPONENT))
    whole = b.op("Round", b.op("Mul", x, single(1 / math.log(2))))
    rest = step(whole, single(LN2[1]), step(whole, single(LN2[0]), x))
    quotient = b.op("Div", polynomial(NUMERATOR, rest), polynomial(DENOMINATOR, rest))
    return b.op("Cast", b.op("Mul", wide(quotient), b.op("Pow", b.constant(np.array(2.0)), wide(whole))), to=1)  # type: ignore[no-any-return]


def _sum_of_numpy(b: ModelBuilder, columns: list[Value]) -> Value:
    """The sum of a row in NumPy's order: less than 8 one after another, up to 128 as 8 sums, more by halves."""
    add = lambda first, second: b.op("Add", first, second)  # noqa: E731
    if len(columns) < 8:
        return functools.reduce(add, columns)
    if len(columns) > 128:
        half = len(columns) // 2 // 8 * 8
        return add(_sum_of_numpy(b, columns[:half]), _sum_of_numpy(b, columns[half:]))  # type: ignore[no-any-return]
    end = len(columns) // 8 * 8
    sums = [functools.reduce(add, columns[first:end:8]) for first in range(8)]
    while len(sums) > 1:
        sums = [add(first, second) for first, second in zip(sums[::2], sums[1::2])]
    return functools.reduce(add, columns[end:], sums[0])


def _classified(b: ModelBuilder, margins: Value, name: str, targets: int, classes: np.ndarray) -> dict[str, Value]:
    """What XGBClassifier.predict and predict_proba give."""
    labels = b.constant(np.asarray(classes).astype(np.int64), "classes")
    if name in ("multi:softprob", "multi:softmax"):
        probabilities = _softmax(b, margins) if name == "multi:softprob" else _softmax_of_numpy(b, margins, targets)
        place = b.op("ArgMax", margins, axis=1, keepdims=0)
        return {"label": b.op("Gather", labels, place), "probabilities": probabilities}
    positive = _elementwise(b, margins, name)
    one = b.constant(np.ones((), np.float32))
    half = b.constant(np.array(0.5, np.float32))
    if targets > 1:  # several labels at once
        return {"label": b.op("Cast", b.op("Greater", positive, half), to=7), "probabilities": positive}
    place = b.op("Cast", b.op("Greater", b.op("Squeeze", positive, b.constant(np.array([1]))), half), to=7)
    probabilities = b.op("Concat", b.op("Sub", one, positive), positive, axis=1)
    return {"label": b.op("Gather", labels, place), "probabilities": probabilities}
