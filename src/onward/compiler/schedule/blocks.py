"""Several kernels, one after another, for a block before the next."""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass

from onward.compiler.blocks import Blocks
from onward.compiler.builder import Builder, Module
from onward.compiler.layout import Buffer
from onward.compiler.memory import Lifetime, plan_memory
from onward.compiler.schedule.emitter import Emitter
from onward.compiler.schedule.kernel import Arguments, Kernel, touched_bytes
from onward.compiler.targets import Target
from onward.compiler.values import I8, I64, POINTER, Value
from onward.ir.datatypes import DataType
from onward.ir.expressions import Dimension, Expression, Symbol, maximum, minimum, product, substitute

MOST_LOTS = 64
"""Blocks are handed out in at most so many lots. Each has memory of its own for what lies inside a block."""


@dataclass(frozen=True)
class Choice:
    """A block runs `test`, and then, where the truth value that this leaves in `verdict` is false, `otherwise` in place of its parts."""

    test: list[Kernel]
    verdict: Buffer
    otherwise: list[Kernel]


def block_kernel(blocks: Blocks, parts: Sequence[Kernel], choice: Choice | None, outside: Set[Buffer], target: Target) -> Kernel:
    """A kernel over lots of blocks that calls the `parts` for each block. Their arena buffers that are not `outside` live for a block.

    A thread that runs several lots uses the memory of the first of them, so that it stays in its cache.
    """
    schedule = _BlockSchedule(blocks, parts, choice, outside, target)
    for part in schedule.kernels:
        part.name_by_text()
    return schedule.kernel()


class _BlockSchedule:
    def __init__(self, blocks: Blocks, parts: Sequence[Kernel], choice: Choice | None, outside: Set[Buffer], target: Target) -> None:
        self.blocks, self.parts, self.choice, self.target = blocks, list(parts), choice, target
        self.kernels = [*(choice.test if choice else ()), *parts, *(choice.otherwise if choice else ())]
        self.count = product(blocks.counts)
        self.lots = minimum(self.count, MOST_LOTS)
        used = dict.fromkeys(buffer for part in self.kernels for buffer in part.buffers)
        inside = [buffer for buffer in used if buffer.kind == "arena" and buffer not in outside]
        self.memory = plan_memory([self._lifetime(buffer) for buffer in inside])
        self.scratch = Buffer("arena", DataType.UINT8, self.lots * self.memory.total, label="scratch")
        self.buffers = [*(buffer for buffer in used if buffer not in inside), self.scratch]
        self.places = blocks.symbols

    def _lifetime(self, buffer: Buffer) -> Lifetime:
        users = [number for number, part in enumerate(self.kernels) if buffer in part.buffers]
        return Lifetime(buffer, users[0], users[-1], buffer.bytes)

    def kernel(self) -> Kernel:
        """The compiled form."""
        names = self._sizes()
        module = Module(self.target)
        b = module.function("kernel", [("arguments", POINTER), ("begin", I64), ("end", I64)])
        slots, begin, end = b.arguments
        arguments = Arguments(b, slots, self.buffers, names)
        self._emit(b, arguments, begin, end)
        b.ret()
        written = dict.fromkeys(buffer for part in self.kernels for buffer in part.written if buffer in self.buffers)
        work: Dimension = 0
        flops: Dimension = 0
        at_first: dict[str, Dimension] = dict.fromkeys(self.places, 0)
        for part in self.parts:
            work, flops = work + self.count * substitute(part.work, at_first), flops + self.count * substitute(part.flops, at_first)
        return Kernel(
            "kernel", module.text(), self.buffers, [Symbol(name) for name in names], self.lots, work, [*written, self.scratch],
            "blocks", flops=flops, parts=self.kernels, seldom=self._seldom(),
        )  # fmt: skip

    def _seldom(self) -> list[Buffer]:
        """What only those kernels use that run in place of the parts."""
        usual = {buffer for part in (*self.parts, *(self.choice.test if self.choice else ())) for buffer in part.buffers}
        return [buffer for buffer in self.buffers if buffer not in usual and buffer is not self.scratch]

    def _sizes(self) -> list[str]:
        wanted: list[Dimension] = [*self.blocks.counts, self.blocks.begin, *(self.blocks.reach or ()), self.memory.total, *self.memory.offsets.values()]
        for part in self.kernels:
            wanted += [*part.sizes, part.blocks, *(buffer.bytes for buffer in part.buffers)]
        names = {name for item in wanted if isinstance(item, Expression) for name in item.symbols}
        return sorted(names - self.places.keys())

    def _emit(self, b: Builder, arguments: Arguments, begin: Value, end: Value) -> None:
        point = Emitter(b, arguments, None, {})  # type: ignore[arg-type]
        count, lots = point.index(self.count), point.index(maximum(self.lots, 1))  # there may be none
        home = b.offset(arguments.pointer(self.scratch), begin * point.index(self.memory.total), I8)
        bases = {buffer: arguments.pointer(buffer) for buffer in self.buffers}
        bases |= {buffer: b.offset(home, point.index(offset), I8) for buffer, offset in self.memory.offsets.items()}
        slots = b.allocate_stack(I64, max(part.slots for part in self.kernels), 64)
        first, last = (b.unsigned_divide(lot * count, lots) for lot in (begin, end))
        with b.loop(first, last) as block:
            indices = dict(zip(map(str, self.blocks.places), point.places(block, self.blocks.counts)))
            inside = Emitter(b, arguments, None, indices)  # type: ignore[arg-type]
            for symbol, value in ((self.blocks.first, self.blocks.begin), *([self.blocks.reach] if self.blocks.reach else [])):
                indices[str(symbol)] = inside.index(value)
                inside = Emitter(b, arguments, None, indices)  # type: ignore[arg-type]
            self._run(b, lambda part: self._call(b, inside, part, bases, slots, arguments.context), bases)

    def _run(self, b: Builder, call: Callable[[Kernel], None], bases: dict[Buffer, Value]) -> None:
        """The calls for one block."""
        if self.choice is None:
            for part in self.parts:
                call(part)
            return
        for part in self.choice.test:
            call(part)
        with b.if_else(b.load(bases[self.choice.verdict], I8) != b.constant(I8, 0)) as (holds, fails):
            with holds:
                for part in self.parts:
                    call(part)
            with fails:
                for part in self.choice.otherwise:
                    call(part)

    def _call(self, b: Builder, point: Emitter, part: Kernel, bases: dict[Buffer, Value], slots: Value, context: Value) -> None:
        values = [*(bases[buffer] for buffer in part.buffers), *map(point.index, part.sizes), context]
        if self.target.checked:
            values += [point.index(touched_bytes(buffer)) for buffer in part.buffers]
        for position, value in enumerate(values):
            b.store(b.offset(slots, b.constant(I64, position), I64), value)
        function = b.module.declare(part.function, [("arguments", POINTER), ("begin", I64), ("end", I64)])
        b.call(function, slots, b.constant(I64, 0), point.index(part.blocks))
