"""Contractions by tile registers: both operands are packed into tiles, and one instruction multiplies two of them.

A block of results has 32 rows and 32 columns, two tiles each way: four tiles of sums, and two of each operand, so that each tile that
is loaded is used twice. It stays in the tiles over the reduction and goes to a buffer that the first-level cache holds, from which
the epilogue takes it row by row as it does without tiles. The right operand lies in panels as everywhere (`panels.py`), with as many groups in a row
of a tile as it has columns; the left one, whose rows are walked as one loop, is packed by a kernel of its own, which
rounds it, too, or splits it into parts (`splitting.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager

from onward.compiler.builder import Builder
from onward.compiler.contractions import uses
from onward.compiler.layout import Buffer, LayoutPlanner, View, contiguous_strides
from onward.compiler.rewrite import substitute
from onward.compiler.roots import Root
from onward.compiler.schedule.accumulation import CACHE_LINE, alignment_of
from onward.compiler.schedule.kernel import Arguments, Kernel
from onward.compiler.schedule.matrix import MatrixSchedule
from onward.compiler.schedule.nest import NestSchedule
from onward.compiler.schedule.panels import Panels
from onward.compiler.schedule.products import TileProduct
from onward.compiler.schedule.splitting import split_scalar
from onward.compiler.schedule.summation import cut, pieces
from onward.compiler.schedule.tile_registers import LANES, ROW_BYTES, ROWS, tile_registers
from onward.compiler.schedule.tiles import TYPICAL_ROWS, Tile
from onward.compiler.steps import Nest, Stage
from onward.compiler.targets import Target
from onward.compiler.values import F32, I8, I32, I64, Value
from onward.ir.expressions import Dimension, Expression, Symbol, ceiling_divide, floor_divide, product, remainder
from onward.program.array import Compute
from onward.program.scalar import Read, cast

SIDE = 2 * ROWS
"""Rows and columns of a block of results."""
SUMS, LEFT, RIGHT = (0, 1, 2, 3), (4, 5), (6, 7)
"""What the tiles hold; the sums row by row."""
PART = 2 * ROWS * ROW_BYTES
"""Bytes of one part of a chunk of an operand: two tiles."""

MOST_CHUNKS = 64
"""Chunks of a piece of a long sum: with random operands and 4608 terms the error is 1.4e-7 instead of the 2.2e-7 of one piece, with 20000 1.6e-7 instead of
4.6e-7; sums by vectors have 3.0e-7 and 3.3e-7 (measured)."""

MULTIPLY_CYCLES = 24.0
"""Cycles that the product of two tiles takes, with what it waits for: 16 at best."""
PACKING_CYCLES = 0.3
"""Cycles that it takes to pack a byte of an operand."""
VECTOR_PRODUCTS = 28.0
"""Products of floats in a cycle by vectors, of whole groups for those of bytes."""
MEMORY_BYTES = 5.0
"""Bytes that come from memory in a cycle."""


def can_have_tiles(schedule: MatrixSchedule, kind: TileProduct) -> bool:
    """Whether all sizes but the number of rows are known, and that, too, where the right operand is packed for the run; parts are made ahead alone.

    Inside of blocks, whose few rows are made just before they are used, packing would be done again and again.
    """
    columns, depth = schedule.extents[str(schedule.column)], product(schedule.extents[str(loop)] for loop in schedule.inner)
    known = isinstance(columns, int) and isinstance(depth, int) and (schedule.constant or kind.parts == 1 and isinstance(schedule.row_count, int))
    return known and schedule.layouts.blocks is None


def is_worth_it(schedule: MatrixSchedule, kind: TileProduct) -> bool:
    """Whether tiles take fewer cycles than vectors. The rule is rough: it is made of the speeds that others state, not of measured ones."""
    rows = schedule.row_count if isinstance(schedule.row_count, int) else TYPICAL_ROWS
    columns, depth = int(schedule.extents[str(schedule.column)]), int(product(schedule.extents[str(loop)] for loop in schedule.inner))  # type: ignore[arg-type]
    size, weights = kind.parts * ROW_BYTES // kind.chunk, columns * depth if schedule.constant else 0
    products = -(-rows // SIDE) * -(-columns // SIDE) * len(SUMS) * -(-depth // kind.chunk) * sum(map(len, kind.passes))
    packing = (rows + (0 if schedule.constant else columns)) * depth * size * PACKING_CYCLES
    tiles = packing + max(products * MULTIPLY_CYCLES, weights * size / MEMORY_BYTES)
    together = schedule.product.group // schedule.product.outer
    return tiles < max(rows * columns * depth / (VECTOR_PRODUCTS * together), weights * schedule.form.right_element.bits / 8 / MEMORY_BYTES)


class TiledSchedule(MatrixSchedule):
    """Emits one contraction with tiles."""

    def __init__(self, root: Root, layouts: LayoutPlanner, target: Target, kind: TileProduct) -> None:
        super().__init__(root, layouts, target)
        self.kind, self.packed, self.stored = kind, True, kind.right
        self._sum_as(kind)
        self.runs = self._runs()
        self.row = Symbol("row@", 0, self.row_count - 1)
        self.left_panels = self._left_panels()

    # -- operands ----------------------------------------------------------------------------------------------
    def _runs(self) -> list[list[Expression]]:
        """The loops of the reduction; those that walk all operands that are packed in the run without gaps are one."""
        reads = [self.left] if self.constant else [self.left, self.right]
        found: list[list[Expression]] = []
        for loop in self.inner:
            before = found[-1][-1] if found else None
            if before is not None and all(self._step(read, before) == self._step(read, loop) * self.extents[str(loop)] for read in reads):
                found[-1].append(loop)
            else:
                found.append([loop])
        return found or [[]]

    def _run_extents(self) -> list[Dimension]:
        return [product(self.extents[str(loop)] for loop in run) for run in self.runs]

    @property
    def chunks(self) -> Dimension:
        """Tiles along the reduction."""
        *outer, last = self._run_extents()
        return product([*outer, ceiling_divide(last, self.kind.chunk)])

    def _merged_read(self, read: Read) -> tuple[Read, list[Expression], dict[str, Dimension]]:
        """A read whose runs are single loops: it, those loops, and all extents."""
        loops = [Symbol(f"run@{number}", 0, extent - 1) for number, extent in enumerate(self._run_extents())]
        places: dict[str, Dimension] = {str(loop): 0 for run in self.runs for loop in run[:-1]}
        places |= {str(run[-1]): loop for run, loop in zip(self.runs, loops) if run}
        extents = self.extents | {str(loop): extent for loop, extent in zip(loops, self._run_extents())}
        return substitute(read, places), loops, extents  # type: ignore[return-value]

    def _left_panels(self) -> Panels:
        """The left operand with all its rows as one loop: a tile holds 16 of them."""
        read, loops, extents = self._merged_read(self.left)
        rows: dict[str, Dimension] = {}
        rest: Dimension = self.row
        for variable in reversed(self.rows[1:]):
            rows[str(variable)], rest = remainder(rest, self.extents[str(variable)]), floor_divide(rest, self.extents[str(variable)])
        rows |= {str(variable): rest for variable in self.rows[:1]}
        extents |= {str(self.row): self.row_count}
        outer = [variable for variable in self.batch if any(uses(place, variable) for place in self.left.indices)]
        chunk, run = self.kind.chunk, self._run_extents()[-1]
        read = substitute(read, rows)  # type: ignore[assignment]
        return Panels(read, self.layouts, outer, loops, self.row, extents, self.chunks, run, SIDE, chunk, chunk, self.kind.left, self.kind.parts)

    def _as_panels(self) -> Panels:
        """The right operand: that of the loops as they are, if it is packed ahead."""
        read, loops, extents = (self.right, self.inner, self._rooms()) if self.constant else self._merged_read(self.right)
        steps = self.chunks * (self.kind.chunk // self.kind.group)
        outer, run = [*self.places, *self.batch], self._run_extents()[-1]
        return Panels(
            read, self.layouts, outer, loops, self.column, extents, steps, run, SIDE, self.kind.group, self.kind.chunk, self.kind.right, self.kind.parts
        )

    def _left_buffer(self) -> Buffer:
        return self.left_panels.scratch()

    def _left_kernels(self) -> list[Kernel]:
        """The one that rounds or splits the left operand, a chunk of all rows of a block at a time: each number is read once for all its parts."""
        panels, kind = self.left_panels, self.kind
        shape = panels.shape
        variables = [Symbol(f"panel@{axis}", 0, extent - 1) for axis, extent in enumerate(shape)]
        number = panels.element(*variables)
        parts = split_scalar(number, kind.parts) if kind.parts > 1 else [cast(number, kind.left)]
        *steps, part_step, row_step, step = contiguous_strides([*shape[:-2], kind.parts, *shape[-2:]])
        stages = []
        for place, body in enumerate(parts):
            array = Compute(variables, shape, body)
            self.layouts.views[array] = View(self.left_buffer, (*steps, row_step, step), place * part_step)
            stages.append(Stage(Root(array, array.variables, body), "map", array.variables, (), body, None))
        nest = Nest(variables, {str(variable): extent for variable, extent in zip(variables, shape)}, variables[:-2], stages)
        return [NestSchedule(nest, self.layouts, self.target, {stage.root.array for stage in stages}).kernel()]

    # -- the kernel --------------------------------------------------------------------------------------------
    def _choose_tile(self) -> None:
        """Blocks of one size."""
        self.row_extent, self.row_step = self.row_count, 0
        self.tile, self.width = Tile(SIDE, SIDE // self.lanes), SIDE

    def _outer_rows(self) -> list[Expression]:
        """All loops of rows are one."""
        return []

    def _steps_of_a_turn(self) -> int:
        return ROWS * self.kind.parts

    def _emit(self, b: Builder, arguments: Arguments, begin: Value, end: Value) -> None:
        self.registers = tile_registers(b, self.target)
        self.registers.begin()
        super()._emit(b, arguments, begin, end)
        self.registers.end()

    def _emit_columns(self, b: Builder, arguments: Arguments, indices: dict[str, Value], panel: Value, tile: Value) -> None:
        """A block of results, of which some of the last ones are outside."""
        self._accumulate(b, self._left_panel(b, arguments, indices, tile), self._panel(b, arguments, indices, panel, b.constant(I64, 0)))
        row, column, side = tile * b.constant(I64, SIDE), panel * b.constant(I64, SIDE), b.constant(I64, SIDE)
        left_over = self.point.index(self.row_extent) - row
        count = b.select(left_over < side, left_over, side)
        extent = self.extents[str(self.column)]
        if isinstance(extent, int) and extent % SIDE == 0:
            self._emit_results(b, arguments, indices, row, count, column, None)
            return
        left_over = self.point.index(extent) - column
        with b.if_else(left_over >= side) as (whole, partial):
            with whole:
                self._emit_results(b, arguments, indices, row, count, column, None)
            with partial:
                self._emit_results(b, arguments, indices, row, count, column, left_over)

    def _left_panel(self, b: Builder, arguments: Arguments, indices: dict[str, Value], tile: Value) -> Value:
        """The address of the packed rows of a block."""
        panels, place = self.left_panels, b.constant(I64, 0)
        for variable in panels.outer:
            place = place * self.point.index(self.extents[str(variable)]) + indices[str(variable)]
        place = place * self.point.index(panels.count) + tile
        place = place * self.point.index(panels.steps * (panels.width * panels.group * panels.parts))
        return b.offset(arguments.pointer(self.left_buffer), place, self.kind.left_element)

    def _accumulate(self, b: Builder, left: Value, right: Value) -> None:
        """The sums of a block, over the whole reduction, into the scratch."""
        self._sum_up(b, left, right)
        if self.kind.parts > 1:
            self._mend(b, left, right)

    def _sum_up(self, b: Builder, left: Value, right: Value) -> None:
        """All pieces of the reduction, one after the other."""
        chunks = self.point.index(self.chunks)
        block = cut([self.chunks], MOST_CHUNKS) if self.total.is_float else None
        if block is None:
            self._sum_piece(b, left, right, b.constant(I64, 0), chunks, self.scratch)
            return
        kind, alignment = self.total.with_lanes(self.lanes), alignment_of(self.total.with_lanes(self.lanes))
        own = b.allocate_stack(self.total, SIDE * SIDE, 64)
        with self._vectors(b) as number:
            b.store(b.offset(self.scratch, number, self.total), b.constant(kind, 0), alignment)
        with pieces(b, chunks, block[1]) as (begin, end):
            self._sum_piece(b, left, right, begin, end, own)
            with self._vectors(b) as number:
                place, added = (b.offset(memory, number, self.total) for memory in (self.scratch, own))
                b.store(place, b.load(place, kind, alignment) + b.load(added, kind, alignment), alignment)

    def _sum_piece(self, b: Builder, left: Value, right: Value, begin: Value, end: Value, memory: Value) -> None:
        """The sums over some chunks, into memory."""
        for total in SUMS:
            self.registers.clear(total)
        for number, terms in enumerate(self.kind.passes):
            with b.loop(begin, end) as chunk:
                at_left, at_right = self._chunk(b, left, chunk), self._chunk(b, right, chunk)
                if number == 0:
                    self._ask_ahead(b, at_right)
                self._multiply(b, at_left, at_right, terms)
        for total in SUMS:
            down, across = divmod(total, 2)
            place = b.constant(I64, down * ROWS * SIDE + across * LANES)
            self.registers.store(total, b.offset(memory, place, self.total), SIDE * self.total.bits // 8)

    def _chunk(self, b: Builder, operand: Value, number: Value) -> Value:
        return b.offset(operand, number * b.constant(I64, self.kind.parts * PART), I8)

    def _multiply(self, b: Builder, left: Value, right: Value, terms: Sequence[tuple[int, int]]) -> None:
        """Products of parts of a chunk; a part that was just used stays where it is."""
        before: tuple[int, int] | tuple[None, None] = (None, None)
        for term in terms:
            for tile in range(2):
                if term[0] != before[0]:
                    self.registers.load(LEFT[tile], b.offset(left, b.constant(I64, term[0] * PART + tile * ROWS * ROW_BYTES), I8), ROW_BYTES)
            for tile in range(2):
                if term[1] != before[1]:
                    self.registers.load(RIGHT[tile], b.offset(right, b.constant(I64, term[1] * PART + tile * ROW_BYTES), I8), 2 * ROW_BYTES)
            for total in SUMS:
                self.registers.multiply(self.kind.instruction, total, LEFT[total // 2], RIGHT[total % 2])
            before = term

    def _vectors(self, b: Builder) -> AbstractContextManager[Value]:
        """A loop over a block of results, a vector at a time."""
        return b.loop(b.constant(I64, 0), b.constant(I64, SIDE * SIDE), b.constant(I64, self.lanes))

    def _mend(self, b: Builder, left: Value, right: Value) -> None:
        """Sums that are infinite or NaN once more, of whole numbers: the parts of an infinity may cancel where it does not."""
        kind = self.total.with_lanes(self.lanes)
        zero, alignment = b.constant(kind, 0), alignment_of(kind)
        odd = b.variable(zero)
        with self._vectors(b) as number:
            odd.set(b.fma(b.load(b.offset(self.scratch, number, self.total), kind, alignment), zero, odd.get()))
        with b.when(b.reduce("or", b.unordered(odd.get(), odd.get()))), self._vectors(b) as number:
            row, column = b.unsigned_divide(number, b.constant(I64, SIDE)), b.unsigned_remainder(number, b.constant(I64, SIDE))
            total = b.variable(zero)
            with b.loop(b.constant(I64, 0), self.point.index(self.chunks)) as chunk, b.loop(b.constant(I64, 0), b.constant(I64, ROWS)) as step:
                at_left = b.offset(self._chunk(b, left, chunk), row * b.constant(I64, LANES) + step, I32)
                at_right = b.offset(self._chunk(b, right, chunk), step * b.constant(I64, SIDE) + column, I32)
                for first, second in zip(self._whole(b, at_left, 1), self._whole(b, at_right, self.lanes)):
                    total.set(b.fma(b.splat(first, self.lanes), second, total.get()))
            place = b.offset(self.scratch, number, self.total)
            value = b.load(place, kind, alignment)
            b.store(place, b.select(b.absolute(value) < b.constant(kind, float("inf")), value, total.get()), alignment)

    def _whole(self, b: Builder, pointer: Value, lanes: int) -> list[Value]:
        """Both numbers of the pairs at a place of a chunk: the sums of their parts, the smallest first, as the largest two may be more than a float."""
        found: list[Value] = []
        for part in reversed(range(self.kind.parts)):
            pair = b.load(b.offset(pointer, b.constant(I64, part * PART), I8), I32.with_lanes(lanes), 4)
            halves = [b.bitcast(half, F32.with_lanes(lanes)) for half in (pair << b.constant(pair.type, 16), pair & b.constant(pair.type, -1 << 16))]
            found = [whole + half for whole, half in zip(found, halves)] if found else halves
        return found

    def _ask_ahead(self, b: Builder, at_right: Value) -> None:
        """The next panel, a part for each block of rows."""
        if self.look_ahead is None:
            return
        first = b.offset(at_right, self.look_ahead.distance, self.kind.right_element)
        for line in range(self.look_ahead.lines):
            b.prefetch(b.offset(first, b.constant(I64, line * CACHE_LINE), I8), 2)

    def _emit_results(
        self, b: Builder, arguments: Arguments, indices: dict[str, Value], row: Value, count: Value, column: Value, left_over: Value | None,
    ) -> None:  # fmt: skip
        """The epilogue of `count` rows of a block, of all its columns or those that are `left_over`."""
        extents = [self.extents[str(variable)] for variable in self.rows]
        masks = self._masks(b, left_over, self.tile.vectors, self.lanes)

        def result(here: dict[str, Value], position: Value, lane: Value, lanes: int, mask: Value | None) -> None:
            kind = self.total.with_lanes(lanes)
            place = b.offset(self.scratch, position * b.constant(I64, SIDE) + lane, self.total)
            value = b.load(place, kind, alignment_of(kind))
            self._finish(b, arguments, {**here, str(self.column): column + lane}, value, lanes, mask, self.body)

        with b.loop(b.constant(I64, 0), count) as position:
            places = self.point.places(row + position, extents) if extents else []
            here = {**indices, **{str(variable): place for variable, place in zip(self.rows, places)}}
            if left_over is not None and not self.target.has_masks:
                with b.loop(b.constant(I64, 0), left_over) as lane:
                    result(here, position, lane, 1, None)
                return
            for vector in range(self.tile.vectors):
                result(here, position, b.constant(I64, vector * self.lanes), self.lanes, masks[vector] if masks else None)
