"""Trees of any depth and kind: each row walks down eight trees in turn, a level at a time.

The walks do not wait for each other, so that a processor overlaps them. A step is a load of the node, a comparison and an
addition, without a branch.
"""

from __future__ import annotations

from functools import reduce

import numpy as np

from onward.compiler.routines.trees.records import Records, records_of
from onward.compiler.routines.trees.rows import Rows
from onward.compiler.schedule.imperative import Imperative, table_buffer
from onward.compiler.values import F32, F64, I32, I64, Value
from onward.program.trees import Trees

TOGETHER = 8
"""So many trees are walked at a time."""
MOST_ROWS = 256
"""So many rows pass a group of trees before the next group, which lies in the cache meanwhile."""


class Walked:
    """The code for trees that are walked."""

    rows = 16
    """Rows of a block."""
    CYCLES = 2.7
    """Cycles for a level."""

    def __init__(self, trees: Trees) -> None:
        self.trees = trees
        self.records: Records = records_of(trees, TOGETHER)
        self.nodes = table_buffer(self.records.nodes, "nodes")
        self.roots = table_buffer(self.records.roots, "roots")
        self.values = table_buffer(self.records.values, "values")
        targets = np.zeros(0, np.int32) if trees.targets is None else trees.targets
        self.targets = table_buffer(np.pad(targets, (0, len(self.records.roots) - len(targets))), "targets")
        self.tables = [self.nodes, self.roots, self.values, self.targets]

    def emit(self, k: Imperative, rows: Rows, begin: Value, end: Value) -> None:
        """The sums of rows from `begin` to `end`."""
        b = k.b
        with b.loop(begin, end, k.number(MOST_ROWS)) as first:
            last = first + k.number(MOST_ROWS)
            last = b.select(last < end, last, end)
            with b.loop(first, last) as row:
                rows.begin_row(row)
            with b.loop(k.number(0), k.number(len(self.records.roots)), k.number(TOGETHER)) as group:
                roots = [self._number(k, self.roots, group, place) for place in range(TOGETHER)]
                targets = [self._number(k, self.targets, group, place) for place in range(TOGETHER)]
                with b.loop(first, last) as row:
                    self._add(k, rows, row, targets, self._walk(k, rows, row, roots))

    def _number(self, k: Imperative, table: object, group: Value, place: int) -> Value:
        b = k.b
        at = b.offset(k.pointer(table), group + k.number(place), I32)  # type: ignore[arg-type]
        return b.cast(b.load(at, I32), I64)

    def _walk(self, k: Imperative, rows: Rows, row: Value, roots: list[Value]) -> list[Value]:
        """The leaves of a row in some trees."""
        b, records = k.b, self.records
        kind, word = (F64, I64) if records.wide else (F32, I32)
        here = b.offset(rows.x_begin, row * rows.x_strides[0], rows.kind)
        nodes = [b.variable(root) for root in roots]
        words = [b.variable(b.constant(word, 0)) for _ in roots]

        def place(node: Value, half: int) -> Value:
            return b.offset(k.pointer(self.nodes), node + node + k.number(half), word)

        def not_all_at_leaves() -> Value:
            for node, variable in zip(nodes, words):
                variable.set(b.load(place(node.get(), 1), word))
            anywhere = reduce(b.bitwise_or, (variable.get() for variable in words))
            return b.compare("gt", anywhere, b.constant(word, (1 << records.shift) - 1), unsigned=True)

        with b.repeat(not_all_at_leaves):
            for node, variable in zip(nodes, words):
                step, at = variable.get(), node.get()
                feature = step & b.constant(word, (1 << records.shift) - 1)
                if records.turned:
                    feature = b.logical_shift_right(feature, b.constant(word, 1))
                feature = b.cast(feature, I64, signed=False)
                element = b.load(b.offset(here, feature * rows.x_strides[1], rows.kind), rows.kind)
                element = b.cast(element, kind)
                if records.turned:
                    sign = step << b.constant(word, kind.bits - 1)
                    element = b.bitcast(b.bitcast(element, word) ^ sign, kind)
                passes = element <= b.load(place(at, 0), kind)
                delta = b.cast(step >> b.constant(word, records.shift), I64)
                node.set(at + delta + b.cast(passes, I64, signed=False))
        return [node.get() for node in nodes]

    def _add(self, k: Imperative, rows: Rows, row: Value, targets: list[Value], leaves: list[Value]) -> None:
        """Adds leaves, one after another."""
        b, width = k.b, self.records.values.shape[1]

        def value(leaf: Value, output: Value | None) -> Value:
            at = leaf if output is None else leaf * k.number(width) + output
            return b.load(b.offset(k.pointer(self.values), at, rows.sum_kind), rows.sum_kind)

        if self.trees.targets is None:
            with b.loop(k.number(0), k.number(self.trees.outputs)) as output:
                rows.add_to_row(row, output, [value(leaf, output) for leaf in leaves])
        elif self.trees.outputs == 1:
            rows.add_to_row(row, k.number(0), [value(leaf, None) for leaf in leaves])
        else:
            for leaf, target in zip(leaves, targets):
                rows.add_to_row(row, target, [value(leaf, None)])
