"""A compiled model in memory, ready to run."""

from __future__ import annotations

import collections
import ctypes
import math
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from onward.compiler.artifact import Artifact, PortSpec
from onward.compiler.context import Slot, Status
from onward.compiler.native import Library
from onward.compiler.support import PATIENCE
from onward.errors import IndexOutOfBounds, InvalidInput, RunError, Terminated
from onward.ir.expressions import Expression, SymbolAtom, evaluate, symbols_of
from onward.program.guards import Guard
from onward.runtime import processor, threads
from onward.runtime.addresses import data_address

_ENTRY = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)
_ALLOCATE = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)
_shape = operator.attrgetter("shape")
LARGEST_ARENA = 1 << 42
LARGE_OUTPUT = 1 << 16
"""Bytes from which on it is worth a microsecond to place an output."""


class GuardFailed(InvalidInput):
    """Sizes for which the code was not made. The model may still have a meaning for them."""


@dataclass
class Plan:
    """What follows from the shapes of the inputs: sizes, the arena, and the outputs' shapes (None: known after the run)."""

    sizes: list[int]
    arena_bytes: int
    outputs: list[tuple[int, ...] | None]
    large: frozenset[int]
    """Outputs, by number, whose memory begins at a cache line: stores past the caches are faster then."""
    found: dict[tuple[int, ...], list[tuple[int, ...]]] = field(default_factory=dict)
    """All shapes of outputs by the sizes that runs have found."""


@dataclass(slots=True)
class Call:
    """What may be found out once for many runs: the plan for some inputs, where they lie, and memory for outputs."""

    plan: Plan
    inputs: Sequence[np.ndarray]
    addresses: list[int]
    outputs: Sequence[np.ndarray | None] | None


class _State:
    """Everything one run writes to. Runs at the same time take one each."""

    def __init__(self, executable: Executable) -> None:
        artifact = executable.artifact
        self.context = np.zeros(int(Slot.COUNT), np.int64)
        self.inputs = (ctypes.c_int64 * max(1, len(artifact.inputs)))()
        self.outputs = (ctypes.c_int64 * max(1, 2 * len(artifact.outputs)))()
        """Their addresses, and behind them the bytes that are given for those whose sizes the run finds."""
        self.sizes = (ctypes.c_int64 * max(1, len(artifact.symbols)))()
        self.profile = np.zeros(2 * len(artifact.kernels) + 1, np.int64)
        self.plan: Plan | None = None
        self.arena = np.empty(0, np.uint8)
        self.blocks: dict[int, np.ndarray] = {}
        self.generation = -1
        self.stop = np.zeros(1, np.int64)
        self.allocate = _ALLOCATE(_allocator(self.blocks))
        support = threads.support()
        context = self.context
        context[Slot.WEIGHTS] = executable.weights_address
        context[Slot.PARALLEL_FOR] = support.address("parallel_for")
        context[Slot.FAIL] = support.address("fail")
        context[Slot.NOW] = support.address("now")
        context[Slot.ALLOCATE] = ctypes.cast(self.allocate, ctypes.c_void_p).value or 0
        context[Slot.STOP] = self.stop.ctypes.data
        context[Slot.PROFILE] = self.profile.ctypes.data
        context[Slot.MOST_TURNS] = executable.most_turns
        self.addresses = (
            context.ctypes.data, ctypes.addressof(self.inputs), ctypes.addressof(self.outputs), ctypes.addressof(self.sizes),
        )  # fmt: skip

    def prepare(self, executable: Executable, plan: Plan) -> None:
        if self.plan is not plan:
            self.plan = plan
            self.sizes[: len(plan.sizes)] = plan.sizes  # type: ignore[assignment]
            if self.arena.nbytes < plan.arena_bytes + 64:
                self.arena = aligned_empty(plan.arena_bytes + 64)
                self.context[Slot.ARENA] = self.arena.ctypes.data
        if self.generation != threads.generation:
            self.generation = threads.generation
            self.context[Slot.POOL] = threads.pool_pointer(executable.threads, executable.patience)


def _allocator(blocks: dict[int, np.ndarray]) -> Callable[[int, int], int]:
    """ALLOCATE of the context. It holds the blocks alone: a cycle through the state would keep its arena alive."""

    def allocate(context: int, size: int) -> int:
        if not 0 <= size <= LARGEST_ARENA:
            return 0
        try:
            block = aligned_empty(size)
        except RunError:
            return 0
        address = data_address(block)
        blocks[address] = block
        return address

    return allocate


def aligned_empty(size: int) -> np.ndarray:
    """Uninitialised bytes that begin at a multiple of 64."""
    try:
        raw = np.empty(size + 64, np.uint8)
    except MemoryError as problem:
        raise RunError(f"the run needs {size} bytes of memory, which are not available") from problem
    skip = -data_address(raw) % 64
    return raw[skip : skip + size]


def _lines(shape: tuple[int, ...], kind: np.dtype[Any]) -> np.ndarray:
    """An uninitialised array that begins at a cache line."""
    return aligned_empty(math.prod(shape) * kind.itemsize).view(kind).reshape(shape)


