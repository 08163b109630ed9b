"""PyTorch as a target: round trips, gradients, the suite of the onnx package, files that run by themselves."""

from __future__ import annotations

import copy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import onward
from onward.converters.builder import ModelBuilder
from onward.converters.targets import torch as page
from onward.errors import InvalidArgument, UnsupportedOperator
from onward.ir import Model, Tensor
from onward.ir.datatypes import DataType
from tests.converters.targets import suite
from tests.converters.targets.test_numpy import EXCLUDED as NUMPY_EXCLUDED
from tests.converters.targets.test_numpy import mlp

torch = pytest.importorskip("torch")
nn = torch.nn

EXCLUDED = {
    **NUMPY_EXCLUDED,
    r"test_(cast|castlike)_.*FLOAT4E2M1.*|test_(de)?quantizelinear_float4e2m1": "PyTorch has no elements of four bits",
    r"test_equal_string(_broadcast)?|test_ai_onnx_ml_label_encoder_(string|tensor).*": "tensors of text",
}
LEAST = 0.96
"""The share of all node tests that pass; it only grows."""


class Page:
    """The target for the suite: whole numbers of fewer than 8 bits stand in bytes."""

    @staticmethod
    def convert(model: Model, constants: Any) -> Any:
        return page.convert(model, constants), [value.dtype for value in model.graph.outputs]

    @staticmethod
    def call(made: Any, inputs: Any) -> tuple[Any, ...]:
        module, types = made
        narrow = [dtype is not None and dtype.bits < 8 for dtype in types]
        return tuple(item.astype(dtype.numpy) if few else item for item, dtype, few in zip(page.run(module, inputs), types, narrow))


def test_the_suite_of_the_onnx_package() -> None:
    failed, passed, total = suite.failures(Page, EXCLUDED, Page.call)
    assert not failed, "\n".join(failed)
    assert passed >= LEAST * total


# -- round trips -------------------------------------------------------------------------------------------------------------
class Recurrent(nn.Module):
    """An embedding, two recurrent layers in both directions, and norms; the embedding is read in two ways."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.embedding = nn.Embedding(11, 4)
        self.layers = getattr(nn, kind)(4, 3, 2, batch_first=True, bidirectional=True)
        self.norm = nn.LayerNorm(6)
        self.groups = nn.GroupNorm(2, 6)

    def forward(self, x: Any, state: Any) -> Any:
        y, last = self.layers(self.embedding(x), (state, state) if isinstance(self.layers, nn.LSTM) else state)
        return self.norm(y), self.groups(y.transpose(1, 2)), last[0] if isinstance(last, tuple) else last, self.embedding.weight.sum()


class Tied(nn.Module):
    """Tied weights, buffers of both kinds, a constant, a frozen and an unused parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(7, 4)
        self.unused = nn.Linear(2, 2)
        self.head = nn.Linear(4, 7, bias=False)
        self.head.weight = self.embedding.weight
        self.scale = nn.Parameter(torch.tensor(1.5))
        self.shift = nn.Parameter(torch.ones(4), requires_grad=False)
        self.register_buffer("offset", torch.arange(4.0))
        self.register_buffer("mask", torch.arange(40.0).reshape(10, 4), persistent=False)

    def forward(self, x: Any) -> Any:
        return self.head(self.embedding(x) * self.scale + self.shift + self.offset + self.mask[: x.shape[1]])


def convolutions() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1, stride=2), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 8, 3, groups=2, padding="same", bias=False), nn.PReLU(8),
        nn.MaxPool2d(2), nn.ConvTranspose2d(8, 6, 3, stride=2, padding=1, output_padding=1), nn.SiLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 5),
    )  # fmt: skip


ROUND_TRIPS: dict[str, tuple[Callable[[], nn.Module], Callable[[], tuple[Any, ...]]]] = {
    "convolutions": (convolutions, lambda: (torch.randn(2, 3, 16, 16),)),
    "encoder": (lambda: nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), 2), lambda: (torch.randn(2, 5, 8),)),
    "decoder": (lambda: nn.TransformerDecoderLayer(8, 2, 16, batch_first=True), lambda: (torch.randn(2, 5, 8), torch.randn(2, 4, 8))),
    "tied": (Tied, lambda: (torch.randint(0, 7, (2, 6)),)),
    "double": (lambda: nn.Sequential(nn.Linear(3, 4), nn.GELU(), nn.Linear(4, 2)).double(), lambda: (torch.randn(2, 3, dtype=torch.float64),)),
} | {kind: (lambda kind=kind: Recurrent(kind), lambda: (torch.randint(0, 11, (2, 7)), torch.randn(4, 2, 3))) for kind in ("LSTM", "GRU", "RNN")}


