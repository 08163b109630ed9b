"""Trees whose tests compare bytes, 64 lanes at once: rows, or trees for a few rows."""

from __future__ import annotations

import numpy as np

from onward.compiler.builder import Builder
from onward.compiler.routines.trees.bins import Binning, Bins
from onward.compiler.routines.trees.rows import LANES, ROWS, Rows, lanes_of
from onward.compiler.routines.trees.shapes import LeafMasks, WrittenOut
from onward.compiler.routines.trees.walked import Walked
from onward.compiler.schedule.imperative import Imperative, table_buffer
from onward.compiler.targets import Target
from onward.compiler.values import F32, I32, Type, Value
from onward.program.trees import START, Trees

FEW_ROWS = 12
"""So many rows or less are evaluated one by one: 64 lanes of 512 bits take as long as 13 rows that are walked."""
MOST_OUTPUTS = 64
"""Sums of more outputs take too much of a stack."""


class Binned:
    """The code for trees of one of the shapes."""

    rows = ROWS
    """Rows of a block."""

    def __init__(self, trees: Trees, bins: Bins, shape: WrittenOut | LeafMasks, target: Target) -> None:
        assert trees.targets is not None
        self.trees, self.shape = trees, shape
        self.binning = Binning(bins)
        self.groups = -(-len(trees.roots) // 64)
        padding = (0, self.groups * 64 - len(trees.roots))
        width = shape.leaves.shape[1]
        self.width = width + -width % LANES if width <= 64 else width
        leaves = np.pad(shape.leaves, (padding, (0, self.width - width)), constant_values=START[trees.combine])
        self.leaves = table_buffer(leaves, "leaves")
        self.targets = table_buffer(np.pad(trees.targets, padding), "targets")
        self.by_trees = shape if isinstance(shape, WrittenOut) and shape.with_trees_in_lanes(target) else None
        self.walked = Walked(trees)
        self.few_rows = FEW_ROWS * 512 // target.vector_bits
        self.tables = [*self.binning.tables, *shape.tables, self.leaves, self.targets]
        self.tables += [] if self.by_trees else self.walked.tables

    def emit(self, k: Imperative, rows: Rows, begin: Value, end: Value) -> None:
        """The sums of rows from `begin` to `end`."""
        b = k.b
        with (
            b.loop(begin, end, k.number(ROWS)) as first,
            b.if_else(end - first > k.number(self.few_rows)) as (many, few),
        ):
            with many:
                self._rows_in_lanes(k, rows, first)
            with few:
                if self.by_trees:
                    with b.loop(first, end) as row:
                        self._trees_in_lanes(k, rows, row, self.by_trees)
                else:
                    self.walked.emit(k, rows, first, end)

    def _rows_in_lanes(self, k: Imperative, rows: Rows, first: Value) -> None:
        b, vectors = k.b, ROWS // LANES
        binned = self.binning.of_rows(k, rows, first)
        sums = rows.begin_sums(vectors)
        with b.loop(k.number(0), k.number(len(self.trees.roots))) as tree:
            leaves = self.shape.reach_rows(k, tree, binned)
            output = b.cast(b.load(b.offset(k.pointer(self.targets), tree, I32), I32), Type("i64"))
            table = b.offset(k.pointer(self.leaves), tree * k.number(self.width), rows.sum_kind)
            for vector, value in enumerate(self._values(b, table, leaves, rows.sum_kind)):
                rows.add(sums, output, vectors, vector, value)
        rows.finish_sums(sums, first, vectors)

    def _trees_in_lanes(self, k: Imperative, rows: Rows, row: Value, shape: WrittenOut) -> None:
        b, number = k.b, Type("i32", LANES)
        features = self.binning.of_row(k, rows, row)
        rows.begin_row(row)
        kept = b.allocate_stack(rows.sum_kind, 64)
        with b.loop(k.number(0), k.number(self.groups)) as group:
            leaves = shape.reach_trees(k, group, features)
            table = b.offset(k.pointer(self.leaves), group * k.number(64 * self.width), rows.sum_kind)
            for part in range(64 // LANES):
                first = part * LANES * self.width
                trees = b.vector_constant(number, range(first, first + LANES * self.width, self.width))
                chosen = b.cast(lanes_of(b, leaves, part), I32, signed=False) + trees
                values = b.gather(table, chosen, rows.sum_kind)
                b.store(b.offset(kept, k.number(part * LANES), rows.sum_kind), values)
            self._add_in_order(k, rows, row, group, kept)

    def _add_in_order(self, k: Imperative, rows: Rows, row: Value, group: Value, kept: Value) -> None:
        """Adds the leaves of 64 trees, one after another."""
        b = k.b

        def leaf(place: Value) -> Value:
            return b.load(b.offset(kept, place, rows.sum_kind), rows.sum_kind)

        if self.trees.outputs == 1:
            rows.add_to_row(row, k.number(0), [leaf(k.number(lane)) for lane in range(64)])
            return
        with b.loop(k.number(0), k.number(64)) as lane:
            output = b.load(b.offset(k.pointer(self.targets), group * k.number(64) + lane, I32), I32)
            rows.add_to_row(row, b.cast(output, Type("i64")), [leaf(lane)])

    def _values(self, b: Builder, table: Value, leaves: Value, kind: Type) -> list[Value]:
        """The leaves' values, 16 rows at a time."""
        chosen = [b.cast(lanes_of(b, leaves, part), I32, signed=False) for part in range(ROWS // LANES)]
        if kind != F32 or self.width > 64 or b.target.name != "avx512":
            return [b.gather(table, item, kind) for item in chosen]
        vector = Type("f32", LANES)
        parts = [b.load(b.offset(table, b.constant(I32, start), F32), vector) for start in range(0, self.width, LANES)]
        parts += [parts[-1]] * (len(parts) % 2)

        def among(item: Value, first: int) -> Value:
            name = "llvm.x86.avx512.vpermi2var.ps.512"
            return b.intrinsic(name, vector, parts[first], item, parts[first + 1])

        if len(parts) == 2:
            return [among(item, 0) for item in chosen]
        bound = b.constant(chosen[0].type, 32)
        return [b.select(item < bound, among(item, 0), among(item, 2)) for item in chosen]
