"""Checked code: every access to a buffer is compared with the buffer's ends (`ONWARD_CHECKED=1`).

Pointers remember which buffer they were made from. A wrong access fails the run with OUT_OF_BOUNDS_ACCESS: it is an error
of the compiler, which indices in data never cause. Pointers that pass through a call of an inner function are not followed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onward.compiler.builder import Builder
    from onward.compiler.values import Type, Value


class Bounds:
    """The ends of buffers, for the pointers of one function."""

    def __init__(self, builder: Builder) -> None:
        self.b = builder
        self.ends: dict[str, tuple[Value, Value]] = {}
        self.report: Callable[[Value, Value, Value], None] = lambda address, first, last: None
        """What a wrong access calls with its address, and the buffer's first address and the one behind its last."""

    def protect(self, pointer: Value, size: Value) -> None:
        """Declares that `size` bytes lie at the pointer."""
        first = self._address(pointer)
        self.ends[str(pointer)] = (first, first + size)

    def follow(self, pointer: Value, derived: Value) -> None:
        """Declares that a pointer points into what another one points into."""
        if str(pointer) in self.ends:
            self.ends[str(derived)] = self.ends[str(pointer)]

    def check(self, pointer: Value, kind: Type, mask: Value | None) -> None:
        """Before an access to a value of that type, of whose lanes only those in the mask count."""
        ends = self.ends.get(str(pointer))
        if ends is None:
            return
        b, address = self.b, self._address(pointer)
        bytes_of_lane = max(1, kind.with_lanes(1).bits // 8)
        if mask is None:
            self._compare(address, address + b.constant(address.type, bytes_of_lane * kind.lanes), ends)
            return
        used = self._used(mask)
        size = b.constant(address.type, bytes_of_lane)
        none = used == b.constant(used.type, 0)
        lowest = b.intrinsic("llvm.cttz.i64", used.type, used, b.constant(_bit(mask), 0))
        leading = b.intrinsic("llvm.ctlz.i64", used.type, used, b.constant(_bit(mask), 0))
        begin = address + lowest * size
        end = address + (b.constant(used.type, 64) - leading) * size
        self._compare(b.select(none, ends[0], begin), b.select(none, ends[0], end), ends)

    def check_each(self, pointer: Value, indices: Value, kind: Type, mask: Value | None) -> None:
        """Before an access to the elements at `indices`."""
        ends = self.ends.get(str(pointer))
        if ends is None:
            return
        b = self.b
        for lane in range(indices.type.lanes):
            number = b.extract(indices, lane)
            place = b.cast(number, ends[0].type)
            size = b.constant(place.type, max(1, kind.with_lanes(1).bits // 8))
            begin = self._address(pointer) + place * size
            end = begin + size
            if mask is not None:
                used = b.extract(mask, lane)
                begin, end = b.select(used, begin, ends[0]), b.select(used, end, ends[0])
            self._compare(begin, end, ends)

    def _compare(self, begin: Value, end: Value, ends: tuple[Value, Value]) -> None:
        b, (first, last) = self.b, ends
        wrong = b.bitwise_or(b.unsigned_less(begin, first), b.unsigned_less(last, end))
        with b.when(wrong):
            self.report(begin, first, last)

    def _used(self, mask: Value) -> Value:
        from onward.compiler.values import Type

        b = self.b
        bits = b.bitcast(mask, Type(f"i{mask.type.lanes}"))
        return b.cast(bits, Type("i64"), signed=False) if mask.type.lanes != 64 else bits

    def _address(self, pointer: Value) -> Value:
        from onward.compiler.values import I64

        return self.b.bitcast(pointer, I64)


def _bit(mask: Value) -> Type:
    return mask.type.with_lanes(1)
