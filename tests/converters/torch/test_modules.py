"""Modules of PyTorch: names, open sizes, control flow, what is refused; onnxruntime is asked besides."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn
from torch._higher_order_ops.map import map as map_of
from torch._higher_order_ops.scan import scan

import onward
from onward.converters.certificate import Certificate
from onward.converters.torch.registry import OPERATORS, operator
from onward.errors import ConversionError, ConversionMismatch, FormatError, InvalidArgument, UnsupportedOperator


class Function(nn.Module):
    def __init__(self, function: Any) -> None:
        super().__init__()
        self.function = function

    def forward(self, *tensors: torch.Tensor) -> Any:
        return self.function(*tensors)


def check(module: nn.Module, *arguments: torch.Tensor, **options: Any) -> onward.Model:
    """Converts, which compares with PyTorch, and compares with onnxruntime besides."""
    model = onward.convert(module, arguments, **options)
    names = [value.name for value in model.graph.inputs]
    feeds = dict(zip(names, [item.numpy() for item in arguments], strict=True))
    ours = onward.InferenceSession(model).run(None, feeds)
    theirs = onnxruntime.InferenceSession(model.to_bytes()).run(None, feeds)
    for left, right in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-4, atol=1e-5)
    return model


def shapes(model: onward.Model) -> list[str]:
    return [str(value.shape) for value in model.graph.inputs]


LAYERS: dict[str, tuple[Any, tuple[int, ...]]] = {
    "Linear": (nn.Linear(4, 3), (2, 4)), "Bilinear of one": (nn.Linear(4, 3, bias=False), (2, 5, 4)),
    "Conv1d": (nn.Conv1d(3, 4, 3, stride=2), (2, 3, 9)), "Conv2d": (nn.Conv2d(3, 4, 3, padding="same", dilation=2), (2, 3, 9, 8)),
    "Conv2d groups": (nn.Conv2d(4, 4, 3, groups=4), (2, 4, 9, 8)), "Conv3d": (nn.Conv3d(2, 3, 2), (1, 2, 4, 5, 6)),
    "ConvTranspose2d": (nn.ConvTranspose2d(3, 4, 3, stride=2, output_padding=1), (2, 3, 5, 4)),
    "BatchNorm1d": (nn.BatchNorm1d(4), (3, 4)), "BatchNorm2d": (nn.BatchNorm2d(3), (2, 3, 4, 5)),
    "GroupNorm": (nn.GroupNorm(2, 4), (2, 4, 5)), "InstanceNorm2d": (nn.InstanceNorm2d(3, affine=True), (2, 3, 5, 6)),
    "LayerNorm": (nn.LayerNorm([3, 4]), (2, 3, 4)), "RMSNorm": (nn.RMSNorm(4), (2, 3, 4)),
    "LocalResponseNorm": (nn.LocalResponseNorm(2), (2, 4, 5, 5)), "MaxPool2d": (nn.MaxPool2d(3, 2, 1, ceil_mode=True), (2, 3, 8, 9)),
    "MaxPool with indices": (nn.MaxPool2d(2, return_indices=True), (2, 3, 8, 8)), "AvgPool2d": (nn.AvgPool2d(3, 2, 1), (2, 3, 8, 9)),
    "AdaptiveAvgPool2d": (nn.AdaptiveAvgPool2d((3, 2)), (2, 3, 8, 7)), "AdaptiveMaxPool1d": (nn.AdaptiveMaxPool1d(3), (2, 3, 8)),
    "LPPool1d": (nn.LPPool1d(2, 3), (2, 3, 9)), "Upsample nearest": (nn.Upsample(scale_factor=2), (1, 2, 3, 4)),
    "Upsample bilinear": (nn.Upsample(scale_factor=1.5, mode="bilinear"), (1, 2, 4, 6)),
    "PixelShuffle": (nn.PixelShuffle(2), (2, 8, 3, 4)), "PixelUnshuffle": (nn.PixelUnshuffle(2), (2, 2, 4, 6)),
    "Fold": (nn.Fold((4, 5), (2, 2)), (2, 8, 12)), "Unfold": (nn.Unfold((2, 3), stride=2), (2, 3, 6, 7)),
    "ReflectionPad2d": (nn.ReflectionPad2d((1, 2, 0, 1)), (1, 2, 4, 5)), "ReplicationPad1d": (nn.ReplicationPad1d(2), (1, 2, 5)),
    "CircularPad2d": (nn.CircularPad2d(1), (1, 2, 4, 5)), "PReLU": (nn.PReLU(3), (2, 3, 4)), "GLU": (nn.GLU(), (2, 6)),
    "Softmax": (nn.Softmax(1), (2, 5)), "Softmin": (nn.Softmin(1), (2, 5)), "Softplus": (nn.Softplus(beta=2), (2, 5)), "Mish": (nn.Mish(), (2, 5)),
    "GELU": (nn.GELU("tanh"), (2, 5)), "Hardswish": (nn.Hardswish(), (2, 5)), "CELU": (nn.CELU(0.5), (2, 5)), "Flatten": (nn.Flatten(), (2, 3, 4)),
    "CosineSimilarity": (Function(lambda x: nn.CosineSimilarity()(x, x + 1)), (2, 5)), "Dropout": (nn.Dropout(), (2, 5)),
    "TransformerEncoder": (nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), (2, 5, 8)),
}  # fmt: skip


@pytest.mark.parametrize("name", LAYERS)
def test_layers(name: str) -> None:
    module, shape = LAYERS[name]
    torch.manual_seed(1)
    check(module, torch.randn(shape))


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
@pytest.mark.parametrize("options", [{}, {"num_layers": 2, "bidirectional": True, "batch_first": True}, {"bias": False}, {"proj_size": 3}])
def test_recurrent_layers(kind: Any, options: dict[str, Any]) -> None:
    if "proj_size" in options and kind is not nn.LSTM:
        pytest.skip("projections are of LSTM alone")
    torch.manual_seed(2)
    model = check(kind(4, 5, **options), torch.randn(3, 6, 4))
    assert shapes(model) == ["(batch, input_1, 4)"]


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
@pytest.mark.parametrize("in_order", [True, False])
def test_packed_sequences(kind: Any, in_order: bool) -> None:
    class Packed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = kind(4, 5, num_layers=2, bidirectional=True, batch_first=True)

        def forward(self, x: torch.Tensor, lengths: torch.Tensor) -> Any:
            packed = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=in_order)
            y, state = self.layer(packed)
            total = None if in_order else x.shape[1]
            return nn.utils.rnn.pad_packed_sequence(y, True, 0.5, total), state

    torch.manual_seed(3)
    lengths = torch.tensor([5, 3, 2] if in_order else [3, 5, 2])
    model = check(Packed().eval(), torch.randn(3, 6, 4), lengths)
    assert shapes(model) == ["(batch, x_1, 4)", "(lengths_0,)"]


def test_names_are_kept_and_tied_weights_stay_tied() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Embedding(10, 4)
            self.head = nn.Linear(4, 10, bias=False)
            self.head.weight = self.embedding.weight
            self.register_buffer("shift", torch.arange(4.0))

        def forward(self, tokens: torch.Tensor) -> dict[str, torch.Tensor]:
            hidden = self.embedding(tokens) + self.shift
            return {"logits": self.head(hidden), "hidden": hidden}

    model = check(Tied(), torch.randint(0, 10, (2, 3)))
    large = [name for name, value in model.graph.initializers.items() if value.tensor is not None and value.tensor.size >= 4]
    assert sorted(large) == ["embedding.weight", "shift"]
    assert [value.name for value in model.graph.inputs] == ["tokens"]
    assert [value.name for value in model.graph.outputs] == ["logits", "hidden"]


def test_nodes_say_where_they_come_from() -> None:
    model = check(nn.Sequential(nn.Linear(4, 3), nn.ReLU()), torch.randn(2, 4))
    (node,) = [item for item in model.graph.nodes if item.op_type == "Relu"]
    assert node.metadata["onward.module"] == "1"
    assert node.metadata["onward.class"].endswith("ReLU")
    assert "forward" in node.metadata["onward.source"]


def test_open_sizes_are_found() -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    model = check(module, torch.randn(1, 3, 8, 8))
    assert shapes(model) == ["(batch, 3, input_2, input_3)"]
    session = onward.InferenceSession(model)
    image = torch.randn(5, 3, 11, 9)
    np.testing.assert_allclose(session.run(None, {"input": image.numpy()})[0], module(image).detach(), atol=1e-5)
    certificate = Certificate.of(model)
    assert certificate is not None
    assert any("fixed sizes" in note for note in certificate.notes)


@pytest.mark.parametrize(("size", "bounded"), [(4, True), (8, False)])
def test_bounds_of_open_sizes_are_noted(size: int, bounded: bool) -> None:
    """A stride of 4 leaves one point of four, which PyTorch takes for a constant."""
    module = nn.Sequential(nn.Conv2d(3, 4, 3, stride=4, padding=1), nn.Conv2d(4, 4, 3, padding=1))
    certificate = Certificate.of(check(module, torch.randn(2, 3, size, size)))
    assert certificate is not None
    assert any("size 'input_2' is open up to 4" in note for note in certificate.notes) is bounded


def test_adaptive_averages_of_open_sizes() -> None:
    """Windows of unequal size, which overlap where the size is no multiple of their number."""
    module = nn.AdaptiveAvgPool2d((3, 4))
    model = check(module, torch.randn(2, 3, 9, 10))
    assert shapes(model) == ["(batch, input_1, input_2, input_3)"]
    image = torch.randn(1, 2, 7, 5)
    np.testing.assert_allclose(onward.InferenceSession(model).run(None, {"input": image.numpy()})[0], module(image), atol=1e-6)


def test_arguments_that_a_star_gathers_have_open_sizes() -> None:
    class Joined(nn.Module):
        def forward(self, x: torch.Tensor, *others: torch.Tensor) -> torch.Tensor:
            return torch.cat([x, *others], 1)

    model = onward.convert(Joined(), (torch.randn(2, 3), torch.randn(2, 4), torch.randn(2, 5)))
    assert shapes(model) == ["(batch, x_1)", "(batch, others_0_1)", "(batch, others_1_1)"]


def test_generated_sizes_are_tied_as_the_module_ties_them() -> None:
    class Masked(nn.Module):
        """Its mask is as long as what is past and what is new together; the rows of the past are those of what is new."""

        def forward(self, new: torch.Tensor, past: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
            length = past.shape[1] + new.shape[1]
            shown = mask.reshape(new.shape[0], -1)[:, :length]
            assert shown.shape[1] == length
            return torch.cat([past, new], 1) * shown.sum(1, keepdim=True)

    example = (torch.randn(2, 3), torch.randn(2, 6), torch.ones(2, 9))
    certificate = Certificate.of(onward.convert(Masked(), example))
    assert certificate is not None
    tried = [(shapes["new"][1] + shapes["past"][1], shapes["mask"][1]) for shapes in certificate.shapes.values()]
    assert len({length for length, _ in tried}) > 1
    assert all(length == mask for length, mask in tried)


def test_sizes_as_the_user_says() -> None:
    module = nn.Linear(4, 3)
    assert shapes(check(module, torch.randn(2, 4), dynamic_shapes={})) == ["(2, 4)"]
    assert shapes(check(module, torch.randn(2, 4), dynamic_shapes=({0: "rows"},))) == ["(batch, 4)"]
    with pytest.raises(ConversionError, match="specialized|constraint"):
        onward.convert(module, (torch.randn(2, 4),), dynamic_shapes=({1: "columns"},))


def test_branches_and_loops() -> None:
    def branch(x: torch.Tensor) -> torch.Tensor:
        return torch.cond(x.sum() > 0, lambda y: y * 2, lambda y: y - 1, (x,))

    check(Function(branch), torch.ones(3))
    check(Function(branch), -torch.ones(3))

    def loop(x: torch.Tensor) -> Any:
        turns = torch.zeros((), dtype=torch.int64)
        again, step = (lambda n, y: y.sum() < 100), (lambda n, y: (n + 1, y * 2))
        return torch._higher_order_ops.while_loop(again, step, (turns, x))

    check(Function(loop), torch.ones(3))


def test_scans_and_maps() -> None:
    class Scanned(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(3, 3)

        def forward(self, state: torch.Tensor, xs: torch.Tensor) -> Any:
            def step(state: torch.Tensor, x: torch.Tensor) -> Any:
                state = torch.tanh(self.linear(x) + state)
                return state, state * 2

            forward, backward = (scan(step, state, xs, reverse=reverse) for reverse in (False, True))
            return forward, backward, map_of(lambda x, offset: torch.sin(x) + offset, xs, state)

    model = check(Scanned(), torch.zeros(2, 3), torch.randn(5, 2, 3))
    assert [node.op_type for node in model.graph.nodes].count("Scan") == 3
    assert shapes(model) == ["(batch, 3)", "(xs_0, batch, 3)"]


def test_associative_scans() -> None:
    class Decaying(nn.Module):
        def forward(self, weights: torch.Tensor, x: torch.Tensor) -> Any:
            from torch._higher_order_ops.associative_scan import associative_scan

            def join(left: Any, right: Any) -> Any:
                return left[0] * right[0], right[0] * left[1] + right[1]

            return [associative_scan(join, (weights, x), 1, reverse, combine_mode="generic")[1] for reverse in (False, True)]

    model = check(Decaying(), torch.rand(2, 5, 3), torch.randn(2, 5, 3))
    assert shapes(model) == ["(batch, weights_1, weights_2)"] * 2


def test_complex_numbers() -> None:
    def rotate(x: torch.Tensor, angle: torch.Tensor) -> torch.Tensor:
        turned = torch.view_as_complex(x.reshape(*x.shape[:-1], -1, 2)) * torch.polar(torch.ones_like(angle), angle)
        return torch.view_as_real(turned).flatten(-2)

    check(Function(rotate), torch.randn(2, 3, 8), torch.randn(3, 4))
    check(Function(lambda x: torch.fft.irfft(torch.fft.rfft(x) * 2)), torch.randn(3, 10))
    check(Function(lambda x: torch.stft(x, 8, window=torch.hann_window(8), return_complex=True).abs()), torch.randn(2, 40))


def test_indexing() -> None:
    x, rows = torch.randn(4, 5, 6), torch.tensor([0, 2, -1])
    check(Function(lambda x, i: x[i]), x, rows)
    check(Function(lambda x, i: x[:, i, i]), x, rows)
    check(Function(lambda x, i: x[i, :, i]), x, rows)
    check(Function(lambda x, i: x[i[:, None], i]), x, rows)
    check(Function(lambda x: x[x > 0]), x)
    check(Function(lambda x, i: x.index_put((i, i), torch.ones(6), accumulate=True)), x, rows)
    check(Function(lambda x: torch.where(x > 0, x, 0).nonzero()), x)

    def written(x: torch.Tensor) -> torch.Tensor:
        y = x.clone()
        y[1:3, ::2] = 0
        y[:, -1] += 1
        return y

    check(Function(written), x)


def test_opset_and_names() -> None:
    attention = Function(lambda q, k: nn.functional.scaled_dot_product_attention(q, k, k, is_causal=True))
    q, k = torch.randn(2, 3, 5, 8), torch.randn(2, 3, 5, 8)
    assert "Attention" in {node.op_type for node in check(attention, q, k).graph.nodes}
    old = check(attention, q, k, opset=20, input_names=["query", "key"], output_names=["seen"])
    assert old.opset_imports[""] == 20
    assert "Softmax" in {node.op_type for node in old.graph.nodes}
    assert [value.name for value in (*old.graph.inputs, *old.graph.outputs)] == ["query", "key", "seen"]
    with pytest.raises(InvalidArgument, match="2 inputs, 3 names"):
        onward.convert(attention, (q, k), input_names=["a", "b", "c"])


def test_norms_without_a_bias_run_in_onnxruntime() -> None:
    """Beside an addition onnxruntime fuses them, and ended the process where the bias stood there without a name."""
    norm = nn.LayerNorm(8, bias=False)
    model = check(Function(lambda x, y: norm(x + y)), torch.randn(2, 3, 8), torch.randn(2, 3, 8))
    assert all(node.inputs[-1] is not None for node in model.graph.nodes)


@pytest.mark.parametrize("name", ["solve", "cholesky", "qr", "inv", "slogdet", "svdvals", "pinv", "lu", "matrix_exp"])
def test_linear_algebra(name: str) -> None:
    torch.manual_seed(4)
    function = getattr(torch.linalg, name)
    x = torch.randn(2, 4, 4)
    if name == "cholesky":
        check(Function(lambda x: function(x @ x.mT + torch.eye(4))), x)
    elif name == "solve":
        check(Function(function), x, torch.randn(2, 4, 3))
    else:
        check(Function(function), x, **({"dynamic_shapes": {}} if name in ("svdvals", "pinv") else {}))


@pytest.mark.models
def test_eigenvalues_of_any_matrices() -> None:
    """Their order is LAPACK's; what does not depend on it is compared."""

    def whole(x: torch.Tensor) -> Any:
        values, vectors = torch.linalg.eig(x)
        return values.abs().amax(-1), (vectors * values.unsqueeze(-2) @ torch.linalg.inv(vectors)).real

    check(Function(whole), torch.randn(2, 4, 4, dtype=torch.float64), dynamic_shapes={})


