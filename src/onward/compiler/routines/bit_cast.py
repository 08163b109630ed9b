"""bit_cast: elements whose bits are read as another data type."""

from __future__ import annotations

from onward.compiler.layout import LayoutPlanner
from onward.compiler.operations import compute_type
from onward.compiler.schedule.imperative import Imperative
from onward.compiler.schedule.kernel import Kernel
from onward.compiler.targets import Target
from onward.ir.datatypes import DataType
from onward.ir.expressions import product
from onward.program.array import Routine


def bit_cast(routine: Routine, layouts: LayoutPlanner, target: Target) -> list[Kernel]:
    """One block for each element."""
    (source,), (result,) = routine.inputs, routine.results
    k = Imperative(layouts, target, [source], [result], blocks=product(source.shape))
    b = k.b
    with k.each_block() as block:
        places = k.split(block, source.shape)
        value = k.read(source, *places)
        if DataType.BOOL in (source.dtype, result.dtype):  # a bit in a register, a byte in memory
            value = b.cast(value, compute_type(DataType.UINT8), signed=False)
            value = value != b.constant(value.type, 0) if result.dtype == DataType.BOOL else value
        if value.type != compute_type(result.dtype):
            value = b.bitcast(value, compute_type(result.dtype))
        k.store(result, value, *places)
    return [k.kernel()]
