"""Attention whose scores and masks are functions of the place (torch.nn.attention.flex_attention), PyTorch being the judge."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn.attention.flex_attention import AuxRequest, create_block_mask, flex_attention

import onward
from tests.converters.torch.test_modules import check, shapes


class Biased(nn.Module):
    """Scores with a slope for each head and a limit; fewer heads of keys than of queries; sums besides."""

    def __init__(self) -> None:
        super().__init__()
        self.slopes = nn.Parameter(torch.tensor([0.5, 0.25, -0.1, 0.3]))

    def forward(self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> Any:
        def score(score: torch.Tensor, batch: torch.Tensor, head: torch.Tensor, row: torch.Tensor, column: torch.Tensor) -> torch.Tensor:
            return 3 * torch.tanh(score / 3) + self.slopes[head] * (row - column)

        found, others = flex_attention(query, key, value, score_mod=score, enable_gqa=True, return_aux=AuxRequest(lse=True))
        return found, others.lse


class Documents(nn.Module):
    """Tokens see those before them that belong to the same document; tokens of document 0 see nothing."""

    def forward(self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, document: torch.Tensor) -> torch.Tensor:
        def seen(batch: torch.Tensor, head: torch.Tensor, row: torch.Tensor, column: torch.Tensor) -> torch.Tensor:
            same = document[batch, row] == document[batch, column]
            return same & (row >= column) & (document[batch, row] > 0)

        mask = create_block_mask(seen, query.shape[0], None, query.shape[2], key.shape[2], device="cpu")
        return flex_attention(query, key, value, block_mask=mask)


class Window(nn.Module):
    """A mask that was made before."""

    def __init__(self) -> None:
        super().__init__()
        self.mask = create_block_mask(lambda batch, head, row, column: (row - column).abs() <= 3, None, None, 16, 16, device="cpu", BLOCK_SIZE=8)

    def forward(self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        return flex_attention(query, key, value, block_mask=self.mask, scale=0.7)


def tensors(rows: int, columns: int, heads: int = 4) -> list[torch.Tensor]:
    torch.manual_seed(0)
    return [torch.randn(2, heads if place else 4, columns if place else rows, 8) for place in range(3)]


def test_scores() -> None:
    model = check(Biased(), *tensors(5, 7, 2))
    assert shapes(model) == ["(batch, query_1, query_2, 8)", "(batch, key_1, key_2, 8)", "(batch, value_1, key_2, value_3)"]


def test_masks_of_data() -> None:
    """The tables of blocks that are made of a mask too are left out."""
    model = check(Documents(), *tensors(7, 7), torch.tensor([[1] * 3 + [2] * 4, [0] * 2 + [1] * 5]))
    assert "TopK" not in {node.op_type for node in model.graph.nodes}
    assert shapes(model)[0] == "(batch, query_1, query_2, 8)"


def test_masks_of_exported_programs() -> None:
    """Which are left as they are."""
    program = torch.export.export(Window(), tuple(tensors(16, 16)))
    before = str(program.graph)
    onward.convert(program)
    assert str(program.graph) == before
