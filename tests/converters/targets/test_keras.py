"""Keras as a target: the suite of the onnx package, layers, files that load without Onward, training, round trips."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import onward
from onward.converters import verify
from onward.converters.builder import ModelBuilder
from onward.converters.targets import keras as page
from onward.ir import Model, Value
from onward.ir.datatypes import DataType
from tests.converters.targets.test_numpy import mlp
from tests.converters.targets.test_tensorflow import convolutional, recurrent

keras = pytest.importorskip("keras")

ROOT = Path(__file__).parents[3]


def suite(backend: str, every: int, least: float = 0, pattern: str = "") -> None:
    """In a process of its own, whose backend is that one."""
    command = [sys.executable, "-m", "tests.converters.targets.keras_suite", backend, str(every), pattern]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    passed, total = map(int, re.findall(r"(\d+) of (\d+) pass", done.stdout)[0])
    assert passed >= least * total


def test_the_suite_of_the_onnx_package() -> None:
    """Every third test. The whole, on any backend, takes minutes: `python -m tests.converters.targets.keras_suite BACKEND 1`."""
    suite("tensorflow", 3, 0.95)


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_a_part_of_the_suite_on_other_backends(backend: str) -> None:
    pytest.importorskip(backend)
    suite(backend, 40)


def test_unsigned_numbers_on_pytorch() -> None:
    """Which has no arithmetic of them."""
    pytest.importorskip("torch")
    suite("torch", 5, 0.9, "_uint(16|32|64)|_ui64_")


def kinds(model: Any) -> list[str]:
    return [type(item).__name__ for item in model.operations]


def test_convolutions_are_layers_with_channels_last() -> None:
    model = onward.convert(convolutional(), to="keras")
    found = kinds(model)
    for name in ("Conv2D", "DepthwiseConv2D", "BatchNormalization", "MaxPooling2D", "GlobalAveragePooling2D", "GlobalMaxPooling2D", "Dense"):
        assert name in found, name
    assert found.count("Transpose") == 1
    assert model.get_layer("stem").kernel.shape == (3, 3, 3, 8)
    weights = [value.tensor for value in convolutional().graph.initializers.values() if "." in value.name]
    assert model.count_params() == sum(tensor.size for tensor in weights if tensor is not None)


def run_without_onward(folder: Path, program: str, backend: str = "numpy") -> None:
    prefix = f"import os, sys; os.environ['KERAS_BACKEND'] = '{backend}'; sys.modules['onward'] = None; import keras, numpy as np\n"
    subprocess.run([sys.executable, "-c", prefix + program], cwd=folder, check=True)


@pytest.mark.parametrize("model", [mlp(), convolutional(), recurrent()], ids=["mlp", "convolutions", "recurrence"])
def test_a_file_loads_without_onward(model: Model, tmp_path: Path) -> None:
    """Where there are generated layers the module beside the file has them."""
    shape = {2: (7, 5), 3: (6, 3, 4), 4: (2, 3, 32, 24)}[len(model.graph.inputs[0].shape)]
    x = np.random.default_rng(1).standard_normal(shape).astype(np.float32)
    onward.convert(model, to="keras", output=tmp_path / "network.keras")
    onward.convert(model, to="keras-source", output=tmp_path / "source")
    np.save(tmp_path / "x.npy", x)
    program = """
if os.path.exists("network.py"): import network
loaded = keras.models.load_model("network.keras")
x = np.load("x.npy")
found = loaded(x)
found = found if isinstance(found, (list, tuple)) else [found]
np.savez("y.npz", *map(keras.ops.convert_to_numpy, found))
sys.path.insert(0, "source")
import model
again = model.load()(x)
for ours, theirs in zip(found, again if isinstance(again, (list, tuple)) else [again]):
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(ours), keras.ops.convert_to_numpy(theirs))
"""
    run_without_onward(tmp_path, program)
    results = np.load(tmp_path / "y.npz")
    for name, expected in zip(results.files, onward.InferenceSession(model.to_bytes()).run(None, {"x": x}), strict=True):
        np.testing.assert_allclose(results[name], expected, atol=1e-5)
    assert (tmp_path / "network.keras.certificate.json").is_file()
    assert max(found["relative"] for found in verify(model, tmp_path / "network.keras", trust=True).differences.values()) < 1e-5


def test_a_model_is_trained(tmp_path: Path) -> None:
    """On the backend of TensorFlow: NumPy's does not train."""
    onward.convert(convolutional(), to="keras-source", output=tmp_path)
    program = """
import model
network = model.load()
random = np.random.default_rng(0)
x, y = random.standard_normal((8, 3, 32, 24)).astype("float32"), random.standard_normal((8, 5)).astype("float32")
network.compile(keras.optimizers.Adam(0.01), "mse")
before = network.evaluate(x, y, verbose=0)
network.fit(x, y, epochs=8, verbose=0)
assert network.evaluate(x, y, verbose=0) != before
losses = network.fit(x, y, epochs=4, verbose=0).history["loss"]
assert losses[-1] < 0.7 * before, (losses, before)
"""
    run_without_onward(tmp_path, program, "tensorflow")


