"""Encoders of categories, which are numbers or text."""

from __future__ import annotations

from typing import Any

import numpy as np

from onward.converters.sklearn.registry import method
from onward.converters.tracing import Array, as_array, series
from onward.converters.tracing.categories import is_missing, places_of


def _grouped(estimator: Any, column: int) -> tuple[np.ndarray, int | None]:
    """The place of each category among the columns that are made, infrequent ones as one after the others, and the place of that."""
    count = len(estimator.categories_[column])
    mapping = estimator._default_to_infrequent_mappings[column] if getattr(estimator, "_infrequent_enabled", False) else None
    if mapping is None:
        return np.arange(count), None
    places = np.append(np.asarray(mapping), np.arange(len(mapping), count))
    return places, int(np.max(mapping))


@method("transform", "OneHotEncoder", tables=True)
def one_hot(estimator: Any, x: Any) -> Any:
    made = []
    for column, values in enumerate(series(x)):
        found = places_of(values, np.asarray(estimator.categories_[column]))
        places, rare = _grouped(estimator, column)
        unknown = rare if rare is not None and estimator.handle_unknown == "infrequent_if_exist" else -1
        place = as_array(x.trace, np.append(places, unknown))[found]
        columns = np.arange(places.max(initial=-1) + 1)
        dropped = None if estimator._drop_idx_after_grouping is None else estimator._drop_idx_after_grouping[column]
        columns = columns if dropped is None else np.delete(columns, int(dropped))
        made.append((np.expand_dims(place, 1) == columns).astype(estimator.dtype))
    return np.concatenate(made, axis=1)


@method("transform", "OrdinalEncoder", tables=True)
def ordinal(estimator: Any, x: Any) -> Any:
    made = []
    for column, values in enumerate(series(x)):
        categories = np.asarray(estimator.categories_[column])
        places, _ = _grouped(estimator, column)
        codes = np.append(places.astype(np.float64), np.nan)
        missing = [place for place, item in enumerate(categories.tolist()) if is_missing(item)]
        codes[missing] = estimator.encoded_missing_value
        if estimator.handle_unknown == "use_encoded_value":
            codes[-1] = estimator.unknown_value
        made.append(as_array(x.trace, codes)[places_of(values, categories)])
    return np.stack(made, axis=1).astype(estimator.dtype)


@method("transform", "TargetEncoder", tables=True)
def target(estimator: Any, x: Any) -> Any:
    made = []
    classes = len(estimator.classes_) if estimator.target_type_ == "multiclass" else 1
    columns = series(x)
    found: dict[int, Array] = {}
    for place, encodings in enumerate(estimator.encodings_):
        column = place // classes
        if column not in found:
            found[column] = places_of(columns[column], np.asarray(estimator.categories_[column]))
        mean = estimator.target_mean_ if classes == 1 else estimator.target_mean_[place % classes]
        made.append(as_array(x.trace, np.append(np.asarray(encodings), mean))[found[column]])
    return np.stack(made, axis=1)


@method("transform", "LabelEncoder")
def encoded(estimator: Any, y: Array) -> Any:
    return places_of(y.reshape(-1), np.asarray(estimator.classes_))


@method("inverse_transform", "LabelEncoder")
def decoded(estimator: Any, y: Array) -> Any:
    return as_array(y.trace, estimator.classes_)[y.astype(np.int64)]


@method("transform", "LabelBinarizer")
def binarized(estimator: Any, y: Array) -> Any:
    """One column for each class, or one for two classes; none of them for a class that is not known."""
    if estimator.y_type_.startswith("multilabel"):
        return np.where(y != 0, estimator.pos_label, estimator.neg_label)
    classes = np.asarray(estimator.classes_)
    hits = np.expand_dims(places_of(y.reshape(-1), classes), 1) == (np.arange(len(classes)) if len(classes) > 2 else np.array([1]))
    if len(classes) == 1:
        hits = hits & np.array([False])
    return np.where(hits, estimator.pos_label, estimator.neg_label)


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
