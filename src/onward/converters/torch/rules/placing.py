"""Elements written into places of a tensor."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from onward.converters.torch.rules.registry import rule


def _written(x: Tensor, source: Tensor, view: Any) -> Tensor:
    """x with the source in the places that a view of it has."""
    places = view(torch.arange(x.numel()).reshape(x.shape))
    return put(x, places, source)


@rule("diagonal_scatter")
def diagonal_scatter(x: Tensor, source: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    return _written(x, source, lambda places: places.diagonal(offset, dim1, dim2))


@rule("as_strided_scatter")
def as_strided_scatter(x: Tensor, source: Tensor, size: Any, stride: Any, offset: Any = None) -> Tensor:
    return _written(x, source, lambda places: places.as_strided(size, stride, offset or 0))


@rule("put")
def put(x: Tensor, places: Tensor, source: Tensor, accumulate: bool = False) -> Tensor:
    """The places are those of all elements in their order."""
    return x.reshape(-1).index_put((places.reshape(-1),), source.reshape(-1), accumulate).reshape(x.shape)


@rule("masked_scatter")
def masked_scatter(x: Tensor, mask: Tensor, source: Tensor) -> Tensor:
    """The elements of the source one after the other where the mask is true. One element stands before them, since there may be none."""
    x, mask = torch.broadcast_tensors(x, mask)
    elements = torch.cat([source.new_zeros(1), source.reshape(-1)])
    return torch.where(mask, elements[mask.reshape(-1).cumsum(0)].reshape(x.shape), x)
