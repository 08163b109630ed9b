"""Maps that read along one axis and write along another, such as a transposition.

The lanes of a vector are neighbours in the result and lie far apart in what is read. Row by row of the result, every element
would come from a cache line that is gone before its neighbour is wanted. So the lanes stay where they are, while the loop that
walks what is read without gaps goes by: each cache line is used up before the next one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from onward.compiler.builder import Builder
from onward.compiler.schedule.emitter import Emitter
from onward.compiler.schedule.kernel import Arguments
from onward.compiler.values import I64, Value
from onward.ir.expressions import Dimension, Expression, ceiling_divide, product

if TYPE_CHECKING:
    from onward.compiler.schedule.nest import NestSchedule


@dataclass(frozen=True)
class Transposition:
    """A map whose last loop is the `lane`, for whose every vector the loop `along` is walked."""

    schedule: NestSchedule
    outer: tuple[Expression, ...]
    along: Expression
    lane: Expression

    @property
    def blocks(self) -> Dimension:
        """One for each vector of the lane in each turn of the outer loops."""
        extents = self.schedule.nest.extents
        return product(extents[str(variable)] for variable in self.outer) * ceiling_divide(extents[str(self.lane)], self.schedule.lanes)

    def emit(self, b: Builder, arguments: Arguments, begin: Value, end: Value) -> None:
        """The blocks from `begin` to `end`."""
        nest, lanes = self.schedule.nest, self.schedule.lanes
        point = Emitter(b, arguments, self.schedule.layouts, {})
        size = point.index
        across, depth = size(nest.extents[str(self.lane)]), size(nest.extents[str(self.along)])
        vectors = size(ceiling_divide(nest.extents[str(self.lane)], lanes))
        with b.loop(begin, end) as block:
            outer = [str(variable) for variable in self.outer]
            indices = dict(zip(outer, point.places(b.unsigned_divide(block, vectors), [nest.extents[name] for name in outer])))

            def column(place: Value, count: int, mask: Value | None) -> None:
                with b.loop(b.constant(I64, 0), depth) as turn:
                    self._element(b, arguments, {**indices, str(self.along): turn, str(self.lane): place}, count, mask)

            start = b.unsigned_remainder(block, vectors) * b.constant(I64, lanes)
            stop = start + b.constant(I64, lanes)
            self.schedule.vector_loop(b, start, b.select(stop < across, stop, across), column)

    def _element(self, b: Builder, arguments: Arguments, indices: dict[str, Value], count: int, mask: Value | None) -> None:
        (stage,) = self.schedule.nest.stages
        point = Emitter(b, arguments, self.schedule.layouts, indices, lane=str(self.lane), lanes=count, mask=mask)
        point.store(stage.root.array, stage.variables, point.vector(stage.body))


def transposition_of(schedule: NestSchedule) -> Transposition | None:
    """A map as a transposition, if something is read without gaps along another loop than the last, and not along that one."""
    nest = schedule.nest
    if len(nest.stages) > 1 or schedule.woven is not None or len(nest.variables) < 2 or schedule.lanes == 1:
        return None
    *others, lane = nest.variables
    if not _is_long(schedule, lane):
        return None
    for read in nest.stages[0].body.reads():
        address = schedule.layouts.view(read.array).address(read.indices)
        if not isinstance(address, Expression) or address.coefficient(lane) in (None, 0, 1):
            continue
        for variable in reversed(others):
            if address.coefficient(variable) == 1 and _is_long(schedule, variable):
                return Transposition(schedule, tuple(other for other in others if other is not variable), variable, lane)
    return None


def _is_long(schedule: NestSchedule, variable: Expression) -> bool:
    extent = schedule.nest.extents[str(variable)]
    return not isinstance(extent, int) or extent >= schedule.lanes
