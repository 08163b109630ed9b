"""Features as bytes: how many thresholds of the feature lie below the element."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from onward.compiler.routines.trees.rows import LANES, ROWS, Rows
from onward.compiler.schedule.imperative import Imperative, table_buffer
from onward.compiler.values import I8, I32, Type, Value
from onward.program.trees import Trees

MOST_CUTS = 254
MOST_BINS = 512
"""So many bytes of each row are kept on the stack."""


@dataclass(frozen=True, eq=False)
class Bins:
    """The tests of trees as comparisons of bytes.

    A node asks whether bin `source` is below `threshold`, and goes to `yes` or `no`. Bin s counts the `cuts` (bins, 256,
    padded with NaN) below feature[s]; NaN counts as 0 where `missing` says so, else as 255. A feature of many cuts has
    several bins. `inner` tells nodes from leaves.
    """

    feature: np.ndarray
    missing: np.ndarray
    cuts: np.ndarray
    source: np.ndarray
    threshold: np.ndarray
    yes: np.ndarray
    no: np.ndarray
    inner: np.ndarray


def bin_trees(trees: Trees) -> Bins | None:
    """The tests of trees as comparisons of bytes; None where they are of another kind or too many."""
    place = np.arange(len(trees.yes))
    inner = (trees.yes != place) | (trees.no != place)
    below = trees.low == -np.inf
    if trees.targets is None or not inner.any() or not np.all(below | (trees.high == np.inf) | ~inner):
        return None
    # x >= low is not (x < low): the branches change places, and NaN goes to the other one as well.
    limit = np.where(below, trees.high, np.nextafter(trees.low, -np.inf))
    yes, no = np.where(below, trees.yes, trees.no), np.where(below, trees.no, trees.yes)
    missing = np.where(below, trees.missing, ~trees.missing)
    if np.isnan(limit[inner]).any():
        return None
    nodes = np.flatnonzero(inner)
    keys = trees.feature[nodes].astype(np.int64) * 2 + missing[nodes]
    nodes, keys = (table[np.lexsort((limit[nodes], keys))] for table in (nodes, keys))
    key_begins, cut_begins = _changes(keys), _changes(keys) | _changes(limit[nodes])
    cut = np.cumsum(cut_begins) - 1
    rank = cut - np.maximum.accumulate(np.where(key_begins, cut, 0))  # among the cuts of its key
    source_begins = key_begins | cut_begins & (rank % MOST_CUTS == 0)
    number = np.cumsum(source_begins) - 1
    count = int(number[-1]) + 1
    if count > MOST_BINS:
        return None
    cuts = np.full((count, 256), np.nan, limit.dtype)
    cuts[number, rank % MOST_CUTS] = limit[nodes]
    source, threshold = np.zeros(len(place), np.int32), np.ones(len(place), np.int32)
    source[nodes], threshold[nodes] = number, rank % MOST_CUTS + 1
    firsts = keys[source_begins]
    return Bins((firsts >> 1).astype(np.int32), (firsts & 1).astype(np.bool_), cuts, source, threshold, yes, no, inner)


def _changes(table: np.ndarray) -> np.ndarray:
    """Where an element is not the one before."""
    return np.append(True, table[1:] != table[:-1])


class Binning:
    """The code that makes bytes of features."""

    CYCLES = 600.0
    """Cycles for a bin of 64 rows, in vectors of 64 bytes."""

    def __init__(self, bins: Bins) -> None:
        self.count = len(bins.feature)
        self.cuts = table_buffer(bins.cuts, "cuts")
        self.features = table_buffer(_padded(bins.feature), "features")
        self.flags = table_buffer(_padded(bins.missing), "missing")
        self.tables = [self.cuts, self.features, self.flags]

    def of_rows(self, k: Imperative, rows: Rows, first: Value) -> Value:
        """(bins, 64) bytes for 64 rows from `first` on."""
        b = k.b
        binned = b.allocate_stack(I8, ROWS * self.count)
        places = [rows.places(first + k.number(start)) for start in range(0, ROWS, LANES)]
        with b.loop(k.number(0), k.number(self.count)) as source:
            feature = b.load(b.offset(k.pointer(self.features), source, I32), I32)
            flag = b.splat(b.load(b.offset(k.pointer(self.flags), source, I32), I32), LANES)
            cut = b.splat(b.cast(source * k.number(256), I32), LANES)
            for vector, place in enumerate(places):
                bins = self._bisect(k, rows.elements(place, feature), cut, flag)
                target = b.offset(binned, source * k.number(ROWS) + k.number(vector * LANES), I8)
                b.store(target, b.cast(bins, I8))
        return binned

    def of_row(self, k: Imperative, rows: Rows, row: Value) -> Value:
        """The bins of one row in a vector of 64 bytes."""
        b, number = k.b, Type("i32", LANES)
        binned = b.allocate_stack(I8, 64)
        place = b.splat(row * rows.x_strides[0], LANES)
        with b.loop(k.number(0), k.number(-(-self.count // LANES))) as group:
            start = group * k.number(LANES)
            features = b.load(b.offset(k.pointer(self.features), start, I32), number)
            flags = b.load(b.offset(k.pointer(self.flags), start, I32), number)
            sources = b.splat(b.cast(start, I32), LANES) + b.iota(number)
            last = b.constant(number, self.count - 1)
            sources = b.select(sources < last, sources, last)
            bins = self._bisect(k, rows.elements(place, features), sources * b.constant(number, 256), flags)
            b.store(b.offset(binned, start, I8), b.cast(bins, I8))
        return b.load(binned, Type("i8", 64), 64)

    def _bisect(self, k: Imperative, element: Value, first_cut: Value, flag: Value) -> Value:
        """How many of 256 cuts lie below each element (i32); `first_cut` says where they begin."""
        b, number = k.b, Type("i32", LANES)
        place = b.constant(number, 0)
        table = k.pointer(self.cuts)
        for step in (128, 64, 32, 16, 8, 4, 2, 1):
            middle = b.gather(table, first_cut + place + b.constant(number, step - 1), element.type.with_lanes(1))
            place = b.select(middle < element, place + b.constant(number, step), place)
        zero, most = b.constant(number, 0), b.constant(number, 255)
        return b.select(b.unordered(element, element), b.select(flag != zero, zero, most), place)


def _padded(table: np.ndarray) -> np.ndarray:
    """With zeros up to a multiple of 16, so that whole vectors can be read."""
    return np.pad(table.astype(np.int32), (0, -len(table) % LANES))
