"""The nine convolutional networks that the onnx package ships without weights, with random ones put in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

import onward
from tests.models.comparison import TOLERANCE, onnxruntime_outputs, relative_error

pytestmark = pytest.mark.models

FOLDER = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
PATHS = sorted(FOLDER.glob("light_*.onnx"))


def with_random_weights(path: Path) -> onnx.ModelProto:
    """The model with its constant fillings replaced by random numbers that keep activations of moderate size, and
    without a softmax at its end, which turns a difference of logits into a relative one as large as they are."""
    model = onnx.load(path)
    random = np.random.default_rng(len(path.name))
    shapes = {item.name: numpy_helper.to_array(item) for item in model.graph.initializer}
    kept = []
    for node in model.graph.node:
        if node.op_type != "ConstantOfShape":
            kept.append(node)
            continue
        shape = shapes[node.input[0]]
        array = random.standard_normal(shape) * np.sqrt(2 / max(1, np.prod(shape[1:]))) if len(shape) > 1 else None
        if array is None:  # scales, biases and variances: one number a channel, all positive
            array = random.uniform(0.5, 1.5, shape) * (1.0 if "BatchNormalization" in readers(model, node.output[0]) else 0.1)
        model.graph.initializer.append(numpy_helper.from_array(array.astype(np.float32), node.output[0]))
    del model.graph.node[:]
    model.graph.node.extend(kept)
    for node in kept[-1:]:
        if node.op_type == "Softmax":
            model.graph.output[0].CopyFrom(helper.make_tensor_value_info(node.input[0], onnx.TensorProto.FLOAT, None))
    return model


def readers(model: onnx.ModelProto, name: str) -> set[str]:
    """The operators that read a value, through Unsqueeze."""
    found: set[str] = set()
    for node in model.graph.node:
        if name in node.input:
            found |= readers(model, node.output[0]) if node.op_type == "Unsqueeze" else {node.op_type}
    return found


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_same_numbers_as_onnxruntime(path: Path) -> None:
    data = with_random_weights(path).SerializeToString()
    session = onward.InferenceSession(data)
    (port,) = session.get_inputs()
    feeds = {port.name: np.random.default_rng(0).standard_normal(port.shape).astype(np.float32)}
    expected = onnxruntime_outputs(data, feeds)
    for output, array in zip(session.get_outputs(), session.run(None, feeds)):
        assert np.isfinite(expected[output.name]).all() and np.std(expected[output.name]) > 0
        assert relative_error(array, expected[output.name]) <= TOLERANCE, output.name


def test_there_are_nine() -> None:
    assert len(PATHS) == 9
