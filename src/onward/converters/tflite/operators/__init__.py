"""The builtin operators of TFLite by family; importing a family registers its operators."""

from onward.converters.tflite.operators import (
    activations,
    arithmetic,
    complex_numbers,
    control_flow,
    convolution,
    indexing,
    products,
    quantization,
    randomness,
    recurrent,
    reductions,
    resources,
    shapes,
    windows,
)

__all__ = [
    "activations", "arithmetic", "complex_numbers", "control_flow", "convolution", "indexing", "products", "quantization", "recurrent", "reductions", "resources",
    "shapes", "windows",
]  # fmt: skip
