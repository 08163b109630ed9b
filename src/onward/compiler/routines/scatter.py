"""scatter: rows of an array combined with updates."""

from __future__ import annotations

from onward.compiler.context import ErrorCode
from onward.compiler.layout import LayoutPlanner
from onward.compiler.operations import emit_operation
from onward.compiler.schedule.imperative import Imperative
from onward.compiler.schedule.kernel import Kernel
from onward.compiler.targets import Target
from onward.ir.expressions import product
from onward.program.array import Routine

_COMBINE = {"add": "add", "mul": "multiply", "max": "maximum", "min": "minimum"}


def scatter(routine: Routine, layouts: LayoutPlanner, target: Target) -> list[Kernel]:
    """One block for each element of a row: it takes all updates in their order, so the result has one meaning."""
    (data, indices, updates), (result,) = routine.inputs, routine.results
    inner = data.shape[1:]
    k = Imperative(layouts, target, [data, indices, updates], [result], blocks=product(inner))
    b = k.b
    rows = k.size(data.shape[0])
    combine = _COMBINE.get(routine.attributes["reduction"])
    with k.each_block() as block:
        places = k.split(block, inner)
        with b.loop(k.number(0), rows) as row:
            k.store(result, k.read(data, row, *places), row, *places)
        with b.loop(k.number(0), k.size(indices.shape[0])) as step:
            row = k.read(indices, step)
            inside = b.unsigned_less(row, rows)
            with b.when(b.invert(inside)):
                k.fail(ErrorCode.INDEX_OUT_OF_BOUNDS, row, rows)
            with b.when(inside):
                value = k.read(updates, step, *places)
                if combine is not None:
                    value = emit_operation(b, combine, [k.read(result, row, *places), value], data.dtype)
                k.store(result, value, row, *places)
    return [k.kernel()]
