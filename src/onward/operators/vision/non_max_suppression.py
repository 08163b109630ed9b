"""NonMaxSuppression."""

from __future__ import annotations

from onward import program as P
from onward.ir.datatypes import DataType
from onward.operators.registry import operator


@operator("NonMaxSuppression", since=10)
def non_max_suppression(
    boxes: P.Array,
    scores: P.Array,
    most: P.Array | None = None,
    overlap: P.Array | None = None,
    least_score: P.Array | None = None,
    *,
    center_point_box: int = 0,
) -> P.Array:
    """The best boxes of each class that do not overlap a better one: rows (batch, class, box). ONNX NonMaxSuppression-10.

    boxes (B, N, 4) are two corners (y, x) or, with `center_point_box`, a centre (x, y) and a size; scores (B, C, N).
    """
    inputs = [
        _corners(boxes, bool(center_point_box)),
        scores,
        _parameter(most, 0, DataType.INT64),
        _parameter(overlap, 0.0, DataType.FLOAT),
        _parameter(least_score, float("-inf"), DataType.FLOAT),
    ]
    count = P.fresh_symbol("count")
    (selected,) = P.routine("non_max_suppression", inputs, [((count, 3), DataType.INT64)], [count])
    return selected


def _corners(boxes: P.Array, centred: bool) -> P.Array:
    """The corners as (least y, least x, greatest y, greatest x)."""

    def element(batch: P.Dimension, box: P.Dimension, side: P.Dimension) -> P.Scalar:
        edges = [boxes[batch, box, number] for number in range(4)]
        if centred:
            x, y, width, height = edges
            edges = [y - height / 2.0, x - width / 2.0, y + height / 2.0, x + width / 2.0]
        top, left, bottom, right = edges
        ordered = [P.minimum(top, bottom), P.minimum(left, right), P.maximum(top, bottom), P.maximum(left, right)]
        result = ordered[3]
        for number in range(3):
            result = P.where(P.equal(P.scalar(side), number), ordered[number], result)
        return result

    return P.compute(boxes.shape, element)


def _parameter(array: P.Array | None, default: float, dtype: DataType) -> P.Array:
    if array is None:
        return P.constant([default], dtype)
    return P.cast(P.reshape(array, (1,)), dtype)
