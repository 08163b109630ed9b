"""Translations of JAX's primitives, by family. Importing the package registers them."""

from __future__ import annotations

from onward.converters.jax.operators import (
    arithmetic,
    bits,
    complex_numbers,
    control_flow,
    convolution,
    decompositions,
    indexing,
    linear_algebra,
    pooling,
    products,
    randomness,
    reductions,
    shapes,
    sorting,
    special,
)
