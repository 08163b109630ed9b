"""Long sums in two levels: blocks of terms are summed one by one, and the sums of the blocks are added.

The error of a sum of n terms in one chain grows like the square root of n where they are random, and like n where they are
alike; in blocks of b terms it grows like that of b + n / b. Source: Higham 1993, The accuracy of floating point summation.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

from onward.compiler.builder import Builder
from onward.compiler.values import I64, Value
from onward.ir.expressions import Dimension

BLOCK = 64
"""Terms of a block, at most."""
PRODUCTS = 256
"""The same in a contraction, where a block ends with a whole register tile going to memory and back (1 % of the time)."""


def cut(extents: Sequence[Dimension], block: int = BLOCK, multiple: int = 1) -> tuple[int, int] | None:
    """Which loop of a nest is walked in pieces, and how many turns a piece has: with all loops inside, they make a block.

    None where the whole nest is one block. Pieces of the innermost loop are multiples of a number of turns.
    """
    terms = 1
    for place in reversed(range(len(extents))):
        extent, least = extents[place], multiple if place == len(extents) - 1 else 1
        if not isinstance(extent, int):
            return place, max(1, block // terms // least) * least
        if terms * extent > block:
            count = -(-terms * extent // block)
            piece = -(-extent // count // least) * least
            return (place, piece) if piece < extent or place else None
        terms *= extent
    return None


@contextlib.contextmanager
def pieces(b: Builder, stop: Value, piece: int) -> Iterator[tuple[Value, Value]]:
    """A loop over the pieces of a loop from 0 to `stop`: where each begins and ends."""
    with b.loop(b.constant(I64, 0), stop, b.constant(I64, piece)) as begin:
        end = begin + b.constant(I64, piece)
        yield begin, b.select(end < stop, end, stop)
