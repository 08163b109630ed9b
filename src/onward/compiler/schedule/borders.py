"""The borders of padded arrays: a constant around what another step writes.

The array is walked row by row, so that a thread's share is a range of rows, those whose inside it writes or reads itself: a cache
line that another thread has written costs more than the stores.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from onward.compiler.builder import Builder, Module
from onward.compiler.layout import LayoutPlanner
from onward.compiler.operations import emit_literal
from onward.compiler.schedule.emitter import Emitter
from onward.compiler.schedule.kernel import Arguments, Kernel
from onward.compiler.schedule.nest import vector_loop
from onward.compiler.steps import BorderStep
from onward.compiler.targets import Target
from onward.compiler.values import I64, POINTER, Value
from onward.ir.expressions import Dimension, Expression, Symbol, product

Range = tuple[Dimension, Dimension]


def border_kernel(step: BorderStep, layouts: LayoutPlanner, target: Target) -> Kernel:
    """The constant on each side of each axis that is padded."""
    return _BorderSchedule(step, layouts, target).kernel()


class _BorderSchedule:
    """A row is a place along the axes up to the first that is padded, as they lie in memory: it is all constant, or it has constants in it."""

    def __init__(self, step: BorderStep, layouts: LayoutPlanner, target: Target) -> None:
        padding = step.padding
        self.layouts, self.target = layouts, target
        self.array, self.value = padding.root.array, padding.value
        self.whole = self.array.shape
        self.inside = [(before, before + extent) for before, extent in zip(padding.before, padding.source.shape)]
        self.elements = product(self.whole) - product(padding.source.shape)
        self.lanes = max(1, target.vector_bits // 32)
        self.names = [Symbol(f"place@{axis}") for axis in range(self.array.rank)]
        order = layouts.orders[self.array]
        self.padded = [axis for axis in order if self.inside[axis] != (0, self.whole[axis])]
        first = order.index(self.padded[0]) if self.padded else 0
        self.rows, self.inner = (order[: first + 1], order[first + 1 :]) if first + 1 < len(order) else (order[:first], order[first:])

    def kernel(self) -> Kernel:
        """The compiled form."""
        view = self.layouts.view(self.array)
        wanted = (*self.whole, *(end for pair in self.inside for end in pair), *view.strides, view.offset)
        sizes = sorted({name for item in wanted if isinstance(item, Expression) for name in item.symbols})
        module = Module(self.target)
        b = module.function("kernel", [("arguments", POINTER), ("begin", I64), ("end", I64)])
        slots, begin, end = b.arguments
        self._emit(b, Arguments(b, slots, [view.buffer], sizes), begin, end)
        b.ret()
        blocks = product(self.whole[axis] for axis in self.rows)
        return Kernel(
            "kernel", module.text(), [view.buffer], [Symbol(name) for name in sizes], blocks, self.elements, [view.buffer], "border", flops=self.elements
        )  # fmt: skip

    def _emit(self, b: Builder, arguments: Arguments, begin: Value, end: Value) -> None:
        point = Emitter(b, arguments, self.layouts, {})
        with b.loop(begin, end) as row:
            places = point.places(row, [self.whole[axis] for axis in self.rows])
            self._row(b, arguments, {str(self.names[axis]): place for axis, place in zip(self.rows, places)})

    def _row(self, b: Builder, arguments: Arguments, here: Mapping[str, Value]) -> None:
        if not set(self.rows) & set(self.padded):
            self._sides(b, arguments, here, self.padded)
            return
        first, *others = self.padded
        low, high = map(Emitter(b, arguments, self.layouts, {}).index, self.inside[first])
        place = here[str(self.names[first])]
        with b.if_else(b.bitwise_and(place >= low, place < high)) as (within, outside):
            with within:
                self._sides(b, arguments, here, others)
            with outside:
                self._fill(b, arguments, here, self.inner, {})

    def _sides(self, b: Builder, arguments: Arguments, here: Mapping[str, Value], axes: Sequence[int]) -> None:
        """What lies before and behind the inside along some axes of a row."""
        for axis in axes:
            low, high = self.inside[axis]
            for begin, end in ((0, low), (high, self.whole[axis])):
                if begin != end:
                    self._fill(b, arguments, here, self.inner, {axis: (begin, end)})

    def _fill(self, b: Builder, arguments: Arguments, here: Mapping[str, Value], axes: Sequence[int], ranges: Mapping[int, Range]) -> None:
        """The constant at all places of some axes, those of an axis in `ranges` alone."""
        axis, *inner = axes
        name = str(self.names[axis])
        begin, end = map(Emitter(b, arguments, self.layouts, {}).index, ranges.get(axis, (0, self.whole[axis])))
        if inner:
            with b.loop(begin, end) as place:
                self._fill(b, arguments, {**here, name: place}, inner, ranges)
            return

        def store(place: Value, lanes: int, mask: Value | None) -> None:
            point = Emitter(b, arguments, self.layouts, {**here, name: place}, lane=name, lanes=lanes, mask=mask)
            point.store(self.array, self.names, emit_literal(b, self.value.value, self.array.dtype, lanes))

        vector_loop(b, self.target, self.lanes, begin, end, store)