def tensors(results: Any) -> list[Any]:
    return [item for item in torch.utils._pytree.tree_leaves(results) if isinstance(item, torch.Tensor)]


def gradients(module: Any, arguments: Any) -> tuple[list[Any], dict[str, Any]]:
    """Results, and the gradients of all parameters of a weighted sum of them."""
    module.zero_grad()
    results = tensors(module(*arguments))
    random = torch.Generator().manual_seed(0)
    total = sum((item * torch.randn(item.shape, generator=random)).sum() for item in results if item.is_floating_point() and item.requires_grad)
    total.backward()
    return [item.detach() for item in results], {name: item.grad for name, item in module.named_parameters() if item.grad is not None}


def assert_same(module: Any, again: Any, arguments: Any) -> None:
    """The state, results to an ulp, gradients to 1e-6."""
    before, after = module.state_dict(), again.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert {name for name, _ in module.named_parameters()} == {name for name, _ in again.named_parameters()}
    assert {name: item.requires_grad for name, item in module.named_parameters()} == {name: item.requires_grad for name, item in again.named_parameters()}
    (results, slopes), (ours, found) = gradients(module, arguments), gradients(again, arguments)
    for one, other in zip(results, ours, strict=True):
        assert float((one - other).abs().max()) <= torch.finfo(one.dtype).eps * float(one.abs().max())
    assert slopes.keys() == found.keys()
    largest = max(float(item.abs().max()) for item in slopes.values())
    assert all(float((slopes[name] - found[name]).abs().max()) <= 1e-6 * largest for name in slopes)


@pytest.mark.parametrize("name", ROUND_TRIPS)
def test_there_and_back(name: str) -> None:
    make, inputs = ROUND_TRIPS[name]
    torch.manual_seed(0)
    module, arguments = make().eval(), inputs()
    again = onward.convert(module, arguments, to="torch")
    assert_same(module, again, arguments)


@pytest.mark.models
@pytest.mark.parametrize("name", ["Bert", "GPT2", "T5", "ResNet", "Whisper"])
def test_transformers_there_and_back(name: str) -> None:
    from tests.converters.torch.architectures import build

    module, keywords = build(name)
    model = onward.convert(module, keywords, verify=False)
    again = page.convert(model)
    order = [value.name for value in model.graph.inputs]

    class Plain(nn.Module):
        """The source with its inputs in order, and the parameters by their names."""

        def __init__(self) -> None:
            super().__init__()
            self.inner = module

        def forward(self, *arguments: Any) -> Any:
            return tensors(self.inner(**dict(zip(order, arguments))))

        def __getattr__(self, item: str) -> Any:
            return super().__getattr__(item)

        def state_dict(self, *args: Any, **options: Any) -> Any:
            return module.state_dict()

        def named_parameters(self, *args: Any, **options: Any) -> Any:
            return module.named_parameters(*args, **options)

    assert_same(Plain(), again, [keywords[item] for item in order])


class WrittenNorm(nn.Module):
    """As decoders of transformers write it; `shift` is what is added to the weight."""

    def __init__(self, shift: float) -> None:
        super().__init__()
        self.weight, self.shift = nn.Parameter(torch.ones(8)), shift

    def forward(self, x: Any) -> Any:
        y = x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6)
        return y * (self.weight + self.shift) if self.shift else self.weight * y


class DecoderLayer(nn.Module):
    """Attention of four heads, whose keys and values are two, to what is before; `turns` are made once for all layers."""

    def __init__(self, shift: float) -> None:
        super().__init__()
        self.norm = WrittenNorm(shift)
        self.query, self.pair, self.out = nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 8)

    def forward(self, x: Any, turns: Any, mask: Any) -> Any:
        y = self.norm(x)
        query = self.query(y).unflatten(2, (4, 2)).transpose(1, 2) * turns
        key, value = (item.unflatten(2, (2, 2)).transpose(1, 2).repeat_interleave(2, 1) for item in self.pair(y).chunk(2, 2))
        attention = nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        return x + self.out(attention.transpose(1, 2).flatten(2))


