"""Transformers side by side, each on columns of its own or on all."""

from __future__ import annotations

from typing import Any

import numpy as np

from onward.converters.sklearn.registry import method
from onward.converters.tracing import Array, Frame, joined, series


@method("transform", "ColumnTransformer", tables=True)
def by_columns(estimator: Any, x: Any) -> Any:
    """Columns by their names where fitting and the rows have names, else by their places."""
    named = isinstance(x, Frame) and hasattr(estimator, "feature_names_in_")
    parts = []
    fitted = estimator._iter(fitted=True, column_as_labels=False, skip_drop=True, skip_empty_columns=True)
    for name, transformer, columns, weight in fitted:
        places = list(estimator._transformer_to_input_indices[name])
        if named:
            chosen: Any = x[[estimator.feature_names_in_[place] for place in places]]
        else:
            chosen = x.select(places) if isinstance(x, Frame) else x[:, places]
        if np.isscalar(columns):
            (chosen,) = series(chosen)
        part = chosen if isinstance(transformer, str) else transformer.transform(chosen)
        parts.append(part if weight is None else _matrix(part) * weight)
    return _beside(parts, x)


@method("_hstack", "FeatureUnion", tables=True)
def united(estimator: Any, parts: list[Any]) -> Any:
    return _beside(parts, parts[0])


def _beside(parts: list[Any], rows: Any) -> Any:
    return joined(parts) if parts else np.zeros((rows.shape[0], 0))


def _matrix(part: Any) -> Array:
    return part.matrix() if isinstance(part, Frame) else part
