"""From a model to an artifact: the compiler from end to end."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from onward import operators, passes
from onward.compiler import dump
from onward.compiler.artifact import Artifact, CompileOptions, KernelInfo, PortSpec
from onward.compiler.capability import Capability
from onward.compiler.entry import EntryBuilder, Launch, symbols_of
from onward.compiler.layout import Buffer, LayoutPlanner
from onward.compiler.memory import Lifetime, aligned, plan_memory
from onward.compiler.native import compile_modules
from onward.compiler.roots import Root, RootFinder
from onward.compiler.schedule import schedule_step
from onward.compiler.steps import BorderStep, RoutineStep, Step, StepPlanner
from onward.compiler.targets import Target
from onward.errors import UnsupportedOperator
from onward.ir import Model
from onward.ir.expressions import Dimension
from onward.program.array import Array, Constant, Input
from onward.program.content import depends_on_constants_alone
from onward.program.functions import compute


def compile_model(model: Model, options: CompileOptions | None = None) -> Artifact:
    """The model as object code, weights and metadata.

    Raises UnsupportedOperator, InferenceError or CompileError; each names the node.
    """
    options = options or CompileOptions()
    if options.optimize:
        model = passes.optimize(model, disable=options.disabled_passes)
    dump.graph(model)
    return compile_program(operators.lower(model), options)


def compile_program(program: operators.Program, options: CompileOptions) -> Artifact:
    """A tensor program as an artifact. Raises UnsupportedOperator for what is no matter of machine code, such as text."""
    refusal = Capability().refusal(program.outputs.values())
    if refusal is not None:
        raise UnsupportedOperator(refusal)
    target = Target.parse(options.target)
    return _Compilation(program, target, options).artifact()


class _Compilation:
    def __init__(self, program: operators.Program, target: Target, options: CompileOptions) -> None:
        self.program = program
        self.target = target
        self.options = options
        self.outputs = _distinct_outputs(list(program.outputs.values()))
        finder = RootFinder(self.outputs)
        self.roots = finder.find()
        self.order = [array for array in finder.order if array not in finder.known]
        extra = [root.array for root in self.roots if root.array not in set(finder.order)]
        stored = [array for array in finder.order if array in finder.stored] + extra
        self.layouts = LayoutPlanner(self.roots, stored, self.outputs, finder.copies, finder.known)
        for index, item in enumerate(program.inputs):
            self.layouts.view(item).buffer.index = index
        self.steps = StepPlanner(self.order, self.roots, self.layouts).steps
        dump.steps(self.steps, self.layouts)
        self.launches = self._schedule()

    # -- kernels -----------------------------------------------------------------------------------------------
    def _schedule(self) -> list[Launch]:
        needed = self._needed()
        launches: list[Launch] = []
        for step in self.steps:
            for kernel in schedule_step(step, self.layouts, self.target, needed):
                kernel.origins = _origins(step)
                launches.append(Launch(kernel, len(launches), tuple(kernel.symbol_slots)))
        return launches

    def _needed(self) -> set[Array]:
        """Arrays that are read by another step than the one that makes them."""
        needed = set(self.outputs)
        for step in self.steps:
            made = {stage.root.array for stage in getattr(step, "stages", ())}
            needed.update(array for array in _reads(step) if array not in made)
        for array in list(needed):
            source = array
            while source.sources and source not in {root.array for root in self.roots}:
                needed.update(source.sources)
                source = source.sources[0]
        return needed

    # -- memory ------------------------------------------------------------------------------------------------
    def artifact(self) -> Artifact:
        """Places the buffers, emits the entry, and compiles everything."""
        bound = list(self.program.symbols)
        later = [name for launch in self.launches for name in launch.defines]
        lifetimes, allocated = self._lifetimes(set(later))
        plan = plan_memory(lifetimes)
        weights, pieces, total = self._weights()
        texts = self._name_kernels()
        entry = EntryBuilder(
            self.target,
            [*bound, *later],
            plan.offsets,
            allocated,
            weights,
            profile=self.options.profile,
            guards=self.program.guards,
        ).build(self.launches)
        dump.llvm([*texts.values(), entry])
        objects = compile_modules([*texts.values(), entry], self.target, self.options.processes)
        return Artifact(
            objects=objects,
            entry="run",
            inputs=[PortSpec(item.label, item.dtype, item.shape) for item in self.program.inputs],
            outputs=[
                PortSpec(name, array.dtype, array.shape) for name, array in zip(self.program.outputs, self.outputs)
            ],
            symbols=[*bound, *later],
            bound_symbols=len(bound),
            arena_bytes=plan.total,
            weights=pieces,
            weights_bytes=total,
            kernels=[self._info(launch) for launch in self.launches],
            target=self.target.name,
            guards=self.program.guards,
        )

    def _lifetimes(self, later: set[str]) -> tuple[list[Lifetime], dict[Buffer, Dimension]]:
        first: dict[Buffer, int] = {}
        last: dict[Buffer, int] = {}
        for launch in self.launches:
            for buffer in launch.kernel.buffers:
                first.setdefault(buffer, launch.number)
                last[buffer] = launch.number
        lifetimes, allocated = [], {}
        for buffer, begin in first.items():
            size = buffer.size * storage_bytes(buffer)
            if buffer.kind in ("arena", "output") and symbols_of([size]) & later:
                allocated[buffer] = aligned(size)
            elif buffer.kind == "arena":
                lifetimes.append(Lifetime(buffer, begin, last[buffer], size))
        return lifetimes, allocated

    def _weights(self) -> tuple[dict[Buffer, int], list[tuple[int, np.ndarray]], int]:
        offsets: dict[Buffer, int] = {}
        pieces: list[tuple[int, np.ndarray]] = []
        position = 0
        shared: dict[tuple[object, ...], int] = {}
        for launch in self.launches:
            for buffer in launch.kernel.buffers:
                if buffer.kind != "constant" or buffer in offsets:
                    continue
                key = (buffer.key,) if buffer.key is not None else (id(buffer),)
                if key in shared:
                    offsets[buffer] = shared[key]
                    continue
                data = buffer.data()
                offsets[buffer] = shared[key] = position
                pieces.append((position, data))
                position += int(aligned(data.nbytes)) or 64
        return offsets, pieces, position

    def _name_kernels(self) -> dict[str, str]:
        """Names kernels by the hash of their text, so that equal ones are compiled once."""
        texts: dict[str, str] = {}
        for launch in self.launches:
            kernel = launch.kernel
            digest = hashlib.sha256(kernel.text.encode()).hexdigest()[:20]
            name = f"{kernel.kind}_{digest}"
            texts[name] = kernel.text.replace(f"@{kernel.function}(", f"@{name}(")
            kernel.function = name
        return texts

    def _info(self, launch: Launch) -> KernelInfo:
        kernel = launch.kernel
        moved: Dimension = 0
        for buffer in kernel.buffers:
            moved = moved + buffer.size * storage_bytes(buffer)
        return KernelInfo(kernel.function, kernel.kind, kernel.origins, kernel.flops, moved)


def storage_bytes(buffer: Buffer) -> int:
    """Bytes of one element in memory."""
    return buffer.dtype.numpy.itemsize


def _distinct_outputs(outputs: Sequence[Array]) -> list[Array]:
    """Every output gets memory of its own: inputs, constants and repeated arrays are copied."""
    seen: set[Array] = set()
    result: list[Array] = []
    for array in outputs:
        if isinstance(array, (Input, Constant)) or array in seen or depends_on_constants_alone(array):
            source = array
            array = compute(source.shape, lambda *position, source=source: source[tuple(position)])
        seen.add(array)
        result.append(array)
    return result


def _reads(step: Step) -> list[Array]:
    roots: list[Root] = [stage.root for stage in getattr(step, "stages", ())]
    if getattr(step, "root", None) is not None:
        roots.append(step.root)  # type: ignore[union-attr]
    found = [read.array for root in roots for read in root.reads()]
    if isinstance(step, RoutineStep):
        found.extend(step.routine.inputs)
    if isinstance(step, BorderStep):  # whoever reads the padded array reads its inside, which the source's step writes
        found.append(step.padding.source)
    if getattr(step, "source", None) is not None:
        found.append(step.source)  # type: ignore[union-attr]
    return found


def _origins(step: Step) -> tuple[str, ...]:
    arrays: list[Array] = [stage.root.array for stage in getattr(step, "stages", ())]
    arrays += [stage.root.reduce for stage in getattr(step, "stages", ()) if stage.root.reduce is not None]
    root = getattr(step, "root", None)
    if root is not None:
        arrays += [root.array, *([root.reduce] if root.reduce is not None else [])]
    if isinstance(step, RoutineStep):
        arrays.extend(step.routine.results)
    names: dict[str, None] = {}
    for array in arrays:
        for origin in array.origins:
            names[f"{origin.node_name or '(unnamed)'} ({origin.op_type})"] = None
    return tuple(names)
