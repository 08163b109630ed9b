"""JAX as a target: transformations, parameters, round trips, the suite of the onnx package."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads
from onnx import parser
from typer.testing import CliRunner

import onward
from onward.cli import converting  # noqa: F401 (it registers its commands)
from onward.cli.commands import app
from onward.converters.builder import ModelBuilder
from onward.converters.targets import jax as page
from onward.errors import UnsupportedOperator
from onward.ir import Model, as_model
from onward.ir.datatypes import DataType
from tests.converters.jax import test_modules as flax
from tests.converters.targets import jax_suite
from tests.converters.targets.test_numpy import mlp

LEAST = 0.97
"""The share of the node tests of CI that pass; it only grows."""

random = np.random.default_rng(4)


def real(*shape: int) -> np.ndarray:
    return random.standard_normal(shape).astype(np.float32)


def convolutional() -> Model:
    b = ModelBuilder("convolutions")
    x = b.input("x", DataType.FLOAT, ["batch", 3, "height", 12])
    weights = [b.constant(real(*shape) / 5, f"layers.{place}.weight") for place, shape in enumerate(((8, 3, 3, 3), (8, 4, 3, 2), (8, 3, 2, 2)))]
    y = b.op("Relu", b.op("Conv", x, weights[0], b.constant(real(8), "layers.0.bias"), pads=[1, 1, 1, 1], strides=[2, 1]))
    y = b.op("MaxPool", b.op("Conv", y, weights[1], group=2, pads=[2, 0, 2, 0], dilations=[2, 1]), kernel_shape=[2, 3], strides=[1, 2])
    y = b.op("AveragePool", b.op("ConvTranspose", y, weights[2], strides=[2, 1]), kernel_shape=[2, 2], pads=[1, 0, 0, 1])
    b.output(b.op("GlobalAveragePool", y), "y")
    return b.model()


def recurrent() -> Model:
    """An LSTM over any number of steps, and a loop that the data ends."""
    b = ModelBuilder("recurrence")
    x = b.input("x", DataType.FLOAT, ["steps", "batch", 4])
    weight, state = (b.constant(real(2, 20, columns), f"lstm.{name}") for name, columns in (("input", 4), ("hidden", 5)))
    y, last, _ = b.op("LSTM", x, weight, state, outputs=3, hidden_size=5, direction="bidirectional")
    b.output(y, "y")
    b.output(last, "last")
    return b.model()


def branching() -> Model:
    text = """
        <ir_version: 10, opset_import: ["" : 21]>
        branching (float[n] x) => (float[n] y) <float[1] scale = {3}> {
            total = ReduceSum<keepdims=0>(x)
            zero = Constant<value=float {0}>()
            positive = Greater(total, zero)
            y = If(positive) <
                then_branch = then () => (float[n] a) { a = Mul(x, scale) },
                else_branch = otherwise () => (float[n] b) { e = Exp(x) b = Sub(e, scale) }>
        }"""
    return as_model(parser.parse_model(text))


def counting() -> Model:
    """Doubles until the sum is large: the number of turns is a matter of the data."""
    text = """
        <ir_version: 10, opset_import: ["" : 21]>
        counting (float[n] x) => (float[n] y) {
            most = Constant<value=int64 {12}>()
            yes = Constant<value=bool {1}>()
            y = Loop(most, yes, x) <body = turn (int64 i, bool c, float[n] s) => (bool d, float[n] t) {
                t = Add(s, s)
                total = ReduceSum<keepdims=0>(t)
                limit = Constant<value=float {100}>()
                d = Less(total, limit) }>
        }"""
    return as_model(parser.parse_model(text))


def outputs_of(model: Model, *inputs: np.ndarray) -> list[np.ndarray]:
    return onward.InferenceSession(model.to_bytes()).run(None, dict(zip([value.name for value in model.graph.inputs], inputs)))


@pytest.mark.models
def test_the_suite_of_the_onnx_package() -> None:
    """Every twelfth test. The whole takes five minutes: `python -m tests.converters.targets.jax_suite 1`."""
    failed, passed, total = jax_suite.run(12)
    assert not failed, "\n".join(failed)
    assert passed >= LEAST * total


@pytest.mark.parametrize(
    "make, inputs",
    [(mlp, real(7, 5)), (convolutional, real(2, 3, 9, 12)), (recurrent, real(30, 3, 4)), (branching, real(6)), (counting, abs(real(6)))],
    ids=["mlp", "convolutional", "recurrent", "branching", "counting"],
)
def test_transformations(make: Any, inputs: np.ndarray) -> None:
    """jit gives what Onward's runtime gives, gradients agree with differences, vmap with a loop."""
    model = make()
    f = page.convert(model)
    compiled = jax.jit(f)
    expected = outputs_of(model, inputs)
    for ours, theirs in zip(jax.tree.leaves(compiled(inputs)), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=2e-5 * np.abs(theirs).max())

    step = 2e-4  # so small that few maxima change their places
    check_grads(lambda *arguments: jax.tree.leaves(jax.jit(f.function)(*arguments)), (f.parameters, inputs), 1, ["rev"], 2e-2, 2e-2, step)
    batch = np.stack([inputs, inputs[::-1], inputs / 2])
    together = jax.vmap(f)(batch)
    for place, item in enumerate(batch):
        for ours, theirs in zip(jax.tree.leaves(together), jax.tree.leaves(compiled(item)), strict=True):
            np.testing.assert_allclose(ours[place], theirs, rtol=1e-4, atol=1e-4 * np.abs(theirs).max())


