"""TensorFlow as a target: the suite of the onnx package, graphs of open sizes, SavedModels, gradients."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

import onward
from onward.converters import verify
from onward.converters.builder import ModelBuilder
from onward.converters.targets import tensorflow as page
from onward.ir import Model, Value
from onward.ir.datatypes import DataType
from tests.converters.targets.suite import compare, failures
from tests.converters.targets.test_numpy import mlp
from tests.operators.test_symbolic_sizes import CASES, prepare
from tests.operators.test_symbolic_sizes import EXCLUDED as SYMBOLIC_EXCLUDED

tf = pytest.importorskip("tensorflow")

EXCLUDED = {
    r"test_image_decoder_.*": "pictures",
    r"test_(bernoulli|training_dropout)(_.*)?": "expects NumPy's random numbers",
    r"test_loop13_seq|test_loop16_seq_none|test_loop11": "a loop whose state is a sequence or grows",
    r"test_dft_inverse(_opset19)?": "expects rounding noise above the tolerance where the exact answer is 0",
}
LEAST = 0.98
"""The share of all node tests that pass; it only grows."""


@contextmanager
def eager() -> Iterator[None]:
    """Functions are not traced: a model that runs once is quicker so."""
    tf.config.run_functions_eagerly(True)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(False)


def test_the_suite_of_the_onnx_package() -> None:
    with eager():
        failed, passed, total = failures(page, EXCLUDED, lambda function, inputs: tuple(page.run(function, inputs)))
    assert not failed, "\n".join(failed)
    assert passed >= LEAST * total


def test_graphs_with_open_sizes() -> None:
    """Each extent of each input is a symbol, in a graph that is traced without knowing it; every tenth test."""
    tried = 0
    for case in CASES[::10]:
        if any(case.name.startswith(beginning) for beginning in SYMBOLIC_EXCLUDED) or any(re.fullmatch(pattern, case.name) for pattern in EXCLUDED):
            continue
        try:
            model, feeds, constants, expected = prepare(case)
        except pytest.skip.Exception:
            continue
        results = page.run(page.convert(model, constants), [value for name, value in feeds.items() if name not in constants])
        for ours, theirs in zip(results, expected, strict=True):
            compare(ours, theirs, case)
        tried += 1
    assert tried > 90


def recurrent() -> Model:
    random = np.random.default_rng(0)
    b = ModelBuilder("recurrence")
    x = b.input("x", DataType.FLOAT, ["steps", "batch", 4])
    weight, state = (b.constant(random.standard_normal((2, 20, columns)).astype(np.float32), f"lstm.{columns}") for columns in (4, 5))
    y, last, _ = b.op("LSTM", x, weight, state, outputs=3, hidden_size=5, direction="bidirectional")
    b.output(y, "y")
    b.output(last, "last")
    return b.model()


@pytest.mark.parametrize("model", [mlp(), recurrent()], ids=["mlp", "recurrence"])
def test_a_saved_model_runs_without_onward(model: Model, tmp_path: Path) -> None:
    shape = (7, 5) if len(model.graph.inputs[0].shape) == 2 else (6, 3, 4)
    x = np.random.default_rng(1).standard_normal(shape).astype(np.float32)
    onward.convert(model, to="tensorflow", output=tmp_path / "saved")
    onward.convert(model, to="tensorflow-source", output=tmp_path / "source")
    assert (tmp_path / "saved" / "certificate.json").is_file()
    for written, trust in (("saved", False), ("source", True)):
        assert max(found["relative"] for found in verify(model, tmp_path / written, trust=trust).differences.values()) < 1e-5
    np.save(tmp_path / "x.npy", x)
    program = """
