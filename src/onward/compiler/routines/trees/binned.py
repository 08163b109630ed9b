"""Shallow trees: features as bytes, and masks of lanes carried down complete trees."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from onward.compiler.builder import F32, I8, I32, Builder, Type, Value
from onward.compiler.routines.trees.rows import LANES, ROWS, Rows, lanes_of
from onward.compiler.schedule.imperative import Imperative, table_buffer
from onward.program.array import Array
from onward.program.trees import Trees

DEEPEST = 8
MOST_CUTS = 254
MOST_BINNED = 512
"""Bytes of a row's features that a block keeps on the stack, times 64."""
FEW_ROWS = 8
"""So many rows or less are evaluated one by one with trees in lanes, where the processor can look up bytes."""

Node = Callable[[int], tuple[Value, Value]]
"""(number of a node in its complete tree) -> (64 bytes of features, 64 thresholds)"""


@dataclass(frozen=True, eq=False)
class Bins:
    """Complete trees of one depth, node i above nodes 2 i + 1 (yes) and 2 i + 2 (no).

    A node asks whether bin `source` is below `threshold`. Bin s counts the `cuts` (bins, 256, padded with NaN) below
    feature[s]; NaN counts as 0 where `missing` says so, else as 255. `leaves` are (trees, 2^depth).
    """

    depth: int
    feature: np.ndarray
    missing: np.ndarray
    cuts: np.ndarray
    source: np.ndarray
    threshold: np.ndarray
    leaves: np.ndarray


def bin_trees(trees: Trees) -> Bins | None:
    """The trees as comparisons of bytes; None where they are too deep or their tests are of another kind."""
    depth = int(trees.depths.max(initial=0))
    place = np.arange(len(trees.yes))
    inner = (trees.yes != place) | (trees.no != place)
    below = trees.low == -np.inf
    if not 1 <= depth <= DEEPEST or trees.targets is None or not np.all(below | (trees.high == np.inf) | ~inner):
        return None
    # x >= low is not (x < low): the branches change places, and NaN goes to the other one as well.
    limit = np.where(below, trees.high, np.nextafter(trees.low, -np.inf))
    yes, no = np.where(below, trees.yes, trees.no), np.where(below, trees.no, trees.yes)
    missing = np.where(below, trees.missing, ~trees.missing)
    if np.isnan(limit[inner]).any():
        return None
    keys = np.unique(np.stack([trees.feature, missing], 1)[inner], axis=0)
    sources = {(int(feature), bool(flag)): number for number, (feature, flag) in enumerate(keys)}
    cuts = [np.unique(limit[inner & (trees.feature == f) & (missing == m)]) for f, m in sources]
    if len(sources) > MOST_BINNED or max(map(len, cuts)) > MOST_CUTS:
        return None
    table = np.full((len(cuts), 256), np.nan, limit.dtype)
    for number, row in enumerate(cuts):
        table[number, : len(row)] = row
    source = np.zeros((len(trees.roots), (1 << depth) - 1), np.int32)
    threshold = np.full(source.shape, 255, np.int32)
    level = trees.roots.astype(np.int64)[:, None]
    node_source = np.array([sources.get((int(f), bool(m)), 0) for f, m in zip(trees.feature, missing)])
    node_threshold = np.ones(len(place), np.int32)
    for number, (feature, flag) in enumerate(sources):
        chosen = inner & (trees.feature == feature) & (missing == flag)
        node_threshold[chosen] = np.searchsorted(cuts[number], limit[chosen]) + 1
    for depth_above in range(depth):
        begin = (1 << depth_above) - 1
        source[:, begin : 2 * begin + 1] = np.where(inner[level], node_source[level], 0)
        threshold[:, begin : 2 * begin + 1] = np.where(inner[level], node_threshold[level], 255)
        level = np.stack([yes[level], no[level]], 2).reshape(len(level), -1)
    features, flags = zip(*sources)
    return Bins(
        depth, np.array(features, np.int32), np.array(flags), table, source, threshold, trees.values[level][:, :, 0]
    )


