"""Encoders of categories that are numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from onward.converters.sklearn.registry import method
from onward.converters.tracing import Array, as_array
from onward.converters.tracing.ufuncs import isnan
from onward.errors import UnsupportedOperator


def _hits(values: Array, categories: np.ndarray) -> Array:
    """(rows, categories): which category each value is; NaN is one of its own."""
    wide = np.expand_dims(values, 1)
    found = wide == categories.astype(values.dtype)
    absent = np.isnan(categories.astype(np.float64))
    return np.where(absent, isnan(wide), found) if absent.any() else found


def _categories(estimator: Any, column: int) -> np.ndarray:
    found = np.asarray(estimator.categories_[column])
    if found.dtype.kind not in "fiub":
        raise UnsupportedOperator(f"{type(estimator).__name__} of categories that are text")
    return found


def _grouped(estimator: Any, column: int, hits: Array) -> Array:
    """Infrequent categories as one, after the others."""
    rare = estimator.infrequent_categories_[column] if getattr(estimator, "_infrequent_enabled", False) else None
    if rare is None:
        return hits
    mask = np.isin(_categories(estimator, column), rare)
    return np.concatenate([hits[:, np.flatnonzero(~mask)], np.any(hits[:, np.flatnonzero(mask)], axis=1, keepdims=True)], axis=1)


@method("transform", "OneHotEncoder")
def one_hot(estimator: Any, x: Array) -> Any:
    made = []
    for column in range(x.shape[1]):
        hits = _grouped(estimator, column, _hits(x[:, column], _categories(estimator, column)))
        if estimator.handle_unknown == "infrequent_if_exist" and getattr(estimator, "_infrequent_enabled", False):
            rare = estimator.infrequent_categories_[column]
            if rare is not None:
                last = hits.shape[1] - 1
                hits[:, last] = hits[:, last] | ~np.any(hits, axis=1)
        if estimator.drop_idx_ is not None and estimator.drop_idx_[column] is not None:
            hits = hits[:, np.delete(np.arange(hits.shape[1]), int(estimator.drop_idx_[column]))]
        made.append(hits.astype(estimator.dtype))
    return np.concatenate(made, axis=1)


@method("transform", "OrdinalEncoder")
def ordinal(estimator: Any, x: Array) -> Any:
    made = []
    for column in range(x.shape[1]):
        categories = _categories(estimator, column)
        hits = _grouped(estimator, column, _hits(x[:, column], categories))
        place = np.argmax(hits, axis=1).astype(np.float64)
        known = np.any(hits, axis=1)
        if np.isnan(categories.astype(np.float64)).any():
            place = np.where(isnan(x[:, column]), estimator.encoded_missing_value, place)
        unknown = estimator.unknown_value if estimator.handle_unknown == "use_encoded_value" else np.nan
        made.append(np.where(known, place, np.nan if unknown is None else unknown))
    return np.stack(made, axis=1).astype(estimator.dtype)


@method("transform", "TargetEncoder")
def target(estimator: Any, x: Array) -> Any:
    made = []
    classes = len(estimator.classes_) if estimator.target_type_ == "multiclass" else 1
    for place, encodings in enumerate(estimator.encodings_):
        column = place // classes
        hits = _hits(x[:, column], _categories(estimator, column))
        mean = estimator.target_mean_ if classes == 1 else estimator.target_mean_[place % classes]
        found = np.where(hits, np.asarray(encodings), 0.0)
        made.append(np.where(np.any(hits, axis=1), np.sum(found, axis=1), mean))
    return np.stack(made, axis=1)


@method("inverse_transform", "LabelEncoder")
def decoded(estimator: Any, y: Array) -> Any:
    return as_array(y.trace, estimator.classes_)[y.astype(np.int64)]


@method("inverse_transform", "LabelBinarizer")
def unbinarized(estimator: Any, y: Array, threshold: Any = None) -> Any:
    """The class of the largest column; of one column, by the middle between the two labels."""
    limit = (estimator.pos_label + estimator.neg_label) / 2 if threshold is None else threshold
    if estimator.y_type_.startswith("multilabel"):
        return (y > limit).astype(np.int64)
    classes = as_array(y.trace, estimator.classes_)
    if estimator.y_type_ == "multiclass":
        return classes[np.argmax(y, axis=1)]
    column = y.reshape(-1) if y.ndim == 1 or y.shape[1] == 1 else y[:, 1]
    return classes[(column > limit).astype(np.int64)]
