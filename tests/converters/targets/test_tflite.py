"""TensorFlow Lite as a target: TensorFlow's converter makes the file of the module."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import onward
from onward.converters.builder import ModelBuilder
from onward.errors import UnsupportedOperator
from onward.ir import Model
from onward.ir.datatypes import DataType
from tests.converters.targets.test_numpy import mlp
from tests.converters.targets.test_tensorflow import convolutional

tf = pytest.importorskip("tensorflow")


def test_a_network_of_convolutions_there_and_back(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    b = ModelBuilder("convolutions")
    x = b.input("x", DataType.FLOAT, [1, 3, 16, 12])
    first, second, head = (b.constant(random.standard_normal(shape).astype(np.float32) / 4) for shape in ((8, 3, 3, 3), (8, 1, 3, 3), (5, 8)))
    y = b.op("MaxPool", b.op("Relu", b.op("Conv", x, first, pads=[1, 1, 1, 1], strides=[2, 2])), kernel_shape=[2, 2], strides=[2, 2])
    y = b.op("Conv", y, second, group=8, auto_pad="SAME_UPPER")
    y = b.op("Gemm", b.op("Flatten", b.op("GlobalAveragePool", y)), head, transB=1)
    b.output(b.op("Softmax", y, axis=-1), "y")
    model = b.model()
    content = onward.convert(model, to="tflite", output=tmp_path / "m.tflite")
    assert (tmp_path / "m.tflite").read_bytes() == content
    data = random.standard_normal((1, 3, 16, 12)).astype(np.float32)
    again = onward.convert(tmp_path / "m.tflite")
    (expected,) = onward.InferenceSession(model.to_bytes()).run(None, {"x": data})
    (found,) = onward.InferenceSession(again.to_bytes()).run(None, {again.graph.inputs[0].name: data})
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_names_and_open_sizes_are_in_the_signature() -> None:
    content = onward.convert(mlp(), to="tflite")
    runner = tf.lite.Interpreter(model_content=content).get_signature_runner()
    assert runner(x=np.ones((3, 5), np.float32))["y"].shape == (3, 16)


@pytest.mark.parametrize("pads", [[0, 0, 0, 0], [1, 1, 1, 1], [1, 2, 0, 0], [0, 0, 1, 1]], ids=str)
def test_transposed_convolutions(pads: list[int]) -> None:
    """The conversion proves itself, at open sizes."""
    b = ModelBuilder("larger")
    x = b.input("x", DataType.FLOAT, ["batch", 4, "height", "width"])
    kernel = b.constant(np.random.default_rng(0).standard_normal((4, 6, 3, 3)).astype(np.float32), "kernel")
    b.output(b.op("ConvTranspose", x, kernel, strides=[2, 2], pads=pads, output_padding=[0, 1] if sum(pads) else [0, 0]), "y")
    assert onward.convert(b.model(), to="tflite")


def test_a_network_of_convolutions_of_all_kinds() -> None:
    assert onward.convert(convolutional(), to="tflite")


def recurrent(batch: int | str) -> Model:
    random = np.random.default_rng(0)
    b = ModelBuilder("recurrent")
    x = b.input("x", DataType.FLOAT, ["steps", batch, 3])
    weights = [b.constant((random.standard_normal(shape) / 2).astype(np.float32)) for shape in ((2, 20, 3), (2, 20, 5), (2, 40))]
    y, last, _ = b.op("LSTM", x, *weights, outputs=3, hidden_size=5, direction="bidirectional")
    b.output(y, "y")
    b.output(last, "last")
    return b.model()


def test_recurrent_layers_of_any_number_of_steps() -> None:
    content = onward.convert(recurrent(2), to="tflite")
    runner = tf.lite.Interpreter(model_content=content).get_signature_runner()
    x = np.random.default_rng(1).standard_normal((23, 2, 3)).astype(np.float32)
    expected = onward.InferenceSession(recurrent(2).to_bytes()).run(None, {"x": x})
    found = runner(x=x)
    for name, item in zip(("y", "last"), expected, strict=True):
        np.testing.assert_allclose(found[name], item, atol=1e-6)


def test_what_is_missing_is_named() -> None:
    with pytest.raises(UnsupportedOperator, match="only the number of steps may be open"):
        onward.convert(recurrent("batch"), to="tflite")
    b = ModelBuilder("text")
    b.output(b.op("StringConcat", b.input("x", DataType.STRING, ["n"]), b.input("y", DataType.STRING, ["n"])), "z")
    with pytest.raises(UnsupportedOperator, match="TensorFlow Lite has no equivalent of .*Add"):
        onward.convert(b.model(), to="tflite")
    b = ModelBuilder("double")
    b.output(b.op("Sigmoid", b.input("x", DataType.DOUBLE, [2, 3])), "y")
    with pytest.raises(UnsupportedOperator, match="Sigmoid, much that computes in float64"):
        onward.convert(b.model(), to="tflite")
