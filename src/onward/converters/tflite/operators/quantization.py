"""Between real numbers and codes. Quantised tensors are real numbers here, so that little is left to do."""

from __future__ import annotations

from typing import Any

import numpy as np

from onward.converters.tflite.emitter import Emitter, Node
from onward.converters.tflite.registry import operator
from onward.converters.tflite.tensors import Laid, Tensor


@operator("QUANTIZE")
def quantize(c: Emitter, node: Node, x: Tensor) -> Laid:
    return c.held(x)


@operator("DEQUANTIZE")
def dequantize(c: Emitter, node: Node, x: Tensor) -> Any:
    node.outputs[0].source = x
    if x.quantization is not None:
        return c.held(x)
    return c.cast(c.value(x), node.outputs[0].dtype)


@operator("DENSIFY")
def densify(c: Emitter, node: Node, x: Tensor) -> Laid:
    node.outputs[0].source = x
    return c.held(x)


@operator("FAKE_QUANT")
def fake_quantize(c: Emitter, node: Node, x: Tensor) -> Any:
    """Rounded to the codes of a range that is nudged so that zero is one of them."""
    o = node.options
    least, most = (1 if o.narrow_range else 0), (1 << o.num_bits) - 1
    low, high = np.float32(o.min), np.float32(o.max)
    scale = (high - low) / np.float32(most - least)
    start = np.float32(least) - low / scale
    zero = np.float32(np.clip(np.floor(start + np.float32(0.5)), least, most))
    floor, ceiling = (least - zero) * scale, (most - zero) * scale
    (value,), laid = c.together(x)
    inside = c.op("Clip", value, np.float32(floor), np.float32(ceiling))
    steps = c.op("Mul", c.op("Sub", inside, np.float32(floor)), np.float32(1) / scale)
    rounded = c.op("Floor", c.op("Add", steps, np.float32(0.5)))
    return laid(c.op("Add", c.op("Mul", rounded, np.float32(scale)), np.float32(floor)))
