"""The schedule of lane reductions (pooling, depthwise convolution): a tile of vectors of results, over a few points each."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from onward.compiler.builder import Builder
from onward.compiler.operations import emit_literal
from onward.compiler.schedule.emitter import Emitter
from onward.compiler.schedule.kernel import Arguments, Kernel
from onward.compiler.schedule.nest import NestSchedule, adds, combine, identity_of, least
from onward.compiler.schedule.summation import cut, pieces
from onward.compiler.steps import Stage
from onward.compiler.values import I64, Value
from onward.ir.datatypes import DataType
from onward.ir.expressions import Dimension, Expression, ceiling_divide, product
from onward.program.scalar import Operation, Scalar

REGISTERS_A_RESULT = 4
"""Of so many registers one holds a result: neighbouring results are computed together, so that weights are loaded once for all."""
MOST_WRITTEN_OUT = 256
"""Terms of all results of a tile that are written out."""
ROWS_SHARE = 4
"""Rows that are walked together take one part in so many of the second-level cache."""
MOST_UNROLLED = 64
"""A lane reduction over at most this many points is written out; larger ones loop, and make blocks of so many."""


class LaneSchedule(NestSchedule):
    """Emits a nest whose only stage is a lane reduction."""

    def kernel(self) -> Kernel:
        """The compiled form of the nest."""
        return self._finish("reduction", self._lane_blocks(self.nest.stages[0]), self._emit_lane)

    def _lane_loops(self, stage: Stage) -> tuple[list[Expression], Expression | None]:
        """The result's loops in memory order, but for the lane, and the lane: the loop that walks memory by ones."""
        order = self.layouts.orders.get(stage.root.array) or range(len(stage.variables))
        places = [stage.variables[axis] for axis in order]
        ordered = [place for place in places if isinstance(place, Expression)]  # loops of extent 1 have become 0
        scores = {variable: self._contiguous_reads(variable) for variable in ordered}
        lane = max(ordered, key=lambda variable: scores[variable], default=None)
        return [variable for variable in ordered if variable is not lane], lane

    def _contiguous_reads(self, variable: Expression) -> int:
        return sum(isinstance(address, Expression) and address.coefficient(variable) == 1 for address in self._addresses())

    def _lane_blocks(self, stage: Stage) -> Dimension:
        self._rename({str(variable): 0 for variable in stage.variables if self.nest.extents[str(variable)] == 1})
        self.outer, self.lane = self._lane_loops(stage)
        if self.lane is None:
            return 1
        # The last outer loop is tiled inside a block; the lane loop is inside a block too unless it is all there is.
        self.tiled = self.outer[-1] if self.outer else None
        self.lane_step = self.lanes * 4 if len(self.outer) < 2 else None
        blocks = product(self.nest.extents[str(variable)] for variable in self.outer[:-1])
        if self.lane_step is not None:
            blocks = blocks * ceiling_divide(self.nest.extents[str(self.lane)], self.lane_step)
        return blocks

    def _emit_lane(self, b: Builder, arguments: Arguments, begin: Value, end: Value) -> None:
        (stage,) = self.nest.stages
        emitter = Emitter(b, arguments, self.layouts, {})
        if self.lane is None:
            with b.loop(begin, end):
                self._accumulate(b, arguments, stage, {}, None, 0, 1, None)
            return
        name, extent = str(self.lane), emitter.index(self.nest.extents[str(self.lane)])
        if self.lane_step is None:
            rows = b.constant(I64, self._rows_together())
            with b.loop(begin, end, rows) as first:
                last = least(b, first + rows, end)

                def walk(place: Value, lanes: int, mask: Value | None) -> None:
                    with b.loop(first, last) as block:
                        places = emitter.places(block, [self.nest.extents[str(variable)] for variable in self.outer[:-1]])
                        indices = dict(zip(map(str, self.outer), places))
                        self._emit_tiles(b, arguments, stage, {**indices, name: place}, lanes, mask)

                self.vector_loop(b, b.constant(I64, 0), extent, walk)
            return
        step = b.constant(I64, self.lane_step)
        with b.loop(begin, end) as block:
            start = block * step
            stop = least(b, start + step, extent)
            self.vector_loop(
                b, start, stop, lambda place, lanes, mask: self._emit_tiles(b, arguments, stage, {name: place}, lanes, mask)
            )  # fmt: skip

    def _rows_together(self) -> int:
        """How many rows of results are made for a vector of the lane before the next: what several of them read is then in the first-level cache."""
        rows = product(self.nest.extents[str(variable)] for variable in self.outer[:-1])
        walked: Dimension = 0
        for array in {read.array for read in self._reads()} | {self.nest.stages[0].root.array}:
            walked = walked + array.size * array.dtype.numpy.itemsize
        if not isinstance(rows, int) or not isinstance(walked, int):
            return 1
        return max(1, self.target.l2 // ROWS_SHARE * rows // max(1, walked))

    def _emit_tiles(self, b: Builder, arguments: Arguments, stage: Stage, indices: dict[str, Value], lanes: int, mask: Value | None) -> None:
        lane = str(self.lane)
        if self.tiled is None:
            self._accumulate(b, arguments, stage, indices, None, 1, lanes, mask, lane)
            return
        tiled, size = str(self.tiled), self.nest.extents[str(self.tiled)]
        tile = self._tile(stage, size)
        extent = Emitter(b, arguments, self.layouts, {}).index(size)
        whole = b.unsigned_divide(extent, b.constant(I64, tile)) * b.constant(I64, tile)

        def turns(begin: Value, end: Value, count: int) -> None:
            with b.loop(begin, end, b.constant(I64, count)) as place:
                self._accumulate(b, arguments, stage, {**indices, tiled: place}, tiled, count, lanes, mask, lane)

        turns(b.constant(I64, 0), whole, tile)
        rest = size % tile if isinstance(size, int) else 1
        if rest:
            turns(whole, extent, rest)

    def _tile(self, stage: Stage, extent: Dimension) -> int:
        """How many results are computed together: as equal numbers as possible."""
        points = 1
        for size in reversed(stage.root.extents):
            points = points * size if isinstance(size, int) and points * size <= MOST_UNROLLED else points
        most = max(1, min(self.target.vector_registers // REGISTERS_A_RESULT, MOST_WRITTEN_OUT // max(1, points)))
        return -(-extent // -(-extent // most)) if isinstance(extent, int) and extent else most

    def _accumulate(
        self,
        b: Builder,
        arguments: Arguments,
        stage: Stage,
        indices: dict[str, Value],
        tiled: str | None,
        tile: int,
        lanes: int,
        mask: Value | None,
        lane: str | None = None,
    ) -> None:
        """A tile of results: accumulators over the reduction, then the epilogue and the stores."""
        assert stage.root.reduce is not None and stage.reduce_body is not None
        operation, dtype = stage.root.reduce.operation, stage.reduce_body.dtype
        identity = emit_literal(b, identity_of(operation, dtype), dtype, lanes)
        count = max(1, tile)
        totals = [b.variable(identity) for _ in range(count)]
        places = [self._shifted(b, indices, tiled, position) for position in range(count)]
        reduction = [(str(v), extent) for v, extent in zip(stage.root.reduction, stage.root.extents)]

        def point(position: int, inner: Mapping[str, Value]) -> Emitter:
            return Emitter(b, arguments, self.layouts, {**places[position], **inner}, lane=lane, lanes=lanes, mask=mask)

        def visit(inner: dict[str, Value]) -> None:
            for position in range(count):
                self._accumulate_one(point(position, inner), totals[position], operation, stage.reduce_body)

        block = cut(list(stage.root.extents), MOST_UNROLLED) if adds(operation, dtype) else None
        sums = totals if block is None else [b.variable(identity) for _ in range(count)]

        def end_block() -> None:
            for total, whole in zip(totals, sums):
                whole.set(combine(b, operation, [whole.get(), total.get()], dtype))
                total.set(identity)

        self._reduction_loops(b, arguments, reduction, visit, {}, block, end_block)
        for position in range(count):
            final = point(position, {})
            final.values[stage.root.reduce] = sums[position].get()
            self._store(final, stage, final.vector(stage.body))

    def _shifted(self, b: Builder, indices: dict[str, Value], tiled: str | None, position: int) -> dict[str, Value]:
        if tiled is None or position == 0:
            return indices
        return {**indices, tiled: indices[tiled] + b.constant(I64, position)}

    def _reduction_loops(
        self,
        b: Builder,
        arguments: Arguments,
        loops: list[tuple[str, Dimension]],
        visit: Callable[[dict[str, Value]], None],
        inner: dict[str, Value],
        block: tuple[int, int] | None,
        end_block: Callable[[], None],
    ) -> None:
        """The innermost loops are written out as long as the points stay few; the others loop, one of them in pieces."""
        if not loops:
            visit(inner)
            return
        (name, extent), rest = loops[0], loops[1:]
        points = math.prod(size if isinstance(size, int) else MOST_UNROLLED + 1 for _, size in loops)
        if points <= MOST_UNROLLED and isinstance(extent, int):
            for number in range(extent):
                self._reduction_loops(b, arguments, rest, visit, {**inner, name: b.constant(I64, number)}, None, end_block)
            return
        deeper = (block[0] - 1, block[1]) if block and block[0] else None

        def turns(begin: Value, end: Value) -> None:
            with b.loop(begin, end) as place:
                self._reduction_loops(b, arguments, rest, visit, {**inner, name: place}, deeper, end_block)

        stop = Emitter(b, arguments, self.layouts, {}).index(extent)
        if block is None or block[0]:
            turns(b.constant(I64, 0), stop)
            return
        with pieces(b, stop, block[1]) as (begin, end):
            turns(begin, end)
            end_block()

    def _accumulate_one(self, point: Emitter, total: object, operation: str, body: Scalar | None) -> None:
        assert body is not None
        b = point.b
        if operation == "sum" and body.dtype in (DataType.FLOAT, DataType.DOUBLE) and isinstance(body, Operation):
            if body.name == "multiply":
                left, right = (point.vector(argument) for argument in body.arguments)
                total.set(b.fma(left, right, total.get()))  # type: ignore[attr-defined]
                return
        value = point.vector(body)
        total.set(combine(b, operation, [total.get(), value], body.dtype))  # type: ignore[attr-defined]
