"""Attention as graphs have it that were captured for an accelerator."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from onward.converters.torch.rules.registry import rule


@rule("_scaled_dot_product_efficient_attention")
def efficient_attention(
    query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None, compute_sums: bool, dropout: float = 0.0, is_causal: bool = False, *,
    scale: float | None = None,
) -> Any:  # fmt: skip
    """The result; the sums, states of random numbers and the like are of use for gradients alone, so they are empty."""
    found = F.scaled_dot_product_attention(query, key, value, bias, dropout, is_causal, scale=scale)
    state = torch.zeros((), dtype=torch.int64)
    return found, _nothing(query), state, state.clone()


@rule("_scaled_dot_product_flash_attention.default")
def flash_attention(
    query: Tensor, key: Tensor, value: Tensor, dropout: float = 0.0, is_causal: bool = False, mask: bool = False, *, scale: float | None = None
) -> Any:  # fmt: skip
    """The same, and the numbers of tokens."""
    found = F.scaled_dot_product_attention(query, key, value, None, dropout, is_causal, scale=scale)
    states = [torch.zeros(2, dtype=torch.int64), torch.zeros((), dtype=torch.int64)]
    return found, _nothing(query), None, None, query.shape[2], key.shape[2], *states, _nothing(query)


def _nothing(x: Tensor) -> Tensor:
    return torch.zeros(0, dtype=torch.float32)
