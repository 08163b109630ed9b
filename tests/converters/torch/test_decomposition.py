"""What has no translation, or writes in place, is replaced by itself; PyTorch traces a program once more only where that is not possible."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram, export

from onward.converters.torch import operators  # noqa: F401 (registers the translations)
from onward.converters.torch.decomposition import decomposed
from onward.converters.torch.graph import all_calls, untranslated


class Function(nn.Module):
    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, input: Tensor) -> Tensor:  # (a name that Python has)
        return self.function(input)


def several_writes(x: Tensor) -> Tensor:
    scores, places = torch.topk(x, 2)
    scores /= scores.sum(-1, keepdim=True)
    before = scores + places
    scores.add_(1)
    return before * scores.mul_(before).reshape(-1, 2)


def half_of_a_view(x: Tensor) -> Tensor:
    y = x * 2
    y[:, 1:].mul_(3)
    return y + x


def view_between(x: Tensor) -> Tensor:
    y = x * 2
    first = y[0]
    y.add_(x)
    return first - y


def rounding(x: Tensor) -> Tensor:
    y = torch.ones(x.shape, dtype=torch.float16)
    y.mul_(x)
    return y + 1


def unchanged_by_dropout(x: Tensor) -> Tensor:
    y = x * 2
    dropped = nn.functional.dropout(y, 0.5, training=False)
    y.add_(1)
    return dropped + y


ALONE = {
    "several writes": several_writes,
    "movedim": lambda x: torch.movedim(x.unsqueeze(0), 0, 2) + 1,
    "glu": lambda x: nn.functional.glu(torch.cat([x, x], 1)),
    "diff": lambda x: torch.diff(x, dim=0).cumsum(0),
    "repeat_interleave": lambda x: torch.repeat_interleave(x, 3, dim=1).exp(),
    "several results": lambda x: sum(torch.aminmax(x * 2, dim=1)),
    "rule of ours": lambda x: torch.special.bessel_j1(x).add_(x),
}
TOGETHER = {
    "a view is written": half_of_a_view,
    "a view before": view_between,
    "a narrower type": rounding,
    "a view that says it is none": unchanged_by_dropout,
    "axes that are exchanged in place": lambda x: torch.stft(x.repeat(1, 8), 8, 4, window=torch.ones(8), return_complex=True).abs(),
}


def _program(function: Callable[[Tensor], Tensor]) -> ExportedProgram:
    with torch.no_grad():
        return export(Function(function), (torch.rand(3, 4),), dynamic_shapes=({0: Dim.AUTO, 1: Dim.AUTO},))


def _check(function: Callable[[Tensor], Tensor]) -> None:
    program = _program(function)
    before = [node.target for node in program.graph.nodes]
    inputs = [node.name for node in program.graph.find_nodes(op="placeholder")]
    made = decomposed(program)
    assert [node.target for node in program.graph.nodes] == before
    assert [node.name for node in made.graph.find_nodes(op="placeholder")] == inputs
    assert not list(untranslated(made.graph_module))
    assert not any(node.target._schema.is_mutable for node in all_calls(made.graph_module) if hasattr(node.target, "_schema"))
    x = torch.randn(5, 7)
    torch.testing.assert_close(made.module()(x.clone()), function(x.clone()))


@pytest.mark.parametrize("name", list(ALONE))
def test_single_operators_are_replaced_by_themselves(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ExportedProgram, "run_decompositions", lambda *_: pytest.fail("the whole program was traced again"))
    _check(ALONE[name])


@pytest.mark.parametrize("name", list(TOGETHER))
def test_what_shares_memory_is_left_to_pytorch(name: str) -> None:
    _check(TOGETHER[name])
