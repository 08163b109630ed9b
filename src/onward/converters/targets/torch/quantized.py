"""Weights of quantised models as floats that are quantised while the model runs, so that training can move them."""

from __future__ import annotations

import numpy as np

from onward.ir import Model, Node, Value
from onward.ir.datatypes import DataType
from onward.ir.tensor import Tensor
from onward.passes.preparation import constants_are_initializers

QUANTIZED = (DataType.INT8, DataType.UINT8, DataType.INT16, DataType.UINT16, DataType.INT4, DataType.UINT4)
SUFFIX = "_quantized"
"""What onnxruntime's quantiser puts after the names of weights."""


def with_float_weights(model: Model) -> Model:
    """The model itself where no weight is quantised; else a copy that computes the same, in which `conv.weight_quantized` is `conv.weight`.

    A weight that was dequantised is a float weight that is quantised first; a bias of 32 bits, whose steps are far below those of
    what it is added to, is a float one. Weights in blocks stay as they are.
    """
    result = model.copy()
    constants_are_initializers(result)
    found = [node for node in result.graph.nodes if node.op_type == "DequantizeLinear" and not node.domain and _is_weight(node)]
    for node in found:
        _turn(node, result)
    return result if found else model


def scales_of(model: Model) -> set[Value]:
    """The scales and zero points by axis, which are part of the state and are not trained."""
    nodes = [node for node in model.graph.nodes if node.op_type in ("QuantizeLinear", "DequantizeLinear")]
    found = {value for node in nodes for value in node.inputs[1:3] if value is not None and value.tensor is not None}
    return {value for value in found if value.tensor.shape and value not in model.graph.inputs}  # type: ignore[union-attr]


def _is_weight(node: Node) -> bool:
    x, scale, *zero = node.inputs
    if node.graph is None or node.outputs[0] in node.graph.outputs:
        return False
    known = all(value is None or value.tensor is not None for value in (x, scale, *zero))
    if not known or x is None or scale is None or x.tensor is None or not x.tensor.shape or scale.dtype != DataType.FLOAT or node.attribute("block_size", 0):
        return False
    kinds = (DataType.INT32, *QUANTIZED)
    return x.tensor.dtype in kinds and not node.attribute("output_dtype", 0)


def _turn(node: Node, model: Model) -> None:
    graph = model.graph
    x, scale, *zero = node.inputs
    assert x is not None and x.tensor is not None and scale is not None and scale.tensor is not None
    data, kind, axis = x.tensor.numpy(), x.tensor.dtype, node.attribute("axis", 1)
    point = zero[0] if zero and zero[0] is not None else graph.add_initializer(Tensor.of(np.zeros(scale.tensor.shape, data.dtype)), f"{x.name}_zero_point")
    assert point.tensor is not None

    def aligned(array: np.ndarray) -> np.ndarray:
        return array.reshape([-1 if place == axis % data.ndim else 1 for place in range(data.ndim)]) if array.size > 1 else array.reshape(())

    shift = aligned(point.tensor.numpy().astype(np.int64))
    numbers = (data.astype(np.int64) - shift).astype(np.float32) * aligned(scale.tensor.numpy())
    name = x.name.removesuffix(SUFFIX)
    if node.outputs[0].name == name:  # of biases
        node.outputs[0].name = graph.fresh_name(f"{name}_in_steps")
    weight = graph.add_initializer(Tensor.of(numbers), name)
    if kind == DataType.INT32:
        graph.replace_value(node.outputs[0], weight)
        graph.remove(node)
        return
    attributes = {name: node.attributes[name] for name in ("axis",) if name in node.attributes}
    quantize = Node("QuantizeLinear", [weight, scale, point], [graph.new_value(x.type, f"{weight.name}_in_steps")], attributes)
    graph.insert_before(quantize, node)
    node.replace_input(0, quantize.outputs[0])
    node.replace_input(2, point) if len(node.inputs) > 2 else None