class Decoder(nn.Module):
    def __init__(self, shift: float) -> None:
        super().__init__()
        self.layers = nn.ModuleList(DecoderLayer(shift) for _ in range(3))
        self.norm = WrittenNorm(shift)

    def forward(self, x: Any) -> Any:
        places = torch.arange(x.shape[1], device=x.device)
        turns = torch.cos(places[:, None] * torch.tensor([1.0, 0.1]))
        mask = (places[None, None, None, :] <= places[None, None, :, None]).expand(x.shape[0], 1, -1, -1)
        for layer in self.layers:
            x = layer(x, turns, mask)
        return self.norm(x) * 1.0


@pytest.mark.parametrize("shift", [0.0, 1.0])
@pytest.mark.parametrize("sizes", [None, {}])
def test_what_decoders_write_out_is_recognised(shift: float, sizes: Any) -> None:
    """With weights of one, too, which are trained all the same; what is computed of sizes alone is an argument of the layers."""
    torch.manual_seed(0)
    module = Decoder(shift).eval()
    model = onward.convert(module, (torch.randn(2, 5, 8),), dynamic_shapes=sizes)
    text = page.source_of(model)[0]
    assert ("nn.RMSNorm(8, eps=1e-06)" if not shift else "F.rms_norm(x, (8,)") in text
    assert "is_causal=True, enable_gqa=True" in text and "attn_mask" not in text and "for layer in self.layers:" in text
    assert "* 1.0" not in text and "mean(" not in text and "0.1000" not in text
    again = onward.convert(model, to="torch")
    assert list(again.state_dict()) == list(module.state_dict())
    assert all(parameter.requires_grad for parameter in again.parameters())
    again(torch.randn(2, 5, 8)).sum().backward()
    assert all(parameter.grad is not None for parameter in again.parameters())


def test_layers_are_layers() -> None:
    torch.manual_seed(0)
    text = onward.convert(ROUND_TRIPS["encoder"][0]().eval(), (torch.randn(2, 5, 8),), to="torch-source")
    assert "nn.Sequential(*[" in text and "for _ in range(2)])" in text and "self.layers(src)" in text
    assert "self.linear1 = nn.Linear(8, 16)" in text and "F.scaled_dot_product_attention" in text
    assert text.count("class ") == 3
    lstm = onward.convert(Recurrent("LSTM").eval(), ROUND_TRIPS["LSTM"][1](), to="torch-source")
    assert "nn.LSTM(4, 3, num_layers=2, bidirectional=True)" in lstm


class Residual(nn.Module):
    def __init__(self, channels: int, inner: int, stride: int) -> None:
        super().__init__()
        self.reduce, self.expand = nn.Conv2d(channels, inner, 1), nn.Conv2d(inner, 2 * channels, 3, stride, padding=1)
        self.short = nn.Conv2d(channels, 2 * channels, 1, stride)

    def forward(self, x: Any) -> Any:
        return torch.relu(self.expand(torch.relu(self.reduce(x))) + self.short(x))


class Gated(nn.Module):
    def __init__(self, features: int, inner: int) -> None:
        super().__init__()
        self.gate, self.norm = nn.Linear(features, inner), nn.LayerNorm(inner)

    def forward(self, x: Any, gate: Any) -> Any:
        return torch.sigmoid(self.gate(x)) * self.norm(gate)


class Stages(nn.Module):
    """Blocks of several sizes: some one after another, some with a second argument, which the first block lacks."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([Residual(4, 3, 1), Residual(8, 4, 2), Residual(16, 4, 2)])
        self.gates = nn.ModuleList([Gated(32, 6), Gated(6, 6), Gated(6, 6), Gated(6, 6)])

    def forward(self, x: Any) -> Any:
        for block in self.blocks:
            x = block(x)
        x = x.mean((2, 3))
        gate = x[:, :6]
        for item in self.gates:
            x = item(x, gate)
        return x


class Classifier(nn.Module):
    """Lists of layers, activations and poolings, and dropout, which computes nothing here."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2), nn.Conv2d(4, 4, 3), nn.LeakyReLU(0.1))
        self.last = nn.Sigmoid()
        self.head = nn.Sequential(nn.Dropout(), nn.Linear(4, 5), nn.GELU(), nn.Dropout(), nn.Linear(5, 2))

    def forward(self, x: Any) -> Any:
        return self.last(self.head(self.features(x).mean((2, 3))))