def test_checks_of_whole_tensors() -> None:
    """What `torch._check_tensor_all` becomes, by which models of images and text compare their counts, and the truth values themselves."""

    def whole(x: torch.Tensor) -> Any:
        torch._check_tensor_all(x.abs() < 1e30)
        return torch._is_all_true(x > -1), torch._is_any_true(x > 2), x * 2

    check(Function(whole), torch.randn(2, 4))


def test_files(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    module, x = nn.Linear(4, 3), torch.randn(2, 4)
    torch.export.save(torch.export.export(module, (x,)), tmp_path / "model.pt2")
    model = onward.convert(tmp_path / "model.pt2")
    found = onward.InferenceSession(model).run(None, {model.graph.inputs[0].name: x.numpy()})[0]
    np.testing.assert_allclose(found, module(x).detach(), atol=1e-6)
    (tmp_path / "broken.pt2").write_bytes(b"nothing")
    with pytest.raises(FormatError, match=r"broken\.pt2"):
        onward.convert(tmp_path / "broken.pt2")
    with zipfile.ZipFile(tmp_path / "model.pt2") as whole, zipfile.ZipFile(tmp_path / "lacking.pt2", "w") as lacking:
        for name in whole.namelist():
            if not name.endswith("weight_0"):
                lacking.writestr(name, whole.read(name))
    with pytest.raises(FormatError, match=r"lacking\.pt2.*weight_0"):
        onward.convert(tmp_path / "lacking.pt2")
    assert "Traceback" not in capfd.readouterr().err
    program = torch.export.load(tmp_path / "model.pt2")
    program._guards_code = 3
    with pytest.raises(ConversionError, match="no module of this program: TypeError"):
        onward.convert(program)
    torch.save(module.state_dict(), tmp_path / "weights.pt2")
    with pytest.raises(ConversionError, match=r"holds 2 parameters \(weight, bias"):
        onward.convert(tmp_path / "weights.pt2")


@pytest.mark.parametrize("module", [nn.Linear(3, 4, device="meta"), nn.LazyLinear(4)])
def test_weights_without_numbers(module: nn.Module) -> None:
    with pytest.raises(ConversionError, match=r"2 of 2 weights of \w+ have no numbers \(weight, bias\)"):
        onward.convert(module, (torch.randn(2, 3),))


def test_training_mode_is_noted_and_restored() -> None:
    module = nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.5), nn.BatchNorm1d(4)).train()
    certificate = Certificate.of(onward.convert(module, (torch.randn(3, 4),)))
    assert certificate is not None
    assert any("training mode" in note for note in certificate.notes)
    assert module.training
    assert module[1].training


