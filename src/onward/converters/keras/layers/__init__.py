"""What layers of Keras are in ONNX, one small function each. They ask a layer for its configuration and weights alone, so that they serve
Keras's own objects and layers of a file."""

from onward.converters.keras.layers import (
    activations,
    attention,
    categories,
    cells,
    convolution,
    core,
    merging,
    normalization,
    pooling,
    preprocessing,
    quantized,
    recurrent,
    reshaping,
)

__all__ = [
    "activations", "attention", "categories", "cells", "convolution", "core", "merging", "normalization", "pooling", "preprocessing", "quantized", "recurrent",
    "reshaping",
]  # fmt: skip