import sys; sys.modules["onward"] = None
import numpy as np, tensorflow as tf
loaded = tf.saved_model.load("saved")
found = loaded.signatures["serving_default"](x=tf.constant(np.load("x.npy")))
np.savez("y.npz", **{name: item.numpy() for name, item in found.items()})
sys.path.insert(0, "source")
import model
again = model.load()(np.load("x.npy"))
again = again if isinstance(again, tuple) else (again,)
assert all(np.array_equal(ours, found[name].numpy()) for ours, name in zip(again, ["y", "last"]))
"""
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True)
    names = [value.name for value in model.graph.outputs]
    for name, expected in zip(names, onward.InferenceSession(model.to_bytes()).run(None, {"x": x}), strict=True):
        np.testing.assert_allclose(np.load(tmp_path / "y.npz")[name], expected, atol=1e-5)


def test_weights_are_variables_that_can_be_trained() -> None:
    module = onward.convert(mlp(), to="tensorflow")
    assert [variable.name for variable in module.trainable_variables] == ["b/1:0", "w/1:0"]
    x, target = np.random.default_rng(1).standard_normal((7, 5)).astype(np.float32), np.full((7, 16), 1 / 16, np.float32)

    def step() -> float:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((module(x) - target) ** 2)
        for variable, gradient in zip(module.trainable_variables, tape.gradient(loss, module.trainable_variables), strict=True):
            variable.assign_sub(20.0 * gradient)
        return float(loss)

    losses = [step() for _ in range(40)]
    assert losses[-1] < losses[0] / 2


def test_gradients_go_through_loops() -> None:
    module = onward.convert(recurrent(), to="tensorflow")
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(module(np.ones((6, 3, 4), np.float32))[0])
    gradients = tape.gradient(loss, module.trainable_variables)
    assert len(gradients) == 2 and all(np.abs(tf.convert_to_tensor(gradient)).max() > 0 for gradient in gradients)


def convolutional() -> Model:
    """Convolutions of all kinds, with a shortcut, weighted channels and a larger picture at the end."""
    random = np.random.default_rng(0)
    b = ModelBuilder("convolutions")

    def weight(name: str, *shape: int) -> Value:
        return b.constant(random.standard_normal(shape).astype(np.float32) / 4, name)

    x = b.input("x", DataType.FLOAT, ["batch", 3, "height", "width"])
    y = b.op("Conv", x, weight("stem.weight", 8, 3, 3, 3), weight("stem.bias", 8), pads=[1, 1, 1, 1], strides=[2, 2])
    moments = weight("norm.scale", 8), weight("norm.offset", 8), weight("norm.mean", 8), b.constant(np.full(8, 0.5, np.float32), "norm.variance")
    y = b.op("Relu", b.op("BatchNormalization", y, *moments))
    y = b.op("MaxPool", y, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    depthwise = b.op("Conv", y, weight("depthwise.weight", 8, 1, 3, 3), group=8, pads=[2, 2, 2, 2], dilations=[2, 2])
    grouped = b.op("Conv", b.op("LeakyRelu", depthwise), weight("grouped.weight", 8, 4, 3, 2), group=2, auto_pad="SAME_UPPER")
    share = b.op("Sigmoid", b.op("Conv", b.op("GlobalAveragePool", grouped), weight("share.weight", 8, 8, 1, 1)))
    y = b.op("Add", b.op("Mul", grouped, share), y)
    y = b.op("ConvTranspose", y, weight("larger.weight", 8, 6, 3, 3), strides=[2, 2], pads=[1, 1, 0, 0], output_padding=[0, 1])
    y = b.op("AveragePool", b.op("Concat", y, y, axis=1), kernel_shape=[2, 2], strides=[2, 1], pads=[0, 0, 1, 1], count_include_pad=1)
    y = b.op(
        "Resize", y, None, b.constant(np.array([1, 1, 2, 2], np.float32)), mode="nearest", nearest_mode="floor", coordinate_transformation_mode="asymmetric"
    )
    y = b.op("Flatten", b.op("GlobalMaxPool", y))
    b.output(b.op("Gemm", y, weight("head.weight", 5, 12), weight("head.bias", 5), transB=1), "y")
    return b.model()


def test_shuffles_and_responses_of_channels_are_between_convolutions() -> None:
    """Neither brings channels back to the second place: what is transposed are the input, the groups of a shuffle, and the output."""
    random = np.random.default_rng(0)
    b = ModelBuilder("shuffle")
    x = b.input("x", DataType.FLOAT, ["n", 6, "height", 8])
    for place in range(2):
        x = b.op("Conv", x, b.constant(random.standard_normal((6, 6, 1, 1)).astype(np.float32), f"conv{place}"))
        x = b.op("Relu", b.op("LRN", x, size=3, alpha=0.3, beta=0.6, bias=1.5))
        shape = b.op("Shape", x)
        ends = [b.op("Gather", shape, b.constant(np.array(axes, np.int64))) for axes in ([0], [2, 3])]
        parts = b.op("Reshape", x, b.op("Concat", ends[0], b.constant(np.array([3, 2], np.int64)), ends[1], axis=0))
        x = b.op("Reshape", b.op("Transpose", parts, perm=[0, 2, 1, 3, 4]), shape)
    b.output(x, "y")
    text = page.source_of(b.model())[0]
    assert text.count("tf.transpose") == 4 and text.count("local_response_normalization(") == 2
    data = random.standard_normal((2, 6, 5, 8)).astype(np.float32)
    (expected,) = onward.InferenceSession(b.model().to_bytes()).run(None, {"x": data})
    np.testing.assert_allclose(page.run(page.convert(b.model()), [data])[0], expected, rtol=1e-5, atol=1e-5)


def test_rows_of_any_axes_are_one_product() -> None:
    random = np.random.default_rng(0)
    b = ModelBuilder("rows")
    x = b.input("x", DataType.FLOAT, ["n", "places", 4])
    b.output(b.op("MatMul", x, b.constant(random.standard_normal((4, 3)).astype(np.float32), "w")), "y")
    assert "tf.tensordot(x, weights['w'], 1)" in page.source_of(b.model())[0]
    data = random.standard_normal((2, 5, 4)).astype(np.float32)
    (expected,) = onward.InferenceSession(b.model().to_bytes()).run(None, {"x": data})
    np.testing.assert_allclose(page.run(page.convert(b.model()), [data])[0], expected, rtol=1e-5, atol=1e-5)


def test_channels_are_last_between_one_transposition_and_the_end() -> None:
    model = convolutional()
    text = onward.convert(model, to="tensorflow-source").split("def model")[1]
    assert text.count("tf.transpose") == 1
    for word in ("conv2d(", "depthwise_conv2d", "conv2d_transpose", "max_pool2d", "avg_pool2d", "batch_normalization", "reduce_mean", "tf.matmul"):
        assert word in text, word
    module = onward.convert(model, to="tensorflow")
    shapes = {variable.name: tuple(variable.shape) for variable in module.variables}
    assert shapes["stem/weight:0"] == (3, 3, 3, 8) and shapes["depthwise/weight:0"] == (3, 3, 8, 1) and shapes["larger/weight:0"] == (3, 3, 6, 8)
    assert len(module.variables) - len(module.trainable_variables) == 2, "mean and variance are statistics"
    x = np.random.default_rng(1).standard_normal((2, 3, 32, 24)).astype(np.float32)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(module(x))
    assert all(gradient is not None for gradient in tape.gradient(loss, module.trainable_variables))


def text_model() -> Model:
    """Words are cleaned, cut, joined, looked at and looked up."""
    b = ModelBuilder("text")
    x = b.input("x", DataType.STRING, ["n"])
    clean = b.op("StringNormalizer", x, case_change_action="LOWER", is_case_sensitive=0, stopwords=["The", "\u00e4 \u4e2d"])
    parts, counts = b.op("StringSplit", x, outputs=2, maxsplit=2)
    pieces, numbers = b.op("StringSplit", x, outputs=2, delimiter="ab")
    label = b.op("LabelEncoder", x, domain="ai.onnx.ml", keys_strings=["the", "The", "a b"], values_int64s=[3, 4, 5], default_int64=-7)
    match = b.op("RegexFullMatch", x, pattern=r"\s*\w+('x)?\s*")
    joined = b.op("StringConcat", b.op("Unsqueeze", x, b.constant(np.array([1]))), x)
    cuts = {"tokenexp": "[\\pL\\pN_]+", "mincharnum": 2}, {"tokenexp": "\\S+", "mincharnum": 1}, {"separators": [""], "mincharnum": 1}
    tokens = [b.op("Tokenizer", x, domain="com.microsoft", mark=0, pad_value="#", **options) for options in cuts]
    for value, name in zip(
        (clean, parts, counts, pieces, numbers, label, match, joined, *tokens),
        ["clean", "parts", "counts", "pieces", "numbers", "label", "match", "joined", "words", "spaced", "characters"],
    ):
        b.output(value, name)
    return b.model()


def test_text(tmp_path: Path) -> None:
    model = text_model()
    random = np.random.default_rng(0)
    letters = ["a", "b", "ab", " ", "  ", "\t", "\x02", "\u00c4", "\u4e2d", "'x", "\n"]
    words = ["The", "the", "THE", "a b", "", " ", "\u00c4 \u4e2d", *("".join(random.choice(letters, random.integers(0, 7))) for _ in range(300))]
    function = onward.convert(model, to="tensorflow", output=tmp_path / "saved")
    session = onward.InferenceSession(model.to_bytes())
    for feed in (words, ["THE", "the"], [""]):
        x = np.array(feed, object)
        expected = session.run(None, {"x": x})
        for results in (function, tf.saved_model.load(tmp_path / "saved")):
            for ours, theirs in zip(page.run(results, [x]), expected, strict=True):
                np.testing.assert_array_equal(ours, theirs)
