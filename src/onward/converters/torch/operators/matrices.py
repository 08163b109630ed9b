"""Batches of matrices in double precision, and what is read off them: the ground of linear algebra."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from onward.converters.torch.emitter import Emitter, Scalar, Tensor, is_static
from onward.ir import Value

DOUBLE = torch.float64


class Matrices:
    """A batch of matrices in double precision, and masks of their places."""

    def __init__(self, c: Emitter, value: Value, shape: tuple[Any, ...]) -> None:
        self.c, self.value, self.shape = c, value, shape
        self.rank = len(shape)

    @classmethod
    def of(cls, c: Emitter, x: Tensor) -> Matrices:
        return cls(c, c.cast(x, DOUBLE), x.shape)

    @property
    def tensor(self) -> Tensor:
        return Tensor(self.value, DOUBLE, self.shape)

    def size(self, axis: int) -> Any:
        return self.c.size(self.tensor, axis)

    def turned(self) -> Matrices:
        shape = (*self.shape[:-2], self.shape[-1], self.shape[-2])
        return Matrices(self.c, turned(self.c, self.value, self.rank), shape)

    def like(self, value: Value) -> Matrices:
        return Matrices(self.c, value, self.shape)


def turned(c: Emitter, value: Value, rank: int) -> Value:
    """The transposed matrices."""
    return c.transpose(value, [*range(rank - 2), rank - 1, rank - 2])


def places(c: Emitter, size: Any) -> Value:
    """0 .. size - 1."""
    return c.array(np.arange(size)) if is_static(size) else c.op("Range", np.array(0), c.number(size, torch.int64), np.array(1))


def smaller(c: Emitter, left: Any, right: Any) -> Any:
    if is_static(left) and is_static(right):
        return min(left, right)
    return Scalar(c.op("Min", c.number(left, torch.int64), c.number(right, torch.int64)), torch.int64)


def number(c: Emitter, value: float) -> Value:
    return c.number(value, DOUBLE)


def column(c: Emitter, value: Any, place: Value) -> Value:
    return c.op("Gather", value, place, axis=-1)


def row(c: Emitter, value: Any, place: Value) -> Value:
    return c.op("Gather", value, place, axis=-2)


def outer(c: Emitter, down: Value, across: Value) -> Value:
    return c.op("Mul", c.unsqueeze(down, -1), c.unsqueeze(across, -2))


def zeros_like(c: Emitter, value: Any, dtype: torch.dtype = DOUBLE) -> Value:
    return c.op("Expand", c.number(0, dtype), c.op("Shape", value))


def identity(c: Emitter, size: Any) -> Value:
    if is_static(size):
        return c.array(np.eye(size))
    along = places(c, size)
    return c.convert(c.op("Equal", c.unsqueeze(along, 1), c.unsqueeze(along, 0)), DOUBLE)


def back(c: Emitter, value: Value, dtype: torch.dtype) -> Value:
    return value if dtype is DOUBLE else c.convert(value, dtype)


def diagonal_of(c: Emitter, matrix: Value, size: Any) -> Value:
    """(..., size): the diagonals of square matrices."""
    return c.op("ReduceSum", c.op("Mul", matrix, identity(c, size)), [-1], keepdims=0)