def test_from_keras_to_onnx_and_back() -> None:
    keras.utils.set_random_seed(0)
    x = keras.Input((12, 10, 3))
    y = keras.layers.Conv2D(4, 3, padding="same", activation="relu", name="first")(x)
    y = keras.layers.BatchNormalization(name="norm")(y)
    y = keras.layers.MaxPooling2D(2)(y)
    y = keras.layers.DepthwiseConv2D(3, strides=2, padding="same", name="each")(y)
    y = keras.layers.Flatten()(y)
    source = keras.Model(x, keras.layers.Dense(5, activation="softmax", name="head")(y))
    result = onward.convert(onward.convert(source), to="keras")
    data = np.random.default_rng(0).standard_normal((2, 12, 10, 3)).astype(np.float32)
    np.testing.assert_allclose(result(data), source(data), atol=1e-6)
    for name in ("first", "norm", "each", "head"):
        for ours, theirs in zip(result.get_layer(name).get_weights(), source.get_layer(name).get_weights(), strict=True):
            np.testing.assert_array_equal(ours, theirs)
    assert "Transpose" not in kinds(result) and not result.source


def test_a_transformer_of_pytorch() -> None:
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    module = torch.nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, activation="gelu").eval()
    x = torch.randn(2, 5, 8)
    model = onward.convert(module, (x,), to="keras")
    np.testing.assert_allclose(model(x.numpy()), module(x).detach().numpy(), atol=1e-5)
    assert kinds(model).count("Dense") >= 3 and kinds(model).count("LayerNormalization") == 2


def shared() -> Model:
    """Two pictures go through the same convolution, norm, and dense layer; a third dense layer has equal numbers, but its own."""
    random = np.random.default_rng(0)
    b = ModelBuilder("siamese")

    def weight(name: str, *shape: int) -> Value:
        return b.constant(random.standard_normal(shape).astype(np.float32) / 4, name)

    kernel, bias, dense, offset = weight("conv.w", 4, 3, 3, 3), weight("conv.b", 4), weight("dense.w", 4, 5), weight("dense.b", 5)
    scale, shift = weight("norm.w", 5), weight("norm.b", 5)
    assert dense.tensor is not None
    other = b.constant(dense.tensor.numpy().copy(), "other.w")
    for name in ("x", "y"):
        data = b.op("Conv", b.input(name, DataType.FLOAT, ["n", 3, 8, 8]), kernel, bias)
        data = b.op("Flatten", b.op("GlobalAveragePool", data))
        b.output(b.op("LayerNormalization", b.op("Add", b.op("MatMul", data, dense), offset), scale, shift), f"{name}_out")
        b.output(b.op("MatMul", data, other), f"{name}_other")
    return b.model()


