"""top_k: the first elements of a stable sort along the last axis."""

from __future__ import annotations

from onward.compiler.builder import Builder
from onward.compiler.layout import LayoutPlanner
from onward.compiler.operations import emit_operation
from onward.compiler.schedule.imperative import Imperative, scratch_buffer
from onward.compiler.schedule.kernel import Kernel
from onward.compiler.targets import Target
from onward.compiler.values import I64, Value
from onward.ir.datatypes import DataType
from onward.ir.expressions import product
from onward.program.array import Routine


def top_k(routine: Routine, layouts: LayoutPlanner, target: Target) -> list[Kernel]:
    """A merge sort of positions, a block a row. NaN counts as the largest; equal elements keep their order."""
    (source,), (values, positions) = routine.inputs, routine.results
    outer, length = source.shape[:-1], source.shape[-1]
    scratch = scratch_buffer(DataType.INT64, product(outer) * length * 2 + 1)
    k = Imperative(layouts, target, [source], [values, positions], blocks=product(outer), scratch=[scratch])
    b = k.b
    extent = k.size(length)
    with k.each_block() as block:
        places = k.split(block, outer)
        first = b.offset(k.scratch_pointer(), block * extent * k.number(2), I64)
        second = b.offset(first, extent, I64)
        with b.loop(k.number(0), extent) as place:
            b.store(b.offset(first, place, I64), place)

        def goes_before(left: Value, right: Value) -> Value:
            elements = [k.read(source, *places, place) for place in (left, right)]
            return _better(b, elements[0], elements[1], source.dtype, bool(routine.attributes["largest"]))

        ordered = _merge_sort(k, first, second, extent, goes_before)
        with b.loop(k.number(0), k.size(values.shape[-1])) as rank:
            place = b.load(b.offset(ordered, rank, I64), I64)
            k.store(values, k.read(source, *places, place), *places, rank)
            k.store(positions, place, *places, rank)
    return [k.kernel()]


def _better(b: Builder, left: Value, right: Value, dtype: DataType, largest: bool) -> Value:
    result = emit_operation(b, "greater" if largest else "less", [left, right], dtype)
    if dtype.is_float:
        top, low = (left, right) if largest else (right, left)
        undefined = emit_operation(b, "is_nan", [top], dtype)
        defined = b.invert(emit_operation(b, "is_nan", [low], dtype))
        result = b.bitwise_or(result, b.bitwise_and(undefined, defined))
    return result


def _merge_sort(k: Imperative, first: Value, second: Value, extent: Value, goes_before: object) -> Value:
    """Sorts the numbers at `first` with the help of as much memory at `second`; gives where they ended up."""
    b = k.b
    source, target = b.variable(first), b.variable(second)
    width = b.variable(k.number(1))
    with b.repeat(lambda: width.get() < extent):
        step = width.get() + width.get()
        with b.loop(k.number(0), extent, step) as low:
            _merge(k, source.get(), target.get(), low, width.get(), extent, goes_before)
        kept = source.get()
        source.set(target.get())
        target.set(kept)
        width.set(step)
    return source.get()


def _merge(k: Imperative, source: Value, target: Value, low: Value, width: Value, extent: Value, goes_before: object) -> None:
    b = k.b

    def least(left: Value, right: Value) -> Value:
        return b.select(left < right, left, right)

    middle, high = least(low + width, extent), least(low + width + width, extent)
    left, right = b.variable(low), b.variable(middle)
    with b.loop(low, high) as place:
        # Both runs are read, even past their end, at a place that exists: the choice below then ignores what was read.
        left_item = b.load(b.offset(source, least(left.get(), extent - k.number(1)), I64), I64)
        right_item = b.load(b.offset(source, least(right.get(), extent - k.number(1)), I64), I64)
        right_wins = goes_before(right_item, left_item)  # type: ignore[operator]
        take_right = b.bitwise_and(right.get() < high, b.bitwise_or(left.get() >= middle, right_wins))
        b.store(b.offset(target, place, I64), b.select(take_right, right_item, left_item))
        one, zero = k.number(1), k.number(0)
        right.set(right.get() + b.select(take_right, one, zero))
        left.set(left.get() + b.select(take_right, zero, one))
