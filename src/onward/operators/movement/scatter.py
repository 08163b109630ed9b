"""Scatter, ScatterElements and ScatterND: a copy of the data with some elements replaced or combined.

All of them are the routine `scatter`, which takes row numbers. An index outside its axis becomes row -1, which the
routine refuses.
"""

from __future__ import annotations

from collections.abc import Sequence

from onward import program as P
from onward.errors import InvalidArgument
from onward.operators.registry import operator


@operator("Scatter", since=9)
def scatter(data: P.Array, indices: P.Array, updates: P.Array, *, axis: int = 0) -> P.Array:
    """The former name of ScatterElements. ONNX Scatter-9."""
    return scatter_elements(data, indices, updates, axis=axis)


@operator("ScatterElements", since=11)
def scatter_elements(data: P.Array, indices: P.Array, updates: P.Array, *, axis: int = 0, reduction: str = "none") -> P.Array:
    """`updates` at their own positions, but for `axis`, where `indices` says. ONNX ScatterElements-11."""
    place = P.normalize_axis(axis, data.rank)
    if indices.rank != data.rank or updates.rank != data.rank:
        raise InvalidArgument(f"data {data}, indices {indices} and updates {updates} must have one rank")

    def row(*position: P.Dimension) -> P.Scalar:
        index = P.wrap_index(indices[position], data.shape[place])
        return row_number([*position[:place], index, *position[place + 1 :]], data.shape)

    rows = P.compute(indices.shape, row)
    flat = (indices.size,)
    return scatter_rows(data, (data.size,), P.reshape(rows, flat), P.reshape(updates, flat), reduction)


@operator("ScatterND", since=11)
def scatter_nd(data: P.Array, indices: P.Array, updates: P.Array, *, reduction: str = "none") -> P.Array:
    """`updates` put where the index tuples of the last axis of `indices` point. ONNX ScatterND-11, -16, -18."""
    width = indices.shape[-1] if indices.rank else 0
    if not isinstance(width, int) or not 1 <= width <= data.rank:
        raise InvalidArgument(f"the last axis of indices {indices} must be between 1 and {data.rank}")
    inner = (P.product(data.shape[width:]),) if width < data.rank else ()

    def row(*position: P.Dimension) -> P.Scalar:
        tuple_ = [P.wrap_index(indices[(*position, k)], data.shape[k]) for k in range(width)]
        return row_number(tuple_, data.shape[:width])

    count = P.product(indices.shape[:-1])
    rows = P.reshape(P.compute(indices.shape[:-1], row), (count,))
    shape = (P.product(data.shape[:width]), *inner)
    return scatter_rows(data, shape, rows, P.reshape(updates, (count, *inner)), reduction)


def row_number(index: Sequence[P.Dimension | P.Scalar], shape: Sequence[P.Dimension]) -> P.Scalar:
    """The row-major number of an index; -1 where a data-dependent part is outside its axis."""
    number, inside = P.scalar(0), None
    for part, extent in zip(index, shape):
        if isinstance(part, P.Scalar):
            valid = P.logical_and(part >= 0, part < P.scalar(extent))
            inside = valid if inside is None else P.logical_and(inside, valid)
        number = number * P.scalar(extent) + P.scalar(part)
    return number if inside is None else P.where(inside, number, -1)


def scatter_rows(data: P.Array, shape: P.Shape, rows: P.Array, updates: P.Array, reduction: str = "none") -> P.Array:
    """`data`, looked at as rows of `shape`, with `updates` put at, or combined with, the rows of these numbers."""
    if reduction not in ("none", "add", "mul", "max", "min"):
        raise InvalidArgument(f"scatter has no reduction '{reduction}'; known are none, add, mul, max and min")
    (result,) = P.routine("scatter", [P.reshape(data, shape), rows, updates], [(shape, data.dtype)], reduction=reduction)
    return P.reshape(result, data.shape)
