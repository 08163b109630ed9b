"""Convolutions with kernels of 3 x 3 by fewer products: F(2 x 2, 3 x 3) of Winograd.

A square of 2 x 2 results needs 36 products for each channel of the input. Sixteen do, of sums of four elements each: B^T d B of the 4 x 4
elements that the square looks at, by G g G^T of the kernel, and A^T (...) A of what the channels sum up to. The sixteen
places are products of matrices of their own: rows are squares, the reduction goes over channels. What comes before and after them is
done for a block of squares at a time, so that it stays in a cache.

The three matrices have no other numbers than 0, 1, -1 (and 1/2, of the kernel, ahead and in double precision), so that errors
are those of a plain sum. An infinity or NaN would spread to results that do not look at it, and huge numbers would overflow in the
sums: a block whose input has any is computed as the definition says. Source: Lavin and Gray, Fast Algorithms for Convolutional
Neural Networks, 2016.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from onward.compiler.blocks import Blocks, Piece
from onward.compiler.contractions import uses
from onward.compiler.rewrite import replace_reads, substitute
from onward.compiler.roots import Root, RootFinder, root_extents
from onward.ir.datatypes import DataType
from onward.ir.expressions import Dimension, Expression, Symbol, ceiling_divide, minimum
from onward.ir.tensor import Tensor
from onward.program.array import Array, Concatenate, Constant, Parameter, compute, reduce
from onward.program.evaluate import evaluate
from onward.program.scalar import Read, Scalar, operation

INPUT = ((0, -2), (1, 2), (2, -1), (1, -3))
"""The rows of B^T: the place of its 1, and that of its other number, which is negative where the place is. (2, -1) is -d1 + d2."""
KERNEL = np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]])
"""G."""
OUTPUT = ((0, 1, 2), (1, -2, -3))
"""The rows of A^T, in the same way."""

LEAST_CHANNELS = 32
"""Of input and output: with fewer, sums cost as much as the products that they save."""
LEAST_SQUARES = 49
"""Of one image: with fewer, the kernels, 16 / 9 as large, are read for too little."""
CHAIN = 64
"""Products of a place that are summed one by one: a result adds nine such sums, so that they have to be more exact than it."""
MOST_SQUARES = 112
"""Of a block: sums and products of so many fit the second-level cache beside the kernels."""


def find_squares(finder: RootFinder, roots: Sequence[Root]) -> list[Blocks]:
    """The convolutions of a program that are worth it, in blocks."""
    found = (_Convolution.of(root, finder) for root in roots)
    return [_BlockWriter(convolution).blocks() for convolution in found if convolution is not None]


@dataclass(frozen=True)
class _Convolution:
    """A sum of left[..., row + row_tap, column + column_tap] * right[channel, feature, taps] over three taps each way and the channels."""

    root: Root
    extents: Mapping[str, Dimension]
    row: Expression
    column: Expression
    row_tap: Expression
    column_tap: Expression
    channel: Expression
    feature: Expression
    kernel: Callable[[], np.ndarray]
    """Makes (channels, features, 3, 3)."""
    largest: float
    """The greatest absolute number of the kernel."""

    @staticmethod
    def of(root: Root, finder: RootFinder) -> _Convolution | None:
        """The convolution that a root is, or None."""
        contraction = root.contraction
        if contraction is None or contraction.left.dtype != DataType.FLOAT or len(root.reduction) != 3 or contraction.batch:
            return None
        extents = root_extents(root)
        windows = [found for tap in root.reduction if (found := _window(contraction.left, tap, contraction.rows, extents)) is not None]
        features = [variable for variable in contraction.columns if extents[str(variable)] != 1]
        if len(windows) != 2 or len(features) != 1 or not finder.is_constant(contraction.right.array):
            return None
        (row, row_tap), (column, column_tap) = windows
        (channel,) = (variable for variable in root.reduction if variable not in (row_tap, column_tap))
        if not _is_worth_it([extents[str(variable)] for variable in (row, column, channel, features[0])]):
            return None
        kernel = _kernel(contraction.right, (channel, features[0], row_tap, column_tap), extents)
        if kernel is None:
            return None
        largest = float(np.abs(kernel()).max())
        if not math.isfinite(largest):
            return None
        return _Convolution(root, extents, row, column, row_tap, column_tap, channel, features[0], kernel, largest)


def _window(left: Read, tap: Expression, rows: Sequence[Expression], extents: Mapping[str, Dimension]) -> tuple[Expression, Expression] | None:
    """The variable that a tap is added to, where both walk the same axis step by step."""
    axes = [place for place in left.indices if uses(place, tap)]
    if extents[str(tap)] != 3 or len(axes) != 1:
        return None
    for row in rows:
        if axes[0] == row + tap and sum(uses(place, row) for place in left.indices) == 1:
            return row, tap
    return None


def _is_worth_it(extents: Sequence[Dimension]) -> bool:
    if not all(isinstance(extent, int) for extent in extents):
        return False
    rows, columns, channels, features = (int(extent) for extent in extents)  # type: ignore[arg-type]
    squares = -(-rows // 2) * -(-columns // 2)
    return squares >= LEAST_SQUARES and min(channels, features) >= LEAST_CHANNELS


def _kernel(right: Read, order: Sequence[Expression], extents: Mapping[str, Dimension]) -> Callable[[], np.ndarray] | None:
    """Makes the known right operand with its axes in an order; None where training changes it."""
    if any(isinstance(array, Parameter) for array in _bases(right.array)):
        return None
    names = [str(variable) for variable in order]
    units: dict[str, Dimension] = {name: 0 for name, extent in extents.items() if extent == 1}
    taken = compute([extents[name] for name in names], lambda *places: substitute(right, {**units, **dict(zip(names, places))}))
    return lambda: evaluate([taken], {})[0]


def _bases(array: Array) -> list[Array]:
    """An array and all that it is made of."""
    found, pending = [], [array]
    while pending:
        found.append(pending.pop())
        pending.extend(found[-1].sources)
    return found


class _Transient(Tensor):
    """Elements that are made whenever they are asked for, which is once, when they are packed: they are not kept beside the packed ones."""

    def numpy(self) -> np.ndarray:
        self._array = None
        return super().numpy()


class _BlockWriter:
    """Writes what is done for one block as arrays. A block has some rows of squares of one image, and some of the features."""

    def __init__(self, convolution: _Convolution) -> None:
        self.convolution = convolution
        root, extents = convolution.root, convolution.extents
        assert root.contraction is not None
        self.root, self.left = root, root.contraction.left
        self.height, self.width, self.channels, features = (
            int(extents[str(variable)])  # type: ignore[arg-type]
            for variable in (convolution.row, convolution.column, convolution.channel, convolution.feature)
        )
        self.square_rows, self.square_columns = -(-self.height // 2), -(-self.width // 2)
        self.rows = _rows_of_a_block(self.square_rows, self.square_columns)
        self.parts = 2 if self.rows == self.square_rows and features % 2 == 0 and features >= 4 * LEAST_CHANNELS else 1
        self.features = features // self.parts
        self.first = Symbol("block@first")
        self.part: Dimension = Symbol("block@part", 0, self.parts - 1) if self.parts > 1 else 0
        outer = [variable for variable in root.contraction.rows if variable not in (convolution.row, convolution.column)]
        self.images = {
            str(variable): Symbol(f"block@{number}", 0, extents[str(variable)] - 1) for number, variable in enumerate(outer) if extents[str(variable)] != 1
        }
        number = Symbol("block@number")
        self.begin = minimum(number * self.rows, self.square_rows - self.rows)
        places = [*([self.part] if isinstance(self.part, Expression) else []), *self.images.values(), number]
        counts = [*([self.parts] if self.parts > 1 else []), *(extents[name] for name in self.images), ceiling_divide(self.square_rows, self.rows)]
        self.places, self.counts = tuple(places), tuple(counts)
        self.fixed: dict[str, Dimension] = {
            **{name: 0 for name, extent in extents.items() if extent == 1},
            **self.images,
        }

    def blocks(self) -> Blocks:
        """The blocks."""
        given = dict.fromkeys([self.left.array, *(read.array for read in self.root.body.reads() if read.array is not self.root.reduce)])
        return Blocks(
            self.root, (), self.places, self.counts, self.first, self.begin, self.rows, self._squares(), tuple(given),
            self._is_tame(), (self._as_defined(),),
        )  # fmt: skip

    def _input(self, row: Dimension, column: Dimension, channel: Dimension) -> Scalar:
        """An element of the input; row and column are those of the result, moved by the tap."""
        names = (self.convolution.row, self.convolution.column, self.convolution.channel)
        places = {str(name): place for name, place in zip(names, (row, column, channel))}
        taps: dict[str, Dimension] = {str(self.convolution.row_tap): 0, str(self.convolution.column_tap): 0}
        return substitute(self.left, {**self.fixed, **taps, **places})

    def _element(self, row: Dimension, column: Dimension, feature: Dimension, total: Scalar) -> Scalar:
        """An element of the root, from its sum."""
        names = (self.convolution.row, self.convolution.column, self.convolution.feature)
        places = {str(name): place for name, place in zip(names, (row, column, self._feature(feature)))}
        return replace_reads(substitute(self.root.body, {**self.fixed, **places}), lambda read: total if read.array is self.root.reduce else read)

    def _feature(self, feature: Dimension) -> Dimension:
        return self.part * self.features + feature

    def _piece(self, array: Array, row: Dimension, column: Dimension, step: int) -> Piece:
        """A piece (rows, columns, features) that begins at a row and a column."""
        names = (self.convolution.row, self.convolution.column, self.convolution.feature)
        axes = tuple(next(axis for axis, variable in enumerate(self.root.variables) if variable == name) for name in names)
        places = {**self.fixed, **{str(name): place for name, place in zip(names, (row, column, self._feature(0)))}}
        return Piece(array, tuple(places[str(variable)] for variable in self.root.variables), axes, (step, step, 1))

    # -- squares -----------------------------------------------------------------------------------------------
    def _squares(self) -> tuple[Piece, ...]:
        """The four elements of the squares, each a piece."""
        products = self._products(self._inputs(), self._kernels())

        def piece(down: int, right: int) -> Piece:
            def element(row: Dimension, column: Dimension, feature: Dimension) -> Scalar:
                total = _signed_sum(
                    OUTPUT[right], lambda y: _signed_sum(OUTPUT[down], lambda x: products[4 * x + y, row, column, feature])
                )  # fmt: skip
                return self._element(2 * (self.first + row) + down, 2 * column + right, feature, total)

            array = compute((self._square_rows(down), (self.width + 1 - right) // 2, self.features), element)
            return self._piece(array, 2 * self.first + down, right, 2)

        return tuple(piece(down, right) for down in range(2) for right in range(2))

    def _inputs(self) -> Array:
        """B^T d B: (16, rows, columns, channels)."""

        def part(down: int, right: int) -> Array:
            def element(_: Dimension, row: Dimension, column: Dimension, channel: Dimension) -> Scalar:
                return _signed_sum(
                    INPUT[right],
                    lambda y: _signed_sum(INPUT[down], lambda x: self._input(*self._inside(2 * (self.first + row) + x, 2 * column + y), channel)),
                )

            return compute((1, self.rows, self.square_columns, self.channels), element)

        return Concatenate([part(down, right) for down in range(4) for right in range(4)], 0)

    def _square_rows(self, down: int) -> Dimension:
        """Rows of squares of a block whose upper or lower results are inside."""
        return minimum(self.rows, self.height // 2 - self.first) if down and self.height % 2 else self.rows

    def _inside(self, row: Dimension, column: Dimension) -> tuple[Dimension, Dimension]:
        """The place of the input, or one inside of it where only a result outside would look at it."""
        return (
            minimum(row, self.height + 1) if self.height % 2 else row,
            minimum(column, self.width + 1) if self.width % 2 else column,
        )

    def _kernels(self) -> Array:
        """G g G^T: (parts, 16, channels, features)."""

        def elements() -> np.ndarray:
            kernel = self.convolution.kernel().astype(np.float64)
            moved = np.kron(KERNEL, KERNEL) @ kernel.reshape(-1, 9).T
            return np.ascontiguousarray(moved.reshape(16, self.channels, self.parts, self.features).transpose(2, 0, 1, 3), np.float32)

        tensor = _Transient(DataType.FLOAT, (self.parts, 16, self.channels, self.features), elements)
        return Constant(tensor, f"{self.root.array.label}.kernels")

    def _products(self, inputs: Array, kernels: Array) -> Array:
        return reduce(
            "sum", (16, self.rows, self.square_columns, self.features), (self.channels,),
            lambda place, row, column, feature, channel: inputs[place, row, column, channel] * kernels[self.part, place, channel, feature],
            chain=CHAIN,
        )  # fmt: skip

    def _rows_below(self, rows: int, end: int) -> Dimension:
        """Of so many rows from the first of a block, those before an end. An odd number of rows leaves half of the last squares outside."""
        return minimum(rows, end - 2 * self.first) if self.height % 2 else rows

    # -- what squares cannot do --------------------------------------------------------------------------------
    def _is_tame(self) -> Array:
        """Whether no element of the input is infinite or NaN, or so large that sums might overflow which the definition does not make."""
        bound = 2.0**120 / max(1.0, 9 * self.convolution.largest * self.channels)
        extents = (self._rows_below(2 * self.rows + 2, self.height + 2), self.width + 2, self.channels)
        greatest = reduce(
            "max", (), extents, lambda row, column, channel: operation("absolute", self._input(2 * self.first + row, column, channel))
        )  # fmt: skip
        return compute((), lambda: operation("less_equal", greatest.item(), bound))

    def _as_defined(self) -> Piece:
        """The rows of a block, product by product."""
        convolution, root = self.convolution, self.root
        assert root.reduce_body is not None
        body = root.reduce_body
        names = [str(variable) for variable in (convolution.row, convolution.column, convolution.feature, *root.reduction)]

        def element(row: Dimension, column: Dimension, feature: Dimension, *reduction: Dimension) -> Scalar:
            places = (2 * self.first + row, column, self._feature(feature), *reduction)
            return substitute(body, {**self.fixed, **dict(zip(names, places))})

        shape = (self._rows_below(2 * self.rows, self.height), self.width, self.features)
        total = reduce("sum", shape, root.extents, element)
        array = compute(shape, lambda row, column, feature: self._element(2 * self.first + row, column, feature, total[row, column, feature]))
        return self._piece(array, 2 * self.first, 0, 1)


def _signed_sum(places: Sequence[int], term: Callable[[int], Scalar]) -> Scalar:
    """The sum of the terms at some places, minus those at places that are negative."""
    first, *others = places
    total = term(first)
    for place in others:
        total = total + term(place) if place > 0 else total - term(-place)
    return total


def _rows_of_a_block(rows: int, columns: int) -> int:
    """How many rows of squares a block has: as many as there is room for, so that blocks are equal, and an even number of them where that can be."""
    most = max(1, MOST_SQUARES // columns)
    if rows <= most:
        return rows
    fitting = [count for count in range(1, most + 1) if rows % count == 0]
    even = [count for count in fitting if rows // count % 2 == 0]
    best = max(even or fitting)
    return best if 2 * best >= most else most
