"""The schedule of everything that is not a contraction: maps, row reductions and lane reductions.

A map without reductions is collapsed to as few loops as its memory allows and cut into blocks. A nest with reductions
handles one row at a time. A lane reduction (pooling, depthwise convolution) keeps a tile of vector accumulators.
Sums have a fixed order that depends on the target's vector width alone, never on the number of threads.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence

from onward.compiler.builder import Builder, Module, Type, Value
from onward.compiler.layout import Buffer, LayoutPlanner
from onward.compiler.operations import compute_type, emit_literal, emit_operation
from onward.compiler.rewrite import substitute
from onward.compiler.roots import cost
from onward.compiler.schedule.emitter import Emitter
from onward.compiler.schedule.kernel import Arguments, Kernel
from onward.compiler.steps import Nest, Stage
from onward.compiler.targets import Target
from onward.ir.datatypes import DataType
from onward.ir.expressions import Dimension, Expression, Symbol, ceiling_divide, product
from onward.ir.expressions import substitute as substitute_index
from onward.program.array import Array
from onward.program.scalar import IndexValue, Operation, Read, Scalar

I64 = Type("i64")
CHUNK = 4096
"""Elements in a block of a map that has collapsed to one loop."""
ACCUMULATORS = 4
"""Independent partial sums of a row reduction: enough to hide the latency of the addition."""
LANE_TILE = 4
"""Neighbouring results of a lane reduction computed together, so that weights are loaded once for all."""
MOST_UNROLLED = 64
"""A lane reduction over at most this many points is written out; larger ones loop."""


class NestSchedule:
    """Emits one nest as a kernel."""

    def __init__(self, nest: Nest, layouts: LayoutPlanner, target: Target, needed: set[Array]) -> None:
        self.nest = nest
        self.layouts = layouts
        self.target = target
        self.needed = needed
        self.lanes = max(1, target.vector_bits // 32)
        self.bodies = {
            id(stage): [body for body in (stage.body, stage.reduce_body) if body is not None] for stage in nest.stages
        }

    # -- the kernel --------------------------------------------------------------------------------------------
    def kernel(self) -> Kernel:
        """The compiled form of the nest."""
        nest = self.nest
        first = nest.stages[0]
        if first.kind == "lane":
            return self._finish("reduction", self._lane_blocks(first), self._emit_lane)
        if nest.rows is None:
            self._collapse()
            if len(nest.variables) <= 1:
                extent = nest.extents[str(nest.variables[0])] if nest.variables else 1
                return self._finish("map", ceiling_divide(extent, CHUNK), self._emit_flat)
            self._lengthen_lane()
            nest.rows = nest.variables[:-1]
        else:
            self._collapse_inner()
        kind = "map" if all(stage.kind == "map" for stage in nest.stages) else "rows"
        return self._finish(kind, product(nest.extents[str(row)] for row in nest.rows), self._emit_rows)

    def _finish(self, kind: str, blocks: Dimension, emit: Callable[[Builder, Arguments, Value, Value], None]) -> Kernel:
        buffers, sizes = self._arguments()
        module = Module(self.target)
        b = module.function("kernel", [("arguments", Type("ptr")), ("begin", I64), ("end", I64)])
        slots, begin, end = b.arguments
        arguments = Arguments(b, slots, buffers, sizes)
        emit(b, arguments, begin, end)
        b.ret()
        elements = product(self.nest.extents.values())
        per_element = sum(max(1.0, cost(body)) for bodies in self.bodies.values() for body in bodies)
        written = [self.layouts.view(stage.root.array).buffer for stage in self.nest.stages if self._stored(stage)]
        return Kernel(
            "kernel", module.text(), buffers, [Symbol(name) for name in sizes], blocks,
            elements * math.ceil(per_element), written, kind, flops=elements * math.ceil(per_element),
        )  # fmt: skip

    def _stored(self, stage: Stage) -> bool:
        """Values of one element a row stay in registers when nobody else needs them."""
        return stage.kind in ("map", "lane") or stage.root.array in self.needed

    def _reads(self) -> Iterator[Read]:
        own = {stage.root.reduce for stage in self.nest.stages}
        kept = {stage.root.array for stage in self.nest.stages if not self._stored(stage)}
        for bodies in self.bodies.values():
            for body in bodies:
                yield from (read for read in body.reads() if read.array not in own and read.array not in kept)

    def _arguments(self) -> tuple[list[Buffer], list[str]]:
        buffers: dict[Buffer, None] = {}
        names: set[str] = set()
        for read in self._reads():
            view = self.layouts.view(read.array)
            buffers[view.buffer] = None
            names |= _names((*read.indices, *view.strides, view.offset, *read.array.shape))
        for stage in self.nest.stages:
            view = self.layouts.view(stage.root.array)
            if self._stored(stage):
                buffers[view.buffer] = None
            names |= _names((*view.strides, view.offset))
            for body in self.bodies[id(stage)]:
                for scalar in body.walk():
                    if isinstance(scalar, IndexValue):
                        names |= _names((scalar.expression,))
        names |= _names(self.nest.extents.values())
        loops = {str(variable) for variable in self.nest.variables}
        loops |= {str(variable) for stage in self.nest.stages for variable in stage.root.reduction}
        return list(buffers), sorted(names - loops)

    # -- collapsing loops --------------------------------------------------------------------------------------
    def _addresses(self) -> list[Dimension]:
        found = [self.layouts.view(read.array).address(read.indices) for read in self._reads()]
        for stage in self.nest.stages:
            if self._stored(stage):
                found.append(self.layouts.view(stage.root.array).address(stage.variables))
            for body in self.bodies[id(stage)]:
                found.extend(scalar.expression for scalar in body.walk() if isinstance(scalar, IndexValue))
        return found

    def _collapse(self) -> None:
        """Orders the loops as the result lies in memory and merges neighbours that walk memory as one."""
        stage = self.nest.stages[0]
        order = self.layouts.orders.get(stage.root.array) or range(len(stage.variables))
        ordered = [place for axis in order if isinstance(place := stage.variables[axis], Expression)]
        self.nest.variables = self._merge([v for v in ordered if self.nest.extents[str(v)] != 1], drop=ordered)

    def _lengthen_lane(self) -> None:
        """A last loop of a few steps (three colours) leaves vectors empty: a longer loop that reads without gaps takes
        its place, and the result is scattered."""
        last = self.nest.extents[str(self.nest.variables[-1])]
        if not isinstance(last, int) or last >= self.lanes // 2:
            return
        for variable in reversed(self.nest.variables[:-1]):
            extent = self.nest.extents[str(variable)]
            long = not isinstance(extent, int) or extent >= self.lanes
            if long and any(isinstance(a, Expression) and a.coefficient(variable) == 1 for a in self._addresses()):
                self.nest.variables.remove(variable)
                self.nest.variables.append(variable)
                return

    def _collapse_inner(self) -> None:
        rows = list(self.nest.rows or [])
        inner = [variable for variable in self.nest.inner if self.nest.extents[str(variable)] != 1]
        merged = self._merge(inner, drop=self.nest.inner)
        self.nest.rows = rows
        self.nest.variables = [*rows, *merged]

    def _merge(self, variables: list[Expression], drop: Sequence[Expression]) -> list[Expression]:
        """Merges adjacent loops; loops of extent 1 vanish. Rewrites the bodies and returns the loops that remain."""
        for variable in drop:
            if variable not in variables:
                self._rename({str(variable): 0})
        result: list[Expression] = []
        for variable in variables:
            while result and self._mergeable(result[-1], variable):
                outer = result.pop()
                extent = self.nest.extents.pop(str(outer)) * self.nest.extents.pop(str(variable))
                merged = Symbol(f"{outer}_{variable}", 0, extent - 1)
                self.nest.extents[str(merged)] = extent
                self._rename({str(outer): 0, str(variable): merged})
                variable = merged
            result.append(variable)
        return result

    def _mergeable(self, outer: Expression, inner: Expression) -> bool:
        extent = self.nest.extents[str(inner)]
        for address in self._addresses():
            if not isinstance(address, Expression):
                continue
            left, right = address.coefficient(outer), address.coefficient(inner)
            if left is None or right is None or left != right * extent:
                return False
        return True

    def _rename(self, mapping: Mapping[str, Dimension]) -> None:
        for name, value in mapping.items():
            if isinstance(value, int):
                self.nest.extents.pop(name, None)
        for stage in self.nest.stages:
            stage.body = substitute(stage.body, mapping)
            if stage.reduce_body is not None:
                stage.reduce_body = substitute(stage.reduce_body, mapping)
            stage.variables = tuple(substitute_index(place, mapping) for place in stage.variables)
            self.bodies[id(stage)] = [body for body in (stage.body, stage.reduce_body) if body is not None]

    # -- maps --------------------------------------------------------------------------------------------------
    def _emit_flat(self, b: Builder, arguments: Arguments, begin: Value, end: Value) -> None:
        emitter = Emitter(b, arguments, self.layouts, {})
        variable = self.nest.variables[0] if self.nest.variables else None
        extent = emitter.index(self.nest.extents[str(variable)] if variable is not None else 1)
        start = begin * b.constant(I64, CHUNK)
        stop = _least(b, end * b.constant(I64, CHUNK), extent)

        def body(place: Value, lanes: int, mask: Value | None) -> None:
            indices = {} if variable is None else {str(variable): place}
            values: dict[Array, Value] = {}
            for stage in self.nest.stages:
                point = Emitter(
                    b, arguments, self.layouts, indices, lane=str(variable), lanes=lanes, mask=mask, values=values
                )
                value = point.vector(stage.body)
                self._store(point, stage, value)

        self._vector_loop(b, start, stop, body)

    def _emit_rows(self, b: Builder, arguments: Arguments, begin: Value, end: Value) -> None:
        with b.loop(begin, end) as block:
            indices = self._row_indices(b, arguments, block)
            values: dict[Array, Value] = {}
            for stage in self.nest.stages:
                if stage.kind == "map":
                    self._emit_map(b, arguments, stage, indices, values)
                else:
                    point = Emitter(b, arguments, self.layouts, indices, values=values)
                    if stage.reduce_body is not None:
                        assert stage.root.reduce is not None
                        point.values[stage.root.reduce] = self._emit_row_reduction(b, arguments, stage, indices, values)
                    values[stage.root.array] = point.scalar(stage.body)
                    if self._stored(stage):
                        self._store(point, stage, values[stage.root.array])

    def _row_indices(self, b: Builder, arguments: Arguments, block: Value) -> dict[str, Value]:
        emitter = Emitter(b, arguments, self.layouts, {})
        indices: dict[str, Value] = {}
        rest = block
        rows = [row for row in self.nest.rows or [] if self.nest.extents.get(str(row), 1) != 1]
        for row in self.nest.rows or []:
            indices[str(row)] = b.constant(I64, 0)
        for row in reversed(rows[1:]):
            extent = emitter.index(self.nest.extents[str(row)])
            indices[str(row)] = b.unsigned_remainder(rest, extent)
            rest = b.unsigned_divide(rest, extent)
        if rows:
            indices[str(rows[0])] = rest
        return indices

    def _emit_map(
        self, b: Builder, arguments: Arguments, stage: Stage, indices: dict[str, Value], values: dict[Array, Value]
    ) -> None:
        loops = self._inner_of(stage)

        def body(inner: dict[str, Value], lane: str | None, lanes: int, mask: Value | None) -> None:
            point = Emitter(
                b, arguments, self.layouts, {**indices, **inner}, lane=lane, lanes=lanes, mask=mask, values=values
            )
            self._store(point, stage, point.vector(stage.body))

        self._inner_loops(b, arguments, loops, body)

    def _inner_of(self, stage: Stage) -> list[Expression]:
        names: set[str] = set()
        for body in self.bodies[id(stage)]:
            for item in body.walk():
                names |= _names((*getattr(item, "indices", ()), getattr(item, "expression", 0)))
        names |= _names(stage.variables)
        return [v for v in self.nest.inner if str(v) in names or str(v) in self.nest.extents]

    def _inner_loops(
        self,
        b: Builder,
        arguments: Arguments,
        loops: Sequence[Expression],
        body: Callable[[dict[str, Value], str | None, int, Value | None], None],
        indices: dict[str, Value] | None = None,
    ) -> None:
        """Serial loops over all but the last variable, a vector loop over the last."""
        indices = indices or {}
        emitter = Emitter(b, arguments, self.layouts, {})
        if not loops:
            body(indices, None, 1, None)
            return
        name = str(loops[0])
        extent = emitter.index(self.nest.extents[name])
        if len(loops) == 1:
            self._vector_loop(
                b, b.constant(I64, 0), extent, lambda place, lanes, mask: body({**indices, name: place}, name, lanes, mask)
            )
            return
        with b.loop(b.constant(I64, 0), extent) as place:
            self._inner_loops(b, arguments, loops[1:], body, {**indices, name: place})

    def _vector_loop(
        self, b: Builder, start: Value, stop: Value, body: Callable[[Value, int, Value | None], None]
    ) -> None:
        """`body(first index, lanes, mask)` over [start, stop): whole vectors, then one masked vector or single lanes."""
        step = b.constant(I64, self.lanes)
        if self.lanes == 1:
            with b.loop(start, stop) as place:
                body(place, 1, None)
            return
        whole = start + b.unsigned_divide(_positive(b, stop - start), step) * step
        with b.loop(start, whole, step) as place:
            body(place, self.lanes, None)
        if self.target.has_masks:
            with b.when(whole < stop):
                kind = Type("i64", self.lanes)
                mask = b.iota(kind) < b.splat(stop - whole, self.lanes)
                body(whole, self.lanes, mask)
        else:
            with b.loop(whole, stop) as place:
                body(place, 1, None)

    def _store(self, point: Emitter, stage: Stage, value: Value) -> None:
        point.store(stage.root.array, stage.variables, value)

    # -- row reductions ----------------------------------------------------------------------------------------
    def _emit_row_reduction(
        self, b: Builder, arguments: Arguments, stage: Stage, indices: dict[str, Value], values: dict[Array, Value]
    ) -> Value:
        assert stage.root.reduce is not None and stage.reduce_body is not None
        operation, dtype = stage.root.reduce.operation, stage.reduce_body.dtype
        if operation.startswith("arg"):
            return self._emit_arg_reduction(b, arguments, stage, indices, values)
        kind = compute_type(dtype, self.lanes)
        identity = emit_literal(b, identity_of(operation, dtype), dtype, self.lanes)
        total = b.variable(identity)

        def body(inner: dict[str, Value], lane: str | None, lanes: int, mask: Value | None) -> None:
            point = Emitter(
                b, arguments, self.layouts, {**indices, **inner}, lane=lane, lanes=lanes, mask=mask, values=values
            )
            assert stage.reduce_body is not None
            value = point.vector(stage.reduce_body)
            if mask is not None:
                value = b.select(mask, value, identity)
            if lanes != self.lanes:
                value = b.insert(identity, value, 0) if kind.lanes > 1 else value
            total.set(combine(b, operation, [total.get(), value], dtype))

        inner = [v for v in self.nest.inner if str(v) in self.nest.extents]
        self._inner_loops(b, arguments, inner, body)
        return self._horizontal(b, operation, total.get(), dtype)

    def _horizontal(self, b: Builder, operation: str, vector: Value, dtype: DataType) -> Value:
        """The lanes of a vector combined as a balanced tree."""
        lanes = vector.type.lanes
        while lanes > 1:
            half = lanes // 2
            left = b.shuffle(vector, vector, list(range(half)))
            right = b.shuffle(vector, vector, list(range(half, lanes)))
            vector = combine(b, operation, [left, right], dtype)
            lanes = half
        return b.extract(vector, 0) if vector.type.lanes > 1 or "x" in str(vector.type) else vector

    def _emit_arg_reduction(
        self, b: Builder, arguments: Arguments, stage: Stage, indices: dict[str, Value], values: dict[Array, Value]
    ) -> Value:
        assert stage.root.reduce is not None and stage.reduce_body is not None
        dtype = stage.reduce_body.dtype
        (variable,) = stage.inner
        name = str(variable)
        emitter = Emitter(b, arguments, self.layouts, {})
        extent = emitter.index(self.nest.extents.get(name, 1))

        def element(place: Value) -> Value:
            assert stage.reduce_body is not None
            return Emitter(b, arguments, self.layouts, {**indices, name: place}, values=values).scalar(stage.reduce_body)

        best = b.variable(element(b.constant(I64, 0)))
        where = b.variable(b.constant(I64, 0))
        better = "greater" if stage.root.reduce.operation == "argmax" else "less"
        with b.loop(b.constant(I64, 1), extent) as place:
            value = element(place)
            wins = emit_operation(b, better, [value, best.get()], dtype)
            if dtype.is_float:  # the first NaN wins over every number
                nan = emit_operation(b, "is_nan", [value], dtype)
                kept = emit_operation(b, "is_nan", [best.get()], dtype)
                wins = b.bitwise_and(b.bitwise_or(wins, nan), b.invert(kept))
            best.set(b.select(wins, value, best.get()))
            where.set(b.select(wins, place, where.get()))
        return where.get()

    # -- lane reductions ---------------------------------------------------------------------------------------
    def _lane_loops(self, stage: Stage) -> tuple[list[Expression], Expression | None]:
        """The result's loops in memory order, but for the lane, and the lane: the loop that walks memory by ones."""
        order = self.layouts.orders.get(stage.root.array) or range(len(stage.variables))
        places = [stage.variables[axis] for axis in order]
        ordered = [place for place in places if isinstance(place, Expression)]  # loops of extent 1 have become 0
        scores = {variable: self._contiguous_reads(variable) for variable in ordered}
        lane = max(ordered, key=lambda variable: scores[variable], default=None)
        return [variable for variable in ordered if variable is not lane], lane

    def _contiguous_reads(self, variable: Expression) -> int:
        return sum(
            isinstance(address, Expression) and address.coefficient(variable) == 1 for address in self._addresses()
        )

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
        lane_name = str(self.lane)
        lane_extent = emitter.index(self.nest.extents[lane_name])
        with b.loop(begin, end) as block:
            rest = block
            start, stop = b.constant(I64, 0), lane_extent
            if self.lane_step is not None:
                parts = emitter.index(ceiling_divide(self.nest.extents[lane_name], self.lane_step))
                part = b.unsigned_remainder(rest, parts)
                rest = b.unsigned_divide(rest, parts)
                start = part * b.constant(I64, self.lane_step)
                stop = _least(b, start + b.constant(I64, self.lane_step), lane_extent)
            indices: dict[str, Value] = {}
            for variable in reversed(self.outer[:-1]):
                extent = emitter.index(self.nest.extents[str(variable)])
                indices[str(variable)] = b.unsigned_remainder(rest, extent)
                rest = b.unsigned_divide(rest, extent)

            def lane_body(place: Value, lanes: int, mask: Value | None) -> None:
                self._emit_tiles(b, arguments, stage, {**indices, lane_name: place}, lanes, mask)

            self._vector_loop(b, start, stop, lane_body)

    def _emit_tiles(
        self, b: Builder, arguments: Arguments, stage: Stage, indices: dict[str, Value], lanes: int, mask: Value | None
    ) -> None:
        lane = str(self.lane)
        if self.tiled is None:
            self._accumulate(b, arguments, stage, indices, None, 1, lanes, mask, lane)
            return
        extent = Emitter(b, arguments, self.layouts, {}).index(self.nest.extents[str(self.tiled)])
        step = b.constant(I64, LANE_TILE)
        whole = b.unsigned_divide(extent, step) * step
        with b.loop(b.constant(I64, 0), whole, step) as place:
            self._accumulate(b, arguments, stage, {**indices, str(self.tiled): place}, str(self.tiled), LANE_TILE, lanes, mask, lane)
        with b.loop(whole, extent) as place:
            self._accumulate(b, arguments, stage, {**indices, str(self.tiled): place}, str(self.tiled), 1, lanes, mask, lane)

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
            return Emitter(
                b, arguments, self.layouts, {**places[position], **inner}, lane=lane, lanes=lanes, mask=mask
            )

        def visit(inner: dict[str, Value]) -> None:
            for position in range(count):
                self._accumulate_one(point(position, inner), totals[position], operation, stage.reduce_body)

        self._reduction_loops(b, arguments, reduction, visit, {})
        for position in range(count):
            final = point(position, {})
            final.values[stage.root.reduce] = totals[position].get()
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
    ) -> None:
        """The innermost loops are written out as long as the points stay few; the others loop."""
        if not loops:
            visit(inner)
            return
        (name, extent), rest = loops[0], loops[1:]
        points = math.prod(size if isinstance(size, int) else MOST_UNROLLED + 1 for _, size in loops)
        if points <= MOST_UNROLLED and isinstance(extent, int):
            for number in range(extent):
                self._reduction_loops(b, arguments, rest, visit, {**inner, name: b.constant(I64, number)})
            return
        stop = Emitter(b, arguments, self.layouts, {}).index(extent)
        with b.loop(b.constant(I64, 0), stop) as place:
            self._reduction_loops(b, arguments, rest, visit, {**inner, name: place})

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