def test_layers_without_weights_are_layers() -> None:
    """Also, the pictures that the proof begins with are too small for the poolings: it goes on with larger ones."""
    torch.manual_seed(0)
    module, x = Classifier().eval(), torch.randn(1, 3, 20, 20)
    model = onward.convert(module, (x,), verify=False)
    made = onward.convert(model, to="torch")
    assert isinstance(made.features, nn.Sequential) and isinstance(made.head, nn.Sequential) and isinstance(made.last, nn.Sigmoid)
    kinds = [type(item) for item in (*made.features, *made.head)]
    assert kinds == [nn.Conv2d, nn.ReLU, nn.MaxPool2d, nn.Conv2d, nn.LeakyReLU, nn.Identity, nn.Linear, nn.GELU, nn.Identity, nn.Linear]
    assert list(made.state_dict()) == list(module.state_dict()) and torch.equal(made(x), module(x))
    assert "self.features(x)" in onward.convert(model, to="torch-source", verify=False)


def test_classes_that_differ_in_sizes_are_one() -> None:
    """Its constructor takes them; blocks that are called one after another are a Sequential, those with more arguments a loop."""
    torch.manual_seed(0)
    module, x = Stages().eval(), torch.randn(2, 4, 9, 8)
    text = onward.convert(module, (x,), to="torch-source")
    assert [line for line in text.splitlines() if line.startswith("class ")] == [f"class {name}(nn.Module):" for name in ("Residual", "Gated", "Model")]
    assert "def __init__(self, in_channels, hidden_channels, out_channels, stride):" in text and "def __init__(self, in_features):" in text
    assert "nn.Sequential(Residual(4, 3, 8, 1), Residual(8, 4, 16, 2), Residual(16, 4, 32, 2))" in text and "self.blocks(x)" in text
    assert "nn.ModuleList([Gated(32), *[Gated(6) for _ in range(3)]])" in text and "for layer in self.gates:" in text
    made = onward.convert(module, (x,), to="torch")
    assert_same(module, made, (x,))


def test_files_of_other_exporters() -> None:
    """Scopes are read from the names of nodes; weights that were transposed for the file stand as layers want them."""
    module = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 8), nn.LayerNorm(8)).eval()
    b = ModelBuilder("other")
    x = b.input("x", DataType.FLOAT, ["batch", "steps", 4])
    for place, bias in ((0, True), (2, False)):
        weight = module[place].weight.detach().numpy()
        x = b.op("MatMul", x, b.constant(np.ascontiguousarray(weight.T), f"onnx::MatMul_{place}"))
        x = b.op("Add", x, b.constant(module[place].bias.detach().numpy(), f"block{place}.fc.bias")) if bias else x
        x = b.op("Relu", x) if place == 0 else x
    x.producer.name = "/head/MatMul"
    b.output(x, "y")
    made = onward.convert(b.model(), to="torch")
    assert set(made.state_dict()) == {"block0.fc.weight", "block0.fc.bias", "head.weight"}
    assert isinstance(made.block0.fc, nn.Linear) and made.head.weight.requires_grad
    given = torch.randn(2, 3, 4)
    with torch.no_grad():
        expected = module[1](module[0](given)) @ module[2].weight.T
    torch.testing.assert_close(made(given), expected)


def test_what_was_computed_once_for_all_blocks_is_their_argument() -> None:
    """Exporters compute a mask in the first block alone, and leave nodes of their own without a scope."""
    b = ModelBuilder("blocks")
    x, mask = b.input("x", DataType.FLOAT, ["batch", 4]), b.input("mask", DataType.BOOL, ["batch", 4])
    far = b.op("Constant", value=Tensor.of(np.array([-10], np.float32)))
    hidden = b.op("Where", mask, b.op("Constant", value=Tensor.of(np.array([0], np.float32))), far)
    hidden.producer.name = "/blocks.0/Where"
    weights = np.random.default_rng(0).standard_normal((3, 4)).astype(np.float32)
    for place, weight in enumerate(weights):
        x = b.op("Mul", x, b.constant(weight, f"blocks.{place}.scale"))
        x.producer.name = f"/blocks.{place}/Mul"
        x = b.op("Add", x, hidden)
        x.producer.name = f"/blocks.{place}/Add"
        left, right = b.op("Split", x, num_outputs=2, axis=1, outputs=2)
        left.producer.name = "node_Split"
        x = b.op("Concat", right, left, axis=1)
        x.producer.name = f"/blocks.{place}/Concat"
    b.output(x, "y")
    text = onward.convert(b.model(), to="torch-source")
    assert text.count("class ") == 2 and "nn.ModuleList([Blocks() for _ in range(3)])" in text and "for layer in self.blocks:" in text
    made = onward.convert(b.model(), to="torch")
    assert list(made.state_dict()) == ["blocks.0.scale", "blocks.1.scale", "blocks.2.scale"]


