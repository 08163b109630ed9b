"""The schedule of maps and row reductions.

A map without reductions is collapsed to as few loops as its memory allows and cut into blocks. A nest with reductions
handles one row at a time. Sums have a fixed order that depends on the target's vector width alone, never on the number of threads.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence

from onward.compiler.builder import Builder, Module
from onward.compiler.layout import Buffer, LayoutPlanner
from onward.compiler.operations import emit_literal, emit_operation
from onward.compiler.rewrite import substitute
from onward.compiler.roots import cost
from onward.compiler.schedule.emitter import Emitter
from onward.compiler.schedule.growth import Carrier
from onward.compiler.schedule.kernel import Arguments, Kernel
from onward.compiler.schedule.summation import cut, pieces
from onward.compiler.schedule.transposition import transposition_of
from onward.compiler.steps import Nest, Stage
from onward.compiler.targets import Target
from onward.compiler.values import Type, Value
from onward.ir.datatypes import DataType
from onward.ir.expressions import Dimension, Expression, Symbol, ceiling_divide, product
from onward.ir.expressions import substitute as substitute_index
from onward.program.array import Array
from onward.program.scalar import IndexValue, Read

I64 = Type("i64")
CHUNK = 4096
"""Elements in a block of a map that has collapsed to one loop."""


class NestSchedule:
    """Emits one nest as a kernel."""

    def __init__(self, nest: Nest, layouts: LayoutPlanner, target: Target, needed: set[Array], carrier: Carrier | None = None) -> None:
        self.nest = nest
        self.carrier = carrier
        self.layouts = layouts
        self.target = target
        self.needed = needed
        self.lanes = max(1, target.vector_bits // 32)
        self.woven: tuple[str, int] | None = None
        """A short loop that is written out in each vector, and its extent."""
        self.bodies = {id(stage): [body for body in (stage.body, stage.reduce_body) if body is not None] for stage in nest.stages}

    # -- the kernel --------------------------------------------------------------------------------------------
    def kernel(self) -> Kernel:
        """The compiled form of the nest."""
        nest = self.nest
        if nest.rows is None:
            self._collapse()
            if len(nest.variables) <= 1:
                extent = nest.extents[str(nest.variables[0])] if nest.variables else 1
                return self._finish("map", ceiling_divide(extent, CHUNK), self._emit_flat)
            self._lengthen_lane()
            transposed = transposition_of(self)
            if transposed is not None:
                return self._finish("map", transposed.blocks, transposed.emit)
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
        if self.carrier is not None:
            b.fence()
        b.ret()
        elements = product(self.nest.extents.values())
        per_element = sum(max(1.0, cost(body)) for bodies in self.bodies.values() for body in bodies)
        written = [self.layouts.view(stage.root.array).buffer for stage in self.nest.stages if self._stored(stage)]
        written += [self.layouts.view(self.carrier.growth.array).buffer] if self.carrier is not None else []
        return Kernel(
            "kernel", module.text(), buffers, [Symbol(name) for name in sizes], blocks,
            elements * math.ceil(per_element), written, kind, flops=elements * math.ceil(per_element), carrier=self.carrier,
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
        if self.carrier is not None:
            source, sizes = self.carrier.source(self.layouts)
            buffers[source] = None
            names |= sizes
        loops = {str(variable) for variable in self.nest.variables} | ({self.woven[0]} if self.woven else set())
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
        its place. The result is scattered, or woven together where its steps lie between those of the other."""
        short = self.nest.variables[-1]
        last = self.nest.extents[str(short)]
        if not isinstance(last, int) or last >= self.lanes // 2:
            return
        for variable in reversed(self.nest.variables[:-1]):
            extent = self.nest.extents[str(variable)]
            long = not isinstance(extent, int) or extent >= self.lanes
            if long and any(isinstance(a, Expression) and a.coefficient(variable) == 1 for a in self._addresses()):
                self.nest.variables.remove(variable)
                self.nest.variables.append(variable)
                if self._lies_between(short, last, variable):
                    self.nest.variables.remove(short)
                    self.woven = (str(short), last)
                return

    def _lies_between(self, short: Expression, extent: int, lane: Expression) -> bool:
        """Whether the only result has the elements of the short loop side by side, and those of the lane right after them."""
        if len(self.nest.stages) > 1 or self.nest.stages[0].kind != "map":
            return False
        stage = self.nest.stages[0]
        address = self.layouts.view(stage.root.array).address(stage.variables)
        return isinstance(address, Expression) and address.coefficient(short) == 1 and address.coefficient(lane) == extent

    def _collapse_inner(self) -> None:
        rows = list(self.nest.rows or [])
        inner = self._as_in_memory([variable for variable in self.nest.inner if self.nest.extents[str(variable)] != 1])
        merged = self._merge(inner, drop=self.nest.inner)
        self.nest.rows = rows
        self.nest.variables = [*rows, *merged]

    def _as_in_memory(self, variables: list[Expression]) -> list[Expression]:
        """Loops in the order in which the largest array that is read lies in memory, where its strides are known."""
        reads = sorted(self._reads(), key=lambda read: read.array.size if isinstance(read.array.size, int) else 0)
        address = self.layouts.view(reads[-1].array).address(reads[-1].indices) if reads else 0
        steps = {variable: address.coefficient(variable) for variable in variables} if isinstance(address, Expression) else {}
        known = {variable: step for variable, step in steps.items() if isinstance(step, int) and step > 0}
        return sorted(variables, key=lambda variable: -known[variable]) if len(known) == len(variables) else variables

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
        stop = least(b, end * b.constant(I64, CHUNK), extent)

        def body(place: Value, lanes: int, mask: Value | None) -> None:
            indices = {} if variable is None else {str(variable): place}
            point = Emitter(b, arguments, self.layouts, indices, lane=str(variable), lanes=lanes, mask=mask)
            for stage in self.nest.stages:
                self._store(point, stage, point.vector(stage.body))

        self.vector_loop(b, start, stop, body)

    def _emit_rows(self, b: Builder, arguments: Arguments, begin: Value, end: Value) -> None:
        with b.loop(begin, end) as block:
            indices = self._row_indices(b, arguments, block)
            values: dict[Array, Value] = {}
            reduced: dict[Stage, Value] = {}
            for stage, *others in [self.nest.stages] if self.nest.are_siblings else [[stage] for stage in self.nest.stages]:
                if stage.kind == "map":
                    self._emit_maps(b, arguments, [stage, *others], indices, values)
                else:
                    point = Emitter(b, arguments, self.layouts, indices, values=values)
                    if stage.reduce_body is not None:
                        assert stage.root.reduce is not None
                        if stage not in reduced:
                            together = self._reduced_together(stage)
                            reduced.update(zip(together, self._emit_row_reductions(b, arguments, together, indices, values)))
                        point.values[stage.root.reduce] = reduced[stage]
                    values[stage.root.array] = point.scalar(stage.body)
                    if self._stored(stage):
                        self._store(point, stage, values[stage.root.array])

    def _row_indices(self, b: Builder, arguments: Arguments, block: Value) -> dict[str, Value]:
        rows = [str(row) for row in self.nest.rows or []]
        long = [row for row in rows if self.nest.extents.get(row, 1) != 1]
        places = Emitter(b, arguments, self.layouts, {}).places(block, [self.nest.extents[row] for row in long])
        return {**dict.fromkeys(rows, b.constant(I64, 0)), **dict(zip(long, places))}

    def _emit_maps(
        self, b: Builder, arguments: Arguments, stages: Sequence[Stage], indices: dict[str, Value], values: dict[Array, Value]
    ) -> None:  # fmt: skip
        """Maps along the inner loops of one row, side by side: what several of them read is read once."""
        stage = stages[0]
        loops = self._inner_of(stage)

        def body(inner: dict[str, Value], lane: str | None, lanes: int, mask: Value | None) -> None:
            parts = []
            for written_out in self._written_out(b):
                places = {**indices, **inner, **written_out}
                point = Emitter(b, arguments, self.layouts, places, lane=lane, lanes=lanes, mask=mask, values=values)
                if written_out and lanes > 1:
                    parts.append(point.vector(stage.body))
                    continue
                for each in stages:
                    self._store(point, each, point.vector(each.body))
            masks = b.interleave([mask] * len(parts)) if parts and mask is not None else [None] * len(parts)
            for number, (value, woven) in enumerate(zip(b.interleave(parts) if parts else (), masks)):
                places = {**indices, **inner, self.woven[0]: b.constant(I64, number * self.lanes)}  # type: ignore[index]
                Emitter(b, arguments, self.layouts, places, mask=woven).store(stage.root.array, stage.variables, value)

        self._inner_loops(b, arguments, loops, body)

    def _written_out(self, b: Builder) -> Iterator[dict[str, Value]]:
        """The places in the loop that is woven; one place of no loop where there is none."""
        if self.woven is None:
            yield {}
            return
        name, extent = self.woven
        yield from ({name: b.constant(I64, place)} for place in range(extent))

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
        block: tuple[int, int] | None = None,
        end_block: Callable[[], None] = lambda: None,
        indices: dict[str, Value] | None = None,
    ) -> None:
        """Serial loops over all but the last variable, a vector loop over the last.

        `block` says which one is walked in pieces (see `summation.cut`), each of which ends with `end_block`.
        """
        indices = indices or {}
        if not loops:
            body(indices, None, 1, None)
            return
        name, last = str(loops[0]), len(loops) == 1
        deeper = (block[0] - 1, block[1]) if block and block[0] else None

        def turns(begin: Value, end: Value) -> None:
            if last:
                self.vector_loop(b, begin, end, lambda place, lanes, mask: body({**indices, name: place}, name, lanes, mask))
                return
            with b.loop(begin, end) as place:
                self._inner_loops(b, arguments, loops[1:], body, deeper, end_block, {**indices, name: place})

        extent = Emitter(b, arguments, self.layouts, {}).index(self.nest.extents[name])
        if block is None or block[0]:
            turns(b.constant(I64, 0), extent)
            return
        with pieces(b, extent, block[1] * self.lanes if last else block[1]) as (begin, end):
            turns(begin, end)
            end_block()

    def vector_loop(self, b: Builder, start: Value, stop: Value, body: Callable[[Value, int, Value | None], None]) -> None:
        """See the function of this name."""
        vector_loop(b, self.target, self.lanes, start, stop, body)

    def _store(self, point: Emitter, stage: Stage, value: Value) -> None:
        point.store(stage.root.array, stage.variables, value)

    # -- row reductions ----------------------------------------------------------------------------------------
    def _reduced_together(self, stage: Stage) -> list[Stage]:
        """The stage and the reductions right after it that need nothing of it: they go over the row at once."""
        together = [stage]
        for other in self.nest.stages[self.nest.stages.index(stage) + 1 :]:
            known = {item.root.array for item in together}
            if other.reduce_body is None or _is_arg(stage) or _is_arg(other):
                break
            if any(read.array in known for read in other.reduce_body.reads()):
                break
            together.append(other)
        return together

    def _emit_row_reductions(
        self, b: Builder, arguments: Arguments, stages: Sequence[Stage], indices: dict[str, Value], values: dict[Array, Value]
    ) -> list[Value]:
        if _is_arg(stages[0]):
            return [self._emit_arg_reduction(b, arguments, stages[0], indices, values)]
        identities = [emit_literal(b, identity_of(_operation(stage), _dtype(stage)), _dtype(stage), self.lanes) for stage in stages]
        totals = [b.variable(identity) for identity in identities]

        def body(inner: dict[str, Value], lane: str | None, lanes: int, mask: Value | None) -> None:
            places = {**indices, **inner}
            point = Emitter(b, arguments, self.layouts, places, lane=lane, lanes=lanes, mask=mask, values=values, carrier=self.carrier)
            for stage, identity, total in zip(stages, identities, totals):
                assert stage.reduce_body is not None
                value = point.vector(stage.reduce_body)
                if mask is not None:
                    value = b.select(mask, value, identity)
                if lanes != self.lanes:
                    value = b.insert(identity, value, 0) if identity.type.lanes > 1 else value
                total.set(combine(b, _operation(stage), [total.get(), value], _dtype(stage)))

        inner = [v for v in self.nest.inner if str(v) in self.nest.extents]
        block = self._block(inner) if any(adds(_operation(stage), _dtype(stage)) for stage in stages) else None
        if block is None:
            self._inner_loops(b, arguments, inner, body)
        else:
            blocks = [b.variable(identity) for identity in identities]

            def end_block() -> None:
                for stage, identity, total, whole in zip(stages, identities, totals, blocks):
                    whole.set(combine(b, _operation(stage), [whole.get(), total.get()], _dtype(stage)))
                    total.set(identity)

            self._inner_loops(b, arguments, inner, body, block, end_block)
            totals = blocks
        return [self._horizontal(b, _operation(stage), total.get(), _dtype(stage)) for stage, total in zip(stages, totals)]

    def _block(self, loops: Sequence[Expression]) -> tuple[int, int] | None:
        """The blocks of each lane's sum."""
        extents = [self.nest.extents[str(variable)] for variable in loops]
        return cut([*extents[:-1], *(ceiling_divide(extent, self.lanes) for extent in extents[-1:])])

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

    def _emit_arg_reduction(self, b: Builder, arguments: Arguments, stage: Stage, indices: dict[str, Value], values: dict[Array, Value]) -> Value:
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


