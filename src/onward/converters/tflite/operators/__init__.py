"""The builtin operators of TFLite by family; importing a family registers its operators."""

from onward.converters.tflite.operators import (
    activations,
    arithmetic,
    control_flow,
    convolution,
    indexing,
    products,
    quantization,
    recurrent,
    reductions,
    shapes,
)

__all__ = [
    "activations", "arithmetic", "control_flow", "convolution", "indexing", "products", "quantization", "recurrent", "reductions", "shapes",
]  # fmt: skip
