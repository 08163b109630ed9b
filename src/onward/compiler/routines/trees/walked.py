"""Trees of any depth and kind: 16 rows walk down a tree in step, or one row down 16 trees."""

from __future__ import annotations

import contextlib

import numpy as np

from onward.compiler.builder import I32, Type, Value
from onward.compiler.routines.trees.rows import LANES, ROWS, Rows
from onward.compiler.schedule.imperative import Imperative, table_buffer
from onward.program.array import Array
from onward.program.trees import Trees

FEW_ROWS = 4
"""So many rows or less walk down 16 trees at a time."""
MOST_OUTPUTS = 64
"""With more outputs than this, sums are kept for 16 rows at a time."""


class Walked:
    """The code for trees that are walked."""

    def __init__(self, trees: Trees) -> None:
        self.trees = trees
        count = len(trees.roots)
        padding = (0, -count % LANES)
        self.feature = table_buffer(trees.feature, "features")
        self.low = table_buffer(trees.low, "lower limits")
        self.high = table_buffer(trees.high, "upper limits")
        self.children = table_buffer(np.stack([trees.no, trees.yes], 1).astype(np.int32), "children")
        self.missing = table_buffer(trees.missing.astype(np.int32), "missing")
        self.roots = table_buffer(np.pad(trees.roots, padding).astype(np.int32), "roots")
        self.depths = table_buffer(np.pad(trees.depths, padding).astype(np.int32), "depths")
        self.values = table_buffer(trees.values, "values")
        targets = np.zeros(count, np.int32) if trees.targets is None else trees.targets
        self.targets = table_buffer(targets, "targets")
        self.has_low = bool(np.any(trees.low != -np.inf))
        self.has_missing = bool(trees.missing.any())
        self.tables = [
            self.feature, self.high, self.children, self.roots, self.depths, self.values, self.targets,
            *([self.low] if self.has_low else []), *([self.missing] if self.has_missing else []),
        ]  # fmt: skip

    def emit(self, k: Imperative, x: Array, result: Array) -> None:
        """The body of the kernel."""
        rows, b = Rows(k, x, result, self.trees), k.b
        together = ROWS // LANES if self.trees.outputs <= MOST_OUTPUTS else 1
        with k.each_block() as block:
            first = block * k.number(ROWS)
            end = b.select(first + k.number(ROWS) < rows.count, first + k.number(ROWS), rows.count)
            with b.if_else(end - first > k.number(FEW_ROWS)) as (many, few):
                with many, b.loop(first, end, k.number(together * LANES)) as start:
                    self._rows_in_lanes(k, rows, start, together)
                with few, b.loop(first, end) as row:
                    self._trees_in_lanes(k, rows, row)

    def _step(self, k: Imperative, rows: Rows, node: Value, places: Value) -> Value:
        """One level down for each lane."""
        b = k.b
        element = rows.elements(places, b.gather(k.pointer(self.feature), node, I32))
        holds = element <= b.gather(k.pointer(self.high), node, rows.kind)
        if self.has_low:
            holds = b.bitwise_and(holds, element >= b.gather(k.pointer(self.low), node, rows.kind))
        if self.has_missing:
            flag = b.gather(k.pointer(self.missing), node, I32)
            tracks = b.bitwise_and(b.unordered(element, element), flag != b.constant(flag.type, 0))
            holds = b.bitwise_or(holds, tracks)
        child = node + node + b.cast(holds, I32, signed=False)
        return b.gather(k.pointer(self.children), child, I32)

    def _leaf_values(self, k: Imperative, rows: Rows, node: Value, output: Value) -> Value:
        """What leaves give to an output, all of which they hold."""
        b = k.b
        width = self.trees.values.shape[1]
        if width == 1:
            return b.gather(k.pointer(self.values), node, rows.sum_kind)
        wide = b.cast(node, Type("i64")) * b.constant(Type("i64", LANES), width) + b.splat(output, LANES)
        return b.gather(k.pointer(self.values), wide, rows.sum_kind)

    def _rows_in_lanes(self, k: Imperative, rows: Rows, first: Value, together: int) -> None:
        b = k.b
        sums = rows.begin_sums(together)
        places = [rows.places(first + k.number(vector * LANES)) for vector in range(together)]
        nodes = [b.variable(b.constant(Type("i32", LANES), 0)) for _ in range(together)]
        with b.loop(k.number(0), k.number(len(self.trees.roots))) as tree:
            root = b.splat(b.load(b.offset(k.pointer(self.roots), tree, I32), I32), LANES)
            for node in nodes:
                node.set(root)
            depth = b.load(b.offset(k.pointer(self.depths), tree, I32), I32)
            with b.loop(b.constant(I32, 0), depth):
                below = [self._step(k, rows, node.get(), place) for node, place in zip(nodes, places)]
                for node, value in zip(nodes, below):
                    node.set(value)
            with self._outputs(k, tree) as output:
                for vector, node in enumerate(nodes):
                    rows.add(sums, output, together, vector, self._leaf_values(k, rows, node.get(), output))
        rows.finish_sums(sums, first, together)

    def _trees_in_lanes(self, k: Imperative, rows: Rows, row: Value) -> None:
        b, number = k.b, Type("i32", LANES)
        rows.begin_row(row)
        place = b.splat(row * rows.x_strides[0], LANES)
        node = b.variable(b.constant(number, 0))
        leaves = b.allocate_stack(I32, LANES)
        count = len(self.trees.roots)
        with b.loop(k.number(0), k.number(count), k.number(LANES)) as first:
            node.set(b.load(b.offset(k.pointer(self.roots), first, I32), number))
            depths = b.load(b.offset(k.pointer(self.depths), first, I32), number)
            with b.loop(b.constant(I32, 0), b.reduce("max", depths)):
                node.set(self._step(k, rows, node.get(), place))
            b.store(leaves, node.get())
            left = k.number(count) - first
            with b.loop(k.number(0), b.select(left < k.number(LANES), left, k.number(LANES))) as lane:
                leaf = b.cast(b.load(b.offset(leaves, lane, I32), I32), Type("i64"))
                width = self.trees.values.shape[1]
                with self._outputs(k, first + lane) as output:
                    at = leaf * k.number(width) + output if width > 1 else leaf
                    value = b.load(b.offset(k.pointer(self.values), at, rows.sum_kind), rows.sum_kind)
                    rows.add_to_row(row, output, value)

    def _outputs(self, k: Imperative, tree: Value) -> contextlib.AbstractContextManager[Value]:
        """The outputs that a tree adds to: the one it has, or all in a loop."""
        b = k.b
        if self.trees.targets is None:
            return b.loop(k.number(0), k.number(self.trees.outputs))
        target = b.load(b.offset(k.pointer(self.targets), tree, I32), I32)
        return contextlib.nullcontext(b.cast(target, Type("i64")))
