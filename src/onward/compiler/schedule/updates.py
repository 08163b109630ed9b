"""The new elements of an update, where the rest of the array lies already."""

from __future__ import annotations

from onward.compiler.builder import Builder, Module
from onward.compiler.layout import Buffer, LayoutPlanner
from onward.compiler.operations import storage_type
from onward.compiler.schedule.emitter import Emitter
from onward.compiler.schedule.kernel import Arguments, Kernel
from onward.compiler.schedule.nest import NestSchedule
from onward.compiler.steps import UpdateStep
from onward.compiler.targets import Target
from onward.compiler.updates import Update
from onward.compiler.values import I64, POINTER, Value
from onward.ir.expressions import Dimension, Expression, Symbol, product
from onward.program.scalar import IndexValue


def update_kernels(step: UpdateStep, layouts: LayoutPlanner, target: Target) -> list[Kernel]:
    """One that makes the whole array, and one that writes the new elements alone: the run launches one of them."""
    update = step.update
    pair = layouts.view(update.source).buffer, layouts.view(update.root.array).buffer
    whole = NestSchedule(step.nest, layouts, target, {update.root.array}).kernel()
    part = _UpdateSchedule(update, layouts, target).kernel()
    whole.apart, part.together = pair, pair
    return [whole, part]


class _UpdateSchedule:
    """Emits the new elements: a range of them for each place along the axes before it; along the one behind it they go by vectors."""

    def __init__(self, update: Update, layouts: LayoutPlanner, target: Target) -> None:
        self.update, self.layouts, self.target = update, layouts, target
        root = update.root
        axes = [axis for axis in range(len(root.variables)) if axis != update.axis]
        self.along = axes.pop() if axes and axes[-1] > update.axis else None
        """The axis that goes by vectors, if there is one behind the range's."""
        self.outer = axes
        self.variables = root.variables
        self.lanes = max(1, target.vector_bits // max(storage_type(root.array.dtype).bits, 32))

    def kernel(self) -> Kernel:
        """The compiled form."""
        buffers, names = self._arguments()
        module = Module(self.target)
        b = module.function("kernel", [("arguments", POINTER), ("begin", I64), ("end", I64)])
        slots, begin, end = b.arguments
        arguments = Arguments(b, slots, buffers, names)
        extents = [self.update.root.shape[axis] for axis in self.outer]
        with b.loop(begin, end) as block:
            places = Emitter(b, arguments, self.layouts, {}).places(block, extents)
            self._emit_range(b, arguments, {str(self.variables[axis]): place for axis, place in zip(self.outer, places)})
        b.ret()
        home = self.layouts.view(self.update.root.array).buffer
        blocks = product(extents)
        return Kernel("kernel", module.text(), buffers, [Symbol(name) for name in names], blocks, blocks * self._length(), [home], "update")

    def _length(self) -> Dimension:
        return 1 if self.along is None else self.update.root.shape[self.along]

    def _arguments(self) -> tuple[list[Buffer], list[str]]:
        update, root = self.update, self.update.root
        mentioned: list[Dimension] = list(root.shape)
        buffers: dict[Buffer, None] = {}
        for scalar in (update.begin, update.end, update.new):
            mentioned += [item.expression for item in scalar.walk() if isinstance(item, IndexValue)]
            for read in scalar.reads():
                view = self.layouts.view(read.array)
                buffers[view.buffer] = None
                mentioned += [*(place for place in read.indices if isinstance(place, Expression)), *view.strides, view.offset, *read.array.shape]
        home = self.layouts.view(root.array)
        mentioned += [*home.strides, home.offset]
        names = {name for item in mentioned if isinstance(item, Expression) for name in item.symbols}
        return [*buffers, home.buffer] if home.buffer not in buffers else list(buffers), sorted(names - set(map(str, root.variables)))

    def _emit_range(self, b: Builder, arguments: Arguments, indices: dict[str, Value]) -> None:
        point = Emitter(b, arguments, self.layouts, indices)
        zero, extent = b.constant(I64, 0), point.index(self.update.root.shape[self.update.axis])
        begin, end = (b.cast(point.scalar(bound), I64) for bound in (self.update.begin, self.update.end))
        with b.loop(b.select(begin < zero, zero, begin), b.select(end < extent, end, extent)) as place:
            here = {**indices, str(self.variables[self.update.axis]): place}
            if self.along is None:
                self._store(b, arguments, here, 1)
                return
            length = point.index(self._length())
            whole = b.unsigned_divide(length, b.constant(I64, self.lanes)) * b.constant(I64, self.lanes)
            for first, last, lanes in ((zero, whole, self.lanes), (whole, length, 1)):
                with b.loop(first, last, b.constant(I64, lanes)) as lane:
                    self._store(b, arguments, {**here, str(self.variables[self.along]): lane}, lanes)

    def _store(self, b: Builder, arguments: Arguments, indices: dict[str, Value], lanes: int) -> None:
        lane = None if self.along is None else str(self.variables[self.along])
        point = Emitter(b, arguments, self.layouts, indices, lane=lane, lanes=lanes)
        point.store(self.update.root.array, self.variables, point.vector(self.update.new))
