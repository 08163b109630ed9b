"""Votes and medians of estimators, and expansions whose own code works through masks."""

from __future__ import annotations

from typing import Any

import numpy as np

from onward.converters.sklearn.registry import method
from onward.converters.tracing import Array, as_array
from onward.converters.tracing.functions import argsort


@method("predict", "VotingClassifier", tables=True)
def voted(estimator: Any, x: Any) -> Any:
    """The class with the largest mean probability, or with the most votes, the first of equal ones."""
    if estimator.voting == "soft":
        place = np.argmax(estimator.predict_proba(x), axis=1)
    else:
        weights = estimator._weights_not_none or [1.0] * len(estimator.estimators_)
        count = len(estimator.le_.classes_)
        votes: Any = 0.0
        for weight, member in zip(weights, estimator.estimators_):
            votes = votes + weight * (member.predict(x).reshape(-1, 1) == np.arange(count))
        place = np.argmax(votes, axis=1)
    return as_array(x.trace, estimator.le_.classes_)[place]


@method("_get_median_predict", "AdaBoostRegressor")
def weighted_median(estimator: Any, x: Array, limit: int) -> Any:
    """The first prediction, by size, at which half of the weight is reached."""
    found = np.stack([member.predict(x) for member in estimator.estimators_[:limit]], axis=1)
    order = argsort(found, axis=1)
    weights = np.cumsum(as_array(x.trace, np.asarray(estimator.estimator_weights_[:limit]))[order], axis=1)
    total = float(np.sum(estimator.estimator_weights_[:limit]))
    place = np.argmax(weights >= 0.5 * total, axis=1)
    chosen = np.take_along_axis(order, np.expand_dims(place, 1), axis=1)
    return np.take_along_axis(found, chosen, axis=1)[:, 0]


@method("transform", "TfidfTransformer")
def weighted_counts(estimator: Any, x: Array) -> Any:
    """Counts times inverse document frequencies, each row of length 1."""
    x = x.astype(np.float64, copy=False)
    if estimator.sublinear_tf:
        x = np.where(x == 0, 0.0, np.log(np.where(x == 0, 1.0, x)) + 1.0)
    if estimator.use_idf:
        x = x * np.asarray(estimator.idf_)
    if estimator.norm is None:
        return x
    size = np.sqrt(np.sum(x * x, axis=1)) if estimator.norm == "l2" else np.sum(np.abs(x), axis=1)
    return x / np.where(size == 0, 1.0, size).reshape(-1, 1)


@method("transform", "AdditiveChi2Sampler")
def additive_chi2(estimator: Any, x: Array) -> Any:
    """Vedaldi and Zisserman (2012), as the estimator samples it."""
    interval = estimator.sample_interval
    if interval is None:
        interval = {1: 0.8, 2: 0.5, 3: 0.4}[estimator.sample_steps]
    some = x > 0
    safe = np.where(some, x, 1.0)
    parts = [np.sqrt(safe * interval)]
    logarithm, scale = interval * np.log(safe), 2 * safe * interval
    for step in range(1, estimator.sample_steps):
        factor = np.sqrt(scale / np.cosh(np.pi * step * interval))
        parts += [factor * np.cos(step * logarithm), factor * np.sin(step * logarithm)]
    return np.concatenate([np.where(some, part, 0.0) for part in parts], axis=1)


@method("transform", "SkewedChi2Sampler")
def skewed_chi2(estimator: Any, x: Array) -> Any:
    """Li, Ionescu and Sminchisescu (2010). Numbers at or below minus the skewedness give NaN."""
    shifted = np.log(x + estimator.skewedness) @ np.asarray(estimator.random_weights_) + np.asarray(estimator.random_offset_)
    return np.cos(shifted) * (np.sqrt(2.0) / np.sqrt(estimator.n_components))
