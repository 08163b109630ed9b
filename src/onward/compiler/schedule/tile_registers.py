"""Registers that hold a matrix: eight tiles of 16 rows of 64 bytes, with an instruction that multiplies two of them.

`AmxRegisters` are those of x86 processors with AMX, by LLVM's intrinsics. `EmulatedRegisters` do the same in memory, number by number as the
processor does, so that everything around them can be tried on every machine. Source: Intel 64 and IA-32 Architectures
Software Developer's Manual, volume 2, TILELOADD, TDPBF16PS and TDPBUSD; volume 1, chapter 18 for the configuration.
"""

from __future__ import annotations

from typing import Protocol

from onward.compiler.builder import Builder, Module
from onward.compiler.schedule.products import sum_of_products
from onward.compiler.targets import Target
from onward.compiler.values import F32, I8, I32, I64, POINTER, Type, Value

ROWS = 16
"""Rows of a tile."""
ROW_BYTES = 64
"""Bytes of a row."""
COUNT = 8
"""Tiles of a processor."""
LANES = ROW_BYTES // 4
"""Numbers of 32 bits in a row."""


class TileRegisters(Protocol):
    """The tiles, by their numbers, from `begin` to `end` in one function."""

    def begin(self) -> None:
        """Makes them ready; their content is not known."""
        ...

    def clear(self, tile: int) -> None:
        """Zeros."""
        ...

    def load(self, tile: int, pointer: Value, step: int) -> None:
        """Rows from memory, `step` bytes apart."""
        ...

    def store(self, tile: int, pointer: Value, step: int) -> None:
        """Rows to memory."""
        ...

    def multiply(self, instruction: str, total: int, left: int, right: int) -> None:
        """total += left * right, where a row of `right` holds the groups of a step of the reduction, a group for each column."""
        ...

    def end(self) -> None:
        """Gives them back."""
        ...


def tile_registers(b: Builder, target: Target) -> TileRegisters:
    """Those of a target that has some."""
    return AmxRegisters(b) if target.tiles == "amx" else EmulatedRegisters(b)


class AmxRegisters:
    """Those of the processor."""

    def __init__(self, b: Builder) -> None:
        self.b = b

    def begin(self) -> None:
        """All tiles of full size: palette 1, then the bytes of a row and the number of rows of each tile."""
        unused = [0] * 8
        sizes = [byte for _ in range(COUNT) for byte in (ROW_BYTES, 0)] + [0] * 16 + [ROWS] * COUNT + unused
        name = self.b.module.data("tile_sizes", I8, [1, 0, *[0] * 14, *sizes])
        self.b.intrinsic("llvm.x86.ldtilecfg", None, Value(self.b, POINTER, name))

    def clear(self, tile: int) -> None:
        """`tilezero`."""
        self.b.intrinsic("llvm.x86.tilezero", None, self._number(tile))

    def load(self, tile: int, pointer: Value, step: int) -> None:
        """`tileloadd`."""
        self.b.intrinsic("llvm.x86.tileloadd64", None, self._number(tile), pointer, self.b.constant(I64, step))

    def store(self, tile: int, pointer: Value, step: int) -> None:
        """`tilestored`."""
        self.b.intrinsic("llvm.x86.tilestored64", None, self._number(tile), pointer, self.b.constant(I64, step))

    def multiply(self, instruction: str, total: int, left: int, right: int) -> None:
        """`tdpbf16ps` or `tdpbusd`."""
        self.b.intrinsic(f"llvm.x86.{instruction}", None, *map(self._number, (total, left, right)))

    def end(self) -> None:
        """`tilerelease`: a thread without tiles has less to be saved."""
        self.b.intrinsic("llvm.x86.tilerelease", None)

    def _number(self, tile: int) -> Value:
        return self.b.constant(I8, tile)


