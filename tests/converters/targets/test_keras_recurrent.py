"""Keras as a target: LSTM, GRU and RNN are its own layers, in each direction and order of axes, with weights that come back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import onward
from onward.converters.builder import ModelBuilder
from onward.ir import Model, Value
from onward.ir.datatypes import DataType
from tests.converters.targets.test_keras import kinds, run_without_onward

keras = pytest.importorskip("keras")

GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
STATES = {"LSTM": 2, "GRU": 1, "RNN": 1}
UNITS = 5


def recurrent(
    kind: str,
    direction: str = "forward",
    *,
    states: bool = False,
    bias: bool = True,
    batch_first: bool = False,
    lengths: list[int] | None = None,
    **attributes: Any,
) -> Model:
    """One node. `batch_first` has the transpositions and squeezes around it that other frameworks' exporters write; `lengths` are those of sequences of 5 steps."""
    random, ways, gates = np.random.default_rng(0), 1 + (direction == "bidirectional"), GATES[kind]
    b = ModelBuilder("recurrent")

    def weight(name: str, *shape: int) -> Value:
        return b.constant((random.standard_normal(shape) / 2).astype(np.float32), f"cell.{name}")

    layout = attributes.get("layout")
    x = b.input("x", DataType.FLOAT, ["batch", "steps", 3] if batch_first or layout else ["steps", "batch", 3] if lengths is None else [5, len(lengths), 3])
    x = b.op("Transpose", x, perm=[1, 0, 2]) if batch_first else x
    begin = (
        [b.input(name, DataType.FLOAT, ["batch", ways, UNITS] if layout else [ways, "batch", UNITS]) for name in ("h", "c")[: STATES[kind]]] if states else []
    )
    weights = weight("w", ways, gates * UNITS, 3), weight("r", ways, gates * UNITS, UNITS), weight("b", ways, 2 * gates * UNITS) if bias else None
    given = (None if lengths is None else b.constant(np.array(lengths, np.int32)), *begin) if begin or lengths else ()
    y, *last = b.op(kind, x, *weights, *given, outputs=1 + STATES[kind], hidden_size=UNITS, direction=direction, **attributes)
    if batch_first:
        y = b.op("Transpose", b.op("Squeeze", y, b.constant(np.array([1]))), perm=[1, 0, 2])
        last = [b.op("Squeeze", item, b.constant(np.array([0]))) for item in last]
    for name, item in zip(("y", "y_h", "y_c"), (y, *last)):
        b.output(item, name)
    return b.model()


NAMES = {"LSTM": "LSTM", "GRU": "GRU", "RNN": "SimpleRNN"}


@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize("kind", GATES)
def test_a_node_is_a_layer(kind: str, direction: str) -> None:
    """The conversion proves itself, at several sizes."""
    result = onward.convert(recurrent(kind, direction), to="keras")
    assert ("Bidirectional" if direction == "bidirectional" else NAMES[kind]) in kinds(result) and not result.source


@pytest.mark.parametrize(
    "model",
    [
        recurrent("LSTM", "bidirectional", states=True), recurrent("GRU", "reverse", states=True, bias=False, linear_before_reset=1),
        recurrent("LSTM", layout=1, states=True), recurrent("GRU", "bidirectional", layout=1, linear_before_reset=1), recurrent("RNN", activations=["Relu"]),
        recurrent("LSTM", activations=["Sigmoid", "Softsign", "Softsign"]),
    ],
    ids=["states", "reset after", "batch first", "both batch first", "rectifier", "activation"],
)  # fmt: skip
def test_states_biases_and_activations(model: Model) -> None:
    assert not onward.convert(model, to="keras").source


@pytest.mark.parametrize(
    "model", [recurrent("LSTM", activations=["Sigmoid", "Tanh", "Relu"]), recurrent("RNN", activations=["Elu"]), recurrent("GRU", clip=0.5)],
    ids=["two activations", "with a parameter", "clip"],
)  # fmt: skip
def test_what_keras_lacks_is_generated(model: Model) -> None:
    assert "Operation" in onward.convert(model, to="keras").source


@pytest.mark.parametrize("kind, direction", [("LSTM", "forward"), ("GRU", "reverse"), ("LSTM", "bidirectional")])
def test_lengths_are_a_mask(kind: str, direction: str) -> None:
    """Steps beyond the end give zeros and leave the states: the proof compares both."""
    result = onward.convert(recurrent(kind, direction, lengths=[2, 5, 1]), to="keras")
    assert ("Bidirectional" if direction == "bidirectional" else NAMES[kind]) in kinds(result)


