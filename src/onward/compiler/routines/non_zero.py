"""non_zero: the positions of the elements that are not zero."""

from __future__ import annotations

from onward.compiler.layout import LayoutPlanner
from onward.compiler.operations import emit_cast
from onward.compiler.schedule.imperative import Imperative
from onward.compiler.schedule.kernel import Kernel
from onward.compiler.targets import Target
from onward.compiler.values import I64, Value
from onward.ir.datatypes import DataType
from onward.program.array import Routine


def non_zero(routine: Routine, layouts: LayoutPlanner, target: Target) -> list[Kernel]:
    """Counts, then, when the result has its memory, lists."""
    (source,), (result,) = routine.inputs, routine.results

    def is_set(k: Imperative, places: list[Value]) -> Value:
        return emit_cast(k.b, k.read(source, *places), source.dtype, DataType.BOOL)

    counting = Imperative(layouts, target, [source], [], symbols=routine.symbols)
    b = counting.b
    with counting.each_block():
        count = b.variable(counting.number(0))
        with counting.nest(source.shape) as places:
            count.set(count.get() + b.cast(is_set(counting, places), I64, signed=False))
        counting.define(routine.symbols[0], count.get())
    listing = Imperative(layouts, target, [source], [result])
    b = listing.b
    with listing.each_block():
        found = b.variable(listing.number(0))
        with listing.nest(source.shape) as places:
            with b.when(is_set(listing, places)):
                for axis, place in enumerate(places):
                    listing.store(result, place, listing.number(axis), found.get())
                found.set(found.get() + listing.number(1))
    return [counting.kernel(), listing.kernel()]
