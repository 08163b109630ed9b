"""Inputs that are several tensors: ragged ones are their values and the ends of their rows, sparse ones indices, values and sizes."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

LONGEST = 3
"""The most elements of a row that is made up."""


def parts_of(specification: Any) -> list[str]:
    """What the tensors of an input, or of a result, are called behind its name; of a plain tensor one that has none."""
    if isinstance(specification, (tf.RaggedTensorSpec, tf.RaggedTensor)):
        return ["values", *(f"row_splits_{level}" if level else "row_splits" for level in range(specification.ragged_rank))]
    return ["indices", "values", "dense_shape"] if isinstance(specification, (tf.SparseTensorSpec, tf.SparseTensor)) else [""]


def fill(specification: Any, names: list[str], feeds: dict[str, np.ndarray], size: int, random: np.random.Generator) -> None:
    """Makes the feeds of a ragged or sparse input fit together; `size` is that of open axes."""
    if isinstance(specification, tf.RaggedTensorSpec):
        rows = specification.shape[0] or size
        for name in names[1:]:
            splits = np.concatenate([[0], np.cumsum(random.integers(0, LONGEST + 1, rows))])
            feeds[name] = splits.astype(feeds[name].dtype)
            rows = int(splits[-1])
        values = feeds[names[0]]
        feeds[names[0]] = np.resize(values, (rows, *values.shape[1:])).astype(values.dtype)
    elif isinstance(specification, tf.SparseTensorSpec):
        shape = [extent or size for extent in specification.shape.as_list()]
        chosen = np.sort(random.choice(int(np.prod(shape)), min(int(np.prod(shape)), 2 * size), replace=False))
        feeds[names[0]] = np.stack(np.unravel_index(chosen, shape), -1).astype(np.int64)
        feeds[names[1]] = np.resize(feeds[names[1]], len(chosen)).astype(feeds[names[1]].dtype)
        feeds[names[2]] = np.array(shape, np.int64)
