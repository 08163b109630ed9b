"""Older versions of operators against onnxruntime: attributes that became inputs, axes that were coerced, and the like."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime
import pytest
from onnx import helper

from onward import program as P
from onward.ir import as_model
from onward.operators import lower

RANDOM = np.random.default_rng(3)


def floats(*shape: int) -> np.ndarray:
    return RANDOM.standard_normal(shape).astype(np.float32)


X = floats(2, 3, 4, 5)
CHANNELS = [floats(3), floats(3), floats(3), abs(floats(3))]

CASES: list[tuple[str, int, list[np.ndarray], dict[str, Any]]] = [
    *[(name, opset, [X], {"axis": axis}) for name in ("Softmax", "LogSoftmax", "Hardmax") for opset in (7, 11) for axis in (0, 1, 3)],
    *[("Reduce" + name, 11, [abs(X)], {"axes": [1, -1], "keepdims": 0}) for name in ("Sum", "Mean", "Max", "LogSum", "L1", "L2")],
    *[("Reduce" + name, 13, [X], {"axes": [0]}) for name in ("Mean", "Min", "Prod", "LogSumExp", "SumSquare")],
    ("ReduceSum", 7, [X], {}),
    ("ArgMax", 11, [X], {"axis": 2}),
    ("Clip", 7, [X], {"min": -0.5}),
    ("Clip", 10, [X], {"min": -0.5, "max": 0.25}),
    ("Clip", 11, [X, np.float32(-0.5)], {}),
    ("BatchNormalization", 7, [X, *CHANNELS], {"epsilon": 0.01}),
    ("BatchNormalization", 9, [X, *CHANNELS], {}),
    ("PRelu", 7, [X, floats(3, 1, 1)], {}),
    ("LpPool", 7, [X], {"kernel_shape": [2, 2], "p": 3}),
    ("MaxPool", 7, [X], {"kernel_shape": [2, 2], "auto_pad": "SAME_LOWER", "strides": [2, 2]}),
    ("AveragePool", 7, [X], {"kernel_shape": [2, 3], "pads": [1, 1, 0, 1], "count_include_pad": 1}),
    ("AveragePool", 10, [X], {"kernel_shape": [2, 3], "strides": [2, 2], "ceil_mode": 1}),
    ("GlobalLpPool", 7, [X], {"p": 1}),
    ("Gemm", 7, [floats(2, 3), floats(3, 4), floats(4)], {"alpha": 0.5}),
    ("Gemm", 9, [floats(3, 2), floats(3, 4), floats(2, 1)], {"transA": 1}),
    ("MeanVarianceNormalization", 9, [X], {"axes": [0, 2, 3]}),
    ("Equal", 7, [X.astype(np.int64), X.astype(np.int64)], {}),
    ("And", 7, [X > 0, X[0] > 0], {}),
    ("Pow", 7, [abs(X), floats(5)], {}),
    ("Pow", 12, [np.arange(6).reshape(2, 3), np.float32([2.0, 3.0, 0.0])], {}),
    ("Max", 8, [X, floats(5), floats(4, 1)], {}),
    ("Mean", 8, [X, floats(5)], {}),
    ("GridSample", 16, [X, floats(2, 3, 2, 2)], {"mode": "bicubic"}),
    ("Elu", 7, [X], {"alpha": 0.7}),
    ("Selu", 7, [X], {}),
    ("Upsample", 9, [X, np.float32([1, 1, 2, 2])], {"mode": "nearest"}),
    ("DequantizeLinear", 10, [X.astype(np.int8), np.float32(0.3), np.int8(2)], {}),
    ("QuantizeLinear", 13, [9 * X, np.float32([0.3, 0.2, 0.1]), np.int8([1, 2, 3])], {"axis": 1}),
]


@pytest.mark.parametrize("name, opset, inputs, attributes", CASES, ids=[f"{case[0]}-{i}" for i, case in enumerate(CASES)])
def test_as_onnxruntime(name: str, opset: int, inputs: list[np.ndarray], attributes: dict[str, Any]) -> None:
    arrays = {f"x{number}": np.asarray(item) for number, item in enumerate(inputs)}
    values = [helper.make_tensor_value_info(label, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape) for label, array in arrays.items()]
    node = helper.make_node(name, list(arrays), ["y"], name=name, **attributes)
    graph = helper.make_graph([node], "g", values, [helper.make_empty_tensor_value_info("y")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=6)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (expected,) = session.run(None, arrays)
    program = lower(as_model(model))
    (actual,) = P.evaluate(list(program.outputs.values()), {item: arrays[item.label] for item in program.inputs})
    assert actual.dtype == expected.dtype
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-5)
