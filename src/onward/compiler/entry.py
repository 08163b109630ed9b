"""The entry point of a compiled model: one native function that launches every kernel.

`i32 run(ptr context, ptr inputs, ptr outputs, ptr sizes)` knows nothing of Python or of an operating system: memory,
threads and errors arrive in the context (see `context.py`). Sizes that only the run reveals are written to `sizes` by
the routine that finds them; buffers that depend on them are allocated through the context.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from onward.compiler.builder import Builder, Module
from onward.compiler.context import Slot, Status
from onward.compiler.layout import Buffer
from onward.compiler.schedule.emitter import Emitter
from onward.compiler.schedule.kernel import Kernel, touched_bytes
from onward.compiler.support import Pool
from onward.compiler.targets import Target
from onward.compiler.values import Type, Value
from onward.ir.expressions import BinaryAtom, Dimension, Expression
from onward.program.guards import Guard

POINTER = Type("ptr")
I64 = Type("i64")
I32 = Type("i32")
I8 = Type("i8")
I1 = Type("i1")

SERIAL_WORK = 40_000
"""Launches of less work than this (in simple vectorisable operations) wake no thread: that would cost more than it saves."""
LEAST_SHARED_WORK = 4_000
"""Launches of less work than this run on the calling thread alone. Between, they are shared with threads that are awake: half a microsecond
is less than what it takes to bring data into one thread's cache, and back to the others'."""


@dataclass(frozen=True)
class Launch:
    """A kernel with the memory it works on. `defines` are symbols that exist once it has run."""

    kernel: Kernel
    number: int
    defines: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class LoopBegin:
    """What follows, up to the LoopEnd, is done `count` times, for `time` from 0 on, or down to 0.

    `kept` is memory whose content passes from turn to turn. With a `flag`, a BOOL in memory, turns go on while that is true.
    `limited` loops obey the limit of turns in the context.
    """

    time: str
    count: Dimension
    backwards: bool
    kept: frozenset[Buffer]
    flag: Buffer | None = None
    limited: bool = False


@dataclass(frozen=True, eq=False)
class LoopEnd:
    """The end of a loop."""

    begin: LoopBegin


Event = Launch | LoopBegin | LoopEnd


class EntryBuilder:
    """Emits the entry function."""

    def __init__(
        self,
        target: Target,
        symbols: Sequence[str],
        offsets: Mapping[Buffer, Dimension],
        allocated: Mapping[Buffer, Dimension],
        weights: Mapping[Buffer, int],
        *,
        profile: bool,
        guards: Sequence[Guard] = (),
        outputs: int = 0,
    ) -> None:
        self.guards = guards
        self.output_count = outputs
        self.symbols = {name: position for position, name in enumerate(symbols)}
        self.offsets = offsets
        self.allocated = allocated
        self.weights = weights
        self.profile = profile
        self.target = target
        self.module = Module(target)
        arguments = [("context", POINTER), ("inputs", POINTER), ("outputs", POINTER), ("sizes", POINTER)]
        self.b: Builder = self.module.function("run", arguments, I32)
        self.context, self.inputs, self.outputs, self.size_slots = self.b.arguments
        self.arena = self._slot(Slot.ARENA)
        self.blob = self._slot(Slot.WEIGHTS)
        self.sizes: dict[str, Value] = {}
        self.bases: dict[Buffer, Value] = {}
        self.known: dict[BinaryAtom, Value] = {}

    # The emitter of index expressions asks these two of whatever holds its sizes.
    def size(self, name: str) -> Value:
        """The current value of a size symbol."""
        if name not in self.sizes:
            place = self.b.constant(I64, self.symbols[name])
            self.sizes[name] = self.b.load(self.b.offset(self.size_slots, place, I64), I64)
        return self.sizes[name]

    def dimension(self, dimension: Dimension) -> Value:
        """A dimension as i64."""
        return Emitter(self.b, self, None, {}, known=self.known).index(dimension)  # type: ignore[arg-type]

    def build(self, events: Sequence[Event]) -> str:
        """The text of the module that defines `run`."""
        b = self.b
        launches = [event for event in events if isinstance(event, Launch)]
        loops: list[contextlib.ExitStack] = []
        most = max((item.kernel.slots for item in launches), default=1)
        b.store(b.offset(self.context, b.constant(I64, int(Slot.SIZES)), I64), self.size_slots)
        slots = b.allocate_stack(I64, most, 64)
        later = {name for launch in launches for name in launch.defines}
        open_guards = [guard for guard in self.guards if symbols_of((guard.left, guard.right)) & later]
        for place, launch in enumerate(events):
            if isinstance(launch, LoopBegin):
                loops.append(self._enter(launch, events[place:]))
                continue
            if isinstance(launch, LoopEnd):
                loops.pop().close()
                continue
            self._launch(launch, slots)
            later -= set(launch.defines)
            decided = [guard for guard in open_guards if not symbols_of((guard.left, guard.right)) & later]
            open_guards = [guard for guard in open_guards if guard not in decided]
            for guard in decided:
                self._check(guard, launch)
        b.ret(b.constant(I32, 0))
        return self.module.text()

    def _enter(self, loop: LoopBegin, rest: Sequence[Event]) -> contextlib.ExitStack:
        """Begins a loop; closing the stack ends it. What its kernels use is looked up before, for all turns and after."""
        b = self.b
        for event in rest[: next(n for n, event in enumerate(rest) if isinstance(event, LoopEnd) and event.begin is loop)]:
            for buffer in event.kernel.buffers if isinstance(event, Launch) else ():
                self._base(buffer)
        count = self.dimension(loop.count)
        stack = contextlib.ExitStack()
        stack.enter_context(self._part())
        flag = loop.flag

        def goes_on() -> Value:
            return b.load(self._base(flag), I8) != b.constant(I8, 0)  # type: ignore[arg-type]

        turn = stack.enter_context(b.loop(b.constant(I64, 0), count, condition=None if flag is None else goes_on))
        self.sizes[loop.time] = count - b.constant(I64, 1) - turn if loop.backwards else turn
        if loop.limited:
            self._limit(turn)
        return stack

    @contextlib.contextmanager
    def _part(self) -> Iterator[None]:
        """Code that may be left out or repeated: what is computed inside is not known after it."""
        before = self.sizes, self.bases, self.known
        self.sizes, self.bases, self.known = (dict(item) for item in before)  # type: ignore[assignment]
        yield
        self.sizes, self.bases, self.known = before

    def _limit(self, turn: Value) -> None:
        """Ends the run when a loop takes more turns than its caller allows; 0 allows any number."""
        b = self.b
        most = self._slot_value(Slot.MOST_TURNS)
        with b.when(b.bitwise_and(most > b.constant(I64, 0), turn >= most)):
            for slot, value in ((Slot.STATUS, b.constant(I64, int(Status.TOO_MANY_TURNS))), (Slot.DETAIL_A, most)):
                b.store(b.offset(self.context, b.constant(I64, int(slot)), I64), value)
            b.ret(b.constant(I32, int(Status.TOO_MANY_TURNS)))

    def _slot_value(self, slot: Slot) -> Value:
        return self.b.load(self.b.offset(self.context, self.b.constant(I64, int(slot)), I64), I64)

    def _slot(self, slot: Slot) -> Value:
        return self.b.load(self.b.offset(self.context, self.b.constant(I64, int(slot)), I64), POINTER)

    def _base(self, buffer: Buffer) -> Value:
        b = self.b
        if buffer in self.bases:
            return self.bases[buffer]
        byte = Type("i8")
        if buffer.kind == "input":
            pointer = b.load(b.offset(self.inputs, b.constant(I64, buffer.index), POINTER), POINTER)
        elif buffer.kind == "output":
            pointer = b.load(b.offset(self.outputs, b.constant(I64, buffer.index), POINTER), POINTER)
            if buffer in self.allocated:
                pointer = self._given_or_allocated(buffer, pointer)
                b.store(b.offset(self.outputs, b.constant(I64, buffer.index), POINTER), pointer)
        elif buffer.kind == "constant":
            pointer = b.offset(self.blob, b.constant(I64, self.weights[buffer]), byte)
        elif buffer in self.allocated:
            pointer = self._allocate(buffer)
        else:
            pointer = b.offset(self.arena, self.dimension(self.offsets[buffer]), byte)
        self.bases[buffer] = pointer
        return pointer

    def _allocate(self, buffer: Buffer) -> Value:
        b = self.b
        pointer = b.call_pointer(self._slot(Slot.ALLOCATE), POINTER, [self.context, self.dimension(self.allocated[buffer])])
        with b.when(b.bitcast(pointer, I64) == b.constant(I64, 0)):
            b.ret(b.constant(I32, int(Status.OUT_OF_MEMORY)))
        return pointer

    def _given_or_allocated(self, buffer: Buffer, given: Value) -> Value:
        """Memory for an output whose size the run finds: the caller's, if it gives as many bytes (they follow the outputs), else new memory."""
        b = self.b
        room = b.load(b.offset(self.outputs, b.constant(I64, self.output_count + buffer.index), I64), I64)
        chosen = b.variable(given)
        fits = b.bitwise_and(b.bitcast(given, I64) != b.constant(I64, 0), room == self.dimension(buffer.bytes))
        with b.when(b.invert(fits)), self._part():
            chosen.set(self._allocate(buffer))
        return chosen.get()

    def _launch(self, launch: Launch, slots: Value) -> None:
        b, kernel = self.b, launch.kernel
        places = [b.constant(I64, self.symbols[name]) for name in kernel.symbol_slots]
        values = [*map(self._base, kernel.buffers), *map(self.dimension, kernel.sizes), *places, self.context]
        if self.target.checked:
            values += [self.dimension(touched_bytes(buffer)) for buffer in kernel.buffers]
        for position, value in enumerate(values):
            b.store(b.offset(slots, b.constant(I64, position), I64), value)
        function = self.module.declare(kernel.function, [("arguments", POINTER), ("begin", I64), ("end", I64)])
        blocks = self.dimension(kernel.blocks)
        if self.profile:
            self._timestamp(2 * launch.number)
        with self._where_wanted(kernel):
            self._dispatch(kernel, function, slots, blocks)
        if self.profile:
            self._timestamp(2 * launch.number + 1)
        self._stop_on_error(launch)
        for name in launch.defines:
            self.sizes.pop(name, None)
        if launch.defines:
            self.known = {atom: value for atom, value in self.known.items() if symbols_of(atom.operands).isdisjoint(launch.defines)}

    @contextlib.contextmanager
    def _where_wanted(self, kernel: Kernel) -> Iterator[None]:
        """Some kernels are launched only where an input and an output are one memory, others only where they are not."""
        pair = kernel.apart or kernel.together
        if pair is None:
            yield
            return
        source, target = (self.b.bitcast(self._base(buffer), I64) for buffer in pair)
        with self.b.when(source != target if kernel.apart else source == target), self._part():
            yield

    def _dispatch(self, kernel: Kernel, function: Value, slots: Value, blocks: Value) -> None:
        b, work = self.b, kernel.work
        zero = b.constant(I64, 0)
        if isinstance(work, int) and work < LEAST_SHARED_WORK or isinstance(kernel.blocks, int) and kernel.blocks <= 1:
            b.call(function, slots, zero, blocks)
            return
        parallel_for = self._slot(Slot.PARALLEL_FOR)
        if isinstance(work, int) and work >= SERIAL_WORK:
            b.call_pointer(parallel_for, None, [self.context, function, slots, blocks])
            return
        size = self.dimension(work)
        enough = b.bitwise_and(size >= b.constant(I64, LEAST_SHARED_WORK), self._is_awake())
        with b.if_else(b.bitwise_or(enough, size >= b.constant(I64, SERIAL_WORK))) as (then, otherwise):
            with then:
                b.call_pointer(parallel_for, None, [self.context, function, slots, blocks])
            with otherwise:
                b.call(function, slots, zero, blocks)

    def _is_awake(self) -> Value:
        """Whether there are other threads, none of which sleeps."""
        b = self.b
        awake = b.variable(b.constant(I1, 0))
        pool = self._slot_value(Slot.POOL)
        with b.when(pool != b.constant(I64, 0)):
            sleepers = b.load(b.offset(b.bitcast(pool, POINTER), b.constant(I64, int(Pool.SLEEPERS)), I64), I64, volatile=True)
            awake.set(sleepers == b.constant(I64, 0))
        return awake.get()

    def _stop_on_error(self, launch: Launch) -> None:
        b = self.b
        stop = b.load(self._slot(Slot.STOP), I64, volatile=True)
        with b.when(stop != b.constant(I64, 0)):
            b.ret(b.constant(I32, int(Status.TERMINATED)))
        status = b.load(b.offset(self.context, b.constant(I64, int(Slot.STATUS)), I64), I64, volatile=True)
        with b.when(status != b.constant(I64, int(Status.OK))):
            b.store(b.offset(self.context, b.constant(I64, int(Slot.KERNEL)), I64), b.constant(I64, launch.number))
            b.ret(b.cast(status, I32))

    def _check(self, guard: Guard, launch: Launch) -> None:
        """Ends the run when sizes that it has just found do not go together. The third detail is the guard's number, from 1."""
        b = self.b
        left, right = self.dimension(guard.left), self.dimension(guard.right)
        wrong = left != right
        if guard.or_one:
            wrong = b.bitwise_and(wrong, left != b.constant(I64, 1))
        with b.when(wrong):
            number = b.constant(I64, 1 + list(self.guards).index(guard))
            for slot, value in ((Slot.DETAIL_A, left), (Slot.DETAIL_B, right), (Slot.DETAIL_C, number), (Slot.KERNEL, b.constant(I64, launch.number))):
                b.store(b.offset(self.context, b.constant(I64, int(slot)), I64), value)
            status = b.constant(I64, int(Status.INVALID_SIZE))
            b.store(b.offset(self.context, b.constant(I64, int(Slot.STATUS)), I64), status)
            b.ret(b.constant(I32, int(Status.INVALID_SIZE)))

    def _timestamp(self, position: int) -> None:
        b = self.b
        now = self._slot(Slot.NOW)
        record = self._slot(Slot.PROFILE)
        time = b.call_pointer(now, I64, [])
        b.store(b.offset(record, b.constant(I64, position), I64), time)


def symbols_of(dimensions: Sequence[Dimension]) -> set[str]:
    """The names of all symbols in the dimensions."""
    names: set[str] = set()
    for dimension in dimensions:
        if isinstance(dimension, Expression):
            names |= dimension.symbols
    return names
