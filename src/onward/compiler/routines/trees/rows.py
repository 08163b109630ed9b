"""What all ways of evaluating trees share: where rows and results lie, and sums in the order of the trees."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

from onward.compiler.builder import Builder
from onward.compiler.operations import compute_type
from onward.compiler.schedule.imperative import Imperative
from onward.compiler.values import I64, Type, Value
from onward.program.array import Array
from onward.program.trees import START, Trees

ROWS = 64
"""Rows of a block."""
LANES = 16
"""Lanes of a vector of 32-bit numbers; processors with less split it."""


class Rows:
    """The rows of one block and the sums of their leaves."""

    def __init__(self, k: Imperative, x: Array, result: Array, trees: Trees) -> None:
        self.k, self.b, self.x, self.result, self.trees = k, k.b, x, result, trees
        self.kind, self.sum_kind = compute_type(x.dtype), compute_type(result.dtype)
        view, out = k.layouts.view(x), k.layouts.view(result)
        self.x_begin = self.b.offset(k.pointer(view.buffer), k.size(view.offset), self.kind)
        self.x_strides = [k.size(stride) for stride in view.strides]
        self.out_begin = self.b.offset(k.pointer(out.buffer), k.size(out.offset), self.sum_kind)
        self.out_strides = [k.size(stride) for stride in out.strides]
        self.count = k.size(x.shape[0])

    # -- elements ----------------------------------------------------------------------------------------------
    def places(self, first: Value) -> Value:
        """The positions of 16 rows from `first` on, in elements; rows beyond the last are the last one."""
        b, wide = self.b, Type("i64", LANES)
        rows = b.splat(first, LANES) + b.iota(wide)
        last = b.splat(self.count - self.k.number(1), LANES)
        return b.select(rows < last, rows, last) * b.splat(self.x_strides[0], LANES)

    def elements(self, places: Value, feature: Value) -> Value:
        """x[row, feature] for rows at `places`; one feature, or one for each lane (i32)."""
        b = self.b
        wide = b.cast(b.splat(feature, places.type.lanes), I64)
        return b.gather(self.x_begin, places + wide * b.splat(self.x_strides[1], places.type.lanes), self.kind)

    def combine(self, left: Value, right: Value) -> Value:
        """The sum, or the less or the greater one."""
        if self.trees.combine == "sum":
            return left + right
        holds = right < left if self.trees.combine == "min" else right > left
        return self.b.select(holds, right, left)

    # -- sums of rows in lanes ---------------------------------------------------------------------------------
    def begin_sums(self, vectors: int) -> Value:
        """Memory for a vector of sums for each output and each 16 rows, filled with what sums begin with."""
        b, kind = self.b, self.sum_kind.with_lanes(LANES)
        memory = b.allocate_stack(self.sum_kind, self.trees.outputs * vectors * LANES)
        start = b.constant(kind, START[self.trees.combine])
        with b.loop(self.k.number(0), self.k.number(self.trees.outputs * vectors)) as place:
            b.store(b.offset(memory, place, kind), start)
        return memory

    def add(self, memory: Value, output: Value, vectors: int, vector: int, value: Value) -> None:
        """Adds leaves of 16 rows to the sums of an output."""
        b = self.b
        place = output * self.k.number(vectors) + self.k.number(vector)
        pointer = b.offset(memory, place, value.type)
        b.store(pointer, self.combine(b.load(pointer, value.type), value))

    def finish_sums(self, memory: Value, first: Value, vectors: int) -> None:
        """Stores the sums of rows from `first` on, those of rows that there are."""
        b, wide = self.b, Type("i64", LANES)
        kind = self.sum_kind.with_lanes(LANES)
        with b.loop(self.k.number(0), self.k.number(self.trees.outputs)) as output:
            for vector in range(vectors):
                rows = b.splat(first + self.k.number(vector * LANES), LANES) + b.iota(wide)
                place = output * self.k.number(vectors) + self.k.number(vector)
                value = b.load(b.offset(memory, place, kind), kind)
                column = b.splat(output * self.out_strides[1], LANES)
                targets = rows * b.splat(self.out_strides[0], LANES) + column
                b.scatter(self.out_begin, targets, value, rows < b.splat(self.count, LANES))

    # -- sums of one row ---------------------------------------------------------------------------------------
    def begin_row(self, row: Value) -> None:
        """Sets the results of a row to what sums begin with."""
        b = self.b
        with b.loop(self.k.number(0), self.k.number(self.trees.outputs)) as output:
            b.store(self.out_place(row, output), b.constant(self.sum_kind, START[self.trees.combine]))

    def out_place(self, row: Value, output: Value) -> Value:
        """The address of a result."""
        return self.b.offset(self.out_begin, row * self.out_strides[0] + output * self.out_strides[1], self.sum_kind)

    def add_to_row(self, row: Value, output: Value, values: Sequence[Value]) -> None:
        """Adds leaves, one after another."""
        pointer = self.out_place(row, output)
        self.b.store(pointer, reduce(self.combine, values, self.b.load(pointer, self.sum_kind)))


def lanes_of(b: Builder, vector: Value, number: int, lanes: int = LANES) -> Value:
    """A run of lanes of a longer vector."""
    return b.shuffle(vector, vector, range(number * lanes, (number + 1) * lanes))