class Executable:
    """Machine code and weights; `run` may be called from many threads at once."""

    def __init__(
        self,
        artifact: Artifact,
        weights: np.ndarray | None = None,
        *,
        threads: int = 0,
        patience: int = PATIENCE,
        most_turns: int = 0,
    ) -> None:
        from onward.runtime.threads import available_cores

        self.artifact = artifact
        self.threads = threads or available_cores()
        self.patience = patience
        self.most_turns = most_turns
        processor.prepare(artifact.target)
        self.library = Library(artifact.objects, [artifact.entry])
        self._entry = _ENTRY(self.library.address(artifact.entry))
        self._weights = weights if weights is not None else _gather_weights(artifact)
        self.weights_address = self._weights.ctypes.data
        self._plans: dict[tuple[tuple[int, ...], ...], Plan] = {}
        self._free: collections.deque[_State] = collections.deque()
        self._kinds = [port.dtype.numpy for port in artifact.outputs]

    def plan(self, inputs: Sequence[np.ndarray]) -> Plan:
        """Sizes and output shapes for inputs of these shapes. Raises InvalidInput where they contradict each other."""
        key = tuple(map(_shape, inputs))
        found = self._plans.get(key)
        if found is None:
            if len(self._plans) > 1000:
                self._plans.clear()
            found = self._plans[key] = self._make_plan(key)
        return found

    def _make_plan(self, shapes: Sequence[tuple[int, ...]]) -> Plan:
        artifact = self.artifact
        sizes: dict[str, int] = {}
        for port, shape in zip(artifact.inputs, shapes):
            bind_port(port, shape, sizes)
        for port, shape in zip(artifact.inputs, shapes):
            verify_port(port, shape, sizes)
        known = sizes.keys()
        for guard in artifact.guards:
            self._check_guard(guard, sizes, shapes)
        outputs = [
            tuple(evaluate(extent, sizes) for extent in port.shape)
            if all(not isinstance(extent, Expression) or extent.symbols <= known for extent in port.shape)
            else None
            for port in artifact.outputs
        ]
        arena = evaluate(artifact.arena_bytes, sizes)
        if arena > LARGEST_ARENA:
            raise RunError(f"inputs of shapes {list(shapes)} need {arena} bytes of intermediate memory")
        large = [
            index for index, shape in enumerate(outputs) if shape is not None and math.prod(shape) * self._kinds[index].itemsize >= LARGE_OUTPUT
        ]  # fmt: skip
        return Plan([sizes.get(name, 0) for name in artifact.symbols], arena, outputs, frozenset(large))

    def _check_guard(self, guard: Guard, sizes: Mapping[str, int], shapes: Sequence[tuple[int, ...]]) -> None:
        if not (symbols_of(guard.left) | symbols_of(guard.right)) <= sizes.keys():
            return  # a size that the run itself finds
        try:
            left, right = evaluate(guard.left, sizes), evaluate(guard.right, sizes)
        except ZeroDivisionError:
            shown = f"{guard.left} against {guard.right} has no value, as a size is divided by one that is 0"
        else:
            if left == right or guard.or_one and left == 1:
                return
            shown = " against ".join(
                f"{extent} = {number}" if isinstance(extent, Expression) else f"{number}" for extent, number in ((guard.left, left), (guard.right, right))
            )
        given = ", ".join(f"{port.name} {list(shape)}" for port, shape in zip(self.artifact.inputs, shapes))
        raise GuardFailed(f"{guard.message}: {shown}; fed were {given}")

    def run(
        self,
        inputs: Sequence[np.ndarray],
        outputs: Sequence[np.ndarray | None] | None = None,
        profile: Any = None,
        stop: int = 0,
    ) -> list[np.ndarray]:
        """The outputs for contiguous inputs of the right dtypes, in the artifact's order.

        `outputs` may give arrays to write to, which are not used where their sizes turn out to be others. `profile`, a list,
        receives (begin, end) nanoseconds of each kernel. `stop` is the address of a word: once it is not 0, the run ends with
        Terminated.
        """
        return self._run(self.plan(inputs), map(data_address, inputs), outputs, profile, stop)

    def prepared(self, inputs: Sequence[np.ndarray], outputs: Sequence[np.ndarray | None] | None = None) -> Call:
        """A run as `call` takes it, as often as one likes. Raises InvalidInput where the shapes contradict each other."""
        return Call(self.plan(inputs), inputs, [data_address(array) for array in inputs], outputs)

    def call(self, call: Call, stop: int = 0) -> list[np.ndarray]:
        """See `run`."""
        return self._run(call.plan, call.addresses, call.outputs, None, stop)

    def _run(self, plan: Plan, addresses: Iterable[int], outputs: Sequence[np.ndarray | None] | None, profile: Any, stop: int) -> list[np.ndarray]:
        try:
            state = self._free.pop()
        except IndexError:
            state = _State(self)
        state.prepare(self, plan)
        for index, address in enumerate(addresses):
            state.inputs[index] = address
        results: list[np.ndarray | None] = []
        for index, shape in enumerate(plan.outputs):
            result = outputs[index] if outputs is not None else None
            if result is None and shape is not None:
                result = _lines(shape, self._kinds[index]) if index in plan.large else np.empty(shape, self._kinds[index])
            results.append(result)
            state.outputs[index] = 0 if result is None else data_address(result)
            if shape is None:
                state.outputs[len(plan.outputs) + index] = 0 if result is None else result.nbytes
        if stop:
            state.context[Slot.STOP] = stop
        status = self._entry(*state.addresses)
        if stop:
            state.context[Slot.STOP] = state.stop.ctypes.data
        if status:
            self._raise(state, status)
        if None in plan.outputs:
            self._collect(state, plan, results)
        if profile is not None:
            profile.extend(map(tuple, state.profile[:-1].reshape(-1, 2).tolist()))
        self._free.append(state)
        return results  # type: ignore[return-value]

    def _collect(self, state: _State, plan: Plan, results: list[np.ndarray | None]) -> None:
        """Outputs whose sizes the run has found. Memory that was given for them is theirs where it has as many bytes."""
        for index, (known, shape) in enumerate(zip(plan.outputs, self._shapes(plan, tuple(state.sizes)))):
            if known is None:
                given = results[index]
                if given is not None and state.outputs[index] == data_address(given):
                    results[index] = given if given.shape == shape else given.reshape(shape)
                    continue
                count = int(np.prod(shape, dtype=np.int64)) * self._kinds[index].itemsize
                block = state.blocks[state.outputs[index]] if count else np.empty(0, np.uint8)  # (what has no bytes has no block)
                results[index] = block[:count].view(self._kinds[index]).reshape(shape)
        state.blocks.clear()

    def _shapes(self, plan: Plan, sizes: tuple[int, ...]) -> list[tuple[int, ...]]:
        """Those of all outputs, for the sizes that a run has found."""
        if sizes not in plan.found:
            if len(plan.found) > 1000:
                plan.found.clear()
            named = dict(zip(self.artifact.symbols, sizes))
            plan.found[sizes] = [tuple(evaluate(extent, named) for extent in port.shape) for port in self.artifact.outputs]
        return plan.found[sizes]

    def _raise(self, state: _State, status: int) -> None:
        context = state.context
        kernel = self.artifact.kernels[int(context[Slot.KERNEL])]
        where = ", ".join(kernel.origins) or kernel.name
        detail = [int(context[slot]) for slot in (Slot.DETAIL_A, Slot.DETAIL_B, Slot.DETAIL_C)]
        context[Slot.STATUS] = 0
        state.blocks.clear()
        self._free.append(state)
        if status == Status.INDEX_OUT_OF_BOUNDS:
            index, extent, axis = detail
            raise IndexOutOfBounds(f"{where}: index {index} is outside [{-extent}, {extent - 1}] along axis {axis}; check the indices that were fed")
        if status == Status.TERMINATED:
            raise Terminated("the run was stopped on request")
        if status == Status.OUT_OF_MEMORY:
            raise RunError("there is not enough memory for values whose sizes depend on the data")
        if status == Status.DIVISION_BY_ZERO:
            raise RunError(f"{where}: a whole number is divided by 0; check the data that was fed")
        if status == Status.TOO_MANY_TURNS:
            raise RunError(f"a loop took more than {detail[0]} turns, the limit onward.loop_limit")
        if status == Status.INVALID_SIZE and detail[2]:
            raise RunError(f"{self.artifact.guards[detail[2] - 1].message}: {detail[0]} against {detail[1]}, as the run has found")
        if status == Status.INVALID_SIZE:
            raise RunError(f"{where}: sizes found during the run are out of range or do not go together: {detail[0]} and {detail[1]}")
        raise RunError(f"{where}: {Status(status).name.lower().replace('_', ' ')} {detail}")


