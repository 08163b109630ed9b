"""What lies inside a padded array is there, whichever schedule wrote it."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper, numpy_helper

import onward


@pytest.mark.parametrize("producer", ["MaxPool", "AveragePool", "Relu", "Softmax"])
@pytest.mark.parametrize(("kernel", "stride"), [(2, 2), (3, 2), (3, 1)])
def test_convolution_with_padding_reads_its_producer(producer: str, kernel: int, stride: int) -> None:
    generator = np.random.default_rng(kernel + stride)
    weights = generator.standard_normal((16, 16, 3, 3)).astype(np.float32)
    window = {"kernel_shape": [kernel] * 2, "strides": [stride] * 2} if producer.endswith("Pool") else {}
    nodes = [
        helper.make_node(producer, ["x"], ["inside"], **window),
        helper.make_node("Conv", ["inside", "weights"], ["y"], pads=[1, 1, 1, 1]),
    ]
    graph = helper.make_graph(
        nodes, "padded",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1, 16, 13, 13])],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, None)],
        [numpy_helper.from_array(weights, "weights")],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()
    feeds = {"x": generator.standard_normal((1, 16, 13, 13)).astype(np.float32)}
    (expected,) = onnxruntime.InferenceSession(model).run(None, feeds)
    (found,) = onward.InferenceSession(model).run(None, feeds)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * float(np.abs(expected).max()))


@pytest.mark.parametrize("before", [0, 1])
@pytest.mark.parametrize(("padded", "added"), [(1, 1), (1, 5), (2, 3)])
def test_a_slice_that_is_padded_is_not_home_to_its_source(padded: int, added: int, before: int) -> None:
    """The source of the slice has more elements than the padded array has places."""
    generator = np.random.default_rng(padded + added)
    pads = np.zeros(8, np.int64)
    pads[padded], pads[4 + padded] = before, added
    constants = {
        "zeros": np.zeros((5, 6, 7, 1), np.float32), "pads": pads, "start": np.array([before]), "end": np.array([3 + before]),
        "axis": np.array([1]), "last": np.array([-1]),
    }  # fmt: skip
    nodes = [
        helper.make_node("Unsqueeze", ["x", "last"], ["raised"]),
        helper.make_node("Concat", ["raised", "zeros"], ["pairs"], axis=-1),
        helper.make_node("Slice", ["pairs", "start", "end", "axis"], ["part"]),
        helper.make_node("Pad", ["part", "pads"], ["wide"]),
        helper.make_node("DFT", ["wide", "", "axis_of_transform"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes, "sliced",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [5, 6, 7])],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()]
        + [numpy_helper.from_array(np.array(1), "axis_of_transform")],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10).SerializeToString()
    feeds = {"x": generator.standard_normal((5, 6, 7)).astype(np.float32)}
    (expected,) = onnxruntime.InferenceSession(model).run(None, feeds)
    (found,) = onward.InferenceSession(model).run(None, feeds)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
