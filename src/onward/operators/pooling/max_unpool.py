"""MaxUnpool."""

from __future__ import annotations

from onward import program as P
from onward.operators.registry import operator


@operator("MaxUnpool", since=9)
def max_unpool(
    x: P.Array,
    indices: P.Array,
    output_shape: P.Array | None = None,
    *,
    kernel_shape: list[int],
    pads: list[int] | None = None,
    strides: list[int] | None = None,
) -> P.Array:
    """Zeros with the elements of x at the places that MaxPool found. ONNX MaxUnpool-9.

    The places count in the smallest shape that MaxPool could have come from; `output_shape` may add to its ends.
    """
    rank = len(kernel_shape)
    pads, strides = pads or [0] * (2 * rank), strides or [1] * rank
    spatial = [(extent - 1) * s - low - high + kernel for extent, s, low, high, kernel in zip(x.shape[2:], strides, pads, pads[rank:], kernel_shape)]
    shape = (*x.shape[:2], *spatial)
    rows = P.full((P.product(shape),), 0, x.dtype)
    flat = [P.reshape(item, (item.size,)) for item in (indices, x)]
    (scattered,) = P.routine("scatter", [rows, *flat], [(rows.shape, x.dtype)], reduction="none")
    result = P.reshape(scattered, shape)
    if output_shape is None:
        return result
    wanted = P.dimensions(output_shape, "the output shape of MaxUnpool")
    return P.pad(result, [0] * x.rank, [big - small for big, small in zip(wanted, shape)])
