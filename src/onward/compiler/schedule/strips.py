"""The order in which the tiles of a contraction are made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from onward.compiler.builder import Builder
from onward.compiler.schedule.emitter import Emitter
from onward.compiler.schedule.tiles import TYPICAL_ROWS
from onward.compiler.targets import Target
from onward.compiler.values import I64, Value
from onward.ir.expressions import Dimension, Expression, evaluate, product

STRIP_SHARE = 4
"""A strip may take one part in so many of the second-level cache, beside all weights: 114 KB of results a strip are better than twice as many (measured)."""
SHARES = 2
"""Into so many ranges of rows a launch is cut at least where there is more to walk row by row than weights, each a number of whole strips: what lies
in another thread's cache takes longer than weights that are read once more."""


@dataclass(frozen=True)
class Place:
    """Where a tile lies; `turn` is its number among the tiles of its strip in its panel."""

    batch: list[Value]
    panel: Value
    outer: list[Value]
    tile: Value
    turn: Value


@dataclass(frozen=True)
class TileOrder:
    """Batch by batch, strip by strip, group by group, panel of columns by panel. A `strip` has so many tiles of rows, or all of them.

    `groups` are loops of the batch that lie inside a row, as those of a convolution.

    Rows are those of the `outer` loops, each with a number of `tiles`. With strips, what is read and written for a row is
    in a cache from its first column to its last; and a thread's share of a launch is a range of rows, which it has
    written itself in the launch before. Without, each thread reads its share of the right operand alone, once.
    """

    batch: Sequence[Dimension]
    groups: Sequence[Dimension]
    panels: Dimension
    outer: Sequence[Dimension]
    tiles: Dimension
    strip: int | None = None

    @property
    def tiles_of_rows(self) -> Dimension:
        """How many tiles a panel has."""
        return product([*self.outer, self.tiles])

    @property
    def blocks(self) -> Dimension:
        """All tiles."""
        return product([*self.batch, *self.groups, self.panels, self.tiles_of_rows])

    def in_strips(self, weights: Dimension, streams: Sequence[Dimension], target: Target) -> TileOrder:
        """With strips, if the right operand's `weights` bytes, of all groups, stay in the second-level cache meanwhile.

        `streams` are the bytes of all arrays that are walked row by row.
        """
        if not isinstance(weights, int) or weights > target.l2:
            return self
        tiles, walked = _typical(self.tiles_of_rows), sum(map(_typical, streams))
        strip = max(1, target.l2 // STRIP_SHARE * tiles * _typical(product(self.batch)) // max(1, walked))
        if not isinstance(self.tiles_of_rows, int):
            return replace(self, strip=strip)
        if tiles <= strip and (self.batch or weights > walked):
            return self
        share = -(-tiles // SHARES)
        return replace(self, strip=-(-share // -(-share // strip)))

    def place(self, b: Builder, point: Emitter, block: Value) -> Place:
        """Where tile number `block` lies."""
        height, panels = point.index(self.tiles_of_rows), point.index(product([*self.groups, self.panels]))
        first = b.constant(I64, 0)
        batch: list[Value] = []
        if self.batch:
            batch = point.places(b.unsigned_divide(block, panels * height), self.batch)
            block = b.unsigned_remainder(block, panels * height)
        if self.strip is not None:
            strip = b.constant(I64, self.strip)
            number = b.unsigned_divide(block, panels * strip)
            block, first = block - number * panels * strip, number * strip
            height = b.select(height - first < strip, height - first, strip)
        panel, turn = b.unsigned_divide(block, height), b.unsigned_remainder(block, height)
        *groups, panel = point.places(panel, [*self.groups, self.panels])
        *outer, tile = point.places(first + turn, [*self.outer, self.tiles])
        return Place([*batch, *groups], panel, outer, tile, turn)


def _typical(size: Dimension) -> int:
    """A size, with every unknown one taken for the typical number of rows."""
    return evaluate(size, dict.fromkeys(size.symbols, TYPICAL_ROWS)) if isinstance(size, Expression) else size
