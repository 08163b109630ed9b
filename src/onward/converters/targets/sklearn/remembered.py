"""Estimators whose numbers the conversion to ONNX has noted (`onward.converters.estimators`).

An estimator of the noted class is fitted to a few rows, so that all is there that this version of the library wants, and is given the noted numbers where
they are of the same kind and shape. So a note is a name among those that are listed, parameters, and numbers: no file can have anything else made of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import numpy as np
from sklearn.pipeline import make_pipeline

from onward.converters.estimators import REMEMBERED
from onward.converters.targets.recognition.rows import Unrecognized
from onward.converters.targets.sklearn.fitting import REFUSALS, fitted
from onward.ir import Model

COMPANIONS: Mapping[str, tuple[str, ...]] = {
    "preprocessing": ("StandardScaler", "MinMaxScaler", "MaxAbsScaler", "RobustScaler", "Normalizer"),
    "impute": ("SimpleImputer",),
    "decomposition": ("PCA",),
    "linear_model": ("LinearRegression", "PoissonRegressor", "LogisticRegression"),
    "svm": ("LinearSVC",),
    "neural_network": ("MLPRegressor", "MLPClassifier"),
}  # fmt: skip
"""By module, the other classes that may stand in a pipeline with those that are remembered."""

AFTERWARDS = ("max_iter", "n_init", "max_no_improvement", "n_jobs", "verbose", "threshold")
"""Parameters for which rows that only give the numbers their shapes are too few, or the wrong ones."""

MOST_COLUMNS = 2**16
"""Rows that an estimator is fitted to have no more columns than this."""


def has_numbers(noted: Mapping[str, Any]) -> bool:
    """Whether the numbers of an estimator, or of all steps of a pipeline, are noted."""
    try:
        return all("numbers" in about for about in _steps(noted))
    except (TypeError, ValueError):  # made up
        return False


def remembered(model: Model, noted: Mapping[str, Any], columns: int) -> tuple[Any, np.ndarray | None]:
    """The estimator, or the pipeline, that is noted with its numbers, and rows of categories where it knows no others.

    Raises Unrecognized where the numbers make none of rows with so many columns.
    """
    try:
        steps = [_estimator(model, about) for about in _steps(noted)]
        if steps[0].n_features_in_ != columns:
            raise Unrecognized(f"the numbers that are noted are of no estimator of {columns} columns")
        return make_pipeline(*steps) if "steps" in noted else steps[0], _known_rows(steps[0])
    except REFUSALS as problem:
        raise Unrecognized(f"the numbers that are noted make no estimator ({str(problem)[:80]})") from problem


def _steps(noted: Mapping[str, Any]) -> list[Any]:
    return [about for _, about in noted["steps"]] if "steps" in noted else [noted]


def _known_rows(estimator: Any) -> np.ndarray | None:
    """Rows in which each column has its own categories. None where the estimator takes any rows."""
    counts = getattr(estimator, "n_categories_", ())
    categories = getattr(estimator, "categories_", [np.arange(count) for count in counts])
    if not len(categories) or any(np.asarray(column).dtype.kind not in "fiu" for column in categories):
        return None
    random = np.random.default_rng(0)
    return np.stack([random.choice(np.asarray(column, np.float64), 500) for column in categories], axis=1)


def _estimator(model: Model, noted: Mapping[str, Any]) -> Any:
    kind = _kind(noted["class"])
    parameters = {name: tuple(value) if isinstance(value, list) else value for name, value in noted["parameters"].items()}
    known = kind().get_params(deep=False)
    estimator = kind(**{name: value for name, value in parameters.items() if name in known and name not in AFTERWARDS})
    numbers = {name: _value(model, said) for name, said in noted["numbers"].items()}
    columns, classes = numbers["n_features_in_"], numbers.get("classes_")
    if not isinstance(columns, int) or not 0 < columns <= MOST_COLUMNS:
        raise Unrecognized(f"an estimator of {columns} columns")
    if "_fit_X" in numbers:  # neighbours learn nothing else than their rows
        targets = numbers.get("_y")
        return estimator.fit(numbers["_fit_X"], classes[targets] if classes is not None else targets)
    arrays = [value for value in numbers.values() if isinstance(value, np.ndarray) and value.ndim]
    targets = np.asarray(numbers.get("coef_", 0))
    outputs = len(targets) if classes is None and targets.ndim == 2 else numbers.get("n_outputs_", 1)
    labels = None if classes is None else classes.tolist()
    rows = max([*map(len, arrays), (columns + 2) * len(labels or ())])  # of each class more than columns: its covariance is of full rank
    estimator = fitted(estimator, columns, labels, outputs, rows)
    _give(estimator, numbers)
    return estimator.set_params(**{name: value for name, value in parameters.items() if name in known and name in AFTERWARDS})


def _kind(name: str) -> Any:
    for module, names in (*REMEMBERED.items(), *COMPANIONS.items()):
        if name in names:
            return getattr(import_module(f"sklearn.{module}"), name)
    raise Unrecognized(f"'{name}' is no estimator whose numbers are noted")


def _value(model: Model, said: Any) -> Any:
    """A noted number: a scalar, an array, a list of such, or a dictionary of those of an estimator inside."""
    match said:
        case {"initializer": str(name), "transposed": transposed}:
            tensor = next((value.tensor for value in model.graph.values() if value.name == name), None)
            if tensor is None:
                raise Unrecognized(f"its initializer '{name}' is no longer there")
            return np.ascontiguousarray(tensor.numpy().T if transposed else tensor.numpy())
        case {"array": values, "dtype": str(dtype)}:
            if dtype != "str" and np.dtype(dtype).kind not in "fiub":
                raise Unrecognized(f"an array of {dtype}")
            return np.array(values, dtype)
        case {"items": list(items)}:
            return [_value(model, item) for item in items]
        case {"numbers": dict(inner)}:
            return {name: _value(model, item) for name, item in inner.items()}
        case dict() | list():
            raise Unrecognized("a number in a form that is not known")
    return said


def _give(estimator: Any, numbers: Mapping[str, Any]) -> None:
    """Puts numbers in the place of those of an estimator that are like them. What is public and of its own rows is taken away; scalars that are not
    public follow from the parameters, or are of this machine."""
    parameters = estimator.get_params(deep=False)
    for name, own in [item for item in vars(estimator).items() if item[0] not in parameters and item[0] != "n_features_in_"]:
        value, public = numbers.get(name), not name.startswith("_")
        if hasattr(own, "get_params") and isinstance(value, dict):
            _give(own, value)
        elif name in numbers and (public or isinstance(value, (np.ndarray, list))) and _alike(own, value):
            setattr(estimator, name, _objects(value) if isinstance(value, list) and isinstance(own, np.ndarray) else value)
        elif public:
            delattr(estimator, name)


def _alike(own: Any, value: Any) -> bool:
    if isinstance(value, list):
        return isinstance(own, (list, tuple)) and len(own) == len(value) or isinstance(own, np.ndarray) and own.dtype == object and own.shape == (len(value),)
    if isinstance(value, np.ndarray):
        return isinstance(own, np.ndarray) and own.shape == value.shape and (own.dtype.kind in "fiub") == (value.dtype.kind in "fiub")
    if isinstance(value, dict):
        return False
    return isinstance(own, (bool, int, float, np.generic)) and isinstance(value, (bool, int, float)) or type(own) is type(value)


def _objects(values: list[Any]) -> np.ndarray:
    """A vector of these objects, arrays among them."""
    found = np.empty(len(values), object)
    for place, value in enumerate(values):
        found[place] = value
    return found
