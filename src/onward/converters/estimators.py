"""What an estimator of scikit-learn was, in the metadata of its model: class and parameters, so that it can come back as the same.

The numbers of most models are in their graph alone; without this note another estimator comes back, with the same predictions. What the graphs
of `REMEMBERED` compute does not tell their class, or not their numbers one by one (a variance is a factor, a logarithm, a sum): numbers are noted too, as the
name of the initialiser that holds them where there is one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from onward.ir import Model

ESTIMATOR = "onward.estimator"
"""The key of the metadata: JSON of a class, its parameters, perhaps its numbers, and for a pipeline of its steps."""

REMEMBERED: Mapping[str, tuple[str, ...]] = {
    "linear_model": (
        "Ridge", "RidgeCV", "Lasso", "LassoCV", "ElasticNet", "ElasticNetCV", "MultiTaskLasso", "MultiTaskElasticNet", "Lars", "LassoLars", "LassoLarsIC", "OrthogonalMatchingPursuit",
        "BayesianRidge", "ARDRegression", "HuberRegressor", "TheilSenRegressor", "RANSACRegressor", "QuantileRegressor", "SGDRegressor", "GammaRegressor", "TweedieRegressor",
        "LogisticRegressionCV", "RidgeClassifier", "RidgeClassifierCV", "SGDClassifier", "SGDOneClassSVM", "Perceptron",
    ),
    "svm": ("LinearSVR",),
    "naive_bayes": ("GaussianNB", "MultinomialNB", "BernoulliNB", "ComplementNB", "CategoricalNB"),
    "neighbors": ("KNeighborsClassifier", "KNeighborsRegressor", "RadiusNeighborsClassifier", "RadiusNeighborsRegressor", "NearestCentroid", "LocalOutlierFactor"),
    "cluster": ("KMeans", "MiniBatchKMeans"),
    "mixture": ("GaussianMixture", "BayesianGaussianMixture"),
    "discriminant_analysis": ("LinearDiscriminantAnalysis", "QuadraticDiscriminantAnalysis"),
    "preprocessing": ("Binarizer", "PolynomialFeatures", "OneHotEncoder", "OrdinalEncoder", "KBinsDiscretizer", "PowerTransformer", "QuantileTransformer"),
    "decomposition": ("TruncatedSVD", "FactorAnalysis", "FastICA", "KernelPCA", "IncrementalPCA", "SparsePCA", "MiniBatchSparsePCA"),
    "kernel_approximation": ("Nystroem", "RBFSampler", "PolynomialCountSketch"),
    "kernel_ridge": ("KernelRidge",),
    "cross_decomposition": ("PLSRegression", "PLSCanonical", "CCA"),
    "impute": ("KNNImputer", "MissingIndicator"),
    "feature_selection": ("VarianceThreshold", "SelectKBest", "SelectPercentile"),
    "covariance": ("EllipticEnvelope",),
    "random_projection": ("GaussianRandomProjection",),
}  # fmt: skip
"""By module, the classes whose numbers are noted."""

OF_TRAINING = frozenset({
    "labels_", "x_scores_", "y_scores_", "_x_scores", "_y_scores", "inlier_mask_", "dist_", "support_", "raw_support_", "negative_outlier_factor_", "_distances_fit_X_",
    "_neighbors_indices_fit_X_", "_lrd",
})  # fmt: skip
"""Attributes that say what became of each row of training: nothing is computed with them."""

MOST_NUMBERS = 2**16
"""An array of more elements is noted only where an initialiser holds it."""


def note_estimator(model: Model, source: Any) -> None:
    """Notes the class and the parameters of an estimator of the library itself, and the numbers of those that are `REMEMBERED`."""
    parts = [step for _, step in source.steps] if hasattr(source, "steps") else [source]
    remembered = {name for names in REMEMBERED.values() for name in names} & {type(part).__name__ for part in parts}
    found = _described(source, _Numbers(model) if remembered else None)
    if found is not None:
        model.metadata[ESTIMATOR] = json.dumps(found)


def noted_estimator(model: Model) -> dict[str, Any]:
    """What was noted: `class`, `parameters`, `numbers` (see `_Numbers`) and `steps`, a list of (name, the same of the step). All may be missing: a file
    says what it likes."""
    try:
        found = json.loads(model.metadata.get(ESTIMATOR, "{}"))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _described(source: Any, numbers: _Numbers | None) -> dict[str, Any] | None:
    if not type(source).__module__.startswith("sklearn."):
        return None
    if hasattr(source, "steps"):
        steps = [(name, _described(step, numbers)) for name, step in source.steps]
        return {"class": type(source).__name__, "steps": [(name, step or {}) for name, step in steps]}
    parameters = {name: value for name, value in source.get_params(deep=False).items() if _is_simple(value)}
    found = {"class": type(source).__name__, "parameters": parameters}
    return found if numbers is None else {**found, "numbers": numbers.of(source)}


def _is_simple(value: Any) -> bool:
    """Whether JSON gives a parameter back as it was."""
    if isinstance(value, (tuple, list)):
        return all(_is_simple(item) for item in value)
    return value is None or type(value) in (bool, int, float, str) and value == value


class _Numbers:
    """The numbers of estimators as JSON. An attribute is a scalar as it is, or one of

    - `{"array": nested lists, "dtype": name}`, or `{"initializer": name, "transposed": bool}` where the model holds the same;
    - `{"items": [...]}`, a list or a vector of such;
    - `{"numbers": {...}}`, an estimator inside.
    """

    def __init__(self, model: Model) -> None:
        arrays = {value.name: value.tensor.numpy() for value in model.graph.values() if value.tensor is not None}
        self.held = {self._key(array): name for name, array in arrays.items() if array.ndim and array.dtype.kind in "fiub"}

    @staticmethod
    def _key(array: np.ndarray) -> tuple[str, tuple[int, ...], bytes]:
        return array.dtype.str, array.shape, array.tobytes()

    def of(self, estimator: Any) -> dict[str, Any]:
        """What was found by fitting and is computed with, as far as it is numbers or text."""
        parameters = estimator.get_params(deep=False)
        found = {}
        for name, value in vars(estimator).items():
            if name in parameters or name in OF_TRAINING:
                continue
            try:
                found[name] = {"numbers": self.of(value)} if hasattr(value, "get_params") else self._said(value)
            except TypeError:  # neither number nor text
                continue
        return found

    def _said(self, value: Any) -> Any:
        """Raises TypeError for what is none of the forms."""
        value = value.item() if isinstance(value, np.generic) else value
        if value is None or isinstance(value, (bool, int, float, str)):
            return value
        if isinstance(value, (list, tuple)) or isinstance(value, np.ndarray) and value.dtype == object and value.ndim == 1:
            return {"items": [self._said(item) for item in value]}
        if not isinstance(value, np.ndarray) or value.dtype.kind not in "fiubU" or value.dtype.char == np.dtype(np.longdouble).char:
            raise TypeError(type(value).__name__)
        for array, transposed in ((value, False), (value.T, True)):
            name = self.held.get(self._key(array))
            if name is not None:
                return {"initializer": name, "transposed": transposed}
        if value.size > MOST_NUMBERS:
            raise TypeError(f"{value.size} numbers")
        return {"array": value.tolist(), "dtype": "str" if value.dtype.kind == "U" else value.dtype.name}
