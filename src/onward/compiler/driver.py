"""From a model to an artifact: the compiler from end to end."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace

from onward import operators, passes
from onward.compiler import dump
from onward.compiler.artifact import Artifact, CompileOptions, KernelInfo, MakeParts, PortSpec
from onward.compiler.capability import Capability
from onward.compiler.entry import EntryBuilder, Event, Launch, LoopBegin, LoopEnd, symbols_of
from onward.compiler.layout import Buffer
from onward.compiler.memory import Lifetime, aligned, plan_memory
from onward.compiler.native import begin_compiling
from onward.compiler.plan import BlockRegion, LoopRegion, Plan
from onward.compiler.schedule import schedule_step
from onward.compiler.schedule.blocks import Choice, block_kernel
from onward.compiler.schedule.kernel import Kernel
from onward.compiler.steps import BlockStep, CopyStep, RoutineStep, Step
from onward.compiler.storage import round_operands
from onward.compiler.targets import Target
from onward.errors import UnsupportedOperator
from onward.ir import Model
from onward.ir.expressions import Dimension
from onward.program.array import Array


def compile_model(model: Model, options: CompileOptions | None = None) -> Artifact:
    """The model as object code, weights and metadata.

    Raises UnsupportedOperator, InferenceError or CompileError; each names the node.
    """
    options = options or CompileOptions()
    if options.optimize:
        model = passes.optimize(model, disable=options.disabled_passes, native=True)
    dump.graph(model)
    return compile_program(operators.lower(model), options)


def compile_program(program: operators.Program, options: CompileOptions) -> Artifact:
    """A tensor program as an artifact. Raises UnsupportedOperator for what is no matter of machine code, such as text."""
    refusal = Capability().refusal(program.outputs.values())
    if refusal is not None:
        raise UnsupportedOperator(refusal)
    target = replace(Target.parse(options.target), narrow=options.precision == "bfloat16")
    return _Compilation(program, target, options).artifact()


class _Compilation:
    def __init__(self, program: operators.Program, target: Target, options: CompileOptions) -> None:
        self.program = program
        self.target = target
        self.options = options
        self.plan = Plan(list(program.outputs.values()), squares=not (target.narrow and target.tiles))
        self.outputs = self.plan.outputs
        for index, item in enumerate(program.inputs):
            self.plan.layouts.view(item).buffer.index = index
        self.events = _numbered(_without_copies(self._schedule(self.plan)))
        self.launches = [event for event in self.events if isinstance(event, Launch)]

    # -- kernels -----------------------------------------------------------------------------------------------
    def _schedule(self, plan: Plan) -> list[Event]:
        round_operands(plan, self.target)
        needed = plan.needed()
        events: list[Event] = []
        for step in plan.steps:
            if isinstance(step, RoutineStep) and step.routine.name == "recurrence":
                events += self._loop(step, plan)
                continue
            kernels = self._in_blocks(step, plan) if isinstance(step, BlockStep) else schedule_step(step, plan.layouts, self.target, needed)
            for kernel in kernels:
                kernel.origins = _origins(step)
                events.append(Launch(kernel, 0, tuple(kernel.symbol_slots)))
        return events

    def _in_blocks(self, step: BlockStep, plan: Plan) -> list[Kernel]:
        """The kernels of a block inside one that goes over all blocks. What is the same for all of them is done once, before."""
        region = BlockRegion(step.blocks, plan.layouts)
        before: list[Kernel] = []
        outside = set(region.outside)
        changing = step.blocks.symbols.keys()

        def parts(inside: Plan | None) -> list[Kernel]:
            found = []
            for kernel in self._parts(inside):
                if outside.issuperset(kernel.read) and changing.isdisjoint(symbols_of(kernel.sizes)):
                    before.append(kernel)
                    outside.update(kernel.written)
                else:
                    found.append(kernel)
            return found

        inside, test, otherwise = map(parts, (region.plan, region.test, region.otherwise))
        choice = None if region.verdict is None else Choice(test, region.verdict, otherwise)
        return [*before, block_kernel(step.blocks, inside, choice, outside, self.target)]

    def _parts(self, plan: Plan | None) -> list[Kernel]:
        """The kernels of a plan inside a block."""
        if plan is None:
            return []
        round_operands(plan, self.target)
        needed = plan.needed()
        return [kernel for item in plan.steps for kernel in schedule_step(item, plan.layouts, self.target, needed)]

    def _loop(self, step: RoutineStep, plan: Plan) -> list[Event]:
        """The body of a recurrence between the marks of a loop. The states live where the last ones are to lie."""
        region = LoopRegion(step.routine, plan)
        before = self._copies(region.entering, region.plan)
        inside = self._schedule(region.plan)
        if any(isinstance(event, Launch) and event.defines for event in inside):
            raise UnsupportedOperator("a loop whose body finds sizes by looking at data")
        inside += self._copies(region.following, region.plan)
        for event in (*before, *inside):
            if isinstance(event, Launch) and not event.kernel.origins:
                event.kernel.origins = _origins(step)
        return [*before, region.begin, *inside, LoopEnd(region.begin)]

    def _copies(self, pairs: Sequence[tuple[Array, Array]], plan: Plan) -> list[Event]:
        steps = [CopyStep(source, target, source.shape, ()) for source, target in pairs]
        kernels = [kernel for step in steps for kernel in schedule_step(step, plan.layouts, self.target, set())]
        return [Launch(kernel, 0) for kernel in kernels]

    # -- memory ------------------------------------------------------------------------------------------------
    def artifact(self) -> Artifact:
        """Places the buffers, emits the entry, and compiles everything."""
        bound = list(self.program.symbols)
        later = [name for launch in self.launches for name in launch.defines]
        lifetimes, allocated = self._lifetimes(set(later))
        plan = plan_memory(lifetimes)
        # What speaks of a size that nothing computes is about a value that nothing reads.
        guards = [item for item in self.program.guards if symbols_of((item.left, item.right)) <= {*bound, *later}]
        weights, pieces, total = self._weights()
        texts = self._name_kernels()
        entry = EntryBuilder(
            self.target,
            [*bound, *later],
            plan.offsets,
            allocated,
            weights,
            profile=self.options.profile,
            guards=guards,
            outputs=len(self.outputs),
        ).build(self.events)
        dump.llvm([*texts.values(), entry])
        return Artifact(
            code=begin_compiling([*texts.values(), entry], self.target, self.options.processes),
            entry="run",
            inputs=[PortSpec(item.label, item.dtype, item.shape) for item in self.program.inputs],
            outputs=[PortSpec(name, array.dtype, array.shape) for name, array in zip(self.program.outputs, self.outputs)],
            symbols=[*bound, *later],
            bound_symbols=len(bound),
            arena_bytes=plan.total,
            weights=pieces,
            weights_bytes=total,
            kernels=[self._info(launch) for launch in self.launches],
            target=self.target.name,
            guards=guards,
            in_place=self._in_place(),
        )

    def _in_place(self) -> list[tuple[int, int]]:
        """Where nothing reads the input once it is copied, nor the output before. In a loop the copy is made for every turn."""
        found, loops = [], 0
        for number, event in enumerate(self.events):
            loops += isinstance(event, LoopBegin) - isinstance(event, LoopEnd)
            if isinstance(event, Launch) and event.kernel.apart is not None and not loops:
                source, target = event.kernel.apart
                before, after = _buffers(self.events[:number]), _buffers(self.events[number + 1 :])
                if source not in after and target not in before:
                    found.append((source.index, target.index))
        return found

    def _lifetimes(self, later: set[str]) -> tuple[list[Lifetime], dict[Buffer, Dimension]]:
        first: dict[Buffer, int] = {}
        last: dict[Buffer, int] = {}
        for number, event in enumerate(self.events):
            for buffer in event.kernel.buffers if isinstance(event, Launch) else ():
                first.setdefault(buffer, number)
                last[buffer] = number
        for number, event in enumerate(self.events):
            if isinstance(event, LoopEnd):
                _outlive_loop(first, last, self.events.index(event.begin), number, event.begin)
        lifetimes, allocated = [], {}
        for buffer, begin in first.items():
            size = buffer.bytes
            if buffer.kind in ("arena", "output") and symbols_of([size]) & later:
                allocated[buffer] = aligned(size)
            elif buffer.kind == "arena":
                lifetimes.append(Lifetime(buffer, begin, last[buffer], size))
        return lifetimes, allocated

    def _weights(self) -> tuple[dict[Buffer, int], list[tuple[int, MakeParts]], int]:
        """Where the constants lie, in order of use; those that hardly any run reads come last, as the system maps neighbours with what is read."""
        offsets: dict[Buffer, int] = {}
        pieces: list[tuple[int, MakeParts]] = []
        position = 0
        shared: dict[tuple[object, ...], int] = {}
        kernels = [launch.kernel for launch in self.launches]
        usual = [buffer for kernel in kernels for buffer in kernel.buffers if buffer not in kernel.seldom]
        for buffer in dict.fromkeys((*usual, *(buffer for kernel in kernels for buffer in kernel.seldom))):
            if buffer.kind != "constant":
                continue
            key = (buffer.key,) if buffer.key is not None else (id(buffer),)
            if key in shared:
                offsets[buffer] = shared[key]
                continue
            offsets[buffer] = shared[key] = position
            pieces.append((position, buffer.data))
            position += int(aligned(buffer.bytes)) or 64  # type: ignore[call-overload]
        return offsets, pieces, position

    def _name_kernels(self) -> dict[str, str]:
        """The text of each kernel, by its name."""
        texts: dict[str, str] = {}
        for launch in self.launches:
            launch.kernel.name_by_text()
            texts.update((kernel.function, kernel.text) for kernel in (launch.kernel, *launch.kernel.parts))
        return texts

    def _info(self, launch: Launch) -> KernelInfo:
        kernel = launch.kernel
        moved: Dimension = 0
        for buffer in kernel.buffers:
            moved = moved + buffer.bytes
        return KernelInfo(kernel.function, kernel.kind, kernel.origins, kernel.flops, moved)


def _without_copies(events: Sequence[Event]) -> list[Event]:
    """The events without the copies that other kernels carry along, always or where the run says so."""
    launches = [event for event in events if isinstance(event, Launch)]
    kernels = [kernel for launch in launches for kernel in (launch.kernel, *launch.kernel.parts)]
    shares = {kernel.carrier.growth: kernel.carrier.share for kernel in kernels if kernel.carrier is not None}
    for kernel in kernels:
        if kernel.copied in shares:
            rest = 1 - shares[kernel.copied]
            kernel.blocks, kernel.work = kernel.blocks * rest, kernel.work * rest
    return [event for event in events if not isinstance(event, Launch) or event.kernel.copied is None or event.kernel.blocks != 0]


def _numbered(events: Sequence[Event]) -> list[Event]:
    """The events with their launches numbered in order."""
    numbers = itertools.count()
    return [replace(event, number=next(numbers)) if isinstance(event, Launch) else event for event in events]


def _buffers(events: Sequence[Event]) -> set[Buffer]:
    return {buffer for event in events if isinstance(event, Launch) for buffer in event.kernel.buffers}


def _outlive_loop(first: dict[Buffer, int], last: dict[Buffer, int], begin: int, end: int, loop: LoopBegin) -> None:
    """What a loop takes from before it, keeps from turn to turn, or leaves behind is there during all of it."""
    for buffer in first:
        inside = begin <= last[buffer] and first[buffer] <= end
        if inside and (first[buffer] < begin or last[buffer] > end or buffer in loop.kept):
            first[buffer], last[buffer] = min(first[buffer], begin), max(last[buffer], end)


def _origins(step: Step) -> tuple[str, ...]:
    arrays: list[Array] = [stage.root.array for stage in getattr(step, "stages", ())]
    arrays += [stage.root.reduce for stage in getattr(step, "stages", ()) if stage.root.reduce is not None]
    root = getattr(step, "root", None)
    if root is not None:
        arrays += [root.array, *([root.reduce] if root.reduce is not None else [])]
    if isinstance(step, BlockStep):
        arrays += [*step.blocks.interior, step.blocks.root.array]
    if isinstance(step, RoutineStep):
        arrays.extend(step.routine.results)
    names: dict[str, None] = {}
    for array in arrays:
        for origin in array.origins:
            names[f"{origin.node_name or '(unnamed)'} ({origin.op_type})"] = None
    return tuple(names)
