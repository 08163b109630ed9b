"""Contractions: packed, register-blocked matrix products with whatever follows them.

A tile of `rows` x (`vectors` * lanes) results stays in registers over the whole reduction. The right operand streams in
panels of one tile's width: constants are packed ahead in the exact order of use, others by a kernel of their own before this one where
that pays, or they are read in place along their unit stride. The left operand is read in place through strides, so an implicit convolution is the same loop with a
deeper reduction nest. What a step of the reduction is, a multiply-add of floats or a product of four bytes, is said in
`products.py`. Source: Goto and van de Geijn 2008 for the blocking; the register budget is the target's.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

from onward.compiler.builder import Builder, Module
from onward.compiler.contractions import is_affine, split_offset
from onward.compiler.layout import Buffer, LayoutPlanner, View
from onward.compiler.operations import storage_type
from onward.compiler.roots import Root, cost
from onward.compiler.schedule.accumulation import (
    CACHE_LINE,
    Accumulation,
    LookAhead,
    Loop,
    Stream,
    alignment_of,
    steps_written_out,
    turns_of,
)
from onward.compiler.schedule.emitter import Emitter
from onward.compiler.schedule.growth import Carrier
from onward.compiler.schedule.kernel import Arguments, Kernel
from onward.compiler.schedule.loops import ContractionLoops
from onward.compiler.schedule.moves import map_into
from onward.compiler.schedule.panels import Panels
from onward.compiler.schedule.products import Form, product_of
from onward.compiler.schedule.strips import TileOrder
from onward.compiler.schedule.summation import PRODUCTS
from onward.compiler.schedule.tiles import TYPICAL_ROWS, choose_tile
from onward.compiler.targets import Target
from onward.compiler.values import I8, I64, POINTER, Type, Value
from onward.ir.datatypes import DataType
from onward.ir.expressions import Dimension, Expression, Symbol, SymbolAtom, ceiling_divide, product, upper_bound
from onward.program.array import Array, Input, compute
from onward.program.scalar import Read, Scalar, cast

ROWS_PER_LANE = 3.5
"""Up to so many rows for each lane of a vector, half the bytes of weights are worth what it takes to make floats of them: with
16 lanes one row takes 0.4 of the time, 32 rows 0.8, 49 rows 0.9, but 64 rows 1.04 and 128 rows 1.07 (measured)."""
STREAMING_DEPTH = 256
"""Terms of the longest sum during which a tile asks for what it will write: with 256 channels there is nothing to gain, with 64 a fifth (measured)."""
PACKING_ROWS = 256
"""From so many rows on, panels made for the run are worth it: with 128 rows they cost what they bring, with 1024 an eighth is gained (measured)."""


class MatrixSchedule(ContractionLoops):
    """Emits one contraction. A `carrier` has one row."""

    def __init__(self, root: Root, layouts: LayoutPlanner, target: Target, carrier: Carrier | None = None) -> None:
        super().__init__(root, layouts, single_row=carrier is not None)
        self.target, self.carrier = target, carrier
        assert root.reduce is not None
        self.chain = root.reduce.chain or PRODUCTS
        self._multiply_as(self.right.dtype)
        self.constant = layouts.view(self.right.array).buffer.kind == "constant"
        self.places = self._places()
        # What is packed ahead has a known size.
        read = (*self.batch, *self.inner, self.column)
        known = all(isinstance(self.extents[str(variable)], int) for variable in read) and all(isinstance(upper_bound(place), int) for place in self.places)
        if self.constant and not known:
            self.constant, self.places = False, []
        self.packed = self.constant or self.product.group > 1 or self._step(self.right, self.column) != 1 or self._packing_pays()
        if self._is_narrow():
            self._multiply_as(DataType.BFLOAT16)

    def _multiply_as(self, stored: DataType) -> None:
        """Settles how the right operand is stored, and with it how products are made."""
        self.product = product_of(self.right.dtype, self.target, stored, in_pairs=self._multiplies_pairs())
        self.stored = self.product.stored or stored
        self._sum_as(self.product)

    def _sum_as(self, form: Form) -> None:
        """Settles what operands and sums are."""
        self.form, self.total = form, form.total
        self.lanes = max(1, self.target.vector_bits // self.total.bits)

    def _is_narrow(self) -> bool:
        """Whether the weights are stored as bfloat16: they may be, and are multiplied faster then, or come from memory more slowly than they are used."""
        few = not isinstance(self.row_count, int) or self.row_count <= ROWS_PER_LANE * self.lanes
        return self.target.narrow and self.constant and self.right.dtype == DataType.FLOAT and (few or self._multiplies_pairs())

    def _multiplies_pairs(self) -> bool:
        """Whether pairs of bfloat16 are multiplied by one instruction, and the left operand has them side by side.

        It may be stored so, if it is not that of a block around this.
        """
        given = self.layouts.given.get(self.left.array) if self.layouts.blocks is not None else None
        is_own = given is None or given.buffer.dtype == DataType.BFLOAT16
        return self.target.multiplies_bfloat16 and is_own and bool(self.inner) and self._step(self.left, self.inner[-1]) == 1

    # -- the right operand -------------------------------------------------------------------------------------
    def _places(self) -> list[Expression]:
        """What a right operand is read at that is no loop of this kernel: places of a block around it. It is packed for all of them at once."""
        address = self.layouts.view(self.right.array).address(self.right.indices)
        atoms = address.atoms if isinstance(address, Expression) else ()
        symbols = {atom.name: Symbol(atom.name, atom.lower, atom.upper) for atom in atoms if isinstance(atom, SymbolAtom)}
        names = symbols.keys() - self.extents.keys()
        return [symbols[name] for name in sorted(names if self.constant else names & self._block_places().keys())]

    def _block_places(self) -> dict[str, Dimension]:
        """The places of a block around this, and how many values each has."""
        blocks = self.layouts.blocks
        return {} if blocks is None else dict(zip(map(str, blocks.places), blocks.counts))

    def _packing_pays(self) -> bool:
        """Whether a right operand that could be read in place is multiplied by so many rows that panels are worth their making."""
        uses = self.row_count
        if self.right.array in self.layouts.given:
            here = {str(place) for place in self.places}
            uses = uses * product(count for name, count in self._block_places().items() if name not in here)
        return isinstance(uses, int) and uses >= PACKING_ROWS

    @property
    def row_count(self) -> Dimension:
        """How many rows multiply a right operand."""
        return product(self.extents[str(variable)] for variable in self.rows)

    def lies_along_reduction(self) -> bool:
        """Whether both operands, of floats, are read without gaps along the reduction."""
        return self.form.group == 1 and len(self.inner) == 1 and self._step(self.left, self.inner[0]) == self._step(self.right, self.inner[0]) == 1

    def _as_panels(self) -> Panels:
        loops, group = self._loops(), self.product.group
        steps, run = product(turns_of(loops, group)), loops[-1].extent if loops else 1
        return Panels(
            self.right, self.layouts, [*self.places, *self.batch], self.inner, self.column, self._rooms(), self.layouts.room(steps), run,
            self.width, group, group, self.stored,
        )  # fmt: skip

    def _rooms(self) -> dict[str, Dimension]:
        """The extents in memory of the loops and of the places around them."""
        extents = {name: self.layouts.room(extent) for name, extent in self.extents.items()}
        return extents | {str(place): upper_bound(place) + 1 for place in self.places}  # type: ignore[operator]

    def _left_buffer(self) -> Buffer:
        """Where the left operand is read: all memory around it lies there once more if it is to be stored as another type."""
        buffer = self.layouts.view(self.left.array).buffer
        stored = self.product.stored
        return buffer if stored in (None, buffer.dtype) else Buffer("arena", stored, buffer.size, label="converted")

    def _right_buffer(self) -> Buffer:
        """Where the right operand is read."""
        if not self.packed:
            return self.layouts.view(self.right.array).buffer
        return self.panels.constant() if self.constant else self.panels.scratch()

    def packing_kernels(self) -> list[Kernel]:
        """Those that prepare operands for the run."""
        right = [self.panels.kernel(self.right_buffer, self.target)] if self.packed and not self.constant else []
        return [*self._left_kernels(), *right]

    def _left_kernels(self) -> list[Kernel]:
        """The one that converts the left operand, if it does not lie there already."""
        source = self.layouts.view(self.left.array).buffer
        if self.left_buffer is source:
            return []
        memory, whole = Input((source.size,), self.left.dtype, source.label), (1,)
        self.layouts.views[memory] = View(source, whole)
        converted = compute(memory.shape, lambda place: cast(memory[place], self.left_buffer.dtype))
        return [map_into(converted, View(self.left_buffer, whole), self.layouts, self.target)]

    # -- the kernel --------------------------------------------------------------------------------------------
    def kernel(self) -> Kernel:
        """The compiled form."""
        self.depth = product(self.extents[str(variable)] for variable in self.inner)
        self._choose_tile()
        self.order = self._order()
        self.panels = self._as_panels()
        self.left_buffer, self.right_buffer = self._left_buffer(), self._right_buffer()
        buffers, sizes = self._arguments()
        module = Module(self.target)
        b = module.function("kernel", [("arguments", POINTER), ("begin", I64), ("end", I64)])
        arguments = Arguments(b, b.arguments[0], buffers, sizes)
        self._emit(b, arguments, b.arguments[1], b.arguments[2])
        if self.carrier is not None:
            b.fence()
        b.ret()
        flops = 2 * product(self.extents[str(v)] for v in (*self.batch, *self.rows, self.column)) * self.depth
        work = flops // 16 + product(self.root.shape) * int(cost(self.body))
        written = [self.root.array, *([self.carrier.growth.array] if self.carrier is not None else [])]
        return Kernel(
            "kernel", module.text(), buffers, [Symbol(name) for name in sizes], self.order.blocks, work,
            [self.layouts.view(array).buffer for array in written], "contraction", flops=flops, carrier=self.carrier,
        )  # fmt: skip

    def _choose_tile(self) -> None:
        """Settles rows and columns of a tile, and how far its rows lie from one another."""
        row = self.rows[-1] if self.rows else None
        self.row_extent = self.extents[str(row)] if row is not None else 1
        self.row_step = self._step(self.left, row) if row is not None else 0
        column_extent = self.extents[str(self.column)]
        most = 16 if isinstance(self.row_step, int) else 6
        step_bytes = self.product.right_element.bits // 8 * self.product.group
        row_bytes = self.row_step * (self.product.left_element.bits // 8)
        self.tile = choose_tile(self.row_extent, column_extent, self._depths(), step_bytes, self.target, most, self.product, row_bytes)
        self.width = self.tile.vectors * self.lanes

    def _order(self) -> TileOrder:
        panels = ceiling_divide(self.extents[str(self.column)], self.width)
        outer = [self.extents[str(variable)] for variable in self._outer_rows()]
        inside = next((place for place, variable in enumerate(self.batch) if self._lies_in_a_row(variable)), len(self.batch))
        batch, groups = ([self.extents[str(variable)] for variable in part] for part in (self.batch[:inside], self.batch[inside:]))
        order = TileOrder(batch, groups, panels, outer, ceiling_divide(self.row_extent, self.tile.rows))
        weights = product(groups) * panels * self.width * self.depth * (self.form.right_element.bits // 8)
        arrays = {self.left.array, self.root.array, *(read.array for read in self._added())}
        return order.in_strips(weights, [array.size * array.dtype.numpy.itemsize for array in arrays], self.target)

    def _outer_rows(self) -> list[Expression]:
        """Loops of rows that are not cut into tiles."""
        return self.rows[:-1]

    def _lies_in_a_row(self, variable: Expression) -> bool:
        """Whether a loop of the batch walks places inside the rows of the left operand and of the result."""
        result = Read(self.root.array, self.variables)
        steps = [(self._step(read, variable), self._step(read, self.rows[-1])) for read in (self.left, result)] if self.rows else [(0, 0)]
        return all(isinstance(inner, int) and isinstance(outer, int) and inner < outer for inner, outer in steps)

    def _arguments(self) -> tuple[list[Buffer], list[str]]:
        reads = [read for read in self.body.reads() if read.array is not self.root.reduce]
        buffers = dict.fromkeys([self.left_buffer, self.right_buffer])
        buffers.update(dict.fromkeys(self.layouts.view(read.array).buffer for read in reads))
        buffers[self.layouts.view(self.root.array).buffer] = None
        dimensions: list[Dimension] = [*self._addresses(True), *self.extents.values(), self.row_step, self.right_buffer.size]
        for read in reads:
            dimensions.extend(read.array.shape)
            dimensions.extend(self.layouts.view(read.array).strides)
        names = {name for item in dimensions if isinstance(item, Expression) for name in item.symbols}
        if self.carrier is not None:
            source, needed = self.carrier.source(self.layouts)
            buffers[source], names = None, names | needed
        loops = {str(variable) for variable in (*self.batch, *self.rows, self.column, *self.inner)}
        return list(buffers), sorted(names - loops)

    def _emit(self, b: Builder, arguments: Arguments, begin: Value, end: Value) -> None:
        self.point = Emitter(b, arguments, self.layouts, {})
        self.scratch = b.allocate_stack(self.total, self.tile.rows * self.width, 64)
        with b.loop(begin, end) as block:
            place = self.order.place(b, self.point, block)
            indices = {str(variable): index for variable, index in zip((*self.batch, *self._outer_rows()), (*place.batch, *place.outer))}
            self.look_ahead = self._look_ahead(b, place.turn)
            self._emit_columns(b, arguments, indices, place.panel, place.tile)

    def _look_ahead(self, b: Builder, turn: Value) -> LookAhead | None:
        """What tile number `turn` of a strip asks for of the next panel, where this one is large and packed."""
        panel = self.panels.steps * self.panels.parts * self.width * self.form.group
        if not self.packed or not isinstance(panel, int):
            return None
        tiles = self.order.tiles_of_rows if isinstance(self.order.tiles_of_rows, int) else TYPICAL_ROWS // self.tile.rows
        walked = self._steps_of_a_turn() * self.width * self.form.group
        return LookAhead.of_panel(b, turn, min(tiles, self.order.strip or tiles), panel, walked, self.form.right_element)

    def _steps_of_a_turn(self) -> int:
        """Steps of the reduction in a turn of its innermost loop."""
        return steps_written_out(self.product)

    def _emit_columns(self, b: Builder, arguments: Arguments, indices: dict[str, Value], panel: Value, tile: Value) -> None:
        """A whole panel of columns, or the last and narrower one."""
        first = panel * b.constant(I64, self.width)
        extent = self.extents[str(self.column)]
        if isinstance(extent, int) and extent % self.width == 0:
            self._emit_rows(b, arguments, indices, panel, first, tile, self.tile.vectors, None)
            return
        left_over = self.point.index(extent) - first
        with b.if_else(left_over >= b.constant(I64, self.width)) as (whole, partial):
            with whole:
                self._emit_rows(b, arguments, indices, panel, first, tile, self.tile.vectors, None)
            with partial:
                self._emit_rows(b, arguments, indices, panel, first, tile, self.tile.vectors, left_over)

    def _emit_rows(
        self, b: Builder, arguments: Arguments, indices: dict[str, Value], panel: Value, first: Value, tile: Value,
        vectors: int, left_over: Value | None,
    ) -> None:  # fmt: skip
        """A whole tile of rows; the last tile overlaps the one before, and fewer rows than a tile go in eights, fours, twos and ones."""
        rows = self.tile.rows
        start = tile * b.constant(I64, rows)

        def emit(count: int, row: Value) -> None:
            self._emit_tile(b, arguments, indices, panel, first, row, count, vectors, left_over)

        if isinstance(self.row_extent, int):
            rest = self.row_extent % rows
            if rest == 0:
                emit(rows, start)
            elif self.row_extent < rows:
                emit(rest, start)
            else:
                with b.if_else(start <= b.constant(I64, self.row_extent - rows)) as (whole, last):
                    with whole:
                        emit(rows, start)
                    with last:
                        emit(rest, start)
            return
        extent = self.point.index(self.row_extent)
        with b.if_else(extent >= b.constant(I64, rows)) as (enough, few):
            with enough:
                latest = extent - b.constant(I64, rows)
                emit(rows, b.select(start < latest, start, latest))
            with few:
                done = b.variable(b.constant(I64, 0))
                for count in (8, 4, 2, 1):
                    if count < rows:
                        with b.when(extent - done.get() >= b.constant(I64, count)):
                            emit(count, done.get())
                            done.set(done.get() + b.constant(I64, count))

    def _emit_tile(
        self, b: Builder, arguments: Arguments, indices: dict[str, Value], panel: Value, first: Value, row: Value,
        count: int, vectors: int, left_over: Value | None,
    ) -> None:  # fmt: skip
        if left_over is not None and not self.target.has_masks:
            with b.loop(b.constant(I64, 0), left_over) as lane:
                self._emit_block(b, arguments, indices, panel, first + lane, lane, row, count, 1, 1, None)
            return
        self._emit_block(b, arguments, indices, panel, first, b.constant(I64, 0), row, count, vectors, self.lanes, left_over)

    def _emit_block(
        self, b: Builder, arguments: Arguments, indices: dict[str, Value], panel: Value, column: Value, lane: Value,
        row: Value, count: int, vectors: int, lanes: int, left_over: Value | None,
    ) -> None:  # fmt: skip
        """The register tile: accumulate over the reduction, spill to scratch, then the epilogue row by row."""
        kind = self.total.with_lanes(lanes)
        masks = self._masks(b, left_over, vectors, lanes)
        here = dict(indices)
        if self.rows:
            here[str(self.rows[-1])] = row
        here[str(self.column)] = column
        left = self._start(b, arguments, self.left, here, self.left_buffer)
        if self.packed:
            right = self._panel(b, arguments, here, panel, lane)
        else:
            right = self._start(b, arguments, self.right, here)
        passing = None if self.carrier is None else self.carrier.passing(Emitter(b, arguments, self.layouts, here), self.right)
        offset, body = self.offset_and_rest

        def spot(vector: int, position: Value) -> dict[str, Value]:
            places = {**here, str(self.column): column + b.constant(I64, vector * lanes)}
            return {**places, str(self.rows[-1]): row + position} if self.rows else places

        first = [
            b.constant(kind, 0) if offset is None
            else self._at(b, arguments, spot(vector, b.constant(I64, 0)), lanes, masks[vector] if masks else None).vector(offset)
            for vector in range(vectors)
        ]  # fmt: skip
        Accumulation(
            self.point, self.product, self._loops(), self.row_step, self.scratch, count, first,
            None if self.packed else masks, self.look_ahead, self._streams(b, arguments, here, count, vectors * lanes), self.chain,
            passing,
        ).run(left, right)  # fmt: skip
        wide = vectors * lanes
        with b.loop(b.constant(I64, 0), b.constant(I64, count)) as position:
            for vector, together in self._groups_of_vectors(vectors):
                place = position * b.constant(I64, wide) + b.constant(I64, vector * lanes)
                value = b.load(b.offset(self.scratch, place, self.total), kind.with_lanes(together * lanes), alignment_of(kind))
                mask = self._mask(b, left_over, vector * lanes, together * lanes)
                self._finish(b, arguments, spot(vector, position), value, together * lanes, mask, body)

    def _groups_of_vectors(self, vectors: int) -> Iterator[tuple[int, int]]:
        """Which vectors are finished together, and how many: those whose results make whole vectors of a narrower type."""
        most, first = max(1, self.total.bits // storage_type(self.root.array.dtype).bits), 0
        while first < vectors:
            together = min(most, 1 << (vectors - first).bit_length() - 1)
            yield first, together
            first += together

    @cached_property
    def offset_and_rest(self) -> tuple[Scalar | None, Scalar]:
        """What is added to all rows of a sum of integers, which begins with it, and the element of that sum."""
        reduce = self.root.reduce
        assert reduce is not None
        return (None, self.body) if self.total.is_float else split_offset(self.body, reduce, self.rows)

    def _streams(self, b: Builder, arguments: Arguments, indices: dict[str, Value], count: int, wide: int) -> list[Stream]:
        """What a tile should ask for: what it will write and add, where the reduction is short, and the rows of the next tile.

        Where the reduction is long, waiting for them takes little beside it, but for rows that come from beyond the second-level cache.
        """
        if not isinstance(self.depth, int) or not self.rows:
            return []
        result, short = Read(self.root.array, self.variables), self.depth <= STREAMING_DEPTH
        found = []
        for read in (result, *self._added()) if short else ():
            size = read.array.dtype.numpy.itemsize
            found.append(
                Stream(self._start(b, arguments, read, indices), self._step(read, self.rows[-1]) * size, -(-wide * size // CACHE_LINE), count, read is result)
            )
        element, elements = self.left_buffer.dtype.numpy.itemsize, self.left.array.size
        far = isinstance(elements, int) and elements * element > self.target.l2
        if self.row_step == self.depth and (short or far):
            tile = count * self.depth * element
            behind = b.offset(self._start(b, arguments, self.left, indices, self.left_buffer), b.constant(I64, tile), I8)
            found.append(Stream(behind, CACHE_LINE, 1, -(-tile // CACHE_LINE)))
        return found

    def _added(self) -> list[Read]:
        """What the epilogue reads along rows and columns, such as a shortcut or a mask."""
        reads = [read for read in self.body.reads() if read.array is not self.root.reduce and is_affine(read)]
        return [read for read in reads if self.rows and all(self._step(read, variable) != 0 for variable in (self.rows[-1], self.column))]

    def _masks(self, b: Builder, left_over: Value | None, vectors: int, lanes: int) -> list[Value] | None:
        masks = [self._mask(b, left_over, vector * lanes, lanes) for vector in range(vectors)]
        return None if left_over is None else masks  # type: ignore[return-value]

    def _mask(self, b: Builder, left_over: Value | None, first: int, lanes: int) -> Value | None:
        """Which of `lanes` columns from the `first` one on there are."""
        return None if left_over is None else b.iota(Type("i64", lanes)) < b.splat(left_over - b.constant(I64, first), lanes)

    def _start(self, b: Builder, arguments: Arguments, read: Read, indices: dict[str, Value], buffer: Buffer | None = None) -> Value:
        """The address of an operand's element where all reduction loops are at 0; in another buffer, if it lies there as in its own."""
        view = self.layouts.view(read.array)
        buffer = buffer or view.buffer
        zero = b.constant(I64, 0)
        point = Emitter(b, arguments, self.layouts, {**indices, **{str(v): zero for v in self.inner}})
        return b.offset(arguments.pointer(buffer), point.index(view.address(read.indices)), storage_type(buffer.dtype))

    def _panel(self, b: Builder, arguments: Arguments, indices: dict[str, Value], panel: Value, lane: Value) -> Value:
        """The address of a packed panel."""
        place = b.constant(I64, 0)
        for symbol in self.places:
            place = place * self.point.index(upper_bound(symbol) + 1) + self.point.index(symbol)  # type: ignore[operator]
        for variable in self.batch:
            place = place * self.point.index(self.extents[str(variable)]) + indices[str(variable)]
        place = place * self.point.index(self.panels.count) + panel
        group = b.constant(I64, self.form.group)
        place = (place * self.point.index(self.panels.steps * self.panels.parts * self.width) + lane) * group
        return b.offset(arguments.pointer(self.right_buffer), place, self.form.right_element)

    def _loops(self) -> list[Loop]:
        """The reduction loops with their strides; neighbours that walk both operands as one become one.

        The kernel columns and the channels of a channels-last convolution do so. A packed operand lies in the order of its use.
        """
        found: list[Loop] = []
        for variable in self.inner:
            right: Dimension = 0 if self.packed else self._step(self.right, variable)
            loop = Loop(self.extents[str(variable)], self._step(self.left, variable), right)
            if found and found[-1].left == loop.left * loop.extent and found[-1].right == loop.right * loop.extent:
                loop = Loop(found.pop().extent * loop.extent, loop.left, loop.right)
            found.append(loop)
        if self.packed:
            step: Dimension = self.width * self.product.group
            for place, extent in reversed(list(enumerate(turns_of(found, self.product.group)))):
                found[place] = Loop(found[place].extent, found[place].left, step)
                step = step * self.layouts.room(extent)
        return found

    def _depths(self) -> list[Dimension]:
        """The turns of the reduction loops as they will be merged."""
        self.width = 1  # any will do: it cancels out
        return turns_of(self._loops(), self.product.group)

    def _finish(
        self, b: Builder, arguments: Arguments, indices: dict[str, Value], value: Value, lanes: int, mask: Value | None, body: Scalar,
    ) -> None:  # fmt: skip
        """Stores what `body` makes of a sum."""
        assert self.root.reduce is not None
        point = self._at(b, arguments, indices, lanes, mask, {self.root.reduce: value})
        point.store(self.root.array, self.variables, point.vector(body))

    def _at(
        self, b: Builder, arguments: Arguments, indices: dict[str, Value], lanes: int, mask: Value | None, values: dict[Array, Value] | None = None,
    ) -> Emitter:  # fmt: skip
        """An emitter for `lanes` columns from the indices on."""
        fused = not self.total.is_float
        return Emitter(b, arguments, self.layouts, indices, lane=str(self.column), lanes=lanes, mask=mask, values=values, fused=fused)
