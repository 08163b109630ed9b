"""Estimators whose numbers the conversion to ONNX has noted (`onward.converters.estimators`).

A note is the name of an estimator of the library, parameters, and numbers, so no file can have anything else made of it. Attributes are set as they are
noted; but those of classes whose compiled code trusts them are looked at first, or are the library's own, fitted again.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

import numpy as np
import scipy.sparse
import sklearn
from scipy.interpolate import BSpline
from sklearn.base import BaseEstimator
from sklearn.cluster._bisect_k_means import _BisectingTree
from sklearn.gaussian_process.kernels import Kernel
from sklearn.pipeline import Pipeline

from onward.converters.targets.recognition.forests import DecisionTree
from onward.converters.targets.recognition.rows import Unrecognized
from onward.converters.targets.recognition.support_vectors import SupportVectors
from onward.converters.targets.sklearn.fitting import REFUSALS, fitted, with_numbers
from onward.converters.targets.sklearn.trees import structure
from onward.converters.targets.sklearn.vectors import with_vectors
from onward.ir import Model

MODULE = re.compile(r"[a-z][a-z_]*(\.[a-z_]+)*")
"""Names of modules of the library."""

MOST_COLUMNS = 2**16
"""Estimators that are fitted again have no more columns than this."""


def remembered(model: Model, noted: Mapping[str, Any]) -> Any:
    """The estimator, or the pipeline, that is noted with its numbers. Raises Unrecognized where these make none."""
    try:
        return _Reader(model).estimator(noted)
    except (*REFUSALS, ImportError, RecursionError) as problem:
        raise Unrecognized(f"the numbers that are noted make no estimator ({str(problem)[:80]})") from problem


def parameters_of(model: Model, noted: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters that are noted, as far as they make sense."""
    found = {}
    for name, said in noted["parameters"].items():
        try:
            found[name] = _Reader(model).value(said)
        except (*REFUSALS, Unrecognized, ImportError, RecursionError):
            continue
    return found


class _Reader:
    """Makes of a description (`estimators._Description`) what it is of."""

    def __init__(self, model: Model) -> None:
        self.arrays = {value.name: value.tensor for value in model.graph.values() if value.tensor is not None}

    def estimator(self, noted: Mapping[str, Any]) -> Any:
        """An estimator with its numbers, a pipeline of such. Raises Unrecognized for a class that is none."""
        if noted["class"] == "Pipeline":
            return Pipeline([(str(name), step if step is None or isinstance(step, str) else self.estimator(step)) for name, step in noted["steps"]])
        kind = _kind(str(noted["module"]), str(noted["class"]))
        parameters = {str(name): self.value(said) for name, said in noted["parameters"].items()}
        numbers = {str(name): self.value(said) for name, said in noted["numbers"].items()}
        known = inspect.signature(kind).parameters
        needed: dict[str, Any] = {name: None for name, parameter in known.items() if parameter.default is inspect.Parameter.empty}
        estimator = kind(**needed | {name: value for name, value in parameters.items() if name in known})
        return _with(estimator, {name: value for name, value in numbers.items() if name.isidentifier() and not hasattr(kind, name) and name not in known})

    def value(self, said: Any) -> Any:
        """What a form says. Raises Unrecognized for a form that is not known."""
        match said:
            case None | bool() | int() | float() | str():
                return said
            case {"initializer": str(name), "transposed": transposed} if name in self.arrays:
                array = self.arrays[name].numpy()
                return np.ascontiguousarray(array.T if transposed else array)
            case {"array": values, "dtype": str(dtype)} if dtype == "str" or np.dtype(dtype).kind in "fiub":
                return np.array(values, dtype)[()]
            case {"objects": list(items), "shape": shape}:
                return _objects([self.value(item) for item in items]).reshape(shape)
            case {"list": list(items)}:
                return [self.value(item) for item in items]
            case {"tuple": list(items)}:
                return tuple(self.value(item) for item in items)
            case {"dictionary": list(pairs)}:
                return {self.value(key): self.value(item) for key, item in pairs}
            case {"slice": [start, stop, step]}:
                return slice(self.value(start), self.value(stop), self.value(step))
            case {"sparse": [data, indices, indptr], "shape": shape}:
                matrix = scipy.sparse.csr_matrix((self.value(data), self.value(indices), self.value(indptr)), shape)
                matrix.check_format(full_check=True)
                return matrix
            case {"spline": [knots, coefficients, int(degree)], "extrapolate": extrapolate}:
                return BSpline(self.value(knots), self.value(coefficients), degree, extrapolate)
            case {"dtype": str(name)}:
                return np.dtype(name)
            case {"type": str(name)}:
                return np.dtype(name).type
            case {"function": str(name)} if isinstance(getattr(np, name, None), np.ufunc):
                return getattr(np, name)
            case {"tree": {"columns": int(columns), "classes": list(classes), **tables}}:
                return _tree(columns, classes, {str(name): self.value(table) for name, table in tables.items()})
            case {"label": int() | None, "center": _} | {"halves": [_, _], "center": _}:
                return self._clusters(said)
            case {"estimator": dict(noted)}:
                return self.estimator(noted)
        raise Unrecognized(f"what is noted has a form that is not known: {str(said)[:60]}")

    def _clusters(self, said: Mapping[str, Any]) -> Any:
        """A cluster with its halves."""
        cluster = _BisectingTree(self.value(said["center"]), None, None)
        cluster.label = said.get("label")
        if "halves" in said:
            cluster.left, cluster.right = map(self._clusters, said["halves"])
        return cluster


