"""Split."""

from __future__ import annotations

from collections.abc import Sequence

from onward import program as P
from onward.errors import InvalidArgument
from onward.operators.registry import Context, operator


@operator("Split", since=1)
def split_1(data: P.Array, sizes: P.Array | None, *, axis: int = 0, split: list[int] | None = None, context: Context) -> tuple[P.Array, ...]:
    """Consecutive parts along `axis`, of the sizes of the attribute or the input. ONNX Split-1."""
    if split is None and sizes is not None:
        return _parts(data, axis, P.dimensions(sizes, "the sizes of Split"))
    return split_2(data, axis=axis, split=split, context=context)


@operator("Split", since=2)
def split_2(data: P.Array, *, axis: int = 0, split: list[int] | None = None, context: Context) -> tuple[P.Array, ...]:
    """Consecutive parts along `axis`, of equal size without `split`. ONNX Split-2, Split-11."""
    return _parts(data, axis, split if split is not None else _equal(data, axis, context.outputs))


@operator("Split", since=13)
def split(data: P.Array, sizes: P.Array | None, *, axis: int = 0, num_outputs: int | None = None, context: Context) -> tuple[P.Array, ...]:
    """Consecutive parts along `axis`; without sizes equal ones, the last smaller. ONNX Split-13, Split-18."""
    if sizes is not None:
        return _parts(data, axis, P.dimensions(sizes, "the sizes of Split"))
    if num_outputs is not None and num_outputs != context.outputs:
        raise InvalidArgument(f"num_outputs is {num_outputs}, but the node has {context.outputs} outputs")
    return _parts(data, axis, _equal(data, axis, context.outputs))


def _equal(data: P.Array, axis: int, count: int) -> list[P.Dimension]:
    extent = data.shape[P.normalize_axis(axis, data.rank)]
    part = P.ceiling_divide(extent, count)
    return [*[part] * (count - 1), extent - part * (count - 1)]


def _parts(data: P.Array, axis: int, sizes: Sequence[P.Dimension]) -> tuple[P.Array, ...]:
    place = P.normalize_axis(axis, data.rank)
    total, extent = sum(sizes), data.shape[place]  # type: ignore[arg-type]
    if isinstance(total, int) and isinstance(extent, int) and total != extent or any(isinstance(size, int) and size < 0 for size in sizes):
        raise InvalidArgument(f"sizes {list(sizes)} do not split axis {axis} of {data}, which has extent {extent}")
    P.require_equal(total, extent, f"sizes that do not split axis {axis} of {data}")
    parts: list[P.Array] = []
    start: P.Dimension = 0
    for size in sizes:
        starts: list[P.Dimension] = [0] * data.rank
        extents = list(data.shape)
        starts[place], extents[place] = start, size
        parts.append(P.slice(data, starts, extents))
        start = start + size
    return tuple(parts)