def bind_port(port: PortSpec, shape: tuple[int, ...], sizes: dict[str, int]) -> None:
    """Enters the symbols that the shape determines."""
    if len(shape) != len(port.shape):
        raise InvalidInput(f"input '{port.name}' has rank {len(shape)} (shape {shape}), expected {len(port.shape)}: [{', '.join(map(str, port.shape))}]")
    for extent, number in zip(port.shape, shape):
        if isinstance(extent, Expression) and isinstance(extent.single_atom(), SymbolAtom):
            sizes.setdefault(str(extent), number)


def verify_port(port: PortSpec, shape: tuple[int, ...], sizes: dict[str, int]) -> None:
    """Raises InvalidInput where a shape is not what the sizes say."""
    for axis, (extent, number) in enumerate(zip(port.shape, shape)):
        expected = evaluate(extent, sizes)
        if expected != number:
            meaning = f"'{extent}' = {expected}" if isinstance(extent, Expression) else str(expected)
            raise InvalidInput(
                f"input '{port.name}' has extent {number} along axis {axis} (shape {shape}), expected {meaning}: [{', '.join(map(str, port.shape))}]"
            )


def _gather_weights(artifact: Artifact) -> np.ndarray:
    blob = aligned_empty(artifact.weights_bytes + 64)

    def write(offset: int, piece: np.ndarray) -> None:
        blob[offset : offset + piece.nbytes] = piece

    artifact.pack(write)
    return blob
