"""Three ways to find the leaf that each of 64 lanes reaches by comparing bytes: symmetric trees, complete trees, and masks of leaves."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator

import numpy as np

from onward.compiler.builder import Builder
from onward.compiler.layout import Buffer
from onward.compiler.routines.trees.bins import Bins
from onward.compiler.routines.trees.rows import LANES, ROWS, lanes_of
from onward.compiler.schedule.imperative import Imperative, table_buffer
from onward.compiler.targets import Target
from onward.compiler.values import I8, I16, I32, Type, Value
from onward.program.trees import Trees

BYTES = Type("i8", 64)
DEEPEST = 8
"""Complete trees of more levels would be longer than they are fast."""
DEEPEST_SYMMETRIC = 16
"""The numbers of leaves have so many bits."""
MOST_LEAVES = 64


class Comparisons:
    """Tests of all trees, (trees, nodes) sources and thresholds, for 64 rows at once."""

    def __init__(self, source: np.ndarray, threshold: np.ndarray) -> None:
        self.nodes = source.shape[1]
        # The offset of a feature's bytes, and the threshold four times in a word.
        self.offsets = table_buffer((source * ROWS).astype(np.int32), "offsets")
        self.words = table_buffer((threshold.astype(np.uint32) * 0x01010101).view(np.int32), "thresholds")
        self.tables = [self.offsets, self.words]

    def less(self, k: Imperative, binned: Value, place: Value) -> Value:
        """Which of 64 rows pass test number `place`."""
        b = k.b
        offset = b.cast(b.load(b.offset(k.pointer(self.offsets), place, I32), I32), Type("i64"))
        word = b.load(b.offset(k.pointer(self.words), place, I32), I32)
        features = b.load(b.offset(binned, offset, I8), BYTES, 64)
        return b.unsigned_less(features, b.bitcast(b.splat(word, 16), BYTES))


class WrittenOut(ABC):
    """Trees whose tests are written out one after another, the same code for all trees.

    `source` and `threshold` (trees, tests) are what each test compares. Where a processor looks up bytes, lanes may be trees as well.
    """

    def __init__(self, source: np.ndarray, threshold: np.ndarray, leaves: np.ndarray, bins: Bins) -> None:
        self.leaves = leaves
        self.comparisons = Comparisons(source, threshold)
        self.tables: list[Buffer] = self.comparisons.tables
        self.by_group = (_by_group(source), _by_group(threshold)) if len(bins.feature) <= BYTES.lanes else None

    def reach_rows(self, k: Imperative, tree: Value, binned: Value) -> Value:
        """The leaves of 64 rows in a tree, as small integers."""
        begin = tree * k.number(self.comparisons.nodes)
        return self._reached(k.b, lambda node: self.comparisons.less(k, binned, begin + k.number(node)))

    def with_trees_in_lanes(self, target: Target) -> bool:
        """Whether `reach_trees` can be written."""
        if self.by_group is None or "+avx512vbmi," not in f"{target.features},":
            return False
        self.sources = table_buffer(self.by_group[0], "sources of trees")
        self.thresholds = table_buffer(self.by_group[1], "thresholds of trees")
        self.tables = [*self.tables, self.sources, self.thresholds]
        return True

    def reach_trees(self, k: Imperative, group: Value, features: Value) -> Value:
        """The leaves of one row in 64 trees, as small integers."""
        b, begin = k.b, group * k.number(self.comparisons.nodes)

        def less(node: int) -> Value:
            at = (begin + k.number(node)) * k.number(64)
            sources = b.load(b.offset(k.pointer(self.sources), at, I8), BYTES, 64)
            found = b.intrinsic("llvm.x86.avx512.permvar.qi.512", BYTES, features, sources)
            return b.unsigned_less(found, b.load(b.offset(k.pointer(self.thresholds), at, I8), BYTES, 64))

        return self._reached(b, less)

    @abstractmethod
    def _reached(self, b: Builder, less_at: Callable[[int], Value]) -> Value:
        """The leaves of 64 lanes; `less_at` gives the outcome of a test."""


class CompleteTrees(WrittenOut):
    """Trees filled up to one depth: node i stands above 2 i + 1 (yes) and 2 i + 2 (no)."""

    def __init__(self, trees: Trees, bins: Bins) -> None:
        *above, last = _levels(trees, bins)
        self.depth = len(above)
        source, threshold = _tests(np.concatenate(above, 1), bins)
        super().__init__(source, threshold, trees.values[last][:, :, 0], bins)

    @staticmethod
    def cost(trees: Trees, bins: Bins) -> float:
        """Cycles for a tree and 64 rows, in vectors of 64 bytes."""
        depth = int(trees.depths.max(initial=1))
        return 4.0 * (1 << depth) if depth <= DEEPEST else np.inf

    def _reached(self, b: Builder, less_at: Callable[[int], Value]) -> Value:
        leaf = b.constant(BYTES, 0)

        def descend(node: int, level: int, first: int, reached: Value | None) -> None:
            nonlocal leaf
            less = less_at(node)
            yes = less if reached is None else b.bitwise_and(reached, less)
            if level == self.depth - 1:
                other = b.constant(BYTES, first + 1)
                leaf = other if reached is None else b.select(reached, other, leaf)
                leaf = b.select(yes, b.constant(BYTES, first), leaf)
                return
            no = b.invert(less) if reached is None else b.bitwise_and(reached, b.invert(less))
            half = 1 << (self.depth - level - 1)
            descend(2 * node + 1, level + 1, first, yes)
            descend(2 * node + 2, level + 1, first + half, no)

        descend(0, 0, 0, None)
        return leaf


class SymmetricTrees(WrittenOut):
    """Trees all of whose nodes of one level ask the same, as CatBoost makes them: the outcomes are the bits of the leaf's number."""

    def __init__(self, trees: Trees, bins: Bins) -> None:
        *above, last = _levels(trees, bins)
        self.depth = len(above)
        source, threshold = _tests(np.stack([_asker(level, bins) for level in above], 1), bins)
        super().__init__(source, threshold, trees.values[last][:, :, 0], bins)

    @staticmethod
    def cost(trees: Trees, bins: Bins) -> float:
        """Cycles for a tree and 64 rows, in vectors of 64 bytes."""
        depth = int(trees.depths.max(initial=1))
        if depth > DEEPEST_SYMMETRIC or len(trees.roots) << depth > 2 * len(trees.yes):
            return np.inf
        *above, _ = _levels(trees, bins)
        for level in above:
            asker = _asker(level, bins)[:, None]
            same = (bins.source[level] == bins.source[asker]) & (bins.threshold[level] == bins.threshold[asker])
            if not np.all(same | ~bins.inner[level]):
                return np.inf
        return 4.0 * depth

    def _reached(self, b: Builder, less_at: Callable[[int], Value]) -> Value:
        kind = (I8 if self.depth <= 8 else I16).with_lanes(BYTES.lanes)
        leaf = zero = b.constant(kind, 0)
        for level in range(self.depth):
            leaf = b.bitwise_or(leaf, b.select(less_at(level), zero, b.constant(kind, 1 << (self.depth - level - 1))))
        return leaf


