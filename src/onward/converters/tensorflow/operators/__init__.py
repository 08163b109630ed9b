"""Translations of TensorFlow's operators, by family. Importing the package registers them."""

from __future__ import annotations

from onward.converters.tensorflow.operators import (
    arithmetic,
    boxes,
    colours,
    complex_numbers,
    control_flow,
    convolution,
    hashes,
    indexing,
    lists,
    normalization,
    patterns,
    products,
    projection,
    quantization,
    ragged,
    random,
    recurrent,
    reductions,
    resampling,
    shapes,
    sorting,
    sparse,
    special,
    tables,
    text,
    through_jax,
    unary,
)
