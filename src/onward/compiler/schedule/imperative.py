"""Kernels written by hand, element by element: what routines are made of.

An `Imperative` kernel reads and stores elements of arrays by their logical indices, whatever their layout, and loops over
blocks that are independent of each other.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from onward.compiler.builder import Builder, Module
from onward.compiler.context import ErrorCode, Slot
from onward.compiler.layout import Buffer, LayoutPlanner
from onward.compiler.schedule.emitter import Emitter
from onward.compiler.schedule.kernel import Arguments, Kernel
from onward.compiler.targets import Target
from onward.compiler.values import I64, POINTER, Value
from onward.ir.datatypes import DataType
from onward.ir.expressions import Dimension, Expression, Symbol, product
from onward.ir.tensor import Tensor
from onward.program.array import Array, Constant, Routine
from onward.program.scalar import Read


class Imperative:
    """One kernel under construction. `blocks` is the number of independent blocks; `symbols` are sizes it defines.

    `scratch` is memory that it writes to, `tables` are constants of its own.
    """

    def __init__(
        self,
        layouts: LayoutPlanner,
        target: Target,
        arrays: Sequence[Array],
        written: Sequence[Array],
        *,
        blocks: Dimension = 1,
        scratch: Sequence[Buffer] = (),
        tables: Sequence[Buffer] = (),
        symbols: Sequence[Expression] = (),
    ) -> None:
        self.layouts, self.target, self.written = layouts, target, written
        self.blocks, self.scratch = blocks, list(scratch)
        self.symbols = [str(symbol) for symbol in symbols]
        everything = [*arrays, *written]
        buffers = list(dict.fromkeys([*(layouts.view(array).buffer for array in everything), *scratch, *tables]))
        names: set[str] = set()
        for array in everything:
            view = layouts.view(array)
            for dimension in (*array.shape, *view.strides, view.offset):
                if isinstance(dimension, Expression):
                    names |= dimension.symbols
        names -= set(self.symbols)
        self.module = Module(target)
        self.b: Builder = self.module.function("kernel", [("arguments", POINTER), ("begin", I64), ("end", I64)])
        sizes = [*sorted(names), *(f"slot of {name}" for name in self.symbols)]
        self.arguments = Arguments(self.b, self.b.arguments[0], buffers, sizes)
        self.buffers, self.sizes = buffers, sorted(names)
        self.work: Dimension = 0
        for array in everything:
            if not any(isinstance(e, Expression) and e.symbols & set(self.symbols) for e in array.shape):
                self.work = self.work + product(array.shape) * 8

    # -- elements ----------------------------------------------------------------------------------------------
    def number(self, value: int) -> Value:
        """An i64 constant."""
        return self.b.constant(I64, value)

    def size(self, dimension: Dimension) -> Value:
        """A dimension as i64."""
        return Emitter(self.b, self.arguments, self.layouts, {}).index(dimension)  # type: ignore[return-value]

    def _emitter(self, places: Sequence[Value]) -> tuple[Emitter, tuple[Expression, ...]]:
        names = [f"place{axis}" for axis in range(len(places))]
        emitter = Emitter(self.b, self.arguments, self.layouts, dict(zip(names, places)))
        return emitter, tuple(Symbol(name) for name in names)

    def read(self, array: Array, *places: Value) -> Value:
        """One element."""
        emitter, indices = self._emitter(places)
        return emitter.scalar(Read(array, indices))

    def store(self, array: Array, value: Value, *places: Value) -> None:
        """Stores one element."""
        emitter, indices = self._emitter(places)
        emitter.store(array, indices, value)

    def scratch_pointer(self, number: int = 0) -> Value:
        """The begin of a scratch buffer."""
        return self.arguments.pointer(self.scratch[number])

    def pointer(self, buffer: Buffer) -> Value:
        """The begin of a buffer, such as a table."""
        return self.arguments.pointer(buffer)

    def define(self, symbol: Expression, value: Value) -> None:
        """Gives a size its value for the rest of the run."""
        b = self.b
        slots = b.load(b.offset(self.arguments.context, self.number(int(Slot.SIZES)), I64), POINTER)
        b.store(b.offset(slots, self.arguments.size(f"slot of {symbol}"), I64), value)

    def fail(self, code: ErrorCode, *details: Value) -> None:
        """Reports an error of the run."""
        self.arguments.fail(code, *details)

    # -- loops -------------------------------------------------------------------------------------------------
    @contextlib.contextmanager
    def each_block(self) -> Iterator[Value]:
        """The blocks this call has to do."""
        with self.b.loop(self.b.arguments[1], self.b.arguments[2]) as block:
            yield block

    def split(self, index: Value, shape: Sequence[Dimension]) -> list[Value]:
        """A row-major position as one index for each axis."""
        places: list[Value] = []
        for extent in reversed(shape[1:]):
            count = self.size(extent)
            places.insert(0, self.b.unsigned_remainder(index, count))
            index = self.b.unsigned_divide(index, count)
        return [index, *places] if shape else []

    @contextlib.contextmanager
    def nest(self, shape: Sequence[Dimension]) -> Iterator[list[Value]]:
        """Loops over all indices below `shape`, row-major."""
        with contextlib.ExitStack() as stack:
            yield [stack.enter_context(self.b.loop(self.number(0), self.size(extent))) for extent in shape]

    def kernel(self) -> Kernel:
        """The finished kernel."""
        self.b.ret()
        written = [self.layouts.view(array).buffer for array in self.written] + self.scratch
        return Kernel(
            "kernel", self.module.text(), self.buffers, [Symbol(name) for name in self.sizes], self.blocks, self.work,
            written, "routine", symbol_slots=self.symbols,
        )  # fmt: skip


Page = Callable[[Routine, LayoutPlanner, Target], list[Kernel]]


def scratch_buffer(dtype: DataType, size: Dimension) -> Buffer:
    """Memory that one kernel needs for itself."""
    return Buffer("arena", dtype, size, label="scratch")


def table_buffer(data: np.ndarray, label: str) -> Buffer:
    """A constant table of a kernel."""
    constant = Constant(Tensor.of(np.ascontiguousarray(data)))
    return Buffer("constant", constant.dtype, int(data.size), 0, constant, label=label)
