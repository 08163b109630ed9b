"""Matrix products and look-ups in tables."""

from __future__ import annotations

from typing import Any

import numpy as np

from onward.converters.tflite.emitter import Emitter, Node
from onward.converters.tflite.registry import operator
from onward.converters.tflite.tensors import Tensor
from onward.errors import UnsupportedOperator
from onward.ir import Value


def quantized_as_it_runs(c: Emitter, value: Value, axes: list[int], asymmetric: bool) -> Value:
    """Real numbers rounded as TFLite rounds them before a product with quantised weights: to 8 bits, by the greatest number of
    each row (or its least and greatest, `asymmetric`)."""
    if c.exact:
        return value
    tiny = np.float32(np.finfo(np.float32).tiny)
    if not asymmetric:
        scale = c.op("Div", c.op("ReduceMax", c.op("Abs", value), axes, keepdims=1), np.float32(127))
        scale = c.op("Max", scale, tiny)
        return c.op("Mul", c.op("Round", c.op("Div", value, scale)), scale)
    least = c.op("Min", c.op("ReduceMin", value, axes, keepdims=1), np.float32(0))
    most = c.op("Max", c.op("ReduceMax", value, axes, keepdims=1), np.float32(0))
    scale = c.op("Max", c.op("Div", c.op("Sub", most, least), np.float32(255)), tiny)
    zero = c.op("Round", c.op("Sub", np.float32(-128), c.op("Div", least, scale)))
    code = c.op("Clip", c.op("Round", c.op("Add", c.op("Div", value, scale), zero)), np.float32(-128), np.float32(127))
    return c.op("Mul", c.op("Sub", code, zero), scale)


@operator("FULLY_CONNECTED")
def fully_connected(c: Emitter, node: Node, x: Tensor, w: Tensor, b: Tensor | None = None) -> Any:
    o = node.options
    if o.weights_format != "DEFAULT":
        raise UnsupportedOperator(f"weights in the format {o.weights_format}")
    columns = w.shape[1]
    value = c.value(x)
    if not o.keep_num_dims and (x.rank != 2 or x.shape[1] != columns):
        value = c.op("Reshape", value, [-1, columns])
    if w.quantization is not None and x.quantization is None:
        value = quantized_as_it_runs(c, value, [-1], bool(o.asymmetric_quantize_inputs))
    result = c.op("MatMul", value, c.weights(w, [1, 0]))
    if b is not None:
        result = c.op("Add", result, c.value(b))
    return c.activated(result, o.fused_activation_function)


@operator("BATCH_MATMUL")
def batch_matmul(c: Emitter, node: Node, x: Tensor, y: Tensor) -> Any:
    o = node.options
    left, right = (
        c.weights(item, [*range(item.rank - 2), item.rank - 1, item.rank - 2]) if turned else c.value(item) for item, turned in ((x, o.adj_x), (y, o.adj_y))
    )
    if y.quantization is not None and x.quantization is None:
        left = quantized_as_it_runs(c, left, [-1], bool(o.asymmetric_quantize_inputs))
    if x.dtype.kind == "i":
        product = c.op("MatMul", c.cast(left, np.int32), c.cast(right, np.int32))
        return c.cast(product, node.outputs[0].dtype)
    return c.op("MatMul", left, right)


@operator("EMBEDDING_LOOKUP")
def embedding_lookup(c: Emitter, node: Node, indices: Tensor, table: Tensor) -> Any:
    return c.op("Gather", c.value(table), c.value(indices), axis=0)