def test_parameters_are_a_tree_of_the_model_s_names() -> None:
    f = onward.convert(convolutional(), to="jax", verify=False)
    assert jax.tree.map(jnp.shape, f.parameters) == {
        "layers": {"0": {"weight": (3, 3, 3, 8), "bias": (8,)}, "1": {"weight": (3, 2, 4, 8)}, "2": {"weight": (2, 2, 3, 8)}}
    }
    assert jax.tree.structure(jax.grad(lambda model: model(real(1, 3, 9, 12)).sum())(f)) == jax.tree.structure(f)


def test_what_is_not_trained_is_no_parameter() -> None:
    b = ModelBuilder("places")
    x = b.input("x", DataType.FLOAT, ["n", 4])
    y = b.op("Gather", x, b.constant(random.integers(0, 4, 20), "table.places"), axis=1)
    scale, bias, mean, variance = (b.constant(abs(real(20)), f"norm.{name}") for name in ("scale", "bias", "mean", "variance"))
    b.output(b.op("BatchNormalization", y, scale, bias, mean, variance), "y")
    f = onward.convert(b.model(), to="jax")
    assert jax.tree.map(jnp.shape, f.parameters) == {"norm": {"scale": (20,), "bias": (20,)}}
    assert jax.jit(f)(real(2, 4)).shape == (2, 20)


def test_the_source_has_the_library_s_own_words() -> None:
    text = onward.convert(convolutional(), to="jax-source", verify=False).split("def model")[1]
    for word in ("jax.lax.conv_general_dilated(", "jax.nn.relu(", "jax.lax.reduce_window(", "average_pool(", "parameters['layers']['0']['weight']"):
        assert word in text


@pytest.mark.parametrize(
    "word, kernel, group, options",
    [
        ("depthwise_convolution(", (6, 1, 3, 3), 6, {"pads": [1, 0, 2, 1], "strides": [2, 1]}),
        ("depthwise_convolution(", (6, 1, 2, 5), 6, {"auto_pad": "SAME_LOWER", "dilations": [2, 1]}),
        ("depthwise_convolution(", (6, 1, 3), 6, {"strides": [3]}),
        ("[:, ::2, ::3] @ ", (4, 6, 1, 1), 1, {"strides": [2, 3]}),
        ("grouped_product(", (9, 2, 1, 1), 3, {}),
        ("conv_general_dilated(", (12, 1, 3, 3), 6, {}),
        ("conv_general_dilated(", (4, 6, 1, 1), 1, {"pads": [1, 1, 0, 0]}),
    ],
)
def test_convolutions_that_are_sums_of_windows_or_products(word: str, kernel: tuple[int, ...], group: int, options: dict[str, Any]) -> None:
    """With any sizes, under jit, and with their gradients."""
    b = ModelBuilder("convolution")
    x = b.input("x", DataType.FLOAT, ["n", 6, *["h", "w"][: len(kernel) - 2]])
    b.output(b.op("Conv", x, b.constant(real(*kernel), "w"), b.constant(real(kernel[0]), "b"), group=group, **options), "y")
    model = b.model()
    assert word in page.source_of(model)[0].split("def model")[1]
    f = page.convert(model)
    for sizes in ((11, 9), (5, 7)):
        data = real(2, 6, *sizes[: len(kernel) - 2])
        np.testing.assert_allclose(jax.jit(f)(data), outputs_of(model, data)[0], atol=2e-5)
    check_grads(lambda w: f.function({**f.parameters, "w": w}, data), (f.parameters["w"],), order=1, modes=["rev"], atol=0.05, rtol=0.05)