def vector_loop(b: Builder, target: Target, lanes: int, start: Value, stop: Value, body: Callable[[Value, int, Value | None], None]) -> None:
    """`body(first index, lanes, mask)` over [start, stop): whole vectors, then one masked vector or single lanes."""
    step = b.constant(I64, lanes)
    if lanes == 1:
        with b.loop(start, stop) as place:
            body(place, 1, None)
        return
    whole = start + b.unsigned_divide(_positive(b, stop - start), step) * step
    with b.loop(start, whole, step) as place:
        body(place, lanes, None)
    if target.has_masks:
        with b.when(whole < stop):
            kind = Type("i64", lanes)
            mask = b.iota(kind) < b.splat(stop - whole, lanes)
            body(whole, lanes, mask)
    else:
        with b.loop(whole, stop) as place:
            body(place, 1, None)


def _operation(stage: Stage) -> str:
    assert stage.root.reduce is not None
    return stage.root.reduce.operation


def _dtype(stage: Stage) -> DataType:
    assert stage.reduce_body is not None
    return stage.reduce_body.dtype


def _is_arg(stage: Stage) -> bool:
    return _operation(stage).startswith("arg")


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


def adds(operation: str, dtype: DataType) -> bool:
    """Whether the result depends on the order of the terms, by rounding."""
    return operation in ("sum", "prod") and dtype.is_float


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


def least(b: Builder, left: Value, right: Value) -> Value:
    """The smaller of two integers."""
    return b.select(left < right, left, right)


def _positive(b: Builder, value: Value) -> Value:
    zero = b.constant(I64, 0)
    return b.select(value < zero, zero, value)