def _kind(module: str, name: str) -> Any:
    """A class of estimators of the library. Raises Unrecognized for anything else."""
    if MODULE.fullmatch(module) and module.partition(".")[0] in sklearn.__all__ and "tests" not in module:
        kind = getattr(import_module(f"sklearn.{module}"), name, None)
        if isinstance(kind, type) and (issubclass(kind, (BaseEstimator, Kernel)) or name == "_CalibratedClassifier"):
            return kind
    raise Unrecognized(f"'{module}.{name}' is no estimator of the library")


def _objects(values: list[Any]) -> np.ndarray:
    """A vector of these objects, arrays among them."""
    found = np.empty(len(values), object)
    for place, value in enumerate(values):
        found[place] = value
    return found


def _tree(columns: int, classes: list[int], tables: Mapping[str, np.ndarray]) -> Any:
    """A decision tree of these tables. Raises Unrecognized where they lead astray."""
    left, right, column = (tables[name].astype(np.int64) for name in ("left", "right", "column"))
    places, inner = np.arange(left.size), left >= 0
    after = (left > places) & (right > places) & (left < left.size) & (right < left.size) & (column >= 0) & (column < columns)
    values, children = tables["values"].astype(np.float64), np.concatenate([left[inner], right[inner]])
    if (
        np.unique(children).size < children.size
        or not left.size == right.size == column.size == len(values)
        or not after[inner].all()
        or values.shape[1:] != (len(classes), max(classes))
    ):
        raise Unrecognized("a tree whose tables lead astray")
    tree = DecisionTree(column, tables["limit"], left, right, tables["missing_left"], values)
    return structure(columns, classes, tree, values, tables["samples"])


def _with(estimator: Any, numbers: dict[str, Any]) -> Any:
    """The estimator with these attributes."""
    name = type(estimator).__name__
    if name in MADE:
        return MADE[name](estimator, numbers)
    if "_fit_X" in numbers and hasattr(estimator, "n_neighbors"):
        return _neighbours(estimator, numbers)
    members = numbers.get("estimators_", [])
    features = numbers.get("estimators_features_", ())
    for place, member in enumerate(members.reshape(-1).tolist() if isinstance(members, np.ndarray) else members):
        columns = len(features[place]) if len(features) else numbers.get("n_features_in_")
        if columns is not None and hasattr(member, "tree_") and member.tree_.n_features != columns:  # ensembles do not look at their trees
            raise Unrecognized("a tree of rows of another number of columns")
    vars(estimator).update(numbers)
    return estimator


def _linear(estimator: Any, numbers: dict[str, Any]) -> Any:
    """A generalised linear model, whose loss follows from its parameters."""
    vars(estimator).update(numbers, _base_loss=estimator._get_loss())
    return estimator


def _isotonic(estimator: Any, numbers: dict[str, Any]) -> Any:
    """An isotonic regression, whose function goes through its thresholds."""
    vars(estimator).update(numbers)
    estimator._build_f(estimator.X_thresholds_, estimator.y_thresholds_)
    return estimator


def _density(estimator: Any, numbers: dict[str, Any]) -> Any:
    """The density around rows."""
    return estimator.fit(numbers["tree_"])


