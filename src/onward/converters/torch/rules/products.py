"""Products of complex numbers along a dimension, which the rules of factors need too; those of real numbers have a translation."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from onward.converters.torch.rules.registry import rule, turns


def _along(x: Tensor, every: bool) -> list[Tensor]:
    """The product along the first dimension, and all partial ones."""

    def step(turn: Tensor, product: Tensor, x: Tensor) -> list[Tensor]:
        product = product * x.index_select(0, turn.reshape(1)).squeeze(0)
        return [product, product] if every else [product]

    return turns(x.shape[0], step, [torch.ones(x.shape[1:], dtype=x.dtype)], x)


@rule("prod")
def prod(x: Tensor, *arguments: Any, dtype: torch.dtype | None = None) -> Any:
    x = x if dtype is None else x.to(dtype)
    if not x.dtype.is_complex:
        return NotImplemented
    if not arguments or x.ndim == 0:
        return _along(x.reshape(-1), False)[0]
    dim, keepdim = (*arguments, False)[:2]
    found = _along(torch.movedim(x, dim, 0), False)[0]
    return found.unsqueeze(dim) if keepdim else found


@rule("cumprod")
def cumprod(x: Tensor, dim: int, *, dtype: torch.dtype | None = None) -> Any:
    x = x if dtype is None else x.to(dtype)
    if not x.dtype.is_complex:
        return NotImplemented
    return x.clone() if x.ndim == 0 else torch.movedim(_along(torch.movedim(x, dim, 0), True)[1], 0, dim)