def test_shuffled_channels_are_groups_side_by_side() -> None:
    """In place of a transposition, between two convolutions."""
    b = ModelBuilder("shuffle")
    x = b.input("x", DataType.FLOAT, [2, 6, 4, 4])
    y = b.op("Conv", x, b.constant(real(6, 6, 1, 1), "v"))
    apart = b.op("Reshape", y, b.constant(np.array([2, 3, 2, 4, 4]), "apart"))
    turned = b.op("Transpose", apart, perm=[0, 2, 1, 3, 4])
    y = b.op("Reshape", turned, b.constant(np.array([2, 6, 4, 4]), "together"))
    b.output(b.op("Conv", y, b.constant(real(6, 2, 1, 1), "w"), group=3), "y")
    model = b.model()
    assert "channel_shuffle(" in page.source_of(model)[0].split("def model")[1]
    data = real(2, 6, 4, 4)
    np.testing.assert_allclose(jax.jit(page.convert(model))(data), outputs_of(model, data)[0], atol=2e-5)


def test_a_folder_runs_without_onward(tmp_path: Path) -> None:
    model, x = convolutional(), real(2, 3, 9, 12)
    result = CliRunner().invoke(app, ["convert", str(_saved(model, tmp_path)), "--to", "jax-source", "-o", str(tmp_path / "package")])
    assert result.exit_code == 0, result.output
    np.save(tmp_path / "x.npy", x)
    program = "import sys; sys.modules['onward'] = None; import numpy as np, model; np.save('../y.npy', model.load()(np.load('../x.npy')))"
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path / "package", check=True)
    np.testing.assert_allclose(np.load(tmp_path / "y.npy"), outputs_of(model, x)[0], atol=1e-5)


def _saved(model: Model, folder: Path) -> Path:
    onward.save(model, folder / "m.onnx")
    return folder / "m.onnx"


@pytest.mark.parametrize("make, inputs", [(convolutional, real(3, 3, 14, 12)), (recurrent, real(40, 2, 4))])
def test_the_exported_function_takes_any_size(make: Any, inputs: np.ndarray, tmp_path: Path) -> None:
    model = make()
    f = onward.convert(model, to="jax", output=tmp_path, verify=False)
    exported = jax.export.deserialize((tmp_path / "model.stablehlo").read_bytes())
    for ours, theirs in zip(jax.tree.leaves(exported.call(f.parameters, inputs)), outputs_of(model, inputs), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=2e-5 * np.abs(theirs).max())


def test_numbers_of_64_bits(tmp_path: Path) -> None:
    """Whole numbers are shortened as JAX does by default; a model of float64 asks for the setting that keeps them."""
    b = ModelBuilder("lookup")
    tokens = b.input("tokens", DataType.INT64, ["n"])
    b.output(b.op("Gather", b.constant(real(10, 3), "embedding"), tokens), "y")
    b.output(b.op("Add", tokens, tokens), "twice")
    f = onward.convert(b.model(), to="jax")
    y, twice = jax.jit(f)(np.array([1, 9]))
    np.testing.assert_array_equal(y, f.parameters["embedding"][jnp.array([1, 9])])
    assert twice.tolist() == [2, 18]
    b = ModelBuilder("turns")  # the number of turns has a limit that 32 bits do not hold
    x, turns = b.input("x", DataType.FLOAT, ["n"]), b.input("turns", DataType.INT64, [])
    with b.inner_graph("body") as body:
        inner = [b.input("i", DataType.INT64, []), b.input("go", DataType.BOOL, []), b.input("state", DataType.FLOAT, ["n"])]
        body.outputs += [b.op("Identity", inner[1]), b.op("Add", inner[2], inner[2])]
    b.output(b.op("Loop", turns, None, x, body=body), "y")
    f = onward.convert(b.model(), to="jax", output=tmp_path)
    assert jax.jit(f)(np.ones(2, np.float32), np.array(3)).tolist() == [8, 8] and (tmp_path / "model.stablehlo").is_file()
    b = ModelBuilder("double")
    x = b.input("x", DataType.DOUBLE, ["n"])
    b.output(b.op("Mul", x, b.constant(np.array([1 / 3]), "third")), "y")
    f = onward.convert(b.model(), to="jax")
    with pytest.raises(RuntimeError, match="jax_enable_x64"):
        f(np.ones(2))
    with jax.enable_x64(True):
        assert f(np.ones(2)).tolist() == [1 / 3, 1 / 3]