def _neighbours(estimator: Any, numbers: Mapping[str, Any]) -> Any:
    """Neighbours learn nothing else than their rows, and the classes or numbers of these."""
    targets, classes = numbers.get("_y"), numbers.get("classes_")
    if isinstance(classes, list):
        targets = np.stack([own[targets[:, place]] for place, own in enumerate(classes)], axis=1)  # type: ignore[index]
    elif classes is not None:
        targets = classes[targets]
    return estimator.fit(numbers["_fit_X"]) if targets is None else estimator.fit(numbers["_fit_X"], targets)


def _alike(estimator: Any, numbers: Mapping[str, Any]) -> Any:
    """An estimator that is fitted to a few rows, and then given those numbers that are like its own."""
    columns, classes = numbers["n_features_in_"], numbers.get("classes_")
    if not isinstance(columns, int) or not 0 < columns <= MOST_COLUMNS:
        raise Unrecognized(f"an estimator of {columns} columns")
    estimator = fitted(estimator, columns, None if classes is None else classes.tolist(), rows=getattr(estimator, "n_clusters", 0))
    for name, own in list(vars(estimator).items()):
        value = numbers.get(name)
        alike = isinstance(own, np.ndarray) and isinstance(value, np.ndarray) and own.shape == value.shape and own.dtype.kind == value.dtype.kind
        if alike or not name.startswith("_") and isinstance(value, (int, float)) and isinstance(own, (int, float)):
            setattr(estimator, name, value)
        elif name.endswith("_") and not name.startswith("_") and isinstance(own, np.ndarray):
            delattr(estimator, name)  # of the few rows
    return estimator


def _support_vectors(estimator: Any, numbers: Mapping[str, Any]) -> Any:
    """Support vectors whose tables fit each other."""
    vectors, table, bias = (np.asarray(numbers[name], np.float64) for name in ("support_vectors_", "_dual_coef_", "_intercept_"))
    counts, classes = np.asarray(numbers["_n_support"]), numbers.get("classes_", ())
    several = estimator._impl in ("c_svc", "nu_svc")
    number = len(classes) if several else 2
    pairs = number * (number - 1) // 2
    chances = [np.asarray(numbers[name], np.float64) for name in ("_probA", "_probB")]
    columns, own = int(numbers["n_features_in_"]), counts if several else counts[:1]
    if vectors.shape != (own.sum(), columns) or table.shape != (number - 1, len(vectors)) or bias.shape != (pairs,) or len(counts) != number:
        raise Unrecognized("support vectors whose numbers do not fit each other")
    if any(item.shape not in ((0,), (pairs,)) for item in chances) or (own < 0).any():
        raise Unrecognized("support vectors with other probabilities than those of pairs")
    estimator = fitted(estimator, columns, classes.tolist() if several else None)
    found = SupportVectors(estimator.kernel, float(numbers["_gamma"]), 0.0, 3, vectors, table, bias, tuple(classes) if several else None)
    named = {name: numbers[name] for name in ("feature_names_in_", "offset_") if name in numbers}
    return with_numbers(with_vectors(estimator, found, vectors, table, counts), _probA=chances[0], _probB=chances[1], **named)


def _halved(estimator: Any, numbers: dict[str, Any]) -> Any:
    """Clusters that are halved, whose centres compiled code compares with rows."""
    columns, whole = numbers["n_features_in_"], numbers["_bisecting_tree"]
    clusters = [whole]
    for cluster in clusters:
        clusters += [] if cluster.left is None else [cluster.left, cluster.right]
    centers = [cluster.center for cluster in clusters]
    if any(not isinstance(item, np.ndarray) or item.shape != (columns,) or item.dtype != centers[0].dtype for item in centers):
        raise Unrecognized("clusters whose centres are no rows of these columns")
    vars(estimator).update(numbers, _n_threads=1)
    return estimator


def _tuned(estimator: Any, numbers: dict[str, Any]) -> Any:
    """A classifier with a threshold, whose scorer follows from its parameters."""
    vars(estimator).update(numbers)
    vars(estimator).update(_curve_scorer=estimator._get_curve_scorer())
    return estimator


MADE: Mapping[str, Callable[[Any, dict[str, Any]], Any]] = {
    **dict.fromkeys(("SVC", "NuSVC", "SVR", "NuSVR", "OneClassSVM"), _support_vectors),
    **dict.fromkeys(("KMeans", "MiniBatchKMeans"), _alike),
    **dict.fromkeys(("PoissonRegressor", "GammaRegressor", "TweedieRegressor"), _linear),
    "BisectingKMeans": _halved, "TunedThresholdClassifierCV": _tuned, "IsotonicRegression": _isotonic, "KernelDensity": _density,
}  # fmt: skip
"""By class, how its estimators are given their numbers."""