@pytest.mark.parametrize("merge_mode, sequences", [("concat", True), ("sum", False), ("mul", True)])
def test_two_nodes_of_one_direction_are_one_layer(merge_mode: str, sequences: bool) -> None:
    x = keras.Input((6, 3))
    inner = keras.layers.GRU(4, return_sequences=sequences, name="cell")
    source = keras.Model(x, keras.layers.Bidirectional(inner, merge_mode=merge_mode, name="both")(x))
    source.set_weights([np.random.default_rng(0).standard_normal(item.shape) / 2 for item in source.get_weights()])
    result = onward.convert(onward.convert(source), to="keras")
    assert kinds(result) == ["InputLayer", "Bidirectional"] and not result.source
    assert [item.path for item in result.weights] == [item.path for item in source.weights]
    for ours, theirs in zip(result.get_weights(), source.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-7)


def test_two_directions_whose_states_are_read_stay_two_layers() -> None:
    x = keras.Input((6, 3))
    y, *states = keras.layers.Bidirectional(keras.layers.LSTM(4, return_sequences=True, return_state=True))(x)
    result = onward.convert(onward.convert(keras.Model(x, [y, *states])), to="keras")
    assert kinds(result).count("LSTM") == 2


@pytest.mark.parametrize("kind", GATES)
def test_nothing_is_turned_to_and_fro(kind: str) -> None:
    result = onward.convert(recurrent(kind, batch_first=True), to="keras")
    assert [name for name in kinds(result) if name != "InputLayer"] == [NAMES[kind]]


def test_from_keras_to_onnx_and_back() -> None:
    keras.utils.set_random_seed(0)
    x = keras.Input((7, 3))
    y = keras.layers.LSTM(5, return_sequences=True, name="first")(x)
    y = keras.layers.GRU(4, return_sequences=True, name="second")(y)
    y = keras.layers.GRU(4, reset_after=False, return_sequences=True, name="third")(y)
    y = keras.layers.SimpleRNN(6, name="fourth")(y)
    source = keras.Model(x, keras.layers.Dense(2, name="head")(y))
    for layer in source.layers[1:]:
        layer.set_weights([np.random.default_rng(0).standard_normal(item.shape) / 2 for item in layer.get_weights()])
    result = onward.convert(onward.convert(source), to="keras")
    data = np.random.default_rng(1).standard_normal((2, 7, 3)).astype(np.float32)
    np.testing.assert_allclose(result(data), source(data), atol=1e-6)
    assert [name for name in kinds(result) if name != "InputLayer"] == ["LSTM", "GRU", "GRU", "SimpleRNN", "Dense"] and not result.source
    for ours, theirs in zip(result.layers[1:], source.layers[1:], strict=True):
        for one, other in zip(ours.get_weights(), theirs.get_weights(), strict=True):
            np.testing.assert_allclose(one, other, atol=1e-7)


def test_a_stack_of_pytorch() -> None:
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    module = torch.nn.LSTM(3, 4, 2, batch_first=True, bidirectional=True).eval()
    x = torch.randn(2, 6, 3)
    result = onward.convert(module, (x,), to="keras")
    for ours, theirs in zip(result(x.numpy()), (module(x)[0], *module(x)[1]), strict=True):
        np.testing.assert_allclose(ours, theirs.detach().numpy(), atol=1e-5)
    assert kinds(result).count("Bidirectional") == 2


@pytest.mark.parametrize("backend", ["tensorflow", "torch", "jax"])
def test_it_is_trained_on_each_backend(backend: str, tmp_path: Any) -> None:
    pytest.importorskip(backend)
    onward.convert(recurrent("GRU", "bidirectional", layout=1, linear_before_reset=1), to="keras-source", output=tmp_path)
    program = """
import model
network = model.load()
random = np.random.default_rng(0)
x = random.standard_normal((8, 6, 3)).astype("float32")
y = [random.standard_normal((8, 6, 2, 5)).astype("float32") / 4, np.zeros((8, 2, 5), "float32")]
network.compile(keras.optimizers.Adam(0.02), ["mse", "mse"])
losses = network.fit(x, y, epochs=12, verbose=0).history["loss"]
assert losses[-1] < 0.8 * losses[0], losses
"""
    run_without_onward(tmp_path, program, backend)