class Binned:
    """The code for trees as comparisons of bytes."""

    def __init__(self, trees: Trees, bins: Bins) -> None:
        self.trees, self.bins = trees, bins
        self.groups = -(-len(trees.roots) // 64)
        padding = ((0, self.groups * 64 - len(trees.roots)), (0, 0))
        nodes = bins.source.shape[1]
        by_tree = [np.pad(table, padding).reshape(self.groups, 64, nodes) for table in (bins.source, bins.threshold)]
        assert trees.targets is not None
        self.cuts = table_buffer(bins.cuts, "cuts")
        self.features = table_buffer(_padded(bins.feature), "features")
        self.flags = table_buffer(_padded(bins.missing.astype(np.int32)), "missing")
        # For rows in lanes: the offset of a feature's bytes, and the threshold four times in a word.
        self.offsets = table_buffer(bins.source * ROWS, "offsets")
        self.words = table_buffer((bins.threshold.astype(np.uint32) * 0x01010101).view(np.int32), "thresholds")
        # For trees in lanes: (groups, nodes, 64) bytes.
        self.sources = table_buffer(by_tree[0].transpose(0, 2, 1).astype(np.uint8), "sources of trees")
        self.thresholds = table_buffer(by_tree[1].transpose(0, 2, 1).astype(np.uint8), "thresholds of trees")
        self.leaves = table_buffer(np.pad(bins.leaves, padding), "leaves")
        self.targets = table_buffer(np.pad(trees.targets, padding[0]), "targets")
        self.tables = [
            self.cuts, self.features, self.flags, self.offsets, self.words, self.sources, self.thresholds, self.leaves,
            self.targets,
        ]  # fmt: skip

    def emit(self, k: Imperative, x: Array, result: Array) -> None:
        """The body of the kernel."""
        rows, b = Rows(k, x, result, self.trees), k.b
        with k.each_block() as block:
            first = block * k.number(ROWS)
            if self._looks_up_bytes(b):
                with b.if_else(rows.count - first > k.number(FEW_ROWS)) as (many, few):
                    with many:
                        self._rows_in_lanes(k, rows, first)
                    with few, b.loop(first, rows.count) as row:
                        self._trees_in_lanes(k, rows, row)
            else:
                self._rows_in_lanes(k, rows, first)

    def _looks_up_bytes(self, b: Builder) -> bool:
        return len(self.bins.feature) <= 64 and "+avx512vbmi," in f"{b.target.features},"

    # -- features to bytes -------------------------------------------------------------------------------------
    def _bin(self, k: Imperative, element: Value, first_cut: Value, flag: Value) -> Value:
        """How many cuts lie below each element, by bisection of 256 (i32); `first_cut` says where they begin."""
        b = k.b
        number = Type("i32", LANES)
        place = b.constant(number, 0)
        table = k.pointer(self.cuts)
        for step in (128, 64, 32, 16, 8, 4, 2, 1):
            middle = b.gather(table, first_cut + place + b.constant(number, step - 1), element.type.with_lanes(1))
            place = b.select(middle < element, place + b.constant(number, step), place)
        zero, most = b.constant(number, 0), b.constant(number, 255)
        return b.select(b.unordered(element, element), b.select(flag != zero, zero, most), place)

    def _rows_in_lanes(self, k: Imperative, rows: Rows, first: Value) -> None:
        b = k.b
        vectors = ROWS // LANES
        binned = b.allocate_stack(I8, ROWS * len(self.bins.feature))
        places = [rows.places(first + k.number(vector * LANES)) for vector in range(vectors)]
        with b.loop(k.number(0), k.number(len(self.bins.feature))) as source:
            feature = b.load(b.offset(k.pointer(self.features), source, I32), I32)
            flag = b.splat(b.load(b.offset(k.pointer(self.flags), source, I32), I32), LANES)
            cut = b.splat(b.cast(source * k.number(256), I32), LANES)
            for vector in range(vectors):
                bins = self._bin(k, rows.elements(places[vector], feature), cut, flag)
                target = b.offset(binned, source * k.number(ROWS) + k.number(vector * LANES), I8)
                b.store(target, b.cast(bins, I8))
        sums = rows.begin_sums(vectors)
        nodes = self.bins.source.shape[1]
        with b.loop(k.number(0), k.number(len(self.trees.roots))) as tree:
            offsets = b.offset(k.pointer(self.offsets), tree * k.number(nodes), I32)
            words = b.offset(k.pointer(self.words), tree * k.number(nodes), I32)

            def node(number: int) -> tuple[Value, Value]:
                place = b.cast(b.load(b.offset(offsets, k.number(number), I32), I32), Type("i64"))
                word = b.load(b.offset(words, k.number(number), I32), I32)
                bytes_ = b.load(b.offset(binned, place, I8), Type("i8", ROWS), 64)
                return bytes_, b.bitcast(b.splat(word, ROWS // 4), Type("i8", ROWS))

            leaves = self._reached(b, node)
            output = b.cast(b.load(b.offset(k.pointer(self.targets), tree, I32), I32), Type("i64"))
            table = b.offset(k.pointer(self.leaves), tree * k.number(1 << self.bins.depth), rows.sum_kind)
            for vector, value in enumerate(self._values(b, table, leaves, rows.sum_kind)):
                rows.add(sums, output, vectors, vector, value)
        rows.finish_sums(sums, first, vectors)

    def _trees_in_lanes(self, k: Imperative, rows: Rows, row: Value) -> None:
        b, wide = k.b, Type("i8", 64)
        number = Type("i32", LANES)
        binned = b.allocate_stack(I8, 64)
        place = b.splat(row * rows.x_strides[0], LANES)
        with b.loop(k.number(0), k.number(-(-len(self.bins.feature) // LANES))) as group:
            start = group * k.number(LANES)
            features = b.load(b.offset(k.pointer(self.features), start, I32), number)
            flags = b.load(b.offset(k.pointer(self.flags), start, I32), number)
            sources = b.splat(b.cast(start, I32), LANES) + b.iota(number)
            bins = self._bin(k, rows.elements(place, features), sources * b.constant(number, 256), flags)
            b.store(b.offset(binned, start, I8), b.cast(bins, I8))
        bytes_ = b.load(binned, wide, 64)
        rows.begin_row(row)
        kept = b.allocate_stack(rows.sum_kind, 64)
        nodes, size = self.bins.source.shape[1], 1 << self.bins.depth
        with b.loop(k.number(0), k.number(self.groups)) as group:
            begin = group * k.number(nodes * 64)

            def node(place: int) -> tuple[Value, Value]:
                at = begin + k.number(place * 64)
                sources = b.load(b.offset(k.pointer(self.sources), at, I8), wide, 64)
                found = b.intrinsic("llvm.x86.avx512.permvar.qi.512", wide, bytes_, sources)
                return found, b.load(b.offset(k.pointer(self.thresholds), at, I8), wide, 64)

            leaves = self._reached(b, node)
            table = b.offset(k.pointer(self.leaves), group * k.number(64 * size), rows.sum_kind)
            for part in range(64 // LANES):
                trees = b.vector_constant(number, range(part * LANES * size, (part + 1) * LANES * size, size))
                chosen = b.cast(lanes_of(b, leaves, part), I32, signed=False) + trees
                values = b.gather(table, chosen, rows.sum_kind)
                b.store(b.offset(kept, k.number(part * LANES), rows.sum_kind), values)
            self._add_in_order(k, rows, row, group, kept)

    def _add_in_order(self, k: Imperative, rows: Rows, row: Value, group: Value, kept: Value) -> None:
        b = k.b
        first = group * k.number(64)
        left = k.number(len(self.trees.roots)) - first
        count = b.select(left < k.number(64), left, k.number(64))
        with b.loop(k.number(0), count) as lane:
            output = b.load(b.offset(k.pointer(self.targets), first + lane, I32), I32)
            value = b.load(b.offset(kept, lane, rows.sum_kind), rows.sum_kind)
            rows.add_to_row(row, b.cast(output, Type("i64")), value)

    # -- complete trees ----------------------------------------------------------------------------------------
    def _reached(self, b: Builder, node: Node) -> Value:
        """The leaf that each of 64 lanes reaches, as bytes."""
        wide = Type("i8", 64)
        leaf = b.constant(wide, 0)

        def descend(number: int, level: int, first: int, reached: Value | None) -> None:
            nonlocal leaf
            bytes_, thresholds = node(number)
            less = b.unsigned_less(bytes_, thresholds)
            yes = less if reached is None else b.bitwise_and(reached, less)
            if level == self.bins.depth - 1:
                other = b.constant(wide, first + 1)
                leaf = other if reached is None else b.select(reached, other, leaf)
                leaf = b.select(yes, b.constant(wide, first), leaf)
                return
            no = b.invert(less) if reached is None else b.bitwise_and(reached, b.invert(less))
            half = 1 << (self.bins.depth - level - 1)
            descend(2 * number + 1, level + 1, first, yes)
            descend(2 * number + 2, level + 1, first + half, no)

        descend(0, 0, 0, None)
        return leaf

    def _values(self, b: Builder, table: Value, leaves: Value, kind: Type) -> list[Value]:
        """The leaves' values, 16 rows at a time, from a table of 2^depth."""
        chosen = [b.cast(lanes_of(b, leaves, part), I32, signed=False) for part in range(ROWS // LANES)]
        if kind != F32 or self.bins.depth not in (5, 6) or b.target.name != "avx512":
            return [b.gather(table, item, kind) for item in chosen]
        vector = Type("f32", LANES)
        halves = [b.load(b.offset(table, b.constant(I32, part * LANES), F32), vector) for part in range(1 << (self.bins.depth - 4))]

        def among(item: Value, first: int) -> Value:
            name = "llvm.x86.avx512.vpermi2var.ps.512"
            return b.intrinsic(name, vector, halves[first], item, halves[first + 1])

        if self.bins.depth == 5:
            return [among(item, 0) for item in chosen]
        bound = b.constant(chosen[0].type, 32)
        return [b.select(item < bound, among(item, 0), among(item, 2)) for item in chosen]


def _padded(table: np.ndarray) -> np.ndarray:
    """With zeros up to a multiple of 16, so that whole vectors can be read."""
    return np.pad(table, (0, -len(table) % LANES)).astype(np.int32)
