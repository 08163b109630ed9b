"""What an estimator of scikit-learn was, in the metadata of its model: class, parameters and numbers, so that it can come back as the same.

What a graph computes does not tell the class of an estimator, and often not its numbers one by one (a variance is a factor, a logarithm, a sum). Numbers are
noted as the name of the initialiser that holds them where there is one. Trees behind scalers are told by their graph, which has all of their numbers.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np

from onward.ir import Model

ESTIMATOR = "onward.estimator"
"""The key of the metadata: JSON of a class, its parameters, and perhaps its numbers; for a pipeline of its steps."""

TOLD_BY_GRAPH = frozenset({
    "DecisionTreeClassifier", "DecisionTreeRegressor", "ExtraTreeClassifier", "ExtraTreeRegressor", "RandomForestClassifier", "RandomForestRegressor",
    "ExtraTreesClassifier", "ExtraTreesRegressor", "GradientBoostingClassifier", "GradientBoostingRegressor", "HistGradientBoostingClassifier",
    "HistGradientBoostingRegressor",
})  # fmt: skip
"""Classes whose numbers are not noted: they are many, and the graph has them."""

SCALERS = frozenset({"StandardScaler", "MinMaxScaler", "MaxAbsScaler", "RobustScaler", "SimpleImputer"})
"""Classes that may stand before them."""

OF_TRAINING = frozenset({
    "labels_", "x_scores_", "y_scores_", "_x_scores", "_y_scores", "inlier_mask_", "dist_", "raw_support_", "negative_outlier_factor_", "_distances_fit_X_",
    "_neighbors_indices_fit_X_", "_lrd", "cv_results_", "mse_path_", "coef_path_", "alphas_", "dual_gap_", "train_score_", "loss_curve_", "validation_scores_",
    "oob_decision_function_", "oob_prediction_", "oob_improvement_", "transduction_", "affinity_matrix_", "_seeds", "callbacks",
})  # fmt: skip
"""Attributes that say how training went, or what became of each of its rows: nothing is computed with them."""

MOST_NUMBERS = 2**20
"""Of an estimator with more numbers that no initialiser holds none are noted."""


def note_estimator(model: Model, source: Any) -> None:
    """Notes the class and the parameters of an estimator of the library itself, and its numbers where the graph does not tell them."""
    names = [type(step).__name__ for _, step in source.steps] if _is_pipeline(source) else [type(source).__name__]
    told = names[-1] in TOLD_BY_GRAPH and set(names[:-1]) <= SCALERS
    try:
        found = _Description(model, with_numbers=not told).of(source)
    except TypeError:  # a class of the user's own
        return
    except OverflowError:
        found = _Description(model, with_numbers=False).of(source)
    model.metadata[ESTIMATOR] = json.dumps(found)


def noted_estimator(model: Model) -> dict[str, Any]:
    """What was noted (see `_Description.of`). Anything may be missing or wrong: a file says what it likes."""
    try:
        found = json.loads(model.metadata.get(ESTIMATOR, "{}"))
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _is_pipeline(source: Any) -> bool:
    return type(source).__name__ == "Pipeline" and hasattr(source, "steps")


class _Description:
    """An estimator as JSON. A value is a number, a text, a truth value or None as it is, or one of

    - `{"array": nested lists, "dtype": name}`, a number of NumPy without lists, or `{"initializer": name, "transposed": bool}` where the model holds the same;
    - `{"list": [...]}`, `{"tuple": [...]}`, `{"objects": [...], "shape": [...]}` (an array of such), `{"dictionary": [[key, value], ...]}`, `{"slice": [...]}`;
    - `{"sparse": [data, indices, indptr], "shape": [...]}`, a matrix by rows; `{"spline": [knots, coefficients, degree], "extrapolate": how}`; `{"dtype": name}`, a data type, `{"type": name}`, its class; `{"function": name}`, one of NumPy's;
    - `{"tree": {...}}`, the tables of a decision tree; `{"halves": [left, right], "center": array}` and `{"label": number, "center": array}`, clusters that are halved;
      `{"estimator": {...}}`, an estimator inside.
    """

    def __init__(self, model: Model, with_numbers: bool) -> None:
        arrays = {value.name: value.tensor.numpy() for value in model.graph.values() if value.tensor is not None} if with_numbers else {}
        self.held = {self._key(array): name for name, array in arrays.items() if array.ndim and array.dtype.kind in "fiub"}
        self.with_numbers = with_numbers
        self.room = MOST_NUMBERS

    @staticmethod
    def _key(array: np.ndarray) -> tuple[str, tuple[int, ...], bytes]:
        return array.dtype.str, array.shape, array.tobytes()

    def of(self, source: Any) -> dict[str, Any]:
        """`class`, `module`, `parameters` and `numbers` by name; or `class` and `steps`, a list of names and descriptions.

        Raises TypeError for what is no estimator of the library, and OverflowError for one of too many numbers.
        """
        path = type(source).__module__.split(".")
        if path[0] != "sklearn":
            raise TypeError(type(source).__name__)
        if _is_pipeline(source):
            return {"class": "Pipeline", "steps": [(name, self._step(step)) for name, step in source.steps]}
        public = next((place for place, part in enumerate(path) if part.startswith("_")), len(path))
        module = path[1:public] if hasattr(sys.modules[".".join(path[:public])], type(source).__name__) else path[1:]
        parameters = source.get_params(deep=False) if hasattr(source, "get_params") else vars(source)
        found = {"class": type(source).__name__, "module": ".".join(module), "parameters": self._said_of(parameters)}
        if self.with_numbers:
            left_out = OF_TRAINING if hasattr(source, "predict") else OF_TRAINING - {"labels_"}  # which tell some transformers what to put together
            found["numbers"] = self._said_of({name: value for name, value in vars(source).items() if name not in parameters and name not in left_out})
        return found

    def _step(self, step: Any) -> Any:
        """A step of a pipeline; one of the user's own has nothing said of it."""
        try:
            return step if step is None or isinstance(step, str) else self.of(step)
        except TypeError:
            return {}

    def _said_of(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """What can be said of values by name; the others are left out."""
        found = {}
        for name, value in values.items():
            try:
                found[name] = self._said(value)
            except TypeError:
                continue
        return found

    def _said(self, value: Any) -> Any:
        """Raises TypeError for what is none of the forms."""
        match value:
            case np.str_():
                return str(value)
            case np.generic():
                return self._array(np.asarray(value))
            case None | bool() | int() | float() | str():
                return value
            case list():
                return {"list": [self._said(item) for item in value]}
            case tuple():
                return {"tuple": [self._said(item) for item in value]}
            case dict():
                self._take(len(value))
                return {"dictionary": [[self._said(key), self._said(item)] for key, item in value.items()]}
            case slice():
                return {"slice": [self._said(item) for item in (value.start, value.stop, value.step)]}
            case np.ndarray():
                return self._array(value)
            case np.ufunc():
                return {"function": value.__name__}
            case np.dtype():
                return {"dtype": str(value)}
            case type() if issubclass(value, np.generic):
                return {"type": value.__name__}
        return self._object(value)

    def _object(self, value: Any) -> dict[str, Any]:
        """An object of the library's own, or of SciPy's. Raises TypeError for another."""
        if getattr(value, "format", "") == "csr":
            return {"sparse": [self._array(part) for part in (value.data, value.indices, value.indptr)], "shape": list(value.shape)}
        if type(value).__name__ == "BSpline":
            return {"spline": [self._array(value.t), self._array(value.c), int(value.k)], "extrapolate": value.extrapolate}
        if type(value).__name__ in ("KDTree", "BallTree"):
            return self._array(np.asarray(value.data))
        if hasattr(value, "children_left") and hasattr(value, "__getstate__"):
            return {"tree": self._tree(value)}
        if type(value).__name__ == "_BisectingTree":
            told = {"label": value.label} if value.left is None else {"halves": [self._object(value.left), self._object(value.right)]}
            return {**told, "center": self._array(value.center)}
        if type(value).__module__.startswith("sklearn.") and (hasattr(value, "get_params") or type(value).__name__ == "_CalibratedClassifier"):
            return {"estimator": self.of(value)}
        raise TypeError(type(value).__name__)

    def _array(self, value: np.ndarray) -> dict[str, Any]:
        if value.dtype == object:
            self._take(value.size)
            return {"objects": [self._said(item) for item in value.reshape(-1)], "shape": list(value.shape)}
        if value.dtype.kind not in "fiubU" or value.dtype.char == np.dtype(np.longdouble).char:
            raise TypeError(str(value.dtype))
        for array, transposed in ((value, False), (value.T, True)):
            name = self.held.get(self._key(array))
            if name is not None:
                return {"initializer": name, "transposed": transposed}
        self._take(value.size)
        return {"array": value.tolist(), "dtype": "str" if value.dtype.kind == "U" else value.dtype.name}

    def _tree(self, tree: Any) -> dict[str, Any]:
        tables = {
            "left": tree.children_left, "right": tree.children_right, "column": tree.feature, "limit": tree.threshold, "missing_left": tree.missing_go_to_left,
            "values": tree.value, "samples": tree.n_node_samples,
        }  # fmt: skip
        return {"columns": tree.n_features, "classes": tree.n_classes.tolist(), **{name: self._array(np.asarray(table)) for name, table in tables.items()}}

    def _take(self, count: int) -> None:
        self.room -= count
        if self.room < 0:
            raise OverflowError(f"more than {MOST_NUMBERS} numbers")
