"""Estimators under their own names: what a model computes does not tell Ridge from LinearRegression, but its conversion has noted it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sklearn import ensemble, preprocessing, svm, tree
from sklearn.pipeline import Pipeline

from onward.converters.targets.sklearn.fitting import fitted
from onward.converters.targets.sklearn.remembered import parameters_of
from onward.ir import Model

KIN: dict[type, tuple[type, ...]] = {
    tree.DecisionTreeRegressor: (tree.ExtraTreeRegressor,),
    tree.DecisionTreeClassifier: (tree.ExtraTreeClassifier,),
    ensemble.RandomForestRegressor: (ensemble.ExtraTreesRegressor,),
    ensemble.RandomForestClassifier: (ensemble.ExtraTreesClassifier,),
    svm.SVR: (svm.NuSVR,), svm.SVC: (svm.NuSVC,),
    preprocessing.StandardScaler: (preprocessing.MaxAbsScaler, preprocessing.RobustScaler),
}  # fmt: skip
"""By the class that is recognised, those that predict by the same numbers."""

NUMBERS = {preprocessing.RobustScaler: {"center_": "mean_"}}
"""By class, the names of numbers that are called otherwise in the class that is recognised."""

SETTLED = frozenset({
    "activation", "clip", "hidden_layer_sizes", "init", "loss", "n_components", "n_estimators", "norm", "unit_variance", "whiten", "with_centering", "with_mean",
    "with_scaling", "with_std", "kernel", "coef0", "degree", "probability", "decision_function_shape", "break_ties", "n_clusters", "n_neighbors", "metric", "p", "weights",
})  # fmt: skip
"""Parameters that the numbers of a model settle."""


def named(estimator: Any, noted: Mapping[str, Any], model: Model) -> Any:
    """The estimator as the class that was noted, with the parameters that were noted, where its numbers are those of that class; else the estimator."""
    try:
        return _named(estimator, noted, model)
    except (ValueError, TypeError, AttributeError, KeyError):  # a note of another version, or made up
        return estimator


def _named(estimator: Any, noted: Mapping[str, Any], model: Model) -> Any:
    if isinstance(estimator, Pipeline):
        steps = noted.get("steps", [])
        if len(steps) != len(estimator.steps):
            return estimator
        return Pipeline([(str(name), named(step, about, model)) for (_, step), (name, about) in zip(estimator.steps, steps)])
    kind = next((kind for kind in (type(estimator), *KIN.get(type(estimator), ())) if kind.__name__ == noted.get("class")), None)
    if kind is None:
        return estimator
    parameters = parameters_of(model, noted)
    return _same(estimator, parameters) if kind is type(estimator) else _kin(estimator, kind, parameters)


def _same(estimator: Any, parameters: dict[str, Any]) -> Any:
    known = estimator.get_params(deep=False)
    rate = parameters.get("learning_rate")
    if isinstance(estimator, (ensemble.GradientBoostingRegressor, ensemble.GradientBoostingClassifier)):  # which multiply what leaves hold by it
        if not isinstance(rate, float) or not 0 < rate <= 1:
            return estimator
        for member in estimator.estimators_.flat:
            member.tree_.value[...] /= rate
    return estimator.set_params(**{name: value for name, value in parameters.items() if name in known and name not in SETTLED})


def _kin(estimator: Any, kind: type, parameters: dict[str, Any]) -> Any:
    """An estimator of another class with the numbers of this one."""
    known = kind().get_params(deep=False)
    classes = getattr(estimator, "classes_", None)
    targets = getattr(estimator, "n_outputs_", 1)
    chosen = {name: value for name, value in parameters.items() if name in known}
    result = fitted(kind(**chosen), estimator.n_features_in_, None if classes is None else list(classes), targets, rows=60)
    own, theirs = vars(result), vars(estimator)
    for name in own:
        source = NUMBERS.get(kind, {}).get(name, name)
        if name not in known and source in theirs:
            own[name] = theirs[source]
    return result
