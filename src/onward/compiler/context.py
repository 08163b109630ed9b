"""The context of a run: the one struct through which generated code meets the outside world.

An array of 64-bit slots. Nothing else is shared between the code and its host, be it Python or a C program.
"""

from __future__ import annotations

from enum import IntEnum

from onward.compiler.builder import Builder
from onward.compiler.values import I32, I64, POINTER, Value


class Slot(IntEnum):
    """Positions in the context, in 64-bit words.

    - PARALLEL_FOR: void(ptr context, ptr kernel, ptr arguments, i64 blocks)
    - ALLOCATE: ptr(ptr context, i64 bytes), memory that lives until the run's end; null when there is none
    - FAIL: void(ptr context, i32 code, i64 a, i64 b, i64 c), keeps the first error in STATUS and DETAIL_*
    - NOW: i64(), nanoseconds
    - SIZES: the sizes of the run, for kernels that define some
    - STOP: address of a word that is not 0 once the run shall end
    - MOST_TURNS: the most turns of a loop that has no known end, 0 for any number
    - PROFILE: where a profiling entry stores two timestamps for each launch
    """

    ARENA = 0
    WEIGHTS = 1
    POOL = 2
    PARALLEL_FOR = 3
    ALLOCATE = 4
    FAIL = 5
    STATUS = 6
    KERNEL = 7
    DETAIL_A = 8
    DETAIL_B = 9
    DETAIL_C = 10
    NOW = 11
    PROFILE = 12
    SIZES = 13
    STOP = 14
    MOST_TURNS = 15
    COUNT = 16


class Status(IntEnum):
    """What a run returns."""

    OK = 0
    INDEX_OUT_OF_BOUNDS = 1
    TERMINATED = 2
    OUT_OF_MEMORY = 3
    INVALID_SIZE = 4
    TOO_MANY_TURNS = 5
    OUT_OF_BOUNDS_ACCESS = 6
    DIVISION_BY_ZERO = 7


ErrorCode = Status


def emit_fail(b: Builder, context: Value, code: Status, *details: Value) -> None:
    """Calls FAIL with up to three details."""
    function = b.load(b.offset(context, b.constant(I64, int(Slot.FAIL)), I64), POINTER)
    padded = [*details, *[b.constant(I64, 0)] * (3 - len(details))]
    b.call_pointer(function, None, [context, b.constant(I32, int(code)), *padded])