def test_a_layer_that_is_used_twice_is_one(tmp_path: Path) -> None:
    model = onward.convert(shared(), to="keras", output=tmp_path / "shared.keras")
    assert sorted(layer.name for layer in model.layers if layer.weights) == ["conv", "dense", "norm", "other"]
    assert model.count_params() == 4 * 27 + 4 + 2 * 20 + 5 + 10
    assert [len(model.get_layer(name)._inbound_nodes) for name in ("conv", "dense", "norm", "other")] == [2, 2, 2, 2]
    again = keras.models.load_model(tmp_path / "shared.keras")
    x, y = np.random.default_rng(1).standard_normal((2, 2, 3, 8, 8)).astype(np.float32)
    for ours, theirs in zip(again([x, y]), model([x, y]), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_names_of_keras_own_models_are_those_of_blocks() -> None:
    """`conv2_block1_1_conv` is in a block, and a variable that is called after a layer is an identifier."""
    x = y = keras.Input((12, 12, 4))
    for place in range(1, 4):
        shortcut = keras.layers.Conv2D(4, 1, name=f"conv2_block{place}_0_conv")(y)
        inner = keras.layers.BatchNormalization(name=f"conv2_block{place}_1_bn")(
            keras.layers.Conv2D(4, 3, padding="same", name=f"conv2_block{place}_1_conv")(y)
        )
        y = keras.layers.Add(name=f"conv2_block{place}_add")([shortcut, inner])
    model = keras.Model(x, y)
    text = onward.convert(model, to="keras-source")
    assert text.count("for number in range(1, 4):") == 1 and text.count("layers.Conv2D(") == 2
    again = onward.convert(model, to="keras")
    assert sorted(item.path for item in again.weights) == sorted(item.path for item in model.weights)


def tied() -> Model:
    """The table of an embedding is the last product's matrix, and a dense layer's is turned for another product."""
    random = np.random.default_rng(0)
    b = ModelBuilder("tied")
    table = b.constant(random.standard_normal((11, 6)).astype(np.float32), "words.weight")
    kernel = b.constant(random.standard_normal((6, 6)).astype(np.float32), "dense.weight")
    x = b.op("Tanh", b.op("MatMul", b.op("Gather", table, b.input("x", DataType.INT64, ["n", "t"])), kernel))
    x = b.op("MatMul", x, b.op("Transpose", kernel, perm=[1, 0]))
    b.output(b.op("MatMul", x, b.op("Transpose", table, perm=[1, 0])), "y")
    return b.model()


def test_weights_of_layers_of_different_kinds_are_one(tmp_path: Path) -> None:
    """In a file and after training, too."""
    model = onward.convert(tied(), to="keras", output=tmp_path / "network.keras")
    assert [item.path for item in model.weights] == ["words/embeddings", "dense/kernel"]
    program = """
import network
loaded = keras.models.load_model("network.keras")
random = np.random.default_rng(0)
x, y = random.integers(0, 11, (16, 5)), random.integers(0, 11, (16, 5))
loaded.compile(keras.optimizers.Adam(0.05), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
losses = loaded.fit(x, y, epochs=6, verbose=0).history["loss"]
assert losses[-1] < 0.7 * losses[0], losses
loaded.save("again.keras")
again = keras.models.load_model("again.keras")
assert len(again.weights) == len(keras.models.clone_model(again).weights) == 2
table, kernel = (keras.ops.convert_to_numpy(item) for item in again.weights)
np.testing.assert_allclose(again(x), np.tanh(table[x] @ kernel) @ kernel.T @ table.T, atol=1e-4)
"""
    run_without_onward(tmp_path, program, "tensorflow")


def test_blocks_are_functions(tmp_path: Path) -> None:
    """Equal modules are one function, whose calls are a loop; sizes that differ are arguments."""
    torch = pytest.importorskip("torch")

    class Block(torch.nn.Module):  # type: ignore[name-defined,misc]
        def __init__(self, before: int, after: int) -> None:
            super().__init__()
            self.norm, self.up, self.down = torch.nn.LayerNorm(before), torch.nn.Linear(before, 2 * after), torch.nn.Linear(2 * after, after)

        def forward(self, x: Any) -> Any:
            return self.down(torch.relu(self.up(self.norm(x))))

    module = torch.nn.Sequential(*(Block(8, 8) for _ in range(3)), Block(8, 6), Block(6, 6)).eval()
    text = onward.convert(module, (torch.randn(4, 8),), to="keras-source", output=tmp_path)
    assert text.count("layers.Dense(") == 2 and text.count("for number in range(3):") == 1
    functions = [line for line in text.splitlines() if line.startswith("def ") and "name)" in line]
    assert len(functions) == 1, functions


def quantized() -> Model:
    """A convolution with a kernel of 8 bits, between pairs of nodes that quantise."""
    random = np.random.default_rng(0)
    b = ModelBuilder("quantized")

    def steps(x: Value, scale: float, zero: int) -> Value:
        limits = b.constant(np.float32(scale)), b.constant(np.uint8(zero))
        return b.op("DequantizeLinear", b.op("QuantizeLinear", x, *limits), *limits)

    kernel = b.constant(random.integers(-127, 128, (4, 3, 3, 3)).astype(np.int8), "conv.weight_quantized")
    scales = b.constant(random.random(4).astype(np.float32) / 200), b.constant(np.zeros(4, np.int8))
    data = steps(b.input("x", DataType.FLOAT, ["n", 3, 8, 8]), 0.02, 120)
    b.output(steps(b.op("Relu", b.op("Conv", data, b.op("DequantizeLinear", kernel, *scales, axis=0))), 0.03, 0), "y")
    return b.model()


def test_a_quantised_model_has_layers_that_quantise() -> None:
    """Bit for bit as the runtime computes it, but for the order of the convolution's sums."""
    model = onward.convert(quantized(), to="keras")
    assert sorted(kinds(model)) == ["Activation", "Conv2D", "FakeQuantize", "FakeQuantize", "InputLayer", "Transpose", "Transpose"]
    assert [item.path for item in model.trainable_weights] == ["conv/kernel"]
    x = np.random.default_rng(1).standard_normal((2, 3, 8, 8)).astype(np.float32)
    (expected,) = onward.InferenceSession(quantized().to_bytes()).run(None, {"x": x})
    np.testing.assert_allclose(model(x), expected, atol=0.031)
    assert np.mean(np.asarray(model(x)) == expected) > 0.99


def test_names_that_are_taken() -> None:
    """A layer may be called as the input, as Keras calls layers without names, and modules as the variables and sizes of their functions."""
    b = ModelBuilder("names")
    x = value = b.input("add", DataType.FLOAT, ["n", 4])
    width = 4
    for name, size in (("add", 4), ("activation", 4), ("units.0.filters", 8), ("units.0.units", 4), ("units.1.filters", 2), ("units.1.units", 4)):
        before = len(b.graph.nodes)
        value = b.op("Relu", b.op("MatMul", value, b.constant(np.full((width, size), 0.1, np.float32), f"{name}.weight")))
        width = size
        for node in list(b.graph.nodes)[before:]:
            node.metadata["onward.module"] = name if "." not in name else name.rpartition(".")[0]
    b.output(b.op("Add", x, value), "y")
    model = b.model()
    data = np.random.default_rng(0).standard_normal((3, 4)).astype(np.float32)
    (expected,) = onward.InferenceSession(model.to_bytes()).run(None, {"add": data})
    np.testing.assert_allclose(page.run(page.convert(model), [data])[0], expected, rtol=1e-6)


def test_several_inputs_and_outputs_are_lists() -> None:
    b = ModelBuilder("two")
    x, y = b.input("x", DataType.FLOAT, ["n", 4]), b.input("y", DataType.FLOAT, ["n", 4])
    b.output(b.op("Add", x, y), "sum")
    b.output(b.op("Mul", x, y), "product")
    model = onward.convert(b.model(), to="keras")
    total, product = model([np.full((2, 4), 3, np.float32), np.full((2, 4), 5, np.float32)])
    assert float(total[0, 0]) == 8 and float(product[1, 3]) == 15


def test_leaves_are_a_column_though_there_are_as_many_rows_as_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keras's `add` on TensorFlow takes a column for a bias then: three rows and the sums of three classes."""
    from keras import ops

    from onward.converters.targets.keras.prelude import tree_ensemble

    add = ops.add

    def biased(one: Any, other: Any) -> Any:
        return add(one, np.reshape(other, -1)) if np.shape(one)[1:] == np.shape(other)[:1] and np.shape(other)[1:] == (1,) else add(one, other)

    monkeypatch.setattr(ops, "add", biased)
    tables = [0, 0, 0], [-np.inf] * 3, [0.0] * 3, [1, 1, 2], [2, 1, 2], [False] * 3, [0], [[0.0], [3.0], [5.0]], [1]
    rows = np.array([[-1, 0], [1, 0], [2, 0]], np.float32)
    found = tree_ensemble(rows, *map(np.array, tables), 1, np.zeros(3), "sum")
    np.testing.assert_array_equal(np.asarray(found), [[0, 3, 0], [0, 5, 0], [0, 5, 0]])
