"""What the normalisations share: centring and scaling by the moments over some axes."""

from __future__ import annotations

from collections.abc import Sequence

from onward import program as P


def mean_of_squares(x: P.Array, axes: Sequence[int]) -> P.Array:
    """The mean of the squared elements over `axes`, which stay with extent 1."""
    count = P.product(x.shape[axis] for axis in P.normalize_axes(axes, x.rank))
    total = P.reduce_axes("sum", x, axes, True, lambda e: e * e)
    return P.elementwise(lambda e: e / P.scalar(count, x.dtype), total)


def standardized(x: P.Array, axes: Sequence[int], epsilon: float) -> tuple[P.Array, P.Array, P.Array]:
    """(x - mean) / deviation, the mean, and 1 / deviation over `axes`; the variance is that of the centred elements."""
    mean = P.mean(x, axes, keepdims=True)
    centred = x - mean
    inverse = P.elementwise(lambda v: 1.0 / P.sqrt(v + epsilon), mean_of_squares(centred, axes))
    return centred * inverse, mean, inverse