class Block(nn.Module):
    """What older exporters write out: a norm, GELU and attention by products."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(8)
        self.query, self.key, self.value, self.out = (nn.Linear(8, 8) for _ in range(4))

    def forward(self, x: Any) -> Any:
        y = self.norm(x)
        query, key, value = (layer(y).unflatten(2, (2, 4)).transpose(1, 2) for layer in (self.query, self.key, self.value))
        scores = torch.softmax(query @ key.transpose(2, 3) / 2, -1)
        return x + torch.nn.functional.gelu(self.out((scores @ value).transpose(1, 2).flatten(2)))


def test_what_older_exporters_write_out_is_recognised(tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = nn.Sequential(*(Block() for _ in range(3))).eval()
    for parameter in module.parameters():
        parameter.data.normal_()
    x = torch.randn(2, 5, 8)
    torch.onnx.export(module, (x,), tmp_path / "m.onnx", dynamo=False, opset_version=16, input_names=["x"], dynamic_axes={"x": {0: "batch"}})
    text = onward.convert(tmp_path / "m.onnx", to="torch-source")
    assert "nn.LayerNorm(8)" in text and "F.gelu" in text and "F.scaled_dot_product_attention" in text
    made = onward.convert(tmp_path / "m.onnx", to="torch")
    expected = module.state_dict()
    assert made.state_dict().keys() == expected.keys()
    assert all(torch.equal(made.state_dict()[name], expected[name]) for name in expected)
    torch.testing.assert_close(made(x), module(x))


# -- what PyTorch does with modules ------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def small() -> tuple[Any, Any, Any]:
    torch.manual_seed(0)
    module, arguments = convolutions().eval(), (torch.randn(2, 3, 16, 16),)
    return module, onward.convert(module, arguments, to="torch"), arguments


def test_other_types(small: Any) -> None:
    module, made, arguments = small
    wide = copy.deepcopy(made).double()
    torch.testing.assert_close(wide(arguments[0].double()), copy.deepcopy(module).double()(arguments[0].double()))
    assert copy.deepcopy(made).to(torch.bfloat16)(arguments[0].bfloat16()).dtype is torch.bfloat16
    assert copy.deepcopy(made).to("meta")(arguments[0].to("meta")).shape == (2, 5)


def test_tensors_that_are_made_follow_the_model() -> None:
    module = ROUND_TRIPS["tied"][0]().eval()
    made = onward.convert(module, (torch.randint(0, 7, (2, 6)),), to="torch")
    assert copy.deepcopy(made).half()(torch.randint(0, 7, (1, 3))).dtype is torch.float16
    assert made.to("meta")(torch.randint(0, 7, (1, 3), device="meta")).is_meta


def test_compiled_and_exported(small: Any) -> None:
    _, made, arguments = small
    expected = made(*arguments)
    torch.testing.assert_close(torch.compile(made, fullgraph=True, backend="aot_eager")(*arguments), expected)
    batch = torch.export.Dim("batch")
    exported = torch.export.export(made, arguments, dynamic_shapes=({0: batch},))
    torch.testing.assert_close(exported.module()(*arguments), expected)


def test_training_changes_the_model(small: Any) -> None:
    made, arguments = copy.deepcopy(small[1]).train(), small[2]
    optimizer = torch.optim.SGD(made.parameters(), 0.1)
    losses = []
    for _ in range(5):
        optimizer.zero_grad()
        loss = (made(*arguments) - 1).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(float(loss))
    assert losses[-1] < losses[0]


def test_a_folder_runs_without_onward(tmp_path: Path, small: Any) -> None:
    module, _, arguments = small
    onward.convert(module, arguments, to="torch-source", output=tmp_path / "package")
    torch.save((arguments[0], module(*arguments)), tmp_path / "data.pt")
    assert {item.name for item in (tmp_path / "package").iterdir()} == {"model.py", "weights.safetensors", "certificate.json"}
    program = (
        "import sys; sys.modules['onward'] = None; import torch, model; x, y = torch.load('../data.pt'); m = model.load(); torch.testing.assert_close(m(x), y); "
        "torch.save(m.state_dict(), '../s.pt'); n = model.Model().eval(); n.load_state_dict(torch.load('../s.pt')); torch.testing.assert_close(n(x), y)"
    )
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path / "package", check=True)


def test_the_command(tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from onward.cli import converting  # noqa: F401 (it registers its commands)
    from onward.cli.commands import app

    model = mlp()
    onward.save(model, tmp_path / "m.onnx")
    for target, output in (("torch", "m.pt2"), ("torch-source", "folder")):
        result = CliRunner().invoke(app, ["convert", str(tmp_path / "m.onnx"), "--to", target, "-o", str(tmp_path / output)])
        assert result.exit_code == 0, result.output
    x = np.random.default_rng(0).standard_normal((9, 5)).astype(np.float32)
    (expected,) = onward.InferenceSession(model.to_bytes()).run(None, {"x": x})
    found = torch.export.load(str(tmp_path / "m.pt2")).module()(torch.tensor(x))
    np.testing.assert_allclose(found.detach().numpy(), expected, rtol=1e-5, atol=1e-7)
    assert (tmp_path / "folder" / "model.py").is_file()
    with pytest.raises(InvalidArgument, match="torch-source"):
        onward.convert(model, to="torch", output=tmp_path / "m.onnx")


# -- other models ------------------------------------------------------------------------------------------------------------
def test_loops_are_loops() -> None:
    b = ModelBuilder("loop")
    count, x = b.input("count", DataType.INT64, []), b.input("x", DataType.FLOAT, ["n"])
    with b.inner_graph("step") as inner:
        for name, dtype, shape in (("turn", DataType.INT64, ()), ("go", DataType.BOOL, ()), ("state", DataType.FLOAT, ("n",))):
            inner.inputs.append(inner.new_value(onward.ir.TensorType(dtype, shape), name))
        inner.outputs += [b.op("Identity", inner.inputs[1]), b.op("Relu", b.op("Sub", inner.inputs[2], b.constant(np.float32(0.5))))]
    b.output(b.op("Loop", count, None, x, body=inner), "y")
    made = onward.convert(b.model(), to="torch")
    given = torch.tensor([3.0, 0.7], requires_grad=True)
    result = made(torch.tensor(3), given)
    torch.testing.assert_close(result, torch.tensor([1.5, 0.0]))
    result.sum().backward()
    assert given.grad.tolist() == [1, 0]


def quantized_network() -> Model:
    """A convolution with a scale for each filter and a product with one, with 8 bits between them; weights and biases are whole numbers."""
    random = np.random.default_rng(0)
    b = ModelBuilder("quantized")

    def steps(value: Any, scale: float, zero: int) -> Any:
        parameters = b.constant(np.float32(scale)), b.constant(np.int8(zero))
        return b.op("DequantizeLinear", b.op("QuantizeLinear", value, *parameters), *parameters)

    def weight(name: str, shape: tuple[int, ...], scale: Any, axis: int) -> Any:
        data = b.constant(random.integers(-128, 128, shape).astype(np.int8), f"{name}_quantized")
        zero = b.constant(np.zeros(np.shape(scale), np.int8), f"{name}_zero_point")
        return b.op("DequantizeLinear", data, b.constant(np.float32(scale), f"{name}_scale"), zero, axis=axis)

    x = steps(b.input("x", DataType.FLOAT, ["batch", 3, 6, 6]), 0.03, 4)
    bias = b.op(
        "DequantizeLinear", b.constant(random.integers(-900, 900, 4).astype(np.int32), "conv.bias_quantized"), b.constant(np.full(4, 1e-4, np.float32)), axis=0
    )
    y = b.op("Conv", x, weight("conv.weight", (4, 3, 3, 3), [0.01, 0.02, 0.005, 0.01], 0), bias)
    y = steps(b.op("ReduceMean", b.op("Relu", y), b.constant(np.array([2, 3])), keepdims=0), 0.01, -128)
    b.output(steps(b.op("Gemm", y, weight("fc.weight", (5, 4), 0.02, 0), transB=1), 0.02, 0), "y")
    return b.model()


def test_quantised_models_are_trained_as_floats(tmp_path: Path) -> None:
    """The numbers are those of onnxruntime, and gradients are those of PyTorch's own quantisation in training."""
    import onnxruntime

    model = quantized_network()
    made = onward.convert(model, to="torch")
    x = torch.randn(2, 3, 6, 6, requires_grad=True)
    (expected,) = onnxruntime.InferenceSession(model.to_bytes()).run(None, {"x": x.detach().numpy()})
    result = made(x)
    assert float((result - torch.tensor(expected)).abs().max()) <= 0.021  # one step, where a sum in another order is rounded the other way
    assert float((result - torch.tensor(expected)).abs().mean()) < 1e-3
    assert {name for name, _ in made.named_parameters()} == {"conv.weight", "conv.bias", "fc.weight"}
    assert {"conv.weight_scale", "conv.weight_zero_point"} <= made.state_dict().keys()

    state = {name: item.detach().clone().requires_grad_() for name, item in made.named_parameters()}
    fake, each = torch.fake_quantize_per_tensor_affine, torch.fake_quantize_per_channel_affine
    filters = each(state["conv.weight"], made.conv.weight_scale, torch.zeros(4, dtype=torch.int32), 0, -128, 127)
    hidden = torch.relu(torch.nn.functional.conv2d(fake(x, 0.03, 4, -128, 127), filters, state["conv.bias"])).mean((2, 3))
    again = fake(fake(hidden, 0.01, -128, -128, 127) @ fake(state["fc.weight"], 0.02, 0, -128, 127).T, 0.02, 0, -128, 127)
    torch.testing.assert_close(result, again)
    slopes = torch.autograd.grad(again.square().sum(), [x, *state.values()])
    result.square().sum().backward()
    for one, other in zip([x, *made.parameters()], slopes):
        assert float(other.abs().max()) > 0
        torch.testing.assert_close(one.grad, other)