class LeafMasks:
    """Trees of any shape with up to 64 leaves: a test that fails takes the leaves on its yes side away.

    The leaf reached is the first one that is left. Source: Lucchese et al. 2015.
    """

    def __init__(self, trees: Trees, bins: Bins) -> None:
        shapes = [_leaf_masks(int(root), bins) for root in trees.roots]
        most = max(len(leaves) for leaves, _ in shapes)
        nodes = max(1, max(len(tests) for _, tests in shapes))
        self.word = Type("i32") if most <= 32 else Type("i64")
        count = len(trees.roots)
        source, threshold = np.zeros((count, nodes), np.int32), np.full((count, nodes), 255, np.int32)
        masks = np.full((count, nodes), -1, np.int64)  # tests that pad a tree never take a leaf away
        self.leaves = np.zeros((count, most), trees.values.dtype)
        for number, (leaves, tests) in enumerate(shapes):
            self.leaves[number, : len(leaves)] = trees.values[leaves, 0]
            for place, (node, mask) in enumerate(tests):
                source[number, place], threshold[number, place] = bins.source[node], bins.threshold[node]
                masks[number, place] = ~mask
        self.comparisons = Comparisons(source, threshold)
        kind = np.int32 if most <= 32 else np.int64
        self.lengths = table_buffer(np.array([len(tests) for _, tests in shapes], np.int32), "lengths")
        self.masks = table_buffer(masks.astype(kind), "masks")
        self.tables = [*self.comparisons.tables, self.lengths, self.masks]

    @staticmethod
    def cost(trees: Trees, bins: Bins) -> float:
        """Cycles for a tree and 64 rows, in vectors of 64 bytes."""
        shapes = [_leaf_count(int(root), bins) for root in trees.roots]
        if max(shapes) > MOST_LEAVES:
            return np.inf
        return float(np.mean(shapes)) * (10 if max(shapes) <= 32 else 18)

    def _all(self, b: Builder) -> list[Value]:
        lanes = LANES if self.word.bits == 32 else LANES // 2
        return [b.constant(self.word.with_lanes(lanes), -1)] * (64 // lanes)

    def reach_rows(self, k: Imperative, tree: Value, binned: Value) -> Value:
        """The leaves of 64 rows in a tree, as bytes."""
        b = k.b
        begin = tree * k.number(self.comparisons.nodes)
        left = [b.variable(value) for value in self._all(b)]
        length = b.cast(b.load(b.offset(k.pointer(self.lengths), tree, I32), I32), Type("i64"))
        with b.loop(begin, begin + length) as place:
            less = self.comparisons.less(k, binned, place)
            mask = b.load(b.offset(k.pointer(self.masks), place, self.word), self.word)
            for number, variable in enumerate(left):
                lanes = variable.type.lanes
                kept = variable.get() & b.splat(mask, lanes)
                variable.set(b.select(lanes_of(b, less, number, lanes), variable.get(), kept))
        return self._first(b, [variable.get() for variable in left])

    def _first(self, b: Builder, left: list[Value]) -> Value:
        """The number of the lowest bit of each lane, as 64 bytes."""
        parts = []
        for value in left:
            below = b.invert(value) & (value - b.constant(value.type, 1))
            parts.append(b.cast(b.unary_intrinsic("ctpop", below), I8))
        while len(parts) > 1:
            parts = [b.shuffle(first, second, range(2 * first.type.lanes)) for first, second in zip(parts[::2], parts[1::2])]
        return parts[0]


def _levels(trees: Trees, bins: Bins) -> Iterator[np.ndarray]:
    """The nodes (trees, 2**level) of each level, yes before no; a leaf stands for all that would be below it."""
    level = trees.roots.astype(np.int64)[:, None]
    yield level
    for _ in range(int(trees.depths.max(initial=1))):
        level = np.stack([bins.yes[level], bins.no[level]], 2).reshape(len(level), -1)
        yield level


def _tests(nodes: np.ndarray, bins: Bins) -> tuple[np.ndarray, np.ndarray]:
    """(sources, thresholds) of nodes; those of leaves do not matter."""
    inner = bins.inner[nodes]
    return np.where(inner, bins.source[nodes], 0), np.where(inner, bins.threshold[nodes], 255)


def _asker(level: np.ndarray, bins: Bins) -> np.ndarray:
    """The first node (trees,) of a level that is no leaf, if there is one."""
    return level[np.arange(len(level)), bins.inner[level].argmax(1)]


def _by_group(table: np.ndarray) -> np.ndarray:
    """(trees, nodes) as bytes (groups, nodes, 64)."""
    padded = np.pad(table, ((0, -len(table) % 64), (0, 0))).astype(np.uint8)
    return np.ascontiguousarray(padded.reshape(-1, 64, table.shape[1]).transpose(0, 2, 1))


def _leaf_count(root: int, bins: Bins) -> int:
    pending, count = [root], 0
    while pending:
        node = pending.pop()
        if bins.inner[node]:
            pending += [int(bins.yes[node]), int(bins.no[node])]
        else:
            count += 1
            if count > MOST_LEAVES:
                break
    return count


def _leaf_masks(root: int, bins: Bins) -> tuple[list[int], list[tuple[int, int]]]:
    """The leaves from yes to no, and for each inner node a mask of the leaves on its yes side."""
    leaves: list[int] = []
    tests: list[tuple[int, int]] = []
    pending: list[tuple[int, int, bool]] = [(root, 0, False)]
    while pending:
        node, first, done = pending.pop()
        if done:
            tests.append((node, ((1 << len(leaves)) - 1) & ~((1 << first) - 1)))
            pending.append((int(bins.no[node]), 0, False))
        elif bins.inner[node]:
            pending += [(node, len(leaves), True), (int(bins.yes[node]), 0, False)]
        else:
            leaves.append(node)
    return leaves, [(node, mask - (1 << 64) if mask >= 1 << 63 else mask) for node, mask in tests]
