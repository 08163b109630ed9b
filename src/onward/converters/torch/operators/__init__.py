"""Translations of PyTorch's operators, by family. Importing the package registers them."""

from __future__ import annotations

from onward.converters.torch.operators import (
    arithmetic,
    bags,
    complex_functions,
    complex_numbers,
    control_flow,
    convolution,
    counting,
    creation,
    detection,
    indexing,
    normalization,
    pooling,
    products,
    quantization,
    recurrent,
    reductions,
    resampling,
    shapes,
    sorting,
    special,
    unary,
)
