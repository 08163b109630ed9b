"""Col2Im."""

from __future__ import annotations

from onward import program as P
from onward.errors import InvalidArgument
from onward.ir.datatypes import DataType
from onward.operators.arguments import known_integers
from onward.operators.registry import operator


@operator("Col2Im", since=18)
def col2im(
    columns: P.Array,
    image_shape: P.Array,
    block_shape: P.Array,
    *,
    dilations: list[int] | None = None,
    pads: list[int] | None = None,
    strides: list[int] | None = None,
) -> P.Array:
    """(N, C * block, positions) to (N, C, *image_shape): blocks put back, overlaps summed. ONNX Col2Im-18."""
    if columns.dtype == DataType.STRING:
        raise InvalidArgument("Col2Im sums where blocks overlap, and text has no sum")
    image = P.dimensions(image_shape, "the image shape of Col2Im")
    block = known_integers(block_shape, "the block shape of Col2Im")
    rank = len(block)
    dilations, strides = dilations or [1] * rank, strides or [1] * rank
    pads = pads or [0] * (2 * rank)
    counts = [(image[k] + pads[k] + pads[k + rank] - dilations[k] * (block[k] - 1) - 1) // strides[k] + 1 for k in range(rank)]
    batch, channels = columns.shape[0], columns.shape[1] // P.product(block)
    split = P.reshape(columns, (batch, channels, *block, *counts))

    def element(n: P.Dimension, c: P.Dimension, *position: P.Dimension) -> P.Scalar:
        pixel, tap = position[:rank], position[rank:]
        inside, places = None, []
        for k in range(rank):
            offset = P.scalar(pixel[k] + pads[k] - tap[k] * dilations[k])
            place = P.divide(offset, strides[k])
            valid = P.logical_and(P.logical_and(offset >= 0, P.equal(place * strides[k], offset)), place < P.scalar(counts[k]))
            inside = valid if inside is None else P.logical_and(inside, valid)
            places.append(place)
        return P.where(inside, split[(n, c, *tap, *places)], P.scalar(0, columns.dtype))

    return P.reduce("sum", (batch, channels, *image), block, element)
