"""Concat."""

from __future__ import annotations

from onward import program as P
from onward.errors import InvalidArgument
from onward.operators.registry import operator


@operator("Concat", since=1)
def concat_1(*inputs: P.Array, axis: int | None = None) -> P.Array:
    """The inputs one after another along `axis`, 1 by default. ONNX Concat-1."""
    return concat(*inputs, axis=1 if axis is None else axis)


@operator("Concat", since=4)
def concat(*inputs: P.Array, axis: int) -> P.Array:
    """The inputs one after another along `axis`. ONNX Concat-4."""
    first = inputs[0]
    place = P.normalize_axis(axis, first.rank)
    for item in inputs[1:]:
        if item.rank != first.rank or any(
            isinstance(left, int) and isinstance(right, int) and left != right
            for number, (left, right) in enumerate(zip(first.shape, item.shape))
            if number != place
        ):
            raise InvalidArgument(f"{first} and {item} differ in an axis other than {axis}")
    return P.concatenate(inputs, place)
