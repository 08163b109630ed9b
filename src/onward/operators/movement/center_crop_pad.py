"""CenterCropPad."""

from __future__ import annotations

from onward import program as P
from onward.errors import InvalidArgument
from onward.operators.arguments import distinct_axes
from onward.operators.registry import operator


@operator("CenterCropPad", since=18)
def center_crop_pad(data: P.Array, shape: P.Array, *, axes: list[int] | None = None) -> P.Array:
    """The middle of `data` where it is too long, zeros around it where it is too short. ONNX CenterCropPad-18."""
    places = list(range(data.rank)) if axes is None else distinct_axes(axes, data.rank)
    wanted = P.dimensions(shape, "the shape of CenterCropPad")
    if len(wanted) != len(places):
        raise InvalidArgument(f"CenterCropPad got {len(wanted)} extents for {len(places)} axes")
    before: list[P.Dimension] = [0] * data.rank
    after: list[P.Dimension] = [0] * data.rank
    for place, extent in zip(places, wanted):
        own = data.shape[place]
        missing = P.maximum_dimension(extent - own, 0)
        too_many = P.maximum_dimension(own - extent, 0)
        before[place] = missing // 2 - too_many // 2
        after[place] = extent - own - before[place]
    return P.pad(data, before, after)
