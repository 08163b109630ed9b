"""Attention as graphs have it that were captured for an accelerator, and with scores and masks that are functions of the place."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch._higher_order_ops.flex_attention  # (the operator is known from here on)
from torch import Tensor
from torch._dynamo._trace_wrapped_higher_order_op import TransformGetItemToIndex
from torch.nn import functional as F  # noqa: N812

from onward.converters.torch.rules.registry import graph_rule, rule


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


@graph_rule("flex_attention")
def flex_attention(
    query: Tensor, key: Tensor, value: Tensor, score_of: Callable[..., Tensor], block_mask: Sequence[Any], scale: float, options: Any,
    score_tensors: Sequence[Any] = (), mask_tensors: Sequence[Any] = (),
) -> Any:  # fmt: skip
    """The result, and of each row the logarithm of the sum and the greatest score, both to the base of 2.

    A block mask ends with the function that says what is seen; its tables of blocks only spare work.
    """
    precision = torch.promote_types(query.dtype, torch.float32)
    groups = query.shape[1] // key.shape[1]
    key, value = (item if groups == 1 else torch.repeat_interleave(item, groups, dim=1) for item in (key, value))
    scores = query.to(precision) @ key.to(precision).transpose(-2, -1) * scale
    places = [torch.arange(size) for size in scores.shape]
    with TransformGetItemToIndex():  # numbers of the place are tensors of no dimension here, and indices
        changed = _everywhere(score_of, len(score_tensors), True)(scores, *places, *score_tensors)
        seen = _everywhere(block_mask[-1], len(mask_tensors))(*places, *mask_tensors)
    scores = torch.where(seen, changed.to(precision), -math.inf)
    found = torch.ops.aten._safe_softmax(scores, -1).to(query.dtype) @ value
    return found, scores.logsumexp(-1) / math.log(2), scores.amax(-1) / math.log(2)


def _everywhere(function: Callable[..., Tensor], others: int, of_scores: bool = False) -> Callable[..., Tensor]:
    """A function of batch, head, row and column, of one score before them and of other tensors, for all of them."""
    for place in reversed(range(4)):
        places = [0 if place == other else None for other in range(4)]
        function = torch.vmap(function, in_dims=(*([0] if of_scores else []), *places, *[None] * others))
    return function