def test_what_is_changed_keeps_its_name() -> None:
    """An activation of a variable, and its product or sum with a weight: its memory is free for what comes next."""
    random = np.random.default_rng(0)
    b = ModelBuilder("scaled")
    x = b.op("Conv", b.input("x", DataType.FLOAT, ["n", 3, 6, 6]), b.constant(random.standard_normal((4, 3, 3, 3)).astype(np.float32), "conv.weight"))
    scale, shift = (b.constant(random.standard_normal((4, 1, 1)).astype(np.float32), name) for name in ("scale", "shift"))
    b.output(b.op("Softmax", b.op("Relu", b.op("Add", b.op("Mul", x, scale), shift)), axis=1), "y")
    text = page.source_of(b.model())[0]
    lines = ("conv = self.conv(x)", "conv = conv * self.scale", "conv = conv + self.shift", "conv = F.relu(conv)", "return F.softmax(conv, dim=1)")
    assert "".join(f"        {line}\n" for line in lines) in text


def test_everything_that_is_missing_is_named(tmp_path: Path) -> None:
    b = ModelBuilder("text")
    x = b.input("x", DataType.STRING, ["n"])
    b.output(b.op("StringConcat", x, x), "y")
    b.output(b.op("RegexFullMatch", x, pattern="a"), "z")
    with pytest.raises(UnsupportedOperator, match="RegexFullMatch.*StringConcat"):
        onward.convert(b.model(), to="torch", output=tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with pytest.raises(InvalidArgument, match="torch, torch-source"):
        onward.convert(b.model(), to="pytorch")


@pytest.mark.parametrize("said", ["{", "[]", '{"parameters": [1]}', '{"others": []}', '{"tied": [["a"]]}'])
def test_what_a_file_says_of_a_state_that_is_none(said: str) -> None:
    module, x = nn.Linear(3, 2), torch.randn(2, 3)
    model = onward.convert(module, (x,))
    model.metadata["onward.state"] = said
    torch.testing.assert_close(onward.convert(model, to="torch")(x), module(x))
