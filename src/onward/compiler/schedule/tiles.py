"""The register tile of a contraction: which ones a processor has room for, and which suits a product best."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from onward.compiler.schedule.products import FloatProduct, Product
from onward.compiler.targets import Target
from onward.compiler.values import F32
from onward.ir.expressions import Dimension, product

MOST_VECTORS = 8
"""Vectors of columns of the widest tile: as many chains of additions as hide their latency in a single row."""
MOST_ROWS = 16
"""Rows of the tallest tile."""
LOOP_CYCLES = 48
"""What it costs to begin an innermost loop: addresses, and a branch that is predicted wrong."""
PAGE = 4096
"""Bytes after which addresses share a set of the first-level cache, which is found by their place in a page; it has a line for each page of its size."""
TYPICAL_ROWS = 128
"""What an unknown number of rows is taken for when a tile is chosen."""


@dataclass(frozen=True)
class Tile:
    """Rows and vectors of columns of one register tile."""

    rows: int
    vectors: int


def legal_tiles(target: Target, product: Product | None = None) -> list[Tile]:
    """All tiles that fit the registers without spills; for products of floats if nothing else is said."""
    product = product or FloatProduct(F32, target)
    budget = target.vector_registers - (1 if target.vector_registers > 16 else 0)
    tiles = (Tile(rows, vectors) for vectors in range(1, MOST_VECTORS + 1) for rows in range(1, MOST_ROWS + 1))
    # 9 x 3 has 0.9 of the speed of its neighbours (measured).
    return [tile for tile in tiles if product.registers(tile.rows, tile.vectors) <= budget and tile != Tile(9, 3)]


def tile_cycles(tile: Tile, *, near: bool = False, far: bool = False, expansion: float = 0) -> float:
    """Cycles for one step of the reduction: two multiply-adds and two loads a cycle, and four cycles of latency.

    Fewer than 12 sums do not quite hide that latency. A vector of the right operand costs 0.15 more, for the second-level
    cache it comes from, and an element of the left one 0.1, or half of it where the tile's rows are `near`, in the first
    level. A right operand whose panel is too `far` for the second level costs 0.6. What its `expansion` takes, the units for
    multiply-add lack. Fitted to 128 x 768 x 768 on Zen 5, as fractions of the peak: AVX2 4x3 1.00, 6x2 0.97, 5x2 0.96, 3x3 0.93,
    2x4 0.89, 4x2 0.87; AVX-512 within 2 % for 8x3, 13x2, 6x4 and 12x2, and with 9.4 MB of weights 5x4 0.96, 8x3 0.92,
    6x4 0.91, 13x2 0.84.
    """
    sums, loads = tile.rows * tile.vectors, tile.rows + tile.vectors
    exposed = 0.15 * min(4, max(0, 12 - sums))
    return max(sums / 2 + expansion * tile.vectors, loads / 2, 4.0) + exposed + (0.6 if far else 0.15) * tile.vectors + (0.05 if near else 0.1) * tile.rows


def crowded_rows(rows: int, row_bytes: Dimension, target: Target) -> int:
    """Rows of a tile, `row_bytes` apart, whose cache lines push each other out of the first-level cache before all of a line was read."""
    if row_bytes == 0 or not isinstance(row_bytes, int):
        return 0
    return max(0, rows - target.l1_lines * (PAGE // math.gcd(PAGE, row_bytes)))


def choose_tile(
    rows: Dimension, columns: Dimension, depths: Sequence[Dimension], element_bytes: int, target: Target, most_rows: int,
    kind: Product | None = None, row_bytes: Dimension = 0,
) -> Tile:  # fmt: skip
    """The tile with the least estimated time for the whole product.

    `depths` are the steps of the reduction loops, `element_bytes` what a step takes of a row or a column, `row_bytes` the distance of rows.
    A row that is crowded out of the first-level cache costs a cycle a step (64 x 3072 x 768 and AVX-512, with eight lines a set, as
    fractions of the peak: 5x4 0.95, 8x2 0.93, 12x2 0.86, 14x2 0.76, 16x1 0.45).
    """
    row_count = rows if isinstance(rows, int) else TYPICAL_ROWS
    column_count = columns if isinstance(columns, int) else TYPICAL_ROWS
    kind = kind or FloatProduct(F32, target)
    lanes = max(1, target.vector_bits // 8 // element_bytes)
    depth, innermost = product(depths), depths[-1] if depths else 1
    start = LOOP_CYCLES / max(1, innermost) if isinstance(innermost, int) else 0.0

    def cycles(tile: Tile) -> float:
        if not isinstance(depth, int):
            return tile_cycles(tile, expansion=kind.expansion) + crowded_rows(tile.rows, row_bytes, target)
        near = tile.rows * depth * element_bytes <= target.l1 // 2
        far = tile.vectors * lanes * depth * element_bytes > target.l2 // 2
        return tile_cycles(tile, near=near, far=far, expansion=kind.expansion) + start + crowded_rows(tile.rows, row_bytes, target)

    def time(tile: Tile) -> float:
        panels = -(-column_count // (tile.vectors * lanes))
        whole, rest = divmod(row_count, tile.rows)
        total = whole * cycles(tile)
        if rest:
            total += cycles(Tile(rest, tile.vectors) if isinstance(rows, int) else tile)
        return panels * total

    most_rows = min(most_rows, max(1, row_count))
    tiles = (tile for tile in legal_tiles(target, kind) if tile.rows <= most_rows)
    return min(tiles, key=lambda tile: (time(tile), -tile.rows))