def test_small_types_are_kept_in_files(tmp_path: Path) -> None:
    b = ModelBuilder("small")
    x = b.input("x", DataType.BFLOAT16, ["n", 5])
    b.output(b.op("MatMul", x, b.constant(real(5, 3).astype(DataType.BFLOAT16.numpy), "w")), "y")
    f = onward.convert(b.model(), to="jax", output=tmp_path)
    names: dict[str, Any] = {"__file__": str(tmp_path / "model.py"), "__name__": "model"}
    exec((tmp_path / "model.py").read_text(), names)
    again = names["load"]()
    assert again.parameters["w"].dtype == f.parameters["w"].dtype == jnp.bfloat16
    x = real(2, 5).astype(DataType.BFLOAT16.numpy)
    np.testing.assert_array_equal(again(x), f(x))


@pytest.mark.parametrize(
    "make, inputs",
    [
        (flax.Perceptron, real(4, 3)), (flax.Convolutions, real(2, 8, 8, 3)), (flax.Tied, np.array([[1, 4, 7], [0, 19, 3]], np.int32)),
        (flax.Recurrent, real(2, 20, 3)),
    ],
)  # fmt: skip
def test_there_and_back(make: Any, inputs: np.ndarray) -> None:
    """A module of Flax, its ONNX model, and JAX again: the same function, and parameters of the same names and values."""
    module = make(flax.nnx.Rngs(0))
    module.eval()
    back = onward.convert(module, (inputs,), to="jax", verify=False)
    np.testing.assert_allclose(back(inputs), module(inputs), atol=2e-6)
    names = {".".join(map(str, path)): value for path, value in flax.nnx.to_flat_state(flax.nnx.state(module, flax.nnx.Param))}
    found = {".".join(part.key for part in path): value for path, value in jax.tree_util.tree_leaves_with_path(back.parameters)}
    same = [name for name, value in names.items() if name in found and np.array_equal(value[...], found[name])]
    assert same and len(same) >= len(names) - SHARED.get(make, 0)


SHARED: dict[Any, int] = {}
"""Modules -> how many of their parameters go into one weight of the ONNX model."""


def test_models_of_pytorch() -> None:
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    module = torch.nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval()
    x = torch.randn(2, 5, 8)
    f = onward.convert(module, (x,), to="jax")
    np.testing.assert_allclose(jax.jit(f)(x.numpy()), module(x).detach().numpy(), atol=1e-5)


def test_gradients_are_those_of_pytorch() -> None:
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    module = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3, padding=1), torch.nn.BatchNorm2d(8), torch.nn.ReLU(), torch.nn.MaxPool2d(2), torch.nn.Conv2d(8, 4, 3, groups=2),
        torch.nn.GELU(), torch.nn.Flatten(), torch.nn.Linear(36, 5),
    ).eval()  # fmt: skip
    x = torch.randn(2, 3, 10, 10)
    f = page.convert(onward.convert(module, (x,)))
    gradients = jax.grad(lambda parameters: jnp.sum(f.function(parameters, x.numpy()) ** 2))(f.parameters)
    module(x).pow(2).sum().backward()
    for name, parameter in module.named_parameters():
        place = gradients
        for part in name.split("."):
            place = place[part]
        place = place.transpose(3, 2, 0, 1) if place.ndim == 4 else place  # kernels are in JAX's order
        np.testing.assert_allclose(place, parameter.grad, atol=1e-5 * parameter.grad.abs().max().item(), err_msg=name)


def test_everything_that_is_missing_is_named() -> None:
    b = ModelBuilder("text")
    x = b.input("x", DataType.STRING, ["n"])
    b.output(b.op("Equal", x, x), "same")
    b.output(b.op("RegexFullMatch", x, pattern="a"), "z")
    with pytest.raises(UnsupportedOperator, match="RegexFullMatch.*string"):
        onward.convert(b.model(), to="jax")
