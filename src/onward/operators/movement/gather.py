"""Gather, GatherElements and GatherND: elements chosen by index. Negative indices count from the end."""

from __future__ import annotations

from onward import program as P
from onward.errors import InvalidArgument
from onward.operators.registry import operator


@operator("Gather")
def gather(data: P.Array, indices: P.Array, *, axis: int = 0) -> P.Array:
    """Sub-tensors of `data` at `indices` along `axis`. ONNX Gather-1."""
    return P.take(data, indices, P.normalize_axis(axis, data.rank))


@operator("GatherElements", since=11)
def gather_elements(data: P.Array, indices: P.Array, *, axis: int = 0) -> P.Array:
    """`data[..., indices[i, j, ...], ...]` with the index standing on `axis`. ONNX GatherElements-11."""
    place = P.normalize_axis(axis, data.rank)
    if indices.rank != data.rank:
        raise InvalidArgument(f"indices {indices} have another rank than {data}")

    def element(*position: P.Dimension) -> P.Scalar:
        index = P.wrap_index(indices[position], data.shape[place])
        return data[(*position[:place], index, *position[place + 1 :])]

    return P.compute(indices.shape, element)


@operator("GatherND", since=11)
def gather_nd(data: P.Array, indices: P.Array, *, batch_dims: int = 0) -> P.Array:
    """Sub-tensors of `data` at the index tuples of the last axis of `indices`, within each batch. ONNX GatherND-12."""
    width = indices.shape[-1] if indices.rank else 0
    if not isinstance(width, int) or not 1 <= width <= data.rank - batch_dims:
        raise InvalidArgument(f"the last axis of indices {indices} must be between 1 and {data.rank - batch_dims}")
    outer = indices.rank - 1
    shape = (*indices.shape[:-1], *data.shape[batch_dims + width :])

    def element(*position: P.Dimension) -> P.Scalar:
        place = position[:outer]
        index = [P.wrap_index(indices[(*place, k)], data.shape[batch_dims + k]) for k in range(width)]
        return data[(*place[:batch_dims], *index, *position[outer:])]

    return P.compute(shape, element)
