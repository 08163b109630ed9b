"""What an estimator is made of."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np


def parts_of(item: Any, seen: set[int] | None = None) -> Iterator[Any]:
    """The estimators and trees inside an estimator, itself among them."""
    seen = set() if seen is None else seen
    if id(item) in seen:
        return
    seen.add(id(item))
    inside: list[Any] = []
    if isinstance(item, (list, tuple)):
        inside = list(item)
    elif isinstance(item, dict):
        inside = list(item.values())
    elif isinstance(item, np.ndarray):
        inside = item.ravel().tolist() if item.dtype == object else []
    elif hasattr(item, "children_left") or is_histogram_tree(item):
        yield item
    elif hasattr(item, "get_params") and hasattr(item, "__dict__"):
        yield item
        inside = list(vars(item).values())
    for part in inside:
        yield from parts_of(part, seen)


def is_histogram_tree(item: Any) -> bool:
    """Whether this is a tree of the histogram-based boosting."""
    return hasattr(item, "nodes") and hasattr(item, "get_n_leaf_nodes")
