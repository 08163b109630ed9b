"""Shapes as the Reshape operator takes them: numbers, 0 for 'as it was', at most one -1."""

from __future__ import annotations

from collections.abc import Sequence

from onward.ir import Value
from onward.ir.expressions import Dimension
from onward.passes.match import Match
from onward.passes.rewrite import Builder


def reshape_target(source: Sequence[Dimension], wanted: Sequence[Dimension]) -> list[int] | None:
    """The constant target that turns `source` into `wanted`, or None where no constant does.

    Copies of an extent at the same place are preferred to -1, which is ambiguous for empty tensors.
    """
    target: list[int] = []
    for axis, extent in enumerate(wanted):
        if isinstance(extent, int) and extent != 0:
            target.append(extent)
        elif axis < len(source) and source[axis] == extent:
            target.append(0)
        else:
            target.append(-1)
    return target if target.count(-1) <= 1 and not (-1 in target and 0 in wanted) else None


def reshape(builder: Builder, match: Match, source: Value, wanted: Sequence[Dimension]) -> Value | None:
    """`source` with the shape `wanted`: itself, or a Reshape with a constant target; None where there is none."""
    shape = match.shape(source)
    if shape is None:
        return None
    if shape == tuple(wanted):
        return source
    target = reshape_target(shape, wanted)
    return None if target is None else builder.Reshape(source, shape=target)
