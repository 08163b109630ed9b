"""An operand of a contraction as panels of one tile's width, in the order of their use: the right one, whose columns they are, or the left one for its rows."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

from onward.compiler.layout import Buffer, LayoutPlanner, View, contiguous_strides
from onward.compiler.rewrite import substitute
from onward.compiler.schedule.kernel import Kernel
from onward.compiler.schedule.moves import map_into
from onward.compiler.schedule.packing import packing_of
from onward.compiler.targets import Target
from onward.ir.datatypes import DataType
from onward.ir.expressions import Dimension, Expression, ceiling_divide, product, remainder
from onward.program.array import compute
from onward.program.scalar import Read, Scalar, cast, scalar, select


@dataclass(frozen=True)
class Panels:
    """(outer, columns / width, steps of the reduction, width, group), padded with zeros, as numbers of the `stored` type.

    The operand is read at the `outer` loops, those of the reduction (`inner`) and a `column`, which have `extents`. A step takes a
    `group` of neighbours along the last `run` of the reduction, in which all loops that follow each other without gaps are one; a run
    is made of whole `chunk`s. Where numbers are kept in several `parts` (`splitting.py`), each chunk has one of them after the other.
    """

    read: Read
    layouts: LayoutPlanner
    outer: Sequence[Expression]
    inner: Sequence[Expression]
    column: Expression
    extents: Mapping[str, Dimension]
    steps: Dimension
    run: Dimension
    width: int
    group: int
    chunk: int
    stored: DataType
    parts: int = 1

    @property
    def count(self) -> Dimension:
        """Panels for each turn of the outer loops."""
        return ceiling_divide(self.extents[str(self.column)], self.width)

    @property
    def size(self) -> Dimension:
        """Elements of all panels."""
        return product([*(self.extents[str(loop)] for loop in self.outer), self.count, self.steps, self.width, self.group, self.parts])

    def constant(self) -> Buffer:
        """Those of a constant, made while compiling."""
        view = self.layouts.view(self.read.array)
        constant, axes = view.buffer.constant, view.buffer.order
        assert constant is not None
        address = view.address(self.read.indices)
        whole = address if isinstance(address, Expression) else None
        loops = (*self.outer, *self.inner, self.column)
        extents = [int(self.extents[str(loop)]) for loop in loops]  # type: ignore[arg-type]
        steps = [0 if whole is None else int(whole.coefficient(loop)) for loop in loops]  # type: ignore[arg-type]
        origin = address if whole is None else whole.constant
        run = int(self.run)  # type: ignore[arg-type]
        key: tuple[Hashable, ...] = (tuple(extents), tuple(steps), origin, self.width, len(self.outer), run, self.group, self.chunk, self.stored, self.parts)
        packing = packing_of(
            axes, int(origin), extents, steps, len(self.outer), self.width, run, self.group, self.chunk, self.parts, self.stored.numpy,  # type: ignore[arg-type]
        )  # fmt: skip
        return Buffer("constant", self.stored, self.size, 0, constant, axes, "packed", packing, key)

    def scratch(self) -> Buffer:
        """Memory for those that `kernel` makes."""
        return Buffer("arena", self.stored, self.size, label="panels")

    def kernel(self, buffer: Buffer, target: Target) -> Kernel:
        """Makes the panels of an operand that only the run knows."""
        array = compute(self.shape, lambda *position: cast(self.element(*position), self.stored))
        return map_into(array, View(buffer, contiguous_strides(array.shape)), self.layouts, target)

    @property
    def shape(self) -> tuple[Dimension, ...]:
        """The axes of what `pack_panels` makes, with one for each loop of the reduction."""
        outer = [self.extents[str(loop)] for loop in self.outer]
        *inner, depth = [self.extents[str(loop)] for loop in self.inner] or [1]
        steps = ceiling_divide(depth, self.chunk) * (self.chunk // self.group)
        return (*outer, self.count, *inner, steps, self.width, self.group)

    def element(self, *position: Dimension) -> Scalar:
        """The number at a place of these axes, before it is rounded or split."""
        loops = (*self.outer, *self.inner, self.column)
        *places, step, lane, member = position
        panel = places.pop(len(self.outer))
        deep, column = step * self.group + member, panel * self.width + lane
        result: Scalar = substitute(self.read, dict(zip(map(str, loops), (*places, *([deep] if self.inner else []), column))))
        depth, across = self.extents[str(self.inner[-1])] if self.inner else 1, self.extents[str(self.column)]
        for place, extent, size in ((deep, depth, self.chunk), (column, across, self.width)):
            if remainder(extent, size) != 0:
                result = select(scalar(place) < extent, result, 0)
        return result
