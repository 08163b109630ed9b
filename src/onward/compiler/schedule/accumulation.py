"""The reduction of one register tile of a contraction: loops over both operands, with the sums in registers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from onward.compiler.builder import Builder
from onward.compiler.schedule.emitter import Emitter
from onward.compiler.schedule.growth import Passing
from onward.compiler.schedule.products import Product
from onward.compiler.schedule.summation import PRODUCTS, cut, pieces
from onward.compiler.values import I8, I64, Type, Value, Variable
from onward.ir.expressions import Dimension, ceiling_divide, product

UNROLL = 4
"""Outer products of the innermost reduction loop that are written out."""
MOST_WRITTEN_OUT = 7
"""Steps of an innermost loop that is written out whole."""
CACHE_LINE = 64
"""Bytes that a prefetch brings."""
STREAM_AHEAD = 4 << 10
"""Bytes by which a product of few rows asks ahead for its weights: past the page, where hardware stops. 4 to 16 KB are as good on Intel;
on AMD 2 to 6 KB bring 31 to 32 GB/s, 8 KB 29, 16 KB 26, and none 30 to 31 (measured)."""
SMALL_PANEL = 4096
"""Bytes of a panel that hardware fetches early enough by itself."""


@dataclass(frozen=True)
class Loop:
    """A loop of the reduction and how far the operands move in a step, in elements.

    The innermost one steps over whole groups of the product; `extent` counts elements.
    """

    extent: Dimension
    left: Dimension
    right: Dimension


@dataclass(frozen=True)
class LookAhead:
    """How many cache lines each turn of the innermost loop asks for, and how far the first lies from its place, in elements."""

    lines: int
    distance: Value

    @classmethod
    def of_panel(cls, b: Builder, turn: Value, turns: int, panel: int, walked: int, element: Type) -> LookAhead | None:
        """Each of the `turns` that walk a panel asks for its share of the next one, which lies where this one ends.

        A single turn, which streams the panels once, asks for what it needs soon; a small panel needs nothing. The sizes of a panel and
        of what a turn of the innermost loop walks are in elements.
        """
        if panel * element.bits < 8 * SMALL_PANEL:
            return None
        per_line = CACHE_LINE * 8 // element.bits
        walked_lines = -(-walked // per_line)
        lines = max(1, -(-walked_lines // turns))
        share = b.unsigned_remainder(turn * b.constant(I64, lines), b.constant(I64, walked_lines))
        distance = min(panel, STREAM_AHEAD * 8 // element.bits) if turns == 1 else panel
        return cls(lines, b.constant(I64, distance) + share * b.constant(I64, per_line))


@dataclass(frozen=True)
class Stream:
    """Memory that is asked for while the sums are made: `count` runs of cache lines, `step` bytes apart, to be read or written."""

    pointer: Value
    step: Dimension
    lines: int
    count: int
    write: bool = False


def turns_of(loops: Sequence[Loop], group: int) -> list[Dimension]:
    """Turns of the loops: the innermost one takes a group at a time."""
    counts = [loop.extent for loop in loops]
    return counts[:-1] + [ceiling_divide(extent, group) for extent in counts[-1:]]


def steps_written_out(product: Product) -> int:
    """Steps in a turn of the innermost loop, once it is unrolled."""
    return UNROLL // product.outer


class Accumulation:
    """Emits the reduction of a tile of `rows` sums for each vector of columns, which begin as `first` and end in `scratch`, row by row."""

    def __init__(
        self, point: Emitter, product: Product, loops: Sequence[Loop], row_step: Dimension, scratch: Value,
        rows: int, first: Sequence[Value], masks: list[Value] | None, look_ahead: LookAhead | None, streams: Sequence[Stream],
        chain: int = PRODUCTS, passing: Passing | None = None,
    ) -> None:  # fmt: skip
        self.b: Builder = point.b
        self.point, self.product, self.loops, self.row_step, self.scratch = point, product, loops, row_step, scratch
        self.kind, self.masks, self.look_ahead, self.streams, self.chain, self.passing = first[0].type, masks, look_ahead, streams, chain, passing
        self.sums: list[list[Variable]] = [[self.b.variable(value) for value in first] for _ in range(rows)]
        self.unroll = steps_written_out(product)

    def run(self, left: Value, right: Value) -> None:
        """Everything, from the addresses of the operands where all loops are at 0."""
        turns = turns_of(self.loops, self.product.group)
        block = cut(turns, self.chain // self.product.group, self.unroll) if self.kind.is_float else None
        if block is not None:
            self._store(add=False)
        self._walk(left, right, self.loops, block, self.b.constant(I64, 0))
        if block is None:
            self._store(add=False)

    def _store(self, *, add: bool) -> None:
        """The sums go to scratch, or are added to what is there and begin again."""
        b, alignment = self.b, alignment_of(self.kind)
        for number, total in enumerate(total for line in self.sums for total in line):
            place = b.offset(self.scratch, b.constant(I64, number * self.kind.lanes), self.kind.with_lanes(1))
            value = total.get()
            if add:
                total.set(b.constant(self.kind, 0))
                # Volatile, or LLVM keeps the sums of all blocks in registers, which then do not suffice for those of one.
                value = b.load(place, self.kind, alignment, volatile=True) + value
            b.store(place, value, alignment)

    def _walk(self, left: Value, right: Value, loops: Sequence[Loop], block: tuple[int, int] | None, done: Value) -> None:
        """The loops from the outermost to the innermost; `block` says which is cut into pieces, counted from here.

        `done` is the number of this turn of the loops outside.
        """
        if not loops:
            self._multiply(left, right, Loop(1, 1, 0), 1)
            return
        loop, rest = loops[0], loops[1:]
        piece = block[1] if block and not block[0] else None
        deeper = (block[0] - 1, block[1]) if block and block[0] else None
        if not rest:
            self._walk_innermost(left, right, loop, piece, done)
            return

        def turns(begin: Value, end: Value) -> None:
            with self.b.loop(begin, end) as k:
                here = self._move_left(left, k, loop.left), self._move_right(right, k, loop.right)
                self._walk(*here, rest, deeper, done * self.point.index(loop.extent) + k)

        self._in_pieces(self.point.index(loop.extent), piece, turns)

    def _in_pieces(self, stop: Value, piece: int | None, turns: Callable[[Value, Value], None]) -> None:
        """`turns` over a whole loop, or over each of its pieces, whose sums are added to the scratch."""
        if piece is None:
            turns(self.b.constant(I64, 0), stop)
            return
        with pieces(self.b, stop, piece) as (begin, end):
            turns(begin, end)
            self._store(add=True)

    def _walk_innermost(self, left: Value, right: Value, loop: Loop, piece: int | None, done: Value) -> None:
        b, group = self.b, self.product.group
        steps = loop.extent // group
        turn = Loop(steps, loop.left * group, loop.right)
        stop, unroll = self.point.index(steps), b.constant(I64, self.unroll)

        def several(first: Value, count: int) -> None:
            # Opaque, or strength reduction spends 100 ms on the 60 addresses of the body (measured; 4 ms without).
            at_left = b.opaque(self._move_left(left, first, turn.left))
            at_right = b.opaque(self._move_right(right, first, turn.right))
            self._ask_ahead(at_right)
            for step in range(count):
                number = b.constant(I64, step)
                here = self._move_left(at_left, number, turn.left), self._move_right(at_right, number, turn.right)
                self._multiply(*here, loop, group)

        def turns(begin: Value, end: Value) -> None:
            with b.loop(begin, end, unroll) as k:
                if isinstance(steps, int):
                    self._ask(done * b.constant(I64, steps // self.unroll) + b.unsigned_divide(k, unroll), steps // self.unroll)
                several(k, self.unroll)

        def turns_and_rest(begin: Value, end: Value) -> None:
            whole = begin + b.unsigned_divide(end - begin, unroll) * unroll
            turns(begin, whole)
            with b.loop(whole, end) as k:
                several(k, 1)

        # What is left over comes first: it belongs to the first block then.
        if group > 1 and loop.extent % group:
            assert isinstance(loop.extent, int)
            here = self._move_left(left, stop, turn.left), self._move_right(right, stop, turn.right)
            self._multiply(*here, loop, loop.extent % group)
        if not isinstance(steps, int):
            self._in_pieces(stop, piece, turns_and_rest)
        elif steps <= MOST_WRITTEN_OUT:
            self._ask(done, 1)
            several(b.constant(I64, 0), steps)
        else:
            rest = steps % self.unroll
            whole = b.constant(I64, steps - rest)
            if rest:
                several(whole, rest)
            self._in_pieces(whole, piece, turns)

    def _ask_ahead(self, at_right: Value) -> None:
        if self.look_ahead is None:
            return
        first = self.b.offset(at_right, self.look_ahead.distance, self.product.right_element)
        for line in range(self.look_ahead.lines):
            self.b.prefetch(self.b.offset(first, self.b.constant(I64, line * CACHE_LINE), I8), 2)

    def _ask(self, turn: Value, inner: int) -> None:
        """Asks for the part of each stream that falls to a turn, by its number; `inner` of them make one of the innermost loop."""
        b = self.b
        for stream in self.streams:
            turns = product([inner, *(loop.extent for loop in self.loops[:-1])])
            assert isinstance(turns, int)
            share = -(-stream.count // turns)
            for number in range(share):
                run, last = turn * b.constant(I64, share) + b.constant(I64, number), b.constant(I64, stream.count - 1)
                place = b.offset(stream.pointer, b.select(run < last, run, last) * self.point.index(stream.step), I8)
                for line in range(stream.lines):
                    b.prefetch(b.offset(place, b.constant(I64, line * CACHE_LINE), I8), 3, write=stream.write)

    def _move_left(self, pointer: Value, count: Value, step: Dimension) -> Value:
        return self._move(pointer, count, step, self.product.left_element)

    def _move_right(self, pointer: Value, count: Value, step: Dimension) -> Value:
        return self._move(pointer, count, step, self.product.right_element)

    def _move(self, pointer: Value, count: Value, step: Dimension, element: Type) -> Value:
        if isinstance(step, int) and count.known is not None:
            return self.b.offset(pointer, self.b.constant(I64, count.known * step), element)
        return self.b.offset(pointer, count * self.point.index(step), element)

    def _multiply(self, left: Value, right: Value, loop: Loop, count: int) -> None:
        """One step of the reduction, of `count` elements: outer products of a column of the left and a row of the right operand."""
        b, product, lanes = self.b, self.product, self.kind.lanes
        along = self.point.index(loop.left)
        for turn in range(min(product.outer, count)):
            columns = []
            for vector in range(len(self.sums[0])):
                place = b.offset(right, b.constant(I64, vector * lanes * product.group), product.right_element)
                columns.append(self._column(place, self.masks[vector] if self.masks else None, turn))
            first = self._move_left(left, b.constant(I64, turn), loop.left)
            for position, line in enumerate(self.sums):
                place = self._move_left(first, b.constant(I64, position), self.row_step)
                value = product.left(b, place, along, count, lanes)
                for column, total in zip(columns, line):
                    total.set(product.add(b, total.get(), value, column))

    def _column(self, place: Value, mask: Value | None, turn: int) -> Value:
        def load(place: Value) -> Value:
            return self.product.right(self.b, place, self.kind.lanes, mask, turn)

        return load(place) if self.passing is None else self.passing.load(self.b, place, load, mask)


def alignment_of(kind: Type) -> int:
    """Bytes to which the sums of a tile are aligned."""
    return min(64, kind.lanes * kind.bits // 8)
