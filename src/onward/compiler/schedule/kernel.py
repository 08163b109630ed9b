"""What every kernel has in common: its arguments, its code, and what is known of it.

A kernel is `void kernel(ptr arguments, i64 begin, i64 end)`. `arguments` points to 64-bit slots: the pointers of the
buffers in `Kernel.buffers`, then the sizes in `Kernel.sizes`, then the context. `[begin, end)` are independent blocks.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from onward.compiler.builder import Builder
from onward.compiler.context import ErrorCode, emit_fail
from onward.compiler.growth import Growth
from onward.compiler.layout import Buffer
from onward.compiler.memory import aligned
from onward.compiler.schedule.growth import Carrier
from onward.compiler.values import Type, Value
from onward.ir.expressions import Dimension

POINTER = Type("ptr")
I64 = Type("i64")


@dataclass(eq=False)
class Kernel:
    """A kernel's code and how to launch it.

    `function` names a function in `text`, an LLVM module of its own; kernels with equal text share code. `work` estimates
    the launch in simple operations: small launches stay on the calling thread.
    """

    function: str
    text: str
    buffers: list[Buffer]
    sizes: list[Dimension]
    blocks: Dimension
    work: Dimension
    written: list[Buffer]
    kind: str
    origins: tuple[str, ...] = ()
    flops: Dimension = 0
    symbol_slots: list[str] = field(default_factory=list)
    """Sizes the kernel defines; the number of each one's slot follows the sizes in the arguments."""
    parts: list[Kernel] = field(default_factory=list)
    """Kernels that this one calls."""
    apart: tuple[Buffer, Buffer] | None = None
    """An input of the model and the output it is copied to: one memory may serve as both, and then this is not launched."""
    together: tuple[Buffer, Buffer] | None = None
    """The same: where one memory does, this is launched, and not otherwise."""
    copied: Growth | None = None
    """What this copies the source of. It is not launched where another kernel carries that along."""
    carrier: Carrier | None = None
    """What this carries along."""
    seldom: list[Buffer] = field(default_factory=list)
    """Buffers that hardly any run reads."""

    def name_by_text(self) -> None:
        """Gives the function the hash of its text for a name, so that equal ones are compiled once."""
        name = f"{self.kind}_{hashlib.sha256(self.text.encode()).hexdigest()[:20]}"
        self.text = self.text.replace(f"@{self.function}(", f"@{name}(")
        self.function = name

    @property
    def slots(self) -> int:
        """How many arguments it may have, the ends of buffers in checked code included."""
        return 2 * len(self.buffers) + len(self.sizes) + len(self.symbol_slots) + 1

    @property
    def read(self) -> list[Buffer]:
        """Buffers that are only read."""
        return [buffer for buffer in self.buffers if buffer not in self.written]


def touched_bytes(buffer: Buffer) -> Dimension:
    """What may be touched: of inputs and outputs their elements alone, of our own memory whole cache lines."""
    return buffer.bytes if buffer.kind in ("input", "output") else aligned(buffer.bytes)


class Arguments:
    """Access to a kernel's arguments from inside. Everything is loaded at the kernel's entry."""

    def __init__(self, b: Builder, slots: Value, buffers: Sequence[Buffer], sizes: Iterable[str]) -> None:
        self.b = b
        self.buffers = list(buffers)
        self.sizes = list(sizes)
        self._pointers: dict[Buffer, Value] = {}
        self._sizes: dict[str, Value] = {}
        for position, buffer in enumerate(self.buffers):
            self._pointers[buffer] = b.load(b.offset(slots, b.constant(I64, position), I64), POINTER, invariant=True)
        for position, name in enumerate(self.sizes, len(self.buffers)):
            self._sizes[name] = b.load(b.offset(slots, b.constant(I64, position), I64), I64, invariant=True)
        last = len(self.buffers) + len(self.sizes)
        self.context = b.load(b.offset(slots, b.constant(I64, last), I64), POINTER, invariant=True)
        if b.bounds is not None:
            self._protect(b, slots, last + 1)

    def _protect(self, b: Builder, slots: Value, place: int) -> None:
        """Checked code finds the bytes of each buffer behind the other arguments."""
        assert b.bounds is not None
        for position, buffer in enumerate(self.buffers, place):
            size = b.load(b.offset(slots, b.constant(I64, position), I64), I64, invariant=True)
            b.bounds.protect(self._pointers[buffer], size)
        b.bounds.report = lambda *details: self.fail(ErrorCode.OUT_OF_BOUNDS_ACCESS, *details)

    def pointer(self, buffer: Buffer) -> Value:
        """The first element of a buffer."""
        return self._pointers[buffer]

    def size(self, name: str) -> Value:
        """The value of a size symbol."""
        return self._sizes[name]

    def fail(self, code: ErrorCode, *details: Value) -> None:
        """Reports an error of the run; the kernel goes on with harmless data."""
        emit_fail(self.b, self.context, code, *details)
