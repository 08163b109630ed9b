"""cumulative: running sums and products."""

from __future__ import annotations

from onward.compiler.layout import LayoutPlanner
from onward.compiler.operations import emit_literal, emit_operation
from onward.compiler.schedule.imperative import Imperative
from onward.compiler.schedule.kernel import Kernel
from onward.compiler.targets import Target
from onward.ir.expressions import product
from onward.program.array import Routine


def cumulative(routine: Routine, layouts: LayoutPlanner, target: Target) -> list[Kernel]:
    """One block for each line along the axis."""
    (source,), (result,) = routine.inputs, routine.results
    axis, operation = int(routine.attributes["axis"]), routine.attributes["operation"]
    outer = [*source.shape[:axis], *source.shape[axis + 1 :]]
    k = Imperative(layouts, target, [source], [result], blocks=product(outer))
    b = k.b
    name, identity = ("add", 0) if operation == "sum" else ("multiply", 1)
    extent = k.size(source.shape[axis])
    with k.each_block() as block:
        places = k.split(block, outer)
        total = b.variable(emit_literal(b, identity, source.dtype))
        with b.loop(k.number(0), extent) as step:
            place = extent - k.number(1) - step if routine.attributes["reverse"] else step
            where = [*places[:axis], place, *places[axis:]]
            before = total.get()
            total.set(emit_operation(b, name, [before, k.read(source, *where)], source.dtype))
            k.store(result, before if routine.attributes["exclusive"] else total.get(), *where)
    return [k.kernel()]
