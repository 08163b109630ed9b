"""Contractions that copy an array on their way through it: what was there before comes from the source, and is stored once it is in a register.

The copy is not read again in this run, so it is stored past the caches: a store into a cache would fetch from memory, first, what it overwrites.
3 MB of keys take 0.34 ms this way, a copy and the products after it 0.6 (measured).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from onward.compiler.builder import Builder
from onward.compiler.contractions import operands_of
from onward.compiler.growth import Growth
from onward.compiler.layout import Buffer, LayoutPlanner
from onward.compiler.operations import storage_type
from onward.compiler.roots import Root
from onward.compiler.values import I8, I64, POINTER, Value
from onward.ir.expressions import Dimension, Expression, floor_divide, minimum, product, substitute
from onward.program.scalar import Read

if TYPE_CHECKING:
    from onward.compiler.blocks import Blocks
    from onward.compiler.schedule.emitter import Emitter

AHEAD = 4096
"""Bytes by which the source is asked for ahead."""
LEAST_ELEMENTS = 1 << 16
"""A smaller source is copied: it stays in a cache, and so may what is made of it."""


@dataclass(frozen=True)
class Passing:
    """What a kernel reads of an array that grows: places before `end` stand for those in the source, `distance` bytes away."""

    end: Value
    distance: Value

    def load(self, b: Builder, place: Value, load: Callable[[Value], Value], mask: Value | None) -> Value:
        """The elements at a place, which `load` reads, and which are left there, too."""
        address = b.bitcast(place, I64)
        source = b.bitcast(address + b.select(address < self.end, self.distance, b.constant(I64, 0)), POINTER)
        b.prefetch(b.offset(source, b.constant(I64, AHEAD), I8), 2)
        value = load(source)
        if mask is not None:
            b.store(place, value, mask=mask)
            return value
        size = value.type.lanes * value.type.bits // 8
        with b.if_else(address & b.constant(I64, size - 1) == b.constant(I64, 0)) as (aligned, elsewhere):
            with aligned:
                b.store(place, value, size, streaming=True)
            with elsewhere:  # by many instructions
                b.store(place, value, streaming=True)
        return value


@dataclass(frozen=True, eq=False)
class Carrier:
    """A sum of products, one of whose operands, `read`, grows. Its `share` is 1 where it has one row, so that each element is read once, and else 0."""

    growth: Growth
    read: Read
    share: Dimension

    def passing(self, point: Emitter, read: Read) -> Passing | None:
        """How it reads; None for what does not grow.

        Along the axis that grows, and those behind it, the array and its source have the same strides.
        """
        if read.array is not self.growth.array:
            return None
        b, axis = point.b, self.growth.axis
        home, source = (point.layouts.view(array) for array in (self.growth.array, self.growth.source))
        first = (*read.indices[:axis], *[0] * (read.array.rank - axis))
        here, there = (
            b.offset(point.arguments.pointer(view.buffer), point.index(view.address(first)), storage_type(read.dtype)) for view in (home, source)
        )  # fmt: skip
        end = b.offset(here, point.index(self.growth.source.shape[axis] * home.strides[axis]), storage_type(read.dtype))
        return Passing(b.bitcast(end, I64), b.bitcast(there, I64) - b.bitcast(here, I64))

    def source(self, layouts: LayoutPlanner) -> tuple[Buffer, set[str]]:
        """Where the source lies, and the sizes that say where in it."""
        view = layouts.view(self.growth.source)
        sizes = (*self.growth.source.shape, *view.strides)
        return view.buffer, {name for size in sizes if isinstance(size, Expression) for name in size.symbols}


def carrier_of(root: Root, layouts: LayoutPlanner) -> Carrier | None:
    """A sum of products as a carrier: it must read all elements of an array that grows, once for each of its rows."""
    body = root.reduce_body
    operands = operands_of(body) if root.reduce is not None and root.reduce.operation == "sum" and body is not None else None
    grown = [read for read in operands or () if read.array in layouts.growths]
    if len(grown) != 1 or sum(read.array is grown[0].array for read in root.reads()) != 1:
        return None
    (read,) = grown
    growth, loops = layouts.growths[read.array], _loops_around(root, layouts.blocks)
    missed: Dimension = 0
    for place, extent in zip(read.indices, read.array.shape):
        if place == 0 and extent == 1:
            continue
        own = loops.pop(str(place), None)
        if own is None:
            return None
        missed = missed + extent - own
    if any(isinstance(extent, int) and extent > 1 for extent in loops.values()):
        return None
    rows = product(loops.values())
    is_large = minimum(1, floor_divide(growth.source.size, LEAST_ELEMENTS))
    share = is_large * (1 - minimum(1, (rows - 1) * (rows - 1) + missed))
    return Carrier(growth, read, share) if share != 0 else None


def _loops_around(root: Root, blocks: Blocks | None) -> dict[str, Dimension]:
    """The extents of all loops in which the sums of a root are made; in blocks of rows that see some columns alone, those of the first block."""
    loops = {str(variable): extent for variable, extent in zip((*root.variables, *root.reduction), (*root.shape, *root.extents))}
    if blocks is None:
        return loops
    loops |= zip(map(str, blocks.places), blocks.counts)
    if blocks.reach is None:
        return loops
    symbol, value = blocks.reach
    return {name: substitute(extent, {str(symbol): substitute(value, {str(blocks.first): 0})}) for name, extent in loops.items()}
