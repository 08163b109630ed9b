"""What is computed block by block: several steps for a part of a root before the next part, so that what lies between stays in a cache."""

from __future__ import annotations

from dataclasses import dataclass

from onward.compiler.roots import Root
from onward.ir.expressions import Dimension, Expression
from onward.program.array import Array


@dataclass(frozen=True, eq=False)
class Piece:
    """A part of a root. Element (i, j, ...) of `array` is that of the root at `origin`, i * steps[0] further along axes[0], j * steps[1] along axes[1], ..."""

    array: Array
    origin: tuple[Dimension, ...]
    axes: tuple[int, ...]
    steps: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Blocks:
    """A root in blocks, with the roots that are computed inside them, `interior`.

    There is a block for each value of `places`, below `counts`; the last place is the number of the block of rows, which
    begins at the value of `first` (`begin`, in terms of the places) and has `rows` rows. The last block overlaps the one before
    where the rows do not divide. A block computes the `pieces`, programs over the places, of what is `given`; where it has a
    `condition`, a truth value computed of the same, that does not hold, it computes those of `otherwise`. Where later blocks need more
    than earlier ones, `reach` is a symbol for how many columns, and its value in terms of `first`.
    """

    root: Root
    interior: tuple[Array, ...]
    places: tuple[Expression, ...]
    counts: tuple[Dimension, ...]
    first: Expression
    begin: Dimension
    rows: Dimension
    pieces: tuple[Piece, ...]
    given: tuple[Array, ...]
    condition: Array | None = None
    otherwise: tuple[Piece, ...] = ()
    reach: tuple[Expression, Dimension] | None = None

    @property
    def symbols(self) -> dict[str, Expression]:
        """All symbols that a program of a block is over, by name."""
        return {str(symbol): symbol for symbol in (*self.places, self.first, *(self.reach or ())[:1])}  # type: ignore[misc]