def identity_of(operation: str, dtype: DataType) -> float | int | bool:
    """The value that leaves a reduction unchanged."""
    if operation == "sum":
        return False if dtype == DataType.BOOL else 0
    if operation == "prod":
        return 1
    if dtype == DataType.BOOL:
        return operation == "min"
    if dtype.is_float:
        return -math.inf if operation == "max" else math.inf
    bits = dtype.bits - (1 if dtype.is_signed else 0)
    least = -(1 << bits) if dtype.is_signed else 0
    return least if operation == "max" else (1 << bits) - 1


def combine(b: Builder, operation: str, values: list[Value], dtype: DataType) -> Value:
    """Two partial results of a reduction as one."""
    name = {"sum": "add", "prod": "multiply", "max": "maximum", "min": "minimum"}[operation]
    if dtype == DataType.BOOL:
        name = "or" if operation in ("max", "sum") else "and"
    return emit_operation(b, name, values, dtype)


def _names(dimensions: object) -> set[str]:
    names: set[str] = set()
    for dimension in dimensions:  # type: ignore[attr-defined]
        if isinstance(dimension, Expression):
            names |= dimension.symbols
    return names


def _least(b: Builder, left: Value, right: Value) -> Value:
    return b.select(left < right, left, right)


def _positive(b: Builder, value: Value) -> Value:
    zero = b.constant(I64, 0)
    return b.select(value < zero, zero, value)
