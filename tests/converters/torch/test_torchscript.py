"""TorchScript files, and modules that torch.export refuses: by way of TorchScript."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import onward
from onward.converters.certificate import Certificate
from onward.errors import ConversionError, ConversionMismatch, FormatError, InvalidArgument


class Branches(nn.Module):
    """Its numbers decide what is computed with them, and how often."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if bool(x.sum() > 0):
            x = self.linear(x)
        else:
            x = x * 2
        for turn in range(3):
            x = x + turn
        return x


class Pythonic(nn.Module):
    """Looks at its numbers in a way that TorchScript does not know."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        largest = f"{float(x.abs().max()):.1f}"
        return x + 1 if len(largest) < 9 else x


class Doubtful(nn.Module):
    """A branch that a record of one call fixes."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        chosen = {True: torch.sin, False: torch.cos}[bool(x.flatten()[0] == 1)]
        return chosen(x)


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.LSTM(4, 5, batch_first=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x)[0]


SCRIPTS: dict[str, tuple[Any, tuple[int, ...]]] = {
    "convolutions": (lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Dropout()), (2, 3, 5, 5)),
    "branches": (Branches, (3, 4)), "recurrent": (Recurrent, (2, 3, 4)),
    "attention": (lambda: nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), (2, 3, 8)),
}  # fmt: skip


WAYS = [("convolutions", "script"), ("branches", "script"), ("recurrent", "script"), ("recurrent", "trace"), ("attention", "trace")]


@pytest.mark.parametrize(("name", "way"), WAYS)
@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
def test_files(name: str, way: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    maker, shape = SCRIPTS[name]
    module, x = maker().eval(), torch.rand(shape)
    made = torch.jit.script(module) if way == "script" else torch.jit.trace(module, (x,), check_trace=False)
    made.save(str(tmp_path / "model.pt"))
    model = onward.convert(tmp_path / "model.pt", (x,))
    assert str(model.graph.inputs[0].shape[0]) == "batch" or name == "recurrent"
    session = onward.InferenceSession(model)
    expected = module(-x)
    expected = expected[0] if isinstance(expected, tuple) else expected
    np.testing.assert_allclose(session.run(None, {model.graph.inputs[0].name: -x.numpy()})[0], expected.detach(), atol=1e-5)
    assert set(module.state_dict()) >= {name for name in model.graph.initializers if "." in name and "lifted" not in name}


def test_branches_on_data_stay_branches() -> None:
    model = onward.convert(Branches(), (torch.rand(3, 4),))
    assert "If" in {node.op_type for node in model.graph.nodes}


def test_what_a_record_of_one_call_fixes_is_noted() -> None:
    certificate = Certificate.of(onward.convert(Pythonic(), (torch.rand(3, 4),)))
    assert certificate is not None
    assert any("one call was recorded" in note for note in certificate.notes)
    assert any("test_torchscript.py" in note and "fixed by the recorded call" in note for note in certificate.notes)


def test_a_branch_that_was_fixed_wrongly_is_found() -> None:
    with pytest.raises(ConversionMismatch, match="ones"):
        onward.convert(Doubtful(), (torch.rand(3, 4),))


def test_files_without_a_graph(tmp_path: Path) -> None:
    module = nn.Sequential(nn.Linear(4, 3), nn.ReLU())
    torch.save({"epoch": 3, "model": module.state_dict()}, tmp_path / "weights.pth")
    with pytest.raises(ConversionError, match=r"2 parameters \(0\.weight, 0\.bias .*load_state_dict"):
        onward.convert(tmp_path / "weights.pth")
    torch.save(module, tmp_path / "module.pt")
    with pytest.raises(InvalidArgument, match="trust=True"):
        onward.convert(tmp_path / "module.pt", (torch.rand(2, 4),))
    onward.convert(tmp_path / "module.pt", (torch.rand(2, 4),), trust=True)
    (tmp_path / "broken.pt").write_bytes(b"nothing")
    with pytest.raises(FormatError, match=r"broken\.pt"):
        onward.convert(tmp_path / "broken.pt")


class Chosen(nn.Module):
    """What data decide."""

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        if y.sum() > 0:
            return x * y
        return x - y


def test_keywords_that_are_the_first_parameters(capfd: pytest.CaptureFixture[str]) -> None:
    """PyTorch's pages about what torch.export could not do are not shown: it was done in another way."""
    model = onward.convert(Chosen(), {"x": torch.randn(2, 3), "y": torch.randn(2, 3)})
    assert any(node.op_type == "If" for node in model.graph.nodes)
    assert capfd.readouterr().err == ""
    with pytest.raises(ConversionError, match=r"could not capture Chosen at .*test_torchscript\.py:\d+ in forward"):
        onward.convert(Chosen(), {"x": torch.randn(2, 3), "y": torch.randn(2, 3)}, dynamic_shapes={"x": {0: "rows"}, "y": {0: "rows"}})
