"""Translations of TensorFlow's operators, by family. Importing the package registers them."""

from __future__ import annotations

from onward.converters.tensorflow.operators import (
    arithmetic,
    complex_numbers,
    control_flow,
    convolution,
    indexing,
    lists,
    normalization,
    patterns,
    products,
    random,
    reductions,
    resampling,
    shapes,
    sorting,
    special,
    tables,
    text,
    through_jax,
    unary,
)
