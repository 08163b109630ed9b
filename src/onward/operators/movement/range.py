"""Range."""

from __future__ import annotations

import math

from onward import program as P
from onward.errors import InvalidArgument
from onward.ir.datatypes import DataType
from onward.operators.registry import operator


@operator("Range", since=11)
def range_(start: P.Array, limit: P.Array, delta: P.Array) -> P.Array:
    """start, start + delta, ... up to before limit. ONNX Range-11."""
    count = _count(start, limit, delta)
    kind = start.dtype
    first, step = (_element(value) for value in (start, delta))
    return P.compute((count,), lambda i: first + step * P.cast(P.scalar(i), kind))


def _element(value: P.Array) -> P.Scalar:
    if value.content is None:
        return value.item() if value.rank == 0 else value[0]
    return P.scalar(value.content.reshape(-1)[0], value.dtype)


def _count(start: P.Array, limit: P.Array, delta: P.Array) -> P.Dimension:
    """The number of elements; a symbol of the run where a bound is known only then."""
    contents = [value.content for value in (start, limit, delta)]
    known = [content.reshape(-1)[0] for content in contents if content is not None]
    if len(known) < 3:
        return _count_in_run(start, limit, delta)
    first, last, step = known
    if isinstance(step, (int, float)) and step == 0:
        raise InvalidArgument("the delta of Range is 0")
    if start.dtype.is_float:
        return max(0, math.ceil((last - first) / step))
    if not isinstance(step, int):
        return _count_in_run(start, limit, delta)
    distance = last - first if step > 0 else first - last
    return P.maximum_dimension(P.ceiling_divide(distance, abs(step)), 0)


def _count_in_run(start: P.Array, limit: P.Array, delta: P.Array) -> P.Dimension:
    if start.dtype.is_float:
        wide = [P.cast(value, DataType.DOUBLE) for value in (start, limit, delta)]
        count = P.cast(P.ceil((wide[1] - wide[0]) / wide[2]), DataType.INT64)
    else:
        first, last, step = (P.cast(value, DataType.INT64) for value in (start, limit, delta))
        quotient = P.divide(last - first, step)
        more = P.logical_and(P.not_equal(quotient * step, last - first), P.equal(P.less(last, first), P.less(step, 0)))
        count = quotient + P.cast(more, DataType.INT64)
    (extent,) = P.dimensions(P.maximum(count, 0), "the length of Range")
    return extent
