"""One arena for all intermediate values: lifetimes -> offsets.

With static sizes, buffers are placed largest first at the lowest offset that is free for their whole life (greedy by
size). Symbolic sizes share *slots*: a slot is as large as the largest buffer in it at typical sizes, and offsets are sums
of slot sizes, so that the plan is an expression that the entry evaluates before a run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from onward.compiler.layout import Buffer
from onward.ir.expressions import Dimension, Expression, evaluate, maximum

ALIGNMENT = 64
TYPICAL_SIZE = 32
"""What an unknown size is taken for when the plan weighs buffers against each other."""


@dataclass(frozen=True)
class Lifetime:
    """A buffer lives from the step that first writes it to the step that last uses it, both included."""

    buffer: Buffer
    first: int
    last: int
    bytes: Dimension


@dataclass(frozen=True)
class MemoryPlan:
    """Offsets in bytes of every arena buffer, and the arena's size."""

    offsets: Mapping[Buffer, Dimension]
    total: Dimension


def aligned(size: Dimension) -> Dimension:
    """`size` rounded up to the alignment."""
    return (size + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT


def plan_memory(lifetimes: Sequence[Lifetime]) -> MemoryPlan:
    """Offsets for all buffers; no two that live at once overlap."""
    static = [life for life in lifetimes if isinstance(life.bytes, int)]
    symbolic = [life for life in lifetimes if not isinstance(life.bytes, int)]
    offsets: dict[Buffer, Dimension] = {}
    end = _place_static(static, offsets)
    total = _place_symbolic(symbolic, offsets, end)
    return MemoryPlan(offsets, total)


def _place_static(lifetimes: Sequence[Lifetime], offsets: dict[Buffer, Dimension]) -> int:
    placed: list[tuple[int, int, Lifetime]] = []
    for life in sorted(lifetimes, key=lambda item: (-int(item.bytes), item.first)):  # type: ignore[arg-type]
        size = int(aligned(life.bytes))  # type: ignore[arg-type]
        start = 0
        for begin, end, other in placed:  # sorted by begin
            if life.first <= other.last and other.first <= life.last:
                if begin - start >= size:
                    break
                start = max(start, end)
        offsets[life.buffer] = start
        placed.append((start, start + size, life))
        placed.sort(key=lambda item: item[0])
    return max((end for _, end, _ in placed), default=0)


def _place_symbolic(lifetimes: Sequence[Lifetime], offsets: dict[Buffer, Dimension], base: int) -> Dimension:
    slots: list[tuple[list[Lifetime], Dimension]] = []
    for life in sorted(lifetimes, key=lambda item: (-_typical(item.bytes), item.first)):
        size = aligned(life.bytes)
        best = None
        for index, (members, slot_size) in enumerate(slots):
            if all(life.first > other.last or other.first > life.last for other in members):
                grown = maximum(slot_size, size)
                if grown == slot_size:  # never larger than the slot, at any size
                    best = index
                    break
                if best is None and _typical(grown) <= 1.25 * _typical(slot_size):
                    best = index
        if best is None:
            slots.append(([life], size))
        else:
            slots[best] = ([*slots[best][0], life], maximum(slots[best][1], size))
    offset: Dimension = base
    for members, slot_size in slots:
        for member in members:
            offsets[member.buffer] = offset
        offset = offset + slot_size
    return offset


def _typical(size: Dimension) -> int:
    if isinstance(size, Expression):
        return evaluate(size, dict.fromkeys(size.symbols, TYPICAL_SIZE))
    return size
