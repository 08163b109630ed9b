"""read_sizes: numbers that become extents."""

from __future__ import annotations

from onward.compiler.context import ErrorCode
from onward.compiler.layout import LayoutPlanner
from onward.compiler.schedule.imperative import Imperative
from onward.compiler.schedule.kernel import Kernel
from onward.compiler.targets import Target
from onward.program.array import Routine

LARGEST_SIZE = 1 << 40


def read_sizes(routine: Routine, layouts: LayoutPlanner, target: Target) -> list[Kernel]:
    """Checks each number and gives it to its symbol."""
    (vector,), (copy,) = routine.inputs, routine.results
    k = Imperative(layouts, target, [vector], [copy], symbols=routine.symbols)
    b = k.b
    with k.each_block():
        for position, symbol in enumerate(routine.symbols):
            place = k.number(position)
            value = k.read(vector, place)
            k.store(copy, value, place)
            inside = b.unsigned_less(value, k.number(LARGEST_SIZE))
            with b.when(b.invert(inside)):
                k.fail(ErrorCode.INVALID_SIZE, value, place)
            k.define(symbol, b.select(inside, value, k.number(0)))
    return [k.kernel()]
