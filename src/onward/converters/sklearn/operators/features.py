"""Features of dictionaries, sets of labels and images."""

from __future__ import annotations

from typing import Any

import numpy as np

from onward.converters.sklearn.operators.texts import hashed_sums
from onward.converters.sklearn.registry import method
from onward.converters.tracing import Array, Frame, series
from onward.converters.tracing.array import TEXT
from onward.converters.tracing.pieces import Pieces, concatenated, looked_up
from onward.errors import UnsupportedOperator


@method("transform", "DictVectorizer", tables=True)
def vectorized(estimator: Any, x: Frame) -> Any:
    """A column for each key of numbers, and one for each pair of a key and a text."""
    nothing = np.zeros_like(next(iter(x.arrays.values())), np.float64)
    columns = [nothing] * len(estimator.feature_names_)
    for key, values in x.arrays.items():
        if values.dtype != TEXT:
            if key in estimator.vocabulary_:
                columns[estimator.vocabulary_[key]] = values.astype(np.float64)
            continue
        start = f"{key}{estimator.separator}"
        known = {name.removeprefix(start): place for name, place in estimator.vocabulary_.items() if name.startswith(start)}
        code = looked_up(values, known, -1)
        for place in known.values():
            columns[place] = columns[place] + np.where(code == place, 1.0, 0.0)
    return np.stack(columns, axis=1).astype(estimator.dtype)


@method("transform", "FeatureHasher", tables=True)
def hashed_features(estimator: Any, x: Any) -> Any:
    """Numbers at the hashes of their keys, ones at those of pairs of a key and a text; without dictionaries, at those of texts."""
    columns = x.arrays if isinstance(x, Frame) else dict(enumerate(series(x)))
    total: Any = 0.0
    for key, values in columns.items():
        text = values.dtype == TEXT
        if estimator.input_type == "string":
            words, counts = values, np.ones_like(values, np.float64)
        elif text:
            words, counts = concatenated(np.array(f"{key}=", object), values), np.where(values == "", 0.0, 1.0)
        else:
            words, counts = values.trace.op("Expand", np.array(str(key), object), values.trace.sizes(values.shape), dtype=TEXT, shape=values.shape), values
        total = total + hashed_sums(estimator, values.shape[0], Pieces.of(values).row, words, counts.astype(np.float64))
    return total.astype(estimator.dtype)


@method("transform", "MultiLabelBinarizer", tables=True)
def indicators(estimator: Any, y: Any) -> Any:
    """Whether each class is among the labels of a row."""
    found = [np.stack([column == label for label in estimator.classes_.tolist()], axis=1) for column in series(y)]
    return np.any(np.stack(found, axis=0), axis=0).astype(np.int64)


@method("transform", "PatchExtractor")
def patches(estimator: Any, x: Array) -> Any:
    """(images x patches, height, width[, channels]): every patch, row by row."""
    if estimator.max_patches is not None:
        raise UnsupportedOperator("PatchExtractor with max_patches draws random numbers")
    height, width = (int(extent) for extent in x.shape[1:3])
    tall, wide = estimator.patch_size or (height // 10, width // 10)
    down = np.arange(height - tall + 1)[:, None] + np.arange(tall)
    across = np.arange(width - wide + 1)[:, None] + np.arange(wide)
    found = np.take(np.take(x, down, axis=1), across, axis=3)
    found = np.transpose(found, [0, 1, 3, 2, 4, *range(5, found.ndim)])
    channels = [extent for extent in x.shape[3:] if extent > 1]
    return found.reshape(-1, tall, wide, *channels).astype(np.float64)
