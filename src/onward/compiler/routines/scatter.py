"""scatter: rows of an array combined with updates."""

from __future__ import annotations

from onward.compiler.context import ErrorCode
from onward.compiler.layout import LayoutPlanner
from onward.compiler.operations import emit_operation
from onward.compiler.schedule.imperative import Imperative
from onward.compiler.schedule.kernel import Kernel
from onward.compiler.schedule.moves import map_into
from onward.compiler.targets import Target
from onward.ir.expressions import ceiling_divide, product
from onward.program.array import Array, Routine, compute

_COMBINE = {"add": "add", "mul": "multiply", "max": "maximum", "min": "minimum"}
PIECE = 64
"""Elements of a row that one block takes: some cache lines, so that threads do not write to one of them together."""


def scatter(routine: Routine, layouts: LayoutPlanner, target: Target) -> list[Kernel]:
    """The data as they are, then the updates. One block for each piece of a row takes all updates in their order, so the result has one meaning."""
    data, result = routine.inputs[0], routine.results[0]
    return [_copy(data, result, layouts, target), _updates(routine, layouts, target)]


def _copy(data: Array, result: Array, layouts: LayoutPlanner, target: Target) -> Kernel:
    """The data in the memory of the result. Where an input of the model and its result are one memory, there is nothing to copy."""
    view, home = layouts.view(data), layouts.view(result)
    kernel = map_into(compute(data.shape, lambda *places: data[places]), home, layouts, target)
    if view.buffer.kind == "input" and home.buffer.kind == "output" and (view.strides, view.offset) == (home.strides, home.offset):
        kernel.apart = (view.buffer, home.buffer)
    return kernel


def _updates(routine: Routine, layouts: LayoutPlanner, target: Target) -> Kernel:
    (data, indices, updates), (result,) = routine.inputs, routine.results
    inner = data.shape[1:]
    size = product(inner)
    k = Imperative(layouts, target, [indices, updates], [result], blocks=ceiling_divide(size, PIECE))
    k.work = product(updates.shape) * 8
    b = k.b
    rows = k.size(data.shape[0])
    combine = _COMBINE.get(routine.attributes["reduction"])
    with k.each_block() as block:
        begin = block * k.number(PIECE)
        last, whole = begin + k.number(PIECE), k.size(size)
        end = b.select(last < whole, last, whole)
        with b.loop(k.number(0), k.size(indices.shape[0])) as step:
            row = k.read(indices, step)
            inside = b.unsigned_less(row, rows)
            with b.when(b.invert(inside)):
                k.fail(ErrorCode.INDEX_OUT_OF_BOUNDS, row, rows)
            with b.when(inside), b.loop(begin, end) as place:
                places = k.split(place, inner)
                value = k.read(updates, step, *places)
                if combine is not None:
                    value = emit_operation(b, combine, [k.read(result, row, *places), value], data.dtype)
                k.store(result, value, row, *places)
    return k.kernel()
