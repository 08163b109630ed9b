"""Batches of matrices in double precision, real or complex, and what is read off them: the ground of linear algebra.

Matrices are the last two dimensions; all others are a batch, whose matrices go through the loops together. Pivots are chosen and
signs taken as LAPACK does, so that results agree where they are unique.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def double(x: Tensor) -> Tensor:
    """In double precision."""
    return x.to(torch.complex128 if x.dtype.is_complex else torch.float64)


def column(x: Tensor, place: Tensor) -> Tensor:
    """(..., rows): one column of each matrix; one element of each vector as (...)."""
    return x.index_select(-1, place.reshape(1)).squeeze(-1)


def row(x: Tensor, place: Tensor) -> Tensor:
    return x.index_select(-2, place.reshape(1)).squeeze(-2)


def places(x: Tensor, axis: int) -> Tensor:
    """0, 1 .. along an axis."""
    return torch.arange(x.shape[axis])


def smaller(left: Any, right: Any) -> Any:
    """The smaller of two sizes that may be open."""
    return min(left, right) if isinstance(left, int) and isinstance(right, int) else torch.sym_min(left, right)


def unit(size: Any, x: Tensor) -> Tensor:
    """The identity in the type of a tensor."""
    along = torch.arange(size)
    return (along[:, None] == along).to(x.dtype)


def units(x: Tensor, rows: Any, columns: Any) -> Tensor:
    """The first columns of the identity, once for each matrix."""
    found = (torch.arange(rows)[:, None] == torch.arange(columns)).to(x.dtype)
    return found.expand(*x.shape[:-2], rows, columns)


def diagonal_of(x: Tensor) -> Tensor:
    return (x * unit(x.shape[-1], x)).sum(-1)


def triangle(x: Tensor, upper: bool, strict: bool = False) -> Tensor:
    """The upper or lower triangle, zero beside it."""
    rows, columns = places(x, -2)[:, None], places(x, -1)
    left, right = (rows, columns) if upper else (columns, rows)
    return torch.where(left < right if strict else left <= right, x, 0)


def arranged(x: Tensor, order: Tensor, axis: int) -> Tensor:
    """Rows (axis -2) or columns (axis -1) in another order for each matrix."""
    return torch.gather(x, axis, order.unsqueeze(-1 if axis == -2 else -2).expand(x.shape))


def batched(*matrices: Tensor) -> list[Tensor]:
    """Matrices with a common batch."""
    batch = torch.broadcast_shapes(*(item.shape[:-2] for item in matrices))
    return [item.expand(*batch, *item.shape[-2:]) for item in matrices]


def size_of(x: Tensor) -> Tensor:
    """The square of the absolute value."""
    return x.real * x.real + x.imag * x.imag if x.dtype.is_complex else x * x


def real_part(x: Tensor) -> Tensor:
    return x.real if x.dtype.is_complex else x


def as_real(x: Tensor, like: Tensor) -> Tensor:
    """A real tensor in the type of another one."""
    return x.to(like.dtype)
