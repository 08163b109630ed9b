"""Schedules: how each kind of step becomes kernels."""

from __future__ import annotations

from onward.compiler.layout import LayoutPlanner
from onward.compiler.schedule.borders import border_kernel
from onward.compiler.schedule.contraction import contraction_kernels, nest_kernels
from onward.compiler.schedule.kernel import Kernel
from onward.compiler.schedule.lanes import LaneSchedule
from onward.compiler.schedule.moves import copy_kernel
from onward.compiler.schedule.routine import routine_kernels
from onward.compiler.schedule.updates import update_kernels
from onward.compiler.steps import BlockStep, BorderStep, ContractionStep, CopyStep, Nest, Step, UpdateStep
from onward.compiler.targets import Target
from onward.program.array import Array


def schedule_step(step: Step, layouts: LayoutPlanner, target: Target, needed: set[Array]) -> list[Kernel]:
    """The kernels of one step, in order. `needed` are the arrays that other steps read.

    A step in blocks is made of the kernels of others, so whoever plans those puts it together (`schedule/blocks.py`).
    """
    assert not isinstance(step, BlockStep)
    match step:
        case Nest() if step.stages[0].kind == "lane":
            return [LaneSchedule(step, layouts, target, needed).kernel()]
        case Nest():
            return nest_kernels(step, layouts, target, needed)
        case ContractionStep():
            return contraction_kernels(step, layouts, target)
        case CopyStep():
            kernel = copy_kernel(step, layouts, target)
            growth = layouts.growths.get(step.target)
            kernel.copied = growth if growth is not None and growth.source is step.source else None
            return [kernel]
        case BorderStep():
            return [border_kernel(step, layouts, target)]
        case UpdateStep():
            return update_kernels(step, layouts, target)
    return routine_kernels(step, layouts, target)
