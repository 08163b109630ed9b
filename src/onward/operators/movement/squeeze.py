"""Squeeze and Unsqueeze: axes of extent 1 come and go."""

from __future__ import annotations

from onward import program as P
from onward.errors import InvalidArgument
from onward.operators.arguments import distinct_axes, known_integers
from onward.operators.registry import operator


@operator("Squeeze", since=1)
def squeeze_1(data: P.Array, *, axes: list[int] | None = None) -> P.Array:
    """Removes axes of extent 1, all of them without `axes`. ONNX Squeeze-1, Squeeze-11."""
    if axes is None:
        axes = [axis for axis, extent in enumerate(data.shape) if isinstance(extent, int) and extent == 1]
    places = distinct_axes(axes, data.rank)
    for axis in places:
        extent = data.shape[axis]
        if isinstance(extent, int) and extent != 1:
            raise InvalidArgument(f"axis {axis} of {data} has extent {extent} and cannot be removed")
        P.require_equal(extent, 1, f"axis {axis} of {data} cannot be removed")
    return P.squeeze_axes(data, places) if places else data


@operator("Squeeze", since=13)
def squeeze(data: P.Array, axes: P.Array | None) -> P.Array:
    """Removes axes of extent 1, all of them without `axes`. ONNX Squeeze-13."""
    return squeeze_1(data, axes=None if axes is None else known_integers(axes, "axes of Squeeze"))


@operator("Unsqueeze", since=1)
def unsqueeze_1(data: P.Array, *, axes: list[int]) -> P.Array:
    """Inserts axes of extent 1, which stand at `axes` of the result. ONNX Unsqueeze-1, Unsqueeze-11."""
    places = distinct_axes(axes, data.rank + len(axes))
    return P.expand_axes(data, places) if places else data


@operator("Unsqueeze", since=13)
def unsqueeze(data: P.Array, axes: P.Array) -> P.Array:
    """Inserts axes of extent 1, which stand at `axes` of the result. ONNX Unsqueeze-13."""
    return unsqueeze_1(data, axes=known_integers(axes, "axes of Unsqueeze"))
