"""non_max_suppression: the best boxes of each class that do not overlap a better one."""

from __future__ import annotations

from collections.abc import Callable

from onward.compiler.builder import Builder
from onward.compiler.layout import LayoutPlanner
from onward.compiler.schedule.imperative import Imperative, scratch_buffer
from onward.compiler.schedule.kernel import Kernel
from onward.compiler.targets import Target
from onward.compiler.values import F32, I1, I8, I64, Value
from onward.ir.datatypes import DataType
from onward.program.array import Routine


def non_max_suppression(routine: Routine, layouts: LayoutPlanner, target: Target) -> list[Kernel]:
    """The same search twice: once to count, and once, when the result has its memory, to write."""
    (result,) = routine.results
    boxes = routine.inputs[0].shape[1]

    def build(write: bool) -> Kernel:
        scratch = scratch_buffer(DataType.INT8, boxes + 1)
        symbols = () if write else routine.symbols
        written = [result] if write else []
        k = Imperative(layouts, target, routine.inputs, written, scratch=[scratch], symbols=symbols)
        with k.each_block():
            count = k.b.variable(k.number(0))

            def keep(batch: Value, kind: Value, box: Value) -> None:
                if write:
                    for column, value in enumerate((batch, kind, box)):
                        k.store(result, value, count.get(), k.number(column))
                count.set(count.get() + k.number(1))

            _search(k, routine, keep)
            if not write:
                k.define(routine.symbols[0], count.get())
        return k.kernel()

    return [build(False), build(True)]


def _search(k: Imperative, routine: Routine, keep: Callable[[Value, Value, Value], None]) -> None:
    b = k.b
    boxes, scores, most, overlap, least_score = routine.inputs
    zero, one = k.number(0), k.number(1)
    limit, threshold, floor = k.read(most, zero), k.read(overlap, zero), k.read(least_score, zero)
    extent = k.size(boxes.shape[1])
    states = k.scratch_pointer()
    with b.loop(zero, k.size(scores.shape[0])) as batch, b.loop(zero, k.size(scores.shape[1])) as kind:
        with b.loop(zero, extent) as box:
            alive = k.read(scores, batch, kind, box) > floor
            b.store(b.offset(states, box, I8), b.cast(alive, I8))
        kept = b.variable(zero)
        going = b.variable(b.constant(I1, 1))
        with b.repeat(lambda: b.bitwise_and(going.get(), kept.get() < limit)):
            best, score = b.variable(b.constant(I64, -1)), b.variable(b.constant(F32, float("-inf")))
            with b.loop(zero, extent) as box:
                alive = b.load(b.offset(states, box, I8), I8) != b.constant(I8, 0)
                value = k.read(scores, batch, kind, box)
                wins = b.bitwise_and(alive, b.bitwise_or(value > score.get(), best.get() < zero))
                best.set(b.select(wins, box, best.get()))
                score.set(b.select(wins, value, score.get()))
            found = best.get() >= zero
            going.set(found)
            with b.when(found):
                winner = best.get()
                keep(batch, kind, winner)
                kept.set(kept.get() + one)
                corner = [k.read(boxes, batch, winner, k.number(side)) for side in range(4)]
                b.store(b.offset(states, winner, I8), b.constant(I8, 0))
                with b.loop(zero, extent) as box:
                    other = [k.read(boxes, batch, box, k.number(side)) for side in range(4)]
                    with b.when(_overlap(b, corner, other) > threshold):
                        b.store(b.offset(states, box, I8), b.constant(I8, 0))


def _overlap(b: Builder, left: list[Value], right: list[Value]) -> Value:
    """Intersection over union of boxes given as (least y, least x, greatest y, greatest x)."""
    zero, one = b.constant(F32, 0.0), b.constant(F32, 1.0)

    def side(axis: int) -> Value:
        low = b.select(left[axis] > right[axis], left[axis], right[axis])
        high = b.select(left[axis + 2] < right[axis + 2], left[axis + 2], right[axis + 2])
        extent = high - low
        return b.select(extent > zero, extent, zero)

    def area(box: list[Value]) -> Value:
        return (box[2] - box[0]) * (box[3] - box[1])

    common = side(0) * side(1)
    total = area(left) + area(right) - common
    positive = b.bitwise_and(common > zero, total > zero)
    return b.select(positive, common / b.select(total > zero, total, one), zero)