def test_random_sources_are_noted() -> None:
    certificate = Certificate.of(onward.convert(Function(lambda x: x + torch.randn_like(x)), (torch.randn(3, 4),)))
    assert certificate is not None
    assert any("random" in note for note in certificate.notes)


def test_random_orders_are_orders() -> None:
    class Mixed(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.randperm(x.shape[0]) + x

    model = onward.convert(Mixed(), (torch.zeros(6, dtype=torch.int64),))
    found = onward.InferenceSession(model).run(None, {"x": np.zeros(9, np.int64)})[0]
    assert sorted(found) == list(range(9))


def test_dropout_that_is_left_active_is_named() -> None:
    module = Function(lambda x: nn.functional.dropout(x) + nn.functional.dropout(x, training=False))
    certificate = Certificate.of(onward.convert(module, (torch.randn(3, 4),)))
    assert certificate is not None
    (note,) = (note for note in certificate.notes if "random" in note)
    assert note.count("aten::dropout") == 1
    assert "test_modules.py" in note


def test_numbers_that_no_seed_governs_are_refused() -> None:
    module = Function(lambda x: x + float(np.random.default_rng().random()))
    with pytest.raises(ConversionMismatch, match="the same seed"):
        onward.convert(module, (torch.randn(3, 4),))


def test_states_are_noted_and_left_alone() -> None:
    class Counter(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("calls", torch.zeros(1))
            self.register_buffer("last", torch.zeros(1))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.calls.add_(1)
            self.last = x.sum().reshape(1)
            return x + self.calls

    module, x = Counter(), torch.randn(3, 4)
    model = onward.convert(module, (x,))
    assert (float(module.calls), float(module.last)) == (0, 0)
    certificate = Certificate.of(model)
    assert certificate is not None
    assert any("buffers calls, last" in note for note in certificate.notes)
    np.testing.assert_allclose(onward.InferenceSession(model).run(None, {model.graph.inputs[0].name: x.numpy()})[0], x + 1, atol=1e-6)


def test_all_that_is_missing_is_named() -> None:
    for name in ("first", "second"):
        torch.library.custom_op(f"onward_tests::{name}", lambda x: x + 1, mutates_args=(), schema="(Tensor x) -> Tensor").register_fake(torch.empty_like)
    module = Function(lambda x: torch.ops.onward_tests.first(x) + torch.ops.onward_tests.second(x))
    with pytest.raises(UnsupportedOperator, match=r"(?s)onward_tests::first.*test_modules\.py.*onward_tests::second.*register"):
        onward.convert(module, (torch.randn(3, 3),))


def test_operators_of_the_user() -> None:
    @torch.library.custom_op("onward_tests::twice", mutates_args=())
    def twice(x: torch.Tensor) -> torch.Tensor:
        return x * 2

    twice.register_fake(torch.empty_like)
    module = Function(lambda x: torch.ops.onward_tests.twice(x) + 1)
    with pytest.raises(UnsupportedOperator, match="onward_tests::twice"):
        onward.convert(module, (torch.randn(3),))
    try:
        operator("onward_tests::twice")(lambda c, x: c.op("Add", x, x))
        check(module, torch.randn(3))
        operator("onward_tests::twice")(lambda c, x: c.op("Mul", x, x))
        with pytest.raises(ConversionMismatch, match="from double precision"):
            onward.convert(module, (torch.randn(3),))
    finally:
        OPERATORS.pop("onward_tests::twice", None)


def test_examples_are_needed() -> None:
    with pytest.raises(ConversionError, match="example_inputs"):
        onward.convert(nn.Linear(4, 3))
    with pytest.raises(ConversionError, match="could not capture"):
        onward.convert(nn.Linear(4, 3), (torch.randn(2, 5),))


def test_functions_of_matrices_with_repeated_eigenvalues() -> None:
    class Exponential(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            values, vectors = torch.linalg.eigh(x)
            return (vectors * torch.exp(values)) @ vectors.T

    onward.convert(Exponential(), (torch.ones(5, 5),), dynamic_shapes={})