class EmulatedRegisters:
    """Tiles in memory, and functions that do to them what the instructions do."""

    def __init__(self, b: Builder) -> None:
        self.b = b

    def begin(self) -> None:
        """Memory of this call."""
        self.memory = self.b.allocate_stack(I8, COUNT * ROWS * ROW_BYTES, 64)

    def clear(self, tile: int) -> None:
        """Zeros."""
        with self.b.loop(self._integer(0), self._integer(ROWS)) as row:
            self.b.store(_row(self.b, self._tile(tile), row, ROW_BYTES), self.b.constant(Type("i32", LANES), 0), 4)

    def load(self, tile: int, pointer: Value, step: int) -> None:
        """Row by row."""
        self._copy(self._tile(tile), ROW_BYTES, pointer, step)

    def store(self, tile: int, pointer: Value, step: int) -> None:
        """Row by row."""
        self._copy(pointer, step, self._tile(tile), ROW_BYTES)

    def multiply(self, instruction: str, total: int, left: int, right: int) -> None:
        """A call of a function of this module."""
        if all(function.name != instruction for function in self.b.module.functions):
            _EMULATED[instruction](self.b.module)
        self.b.call(instruction, *map(self._tile, (total, left, right)))

    def end(self) -> None:
        """There is nothing to give back."""

    def _tile(self, number: int) -> Value:
        return self.b.offset(self.memory, self._integer(number * ROWS * ROW_BYTES), I8)

    def _copy(self, target: Value, step: int, source: Value, source_step: int) -> None:
        with self.b.loop(self._integer(0), self._integer(ROWS)) as row:
            value = self.b.load(_row(self.b, source, row, source_step), Type("i32", LANES), 1)
            self.b.store(_row(self.b, target, row, step), value, 1)

    def _integer(self, value: int) -> Value:
        return self.b.constant(I64, value)


def _row(b: Builder, pointer: Value, row: Value, step: int) -> Value:
    return b.offset(pointer, row * b.constant(I64, step), I8)


def _emulate_bfloat16(module: Module) -> None:
    """void tdpbf16ps(ptr total, ptr left, ptr right): the even and the odd places of a row are summed by themselves; subnormal numbers are 0."""
    b = module.function("tdpbf16ps", [("total", POINTER), ("left", POINTER), ("right", POINTER)], internal=True)
    total, left, right = b.arguments
    floats, pairs = F32.with_lanes(LANES), I32.with_lanes(LANES)

    def flushed(value: Value) -> Value:
        return b.select(b.absolute(value) < b.constant(floats, 2.0**-126), b.constant(floats, 0), value)

    def halves(pair: Value) -> tuple[Value, Value]:
        low, high = pair << b.constant(pairs, 16), pair & b.constant(pairs, -1 << 16)
        return flushed(b.bitcast(low, floats)), flushed(b.bitcast(high, floats))

    with b.loop(b.constant(I64, 0), b.constant(I64, ROWS)) as row:
        sums = [b.variable(b.constant(floats, 0)) for _ in range(2)]
        with b.loop(b.constant(I64, 0), b.constant(I64, ROWS)) as step:
            pair = b.load(b.offset(_row(b, left, row, ROW_BYTES), step, I32), I32)
            column = b.load(_row(b, right, step, ROW_BYTES), pairs, 4)
            for part, first, second in zip(sums, halves(b.splat(pair, LANES)), halves(column)):
                part.set(flushed(b.fma(first, second, part.get())))
        place = _row(b, total, row, ROW_BYTES)
        added = flushed(sums[0].get() + sums[1].get())
        b.store(place, flushed(flushed(b.load(place, floats, 4)) + added), 4)
    b.ret()


def _emulate_bytes(module: Module) -> None:
    """void tdpbusd(ptr total, ptr left, ptr right): bytes of the left tile are unsigned, those of the right one signed."""
    b = module.function("tdpbusd", [("total", POINTER), ("left", POINTER), ("right", POINTER)], internal=True)
    total, left, right = b.arguments
    numbers = I32.with_lanes(LANES)
    with b.loop(b.constant(I64, 0), b.constant(I64, ROWS)) as row:
        place = _row(b, total, row, ROW_BYTES)
        added = b.variable(b.load(place, numbers, 4))
        with b.loop(b.constant(I64, 0), b.constant(I64, ROWS)) as step:
            group = b.load(b.offset(_row(b, left, row, ROW_BYTES), step, I32), I32)
            added.set(sum_of_products(b, added.get(), b.splat(group, LANES), b.load(_row(b, right, step, ROW_BYTES), numbers, 4)))
        b.store(place, added.get(), 4)
    b.ret()


_EMULATED = {"tdpbf16ps": _emulate_bfloat16, "tdpbusd": _emulate_bytes}
