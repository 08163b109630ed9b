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


@pytest.mark.parametrize("seed", range(12))
def test_borders_of_arrays_of_any_rank(seed: int) -> None:
    """What is padded is an input, which is copied, or made beside it, and lies inside."""
    generator = np.random.default_rng(seed)
    rank = int(generator.integers(1, 6))
    shape, pads = generator.integers(1, 19, rank), generator.integers(0, 3, (2, rank))
    x = generator.standard_normal(shape).astype(np.float32)
    source = "x" if seed % 2 else "changed"
    graph = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["changed"]), helper.make_node("Pad", [source, "pads", "value"], ["y"])], "padded",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [*map(int, shape[:-1]), "n"])],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, None)],
        [numpy_helper.from_array(pads.reshape(-1), "pads"), numpy_helper.from_array(np.float32(3), "value")],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10).SerializeToString()
    (found,) = onward.InferenceSession(model).run(None, {"x": x})
    np.testing.assert_array_equal(found, np.pad(x if seed % 2 else np.maximum(x, 0), pads.T, constant_values=3))


@pytest.mark.parametrize(("groups", "channels", "size", "stride"), [(4, 24, 9, 1), (2, 40, 14, 2), (3, 51, 7, 1)])
def test_shuffled_channels(groups: int, channels: int, size: int, stride: int) -> None:
    """Grouped convolutions around a shuffle of channels and a depthwise convolution: one copy, and the same numbers with any number of threads."""
    generator = np.random.default_rng(channels)

    def constant(name: str, *shape: int) -> onnx.TensorProto:
        return numpy_helper.from_array(generator.standard_normal(shape).astype(np.float32), name)

    constants = [
        constant("first", channels, channels // groups, 1, 1), constant("bias", channels), constant("deep", channels, 1, 3, 3),
        constant("last", channels, channels // groups, 1, 1),
        numpy_helper.from_array(np.array([2, groups, channels // groups, size, size]), "apart"), numpy_helper.from_array(np.array([2, channels, size, size]), "together"),
    ]  # fmt: skip
    nodes = [
        helper.make_node("Conv", ["x", "first", "bias"], ["c"], group=groups), helper.make_node("Relu", ["c"], ["r"]), helper.make_node("Reshape", ["r", "apart"], ["a"]),
        helper.make_node("Transpose", ["a"], ["t"], perm=[0, 2, 1, 3, 4]), helper.make_node("Reshape", ["t", "together"], ["s"]),
        helper.make_node("Conv", ["s", "deep"], ["d"], group=channels, pads=[1] * 4, strides=[stride] * 2), helper.make_node("Conv", ["d", "last"], ["y"], group=groups),
    ]  # fmt: skip
    shape = [2, channels, size, size]
    graph = helper.make_graph(
        nodes, "shuffled", [helper.make_tensor_value_info("x", 1, shape)], [helper.make_tensor_value_info("y", 1, None)], constants
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()
    feeds = {"x": generator.standard_normal(shape).astype(np.float32)}
    (expected,) = onnxruntime.InferenceSession(model).run(None, feeds)
    found = []
    for threads in (1, 3):
        options = onward.ort.SessionOptions()
        options.intra_op_num_threads = threads
        session = onward.InferenceSession(model, options)
        (result,) = session.run(None, feeds)
        found.append(result)
    np.testing.assert_allclose(found[0], expected, rtol=1e-4, atol=1e-4 * float(np.abs(expected).max()))
    np.testing.assert_array_equal(found[0], found[1])
    assert sum(kernel.kind == "map" for kernel in session._executable.artifact.kernels) <= 2


@pytest.mark.parametrize("strides", [(2, 1), (1, 2), (3, 2)])
@pytest.mark.parametrize("rows", ["rows", "3"])
def test_a_reshape_that_is_copied_into_a_padded_array(rows: str, strides: tuple[int, int]) -> None:
    """A transposed convolution takes axes together that lie apart, and the window after it pads the result."""
    generator = np.random.default_rng(sum(strides))
    model = onnx.parser.parse_model(
        f"""<ir_version: 8, opset_import: ["" : 17]> g (float[n, 8, {rows}, 5] x) => (float[n, 3, a, b] y) {{
            c = ConvTranspose<strides=[{strides[0]}, {strides[1]}]>(x, w) y = AveragePool<kernel_shape=[2, 2], pads=[1, 0, 0, 1]>(c) }}"""
    )
    model.graph.initializer.append(numpy_helper.from_array(generator.standard_normal((8, 3, *strides)).astype(np.float32), "w"))
    feeds = {"x": generator.standard_normal((2, 8, 3, 5)).astype(np.float32)}
    (expected,) = onnxruntime.InferenceSession(model.SerializeToString()).run(None, feeds)
    (found,) = onward.InferenceSession(model.SerializeToString()).run(None, feeds)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
