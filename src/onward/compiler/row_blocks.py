"""Contractions whose left operand comes from another contraction row by row: attention, whatever stands between its products.

The second product of attention needs its left operand, the weights, a row at a time, and a row of weights needs no more than
a row of scores, the result of the first product. So all of it can be done for a block of rows before the next, and what lies
between stays in a cache. What is done for a block is a program of its own (`blocks.py`), planned like any other, over
symbols that say which block it is. No number is computed in another way than without blocks, but that columns which no row of
a block sees are left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set

from onward.compiler.blocks import Blocks, Piece
from onward.compiler.contractions import uses
from onward.compiler.rewrite import replace_reads, substitute
from onward.compiler.roots import Root, RootFinder
from onward.compiler.visibility import Visibility, visibility_of
from onward.ir.expressions import Dimension, Expression, Symbol, ceiling_divide, maximum, minimum, product
from onward.ir.expressions import substitute as substitute_index
from onward.program.array import (
    Array,
    Compute,
    Concatenate,
    Reduce,
    Reshape,
    RoutineOutput,
    defining_routine,
    fresh_symbol,
    mentioned_symbols,
)
from onward.program.scalar import Read, Scalar

MOST_ROWS = 64
"""Rows of a block: enough that both right operands, which are read again for each block, cost little beside the products."""
TYPICAL_ROWS = 32
"""Rows of a block of an unknown number of rows or columns."""
LEAST_ROWS = 16
BLOCK_ELEMENTS = 1 << 16
"""Elements of the first product that a block should not exceed: 256 KB of floats."""


def find_row_blocks(finder: RootFinder, roots: Sequence[Root]) -> list[Blocks]:
    """The contractions of a program that are worth it."""
    search = _Search(finder, roots)
    found: list[Blocks] = []
    for root in roots:
        interior = search.interior(root)
        blocks = _BodyWriter(root, search.roots, interior).blocks() if interior else None
        if blocks is not None:
            found.append(blocks)
            search.kept.add(root.array)
    return found


class _Search:
    """Finds what lies between a contraction and those that its left operand is made of, and is used for nothing else."""

    def __init__(self, finder: RootFinder, roots: Sequence[Root]) -> None:
        self.finder = finder
        self.roots = {root.array: root for root in roots}
        self.kept: set[Array] = {*finder.outputs, *finder.given, *finder.known}
        """What stays outside: somebody else reads it."""
        self.users: dict[Array, set[Array]] = {}
        self.made: set[Array] = set()
        """What is made of contractions, up to the next one. Products with weights do not count: they read the weights once for all rows."""
        for array in finder.order:
            sources = self._sources(array)
            for source in sources:
                self.users.setdefault(source, set()).add(array)
            if self._is_product(array) or not self._is_contraction(array) and not self.made.isdisjoint(sources):
                self.made.add(array)

    def _sources(self, array: Array) -> Set[Array]:
        """The stored arrays that a stored array is made of."""
        root = self.roots.get(array)
        if root is not None:
            return {read.array for read in root.reads()}
        return set(array.sources) if isinstance(array, (Reshape, Concatenate, RoutineOutput)) else set()

    def _is_contraction(self, array: Array) -> bool:
        root = self.roots.get(array)
        return root is not None and root.contraction is not None

    def _is_product(self, array: Array) -> bool:
        root = self.roots.get(array)
        return root is not None and root.contraction is not None and not self.finder.is_constant(root.contraction.right.array)

    def interior(self, root: Root) -> tuple[Array, ...]:
        """The interior, empty where no row is reduced in it: then there is little to gain."""
        if root.contraction is None or not self._is_product(root.array):
            return ()
        inside: dict[Array, None] = {}
        columns = root.contraction.columns
        by_row = [read for read in root.body.reads() if read.array is not root.reduce and not any(uses(i, j) for i in read.indices for j in columns)]
        pending = [read.array for read in (root.contraction.left, *by_row)]
        while pending:
            array = pending.pop()
            if array in self.made and array not in inside and (array in self.roots or isinstance(array, Reshape)):
                inside[array] = None
                if not self._is_contraction(array):
                    pending.extend(sorted(self._sources(array), key=lambda source: self.finder.rank.get(source, -1)))
        while leaving := [array for array in inside if array in self.kept or not self.users[array] <= {*inside, root.array}]:
            for array in leaving:
                del inside[array]
        reduced = any(array in self.roots and self.roots[array].reduce is not None and not self._is_contraction(array) for array in inside)
        return tuple(inside) if reduced and any(map(self._is_contraction, inside)) else ()


class _NoBlocks(Exception):
    """The interior is not read row by row."""


class _BodyWriter:
    """Writes what is done for one block as arrays."""

    def __init__(self, root: Root, roots: Mapping[Array, Root], interior: tuple[Array, ...]) -> None:
        self.root, self.roots, self.interior = root, roots, interior
        self.made: dict[Array, tuple[Array, tuple[Dimension | None, ...]]] = {}
        self.given: dict[Array, None] = {}
        self.reduced: set[Array] = set()
        self.visibility: Visibility | None = None
        self.row = Symbol("block@inside")
        self.first = Symbol("block@first")

    def blocks(self) -> Blocks | None:
        """The blocks, or None where the interior cannot be cut into rows."""
        root, contraction = self.root, self.root.contraction
        assert contraction is not None
        extents = dict(zip(map(str, root.variables), root.shape))
        outer = [variable for variable in (*contraction.batch, *contraction.rows) if extents[str(variable)] != 1]
        rows = [variable for variable in contraction.rows if variable in outer]
        if not rows:
            return None
        self.along = rows[-1]
        outer.remove(self.along)
        count = extents[str(self.along)]
        if count == 0:
            return None
        step = _rows_of_a_block(count, product(root.extents))
        self.rows = step if isinstance(count, int) else minimum(step, count)
        self.visibility = None if step == count else visibility_of(root, self.roots, self.interior, self.along)
        reach = self._reach()
        names = {str(variable): Symbol(f"block@{number}", 0, extents[str(variable)] - 1) for number, variable in enumerate(outer)}
        units = {str(variable): 0 for variable in (*contraction.batch, *contraction.rows) if extents[str(variable)] == 1}
        try:
            body = self._array(root, {**names, **units, str(self.along): self.along})
        except _NoBlocks:
            return None
        number = Symbol("block@number")
        fixed: dict[str, Dimension] = {**names, **units, str(self.along): self.first}
        origin = tuple(fixed.get(str(variable), 0) for variable in root.variables)
        axes = [axis for axis, variable in enumerate(root.variables) if variable not in (*contraction.batch, *contraction.rows)]
        axes.insert(0, root.variables.index(self.along))
        return Blocks(
            root, self.interior, (*names.values(), number),
            (*(extents[name] for name in names), ceiling_divide(count, step)), self.first,
            minimum(number * step, count - self.rows), self.rows,
            (Piece(body, origin, tuple(axes), (1,) * len(axes)),), tuple(self.given), reach=reach,
        )  # fmt: skip

    def _reach(self) -> tuple[Expression, Dimension] | None:
        """The columns of the left operand that the rows of a block need, if that may be fewer than all; one at least, so that no row is empty."""
        if self.visibility is None:
            return None
        (columns,) = self.root.extents
        self.columns = Symbol("block@columns", 0, columns)
        last = substitute_index(self.visibility.limit, {str(self.along): self.first + self.rows - 1})
        return self.columns, minimum(columns, maximum(last, 1))

    def _extent(self, array: Array, variable: Expression, extent: Dimension) -> Dimension:
        """That of a loop in a block."""
        return self.columns if self.visibility is not None and self.visibility.loops.get(array) == str(variable) else extent

    def _array(self, root: Root, fixed: Mapping[str, Dimension]) -> Array:
        """A root for one block, as `_written` says it; sizes that the run has found by then are given."""
        array = self._written(root, fixed)
        for part in (array, *array.sources):
            for symbol in sorted(mentioned_symbols(part)):
                routine = defining_routine(symbol)
                if routine is not None:
                    self.given[routine.results[0]] = None
        return array

    def _written(self, root: Root, fixed: Mapping[str, Dimension]) -> Array:
        """A root for one block: (rows, what is not fixed). `fixed` is in terms of the places and of the variable of the rows."""
        variables, extents = [fresh_symbol("i", self.rows)], [self.rows]
        mapping: dict[str, Dimension] = dict(fixed)
        for variable, extent in zip(root.variables, root.shape):
            if str(variable) not in mapping:
                extent = self._extent(root.array, variable, extent)
                variables.append(fresh_symbol("i", extent))
                extents.append(extent)
                mapping[str(variable)] = variables[-1]
        inner = dict(zip(map(str, variables[1:]), extents[1:]))
        if root.reduce is None:
            return Compute(variables, extents, self._scalar(root.body, mapping, inner, variables[0]))
        assert root.reduce_body is not None
        depths = [self._extent(root.array, variable, extent) for variable, extent in zip(root.reduction, root.extents)]
        reduction = [fresh_symbol("k", extent) for extent in depths]
        along = dict(zip(map(str, root.reduction), reduction))
        summed = {**inner, **dict(zip(map(str, reduction), depths))}
        reduced = Reduce(
            root.reduce.operation, variables, extents, reduction, depths,
            self._scalar(root.reduce_body, {**mapping, **along}, summed, variables[0]),
        )  # fmt: skip
        self.reduced.add(reduced)
        hidden = self._hidden(root, mapping, variables[1:], extents[1:]) if root is self.root and self.visibility is not None else None
        if hidden is None and isinstance(root.body, Read) and root.body.array is root.reduce:
            return reduced

        def own(read: Read) -> Scalar:
            if read.array is not root.reduce:
                return read
            value = Read(reduced, (self.row, *variables[1:]))
            return value if hidden is None else value + Read(hidden, tuple(variables[1:]))

        return Compute(variables, extents, self._scalar(replace_reads(root.body, own), mapping, inner, variables[0]))

    def _hidden(self, root: Root, mapping: Mapping[str, Dimension], variables: Sequence[Expression], extents: Sequence[Dimension]) -> Array:
        """What the columns add that no row of a block needs: 0 times their factor, which is 0 or, where that is infinite or no number, NaN."""
        assert root.contraction is not None
        (column,), (count,) = root.reduction, root.extents
        own, place = [fresh_symbol("i", extent) for extent in extents], fresh_symbol("k", count - self.columns)
        factor = substitute(root.contraction.right, {**mapping, str(column): self.columns + place})
        self.given[root.contraction.right.array] = None
        term = substitute(factor, dict(zip(map(str, variables), own))) * 0.0
        sums = Reduce("sum", own, extents, [place], [count - self.columns], term)
        self.reduced.add(sums)
        return sums

    def _scalar(self, scalar: Scalar, mapping: Mapping[str, Dimension], inner: Mapping[str, Dimension], row: Expression) -> Scalar:
        """A scalar of a root as one of its block, whose variables besides the row are `inner` (name -> extent)."""
        moved = replace_reads(substitute(scalar, mapping), lambda read: self._read(read, inner))
        return substitute(moved, {str(self.along): self.first + row, str(self.row): row})

    def _read(self, read: Read, inner: Mapping[str, Dimension]) -> Scalar:
        array, places = read.array, tuple(read.indices)
        while isinstance(array, Reshape) and array in self.interior:
            places = _before_reshape(places, array)
            array = array.source
        if array not in self.interior:
            if array not in self.reduced:
                self.given[array] = None
            return Read(array, places)
        root = self.roots[array]
        extents = [self._extent(array, variable, extent) for variable, extent in zip(root.variables, array.shape)]
        kept = tuple(None if _is_inner(place, extent, inner) else place for place, extent in zip(places, extents))
        if array not in self.made:
            self._check(kept, inner)
            names = map(str, root.variables)
            fixed = {name: place for name, place in zip(names, kept) if place is not None}
            self.made[array] = (self._array(root, fixed), kept)
        block, before = self.made[array]
        if kept != before:
            raise _NoBlocks
        return Read(block, (self.row, *(place for place, fixed in zip(places, kept) if fixed is None)))

    def _check(self, kept: Sequence[Dimension | None], inner: Mapping[str, Dimension]) -> None:
        """What is not a whole axis must say one place in each row."""
        expressions = [place for place in kept if isinstance(place, Expression)]
        if any(place.opaque or place.symbols & inner.keys() for place in expressions):
            raise _NoBlocks
        if not any(str(self.along) in place.symbols for place in expressions):
            raise _NoBlocks


def _is_inner(place: Dimension, extent: Dimension, inner: Mapping[str, Dimension]) -> bool:
    return isinstance(place, Expression) and inner.get(str(place)) == extent


def _before_reshape(places: Sequence[Dimension], array: Reshape) -> tuple[Dimension, ...]:
    """The place in the source of a Reshape's element."""
    position: Dimension = 0
    for place, extent in zip(places, array.shape):
        position = position * extent + place
    found: list[Dimension] = []
    for extent in reversed(array.source.shape):
        found.insert(0, position % extent)
        position = position // extent
    return tuple(found)


def _rows_of_a_block(count: Dimension, columns: Dimension) -> int:
    """How many rows a block has; blocks of a known number of rows are as even as can be."""
    if not isinstance(count, int) or not isinstance(columns, int):
        most = TYPICAL_ROWS
    else:
        most = max(LEAST_ROWS, min(MOST_ROWS, BLOCK_ELEMENTS // max(1, columns)))
    return -(-count // -(-count // most)) if isinstance(count, int) else most
