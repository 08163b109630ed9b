"""NumPy as a target: the suite of the onnx package, files that run by themselves, refusals."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

import onward
from onward.cli import converting  # noqa: F401 (it registers its commands)
from onward.cli.commands import app
from onward.converters.builder import ModelBuilder
from onward.converters.targets import numpy as page
from onward.converters.targets import subject_of
from onward.converters.targets.numpy.words import NumpyWords
from onward.converters.targets.proof import prove
from onward.errors import InvalidArgument, UnsupportedOperator
from onward.ir import Model
from onward.ir.datatypes import DataType
from tests.converters.targets.suite import compare, failures
from tests.operators.test_symbolic_sizes import CASES, prepare
from tests.operators.test_symbolic_sizes import EXCLUDED as SYMBOLIC_EXCLUDED

EXCLUDED = {
    r"test_(image_decoder|string_|strnormalizer_|regex_).*": "text and pictures: NumPy has no words for them",
    r"test_(bernoulli|training_dropout)(_.*)?": "expects NumPy's random numbers",
    r"test_loop13_seq|test_loop16_seq_none|test_loop11": "a loop whose state is a sequence or grows",
    r"test_dft_inverse(_opset19)?": "expects rounding noise above the tolerance where the exact answer is 0",
}
LEAST = 0.97
"""The share of all node tests that pass; it only grows."""


def mlp(hidden: int = 16) -> Model:
    random = np.random.default_rng(0)
    b = ModelBuilder("mlp")
    x = b.input("x", DataType.FLOAT, ["batch", 5])
    weight, bias = (b.constant(random.standard_normal(shape).astype(np.float32), name) for shape, name in (((5, hidden), "w.1"), ((hidden,), "b.1")))
    b.output(b.op("Softmax", b.op("Relu", b.op("Add", b.op("MatMul", x, weight), bias)), axis=-1), "y")
    return b.model()


def test_the_suite_of_the_onnx_package() -> None:
    failed, passed, total = failures(page, EXCLUDED)
    assert not failed, "\n".join(failed)
    assert passed >= LEAST * total


def test_the_suite_with_open_sizes() -> None:
    """Each extent of each input is a symbol; every fourth test, so that it is quick."""
    tried = 0
    for case in CASES[::4]:
        if any(case.name.startswith(beginning) for beginning in SYMBOLIC_EXCLUDED) or "image_decoder" in case.name:
            continue
        try:
            model, feeds, constants, expected = prepare(case)
        except pytest.skip.Exception:
            continue
        results = page.convert(model, constants)(*(value for name, value in feeds.items() if name not in constants))
        for ours, theirs in zip(results if isinstance(results, tuple) else (results,), expected, strict=True):
            compare(ours, theirs, case)
        tried += 1
    assert tried > 250


def test_a_convolutional_network() -> None:
    random = np.random.default_rng(0)
    b = ModelBuilder("convolutions")
    x = b.input("x", DataType.FLOAT, ["batch", 3, "height", 12])
    weights = [b.constant(random.standard_normal(shape).astype(np.float32) / 5) for shape in ((8, 3, 3, 3), (8, 4, 3, 2), (6, 8, 1, 1))]
    y = b.op("Relu", b.op("Conv", x, weights[0], pads=[1, 1, 1, 1], strides=[2, 1]))
    y = b.op("MaxPool", b.op("Conv", y, weights[1], group=2, pads=[2, 0, 2, 0], dilations=[2, 1]), kernel_shape=[2, 3], strides=[1, 2])
    b.output(b.op("GlobalAveragePool", b.op("Conv", y, weights[2])), "y")
    function = onward.convert(b.model(), to="numpy", example_inputs=random.standard_normal((2, 3, 9, 12)).astype(np.float32))
    assert function(np.ones((4, 3, 15, 12), np.float32)).shape == (4, 6, 1, 1)
    assert "arange" not in onward.convert(b.model(), to="numpy-source").split("def model")[1].split("np.max")[1]


def test_a_recurrent_network_of_any_length() -> None:
    random = np.random.default_rng(0)
    b = ModelBuilder("recurrence")
    x = b.input("x", DataType.FLOAT, ["steps", "batch", 4])
    weight, state = (b.constant(random.standard_normal((2, 20, columns)).astype(np.float32)) for columns in (4, 5))
    y, last, _ = b.op("LSTM", x, weight, state, outputs=3, hidden_size=5, direction="bidirectional")
    b.output(y, "y")
    b.output(last, "last")
    model = b.model()
    function = onward.convert(model, to="numpy")
    given_x = random.standard_normal((40, 3, 4)).astype(np.float32)
    for ours, theirs in zip(function(given_x), onward.InferenceSession(model.to_bytes()).run(None, {"x": given_x}), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_a_model_of_pytorch_in_one_call() -> None:
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    module = torch.nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval()
    x = torch.randn(2, 5, 8)
    function = onward.convert(module, (x,), to="numpy")
    np.testing.assert_allclose(function(x.numpy()), module(x).detach().numpy(), atol=1e-5)


def test_constants_without_elements_keep_their_shape() -> None:
    b = ModelBuilder("empty")
    x = b.input("x", DataType.FLOAT, ["n", 5])
    b.output(b.op("Concat", x, b.constant(np.zeros((0, 5), np.float32)), axis=0), "y")
    assert onward.convert(b.model(), to="numpy")(np.ones((2, 5), np.float32)).shape == (2, 5)


def test_a_model_as_a_function() -> None:
    model = mlp()
    function = onward.convert(model, to="numpy")
    x = np.random.default_rng(1).standard_normal((7, 5)).astype(np.float32)
    (expected,) = onward.InferenceSession(model.to_bytes()).run(None, {"x": x})
    result = function(x)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, expected, rtol=1e-6)
    assert not any("onward" in name for name in function.func.__code__.co_names)


def test_the_source_is_readable() -> None:
    text = onward.convert(mlp(), to="numpy-source")
    assert "matmul = x @ weights['w.1']" in text
    assert ".shape" not in text, "no size is needed"


def test_a_folder_runs_without_onward(tmp_path: Path) -> None:
    model, x = mlp(), np.random.default_rng(1).standard_normal((3, 5)).astype(np.float32)
    onward.convert(model, to="numpy", output=tmp_path / "package")
    np.save(tmp_path / "x.npy", x)
    assert {item.name for item in (tmp_path / "package").iterdir()} == {"model.py", "weights.npz", "certificate.json"}
    program = "import sys; sys.modules['onward'] = None; import numpy as np, model; np.save('../y.npy', model.load()(np.load('../x.npy')))"
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path / "package", check=True)
    (expected,) = onward.InferenceSession(model.to_bytes()).run(None, {"x": x})
    np.testing.assert_allclose(np.load(tmp_path / "y.npy"), expected, rtol=1e-6)


def test_the_command(tmp_path: Path) -> None:
    onward.save(mlp(), tmp_path / "m.onnx")
    result = CliRunner().invoke(app, ["convert", str(tmp_path / "m.onnx"), "--to", "numpy-source", "-o", str(tmp_path / "out")])
    assert result.exit_code == 0, result.output
    assert (tmp_path / "out" / "model.py").is_file()


@pytest.mark.parametrize("classes", [2, 3])
def test_probabilities_of_support_vectors_are_coupled(classes: int) -> None:
    """The compiler has a routine for it, and the printed program its iteration."""
    random, pairs = np.random.default_rng(classes), classes * (classes - 1) // 2
    counts = [3, 2, 4][:classes]
    b = ModelBuilder("chances")
    label, chances = b.op(
        "SVMClassifier", b.input("x", DataType.FLOAT, ["rows", 4]), domain="ai.onnx.ml", outputs=2, kernel_type="RBF", kernel_params=[0.3, 0.0, 3.0],
        coefficients=random.standard_normal((classes - 1) * sum(counts)).tolist(), support_vectors=random.standard_normal(sum(counts) * 4).tolist(),
        rho=random.standard_normal(pairs).tolist(), vectors_per_class=counts, classlabels_ints=list(range(classes)),
        prob_a=(-1 - random.random(pairs)).tolist(), prob_b=random.standard_normal(pairs).tolist(), post_transform="NONE",
    )  # fmt: skip
    b.output(label, "label")
    b.output(chances, "chances")
    model = b.model()
    rows = random.standard_normal((50, 4)).astype(np.float32)
    expected = onnxruntime.InferenceSession(model.to_bytes(), providers=["CPUExecutionProvider"]).run(None, {"x": rows})
    for found in (onward.convert(model, to="numpy")(rows), onward.InferenceSession(model).run(None, {"x": rows})):
        np.testing.assert_array_equal(found[0], expected[0])
        np.testing.assert_allclose(found[1], expected[1], rtol=1e-5, atol=1e-6)


def test_a_difference_between_nothing_but_nan_is_no_proof() -> None:
    b = ModelBuilder("nothing")
    x = b.input("x", DataType.FLOAT, ["n"])
    b.output(b.op("Mul", x, b.constant(np.float32(np.nan), "factor")), "y")
    b.output(b.op("Neg", x), "z")
    model = b.model()
    notes = prove(subject_of(model, "numpy", {}), "NumPy", {}, None, None, None)["notes"]
    assert notes == ["output 'y' had no finite number for any data: its difference of 0 proves nothing"]


def test_everything_that_is_missing_is_named(tmp_path: Path) -> None:
    b = ModelBuilder("text")
    x = b.input("x", DataType.STRING, ["n"])
    b.output(b.op("StringConcat", x, x), "y")
    b.output(b.op("RegexFullMatch", x, pattern="a"), "z")
    with pytest.raises(UnsupportedOperator, match="RegexFullMatch.*StringConcat"):
        onward.convert(b.model(), to="numpy", output=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(InvalidArgument, match="known are numpy, numpy-source"):
        onward.convert(mlp(), to="fortran")
    with pytest.raises(InvalidArgument, match="no inputs z"):
        onward.convert(mlp(), to="numpy", constants={"z": np.zeros(1)})


def test_inputs_that_must_be_known_are_constants(tmp_path: Path) -> None:
    b = ModelBuilder("sum", opset=21)
    x, axes = b.input("x", DataType.FLOAT, ["n", 3]), b.input("axes", DataType.INT64, [1])
    b.output(b.op("ReduceSum", x, axes, keepdims=0), "y")
    model = b.model()
    with pytest.raises(UnsupportedOperator, match="axes"):
        onward.convert(model, to="numpy")
    function = onward.convert(model, to="numpy", constants={"axes": np.array([1])})
    np.testing.assert_array_equal(function(np.ones((2, 3), np.float32)), [3, 3])
    onward.save(model, tmp_path / "m.onnx")
    np.save(tmp_path / "axes.npy", np.array([1]))
    command = ["convert", str(tmp_path / "m.onnx"), "--to", "numpy", "-o", str(tmp_path / "out"), "--constant"]
    result = CliRunner().invoke(app, [*command, f"axes={tmp_path / 'axes.npy'}"])
    assert result.exit_code == 0 and "greatest differences from NumPy" in result.output and " y " in result.output
    assert "NAME=FILE" in str(CliRunner().invoke(app, [*command, "axes"]).exception)


@given(st.text(max_size=12))
@settings(max_examples=60, deadline=None)
def test_text_constants_are_text(word: str) -> None:
    plain = word.encode(errors="ignore").decode()
    b = ModelBuilder("text")
    x = b.input("x", DataType.STRING, ["n"])
    b.output(b.op("Equal", x, b.constant(np.array([plain], object))), "y")
    assert page.convert(b.model())(np.array([plain, plain + "!"], object)).tolist() == [True, False]


def test_numbers_of_single_precision_are_short() -> None:
    """But the greatest, whose short form is greater as a number of double precision."""
    words, largest = NumpyWords(), float(np.finfo(np.float32).max)
    assert words.literal(np.float32(0.1), DataType.FLOAT) == "0.1" and words.literal(0.1, DataType.DOUBLE) == "0.1"
    assert float(words.literal(-largest, DataType.FLOAT)) == -largest
    assert words.literal(np.float16(0.1), DataType.FLOAT16) == "0.0999755859375"
