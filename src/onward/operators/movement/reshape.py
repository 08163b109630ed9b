"""Reshape and Flatten."""

from __future__ import annotations

from onward import program as P
from onward.errors import InvalidArgument
from onward.operators.registry import operator

MOST_AXES = 64
"""No tensor has more."""


@operator("Reshape", since=1)
def reshape_1(data: P.Array, *, shape: list[int]) -> P.Array:
    """The same elements in row-major order; the shape is an attribute. ONNX Reshape-1."""
    return P.reshape(data, _resolve(data, list(shape), allowzero=False))


@operator("Reshape", since=5)
def reshape(data: P.Array, shape: P.Array, *, allowzero: int = 0) -> P.Array:
    """The same elements in row-major order. ONNX Reshape-5, Reshape-14.

    A 0 copies the extent of the data at that place (unless `allowzero`); one -1 takes what is left.
    """
    if shape.content is None:
        shape = _resolve_in_run(data, shape, bool(allowzero))
    return P.reshape(data, _resolve(data, list(P.dimensions(shape, "the shape of Reshape")), bool(allowzero)))


@operator("Flatten", since=1)
def flatten(x: P.Array, *, axis: int = 1) -> P.Array:
    """A matrix of the axes before `axis` by those from it on. ONNX Flatten-1, Flatten-11 (negative axis)."""
    place = axis if axis == x.rank else P.normalize_axis(axis, x.rank) if x.rank else 0
    return P.reshape(x, (P.product(x.shape[:place]), P.product(x.shape[place:])))


def _resolve(data: P.Array, target: list[P.Dimension], allowzero: bool) -> P.Shape:
    for place, extent in enumerate(target):
        if isinstance(extent, int) and extent == 0 and not allowzero:
            if place >= data.rank:
                raise InvalidArgument(f"the shape {target} copies axis {place}, which {data} does not have")
            target[place] = data.shape[place]
        if isinstance(extent, int) and extent < -1:
            raise InvalidArgument(f"the shape {target} has the negative extent {extent}")
    free = [place for place, extent in enumerate(target) if isinstance(extent, int) and extent == -1]
    if len(free) > 1:
        raise InvalidArgument(f"the shape {target} has more than one -1")
    if free:
        rest = P.product(extent for place, extent in enumerate(target) if place != free[0])
        if isinstance(rest, int) and rest == 0:
            raise InvalidArgument(f"the -1 of shape {target} has no definite value, because another extent is 0")
        if isinstance(rest, int) and isinstance(data.size, int) and data.size % rest:
            raise InvalidArgument(f"{data} with {data.size} elements has no shape {target}")
        target[free[0]] = data.size // rest
    return tuple(target)


def _resolve_in_run(data: P.Array, shape: P.Array, allowzero: bool) -> P.Array:
    """The wanted shape with 0 and -1 replaced, computed during the run."""
    if not isinstance(shape.size, int) or shape.size > MOST_AXES:
        raise InvalidArgument(f"the shape {shape} has no known length, so the result has no known rank")
    if not allowzero:
        own = [data.shape[place] if place < data.rank else 0 for place in range(shape.size)]
        shape = P.where(P.equal(shape, 0), P.dimensions_array(own), shape)
    known = P.prod(P.where(P.equal(shape, -1), 1, shape))
    return P.where(P.equal(shape, -1), P.divide(P.dimensions_array([data.size]), known), shape)
