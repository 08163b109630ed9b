"""Quantisation and what undoes it, as one layer that training passes through."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from onward.converters.targets.keras.attention import LAYERS
from onward.converters.targets.keras.layers import numbers, plain, scope
from onward.ir import Model
from onward.ir.datatypes import DataType
from onward.ir.tensor import Tensor
from onward.operators.native import Call, Native, call_of
from onward.passes.preparation import constants_are_initializers
from onward.program.array import Array

if TYPE_CHECKING:
    from onward.converters.targets.keras.network import Network

SUFFIX = "_quantized"
"""What onnxruntime's quantiser puts after the names of weights."""

STEPS = {DataType.INT8: (-128, 127), DataType.UINT8: (0, 255), DataType.INT16: (-32768, 32767), DataType.UINT16: (0, 65535)}


@LAYERS.rule("DequantizeLinear")
def fake_quantization(call: Call) -> Native | None:
    """Of what was quantised with the same scale and zero point, one number each; scale and limits are weights that are not trained."""
    before = call_of(call.inputs[0])
    if before is None or before.node.op_type != "QuantizeLinear":
        return None
    x, *steps = before.inputs
    scale, zero = (numbers(item) if item is not None else np.zeros((), np.int64) for item in steps)
    same = [_equal(numbers(one), numbers(other)) for one, other in zip(call.inputs[1:], steps) if one is not None or other is not None]
    if scale is None or zero is None or scale.size != 1 or zero.size != 1 or not all(same):
        return None
    kind = before.results[0].dtype
    if kind not in STEPS or x.dtype != DataType.FLOAT or scale.dtype != np.float32 or call.results[0].dtype != DataType.FLOAT:
        return None
    low, high = (limit - int(zero.reshape(())) for limit in STEPS[kind])
    data = np.array([float(scale.reshape(())), low, high], np.float32)

    def write(network: Network) -> str:
        return network.layer("FakeQuantize", [], f"{_name(x)}.quantized", network.array(x), [data])

    return Native(write, (x,))


def with_dequantized_weights(model: Model) -> Model:
    """The model itself where no weight is quantised; else a copy in which `conv.weight` are the numbers that `conv.weight_quantized` stands for."""
    if not any(node.op_type == "DequantizeLinear" for node in model.graph.nodes):
        return model
    result = model.copy()
    constants_are_initializers(result)
    graph = result.graph
    for node in list(graph.nodes):
        values = [value for value in node.inputs if value is not None]
        known = all(value.tensor is not None and value not in graph.inputs for value in values)
        if node.op_type != "DequantizeLinear" or node.domain or not known or node.attribute("block_size", 0) or node.outputs[0] in graph.outputs:
            continue
        data, scale, *zero = (value.tensor.numpy() for value in values)  # type: ignore[union-attr]
        if not data.shape or scale.dtype != np.float32 or data.dtype.kind not in "iu":
            continue
        shape = [-1 if place == node.attribute("axis", 1) % data.ndim else 1 for place in range(data.ndim)] if scale.size > 1 else []
        start = zero[0].astype(np.int64).reshape(shape) if zero else 0
        made = graph.add_initializer(Tensor.of((data.astype(np.int64) - start).astype(np.float32) * scale.reshape(shape)), values[0].name.removesuffix(SUFFIX))
        graph.replace_value(node.outputs[0], made)
        graph.remove(node)
    return result


def _name(array: Array) -> str:
    """The name of the layer that an array comes from."""
    call = call_of(array)
    if call is None:
        return array.label or "constant"
    weights = [item for item in call.inputs[1:] if item is not None and numbers(item) is not None]
    return scope(weights[0], call) if weights else plain(call)


def _equal(one: np.ndarray | None, other: np.ndarray | None) -> bool:
    return one is not None and other is not None and one.dtype == other.dtype and np.array_equal(one.reshape(-1), other.reshape(-1))
