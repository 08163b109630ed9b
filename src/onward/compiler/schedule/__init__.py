"""Schedules: how each kind of step becomes kernels."""

from __future__ import annotations

from onward.compiler.layout import LayoutPlanner
from onward.compiler.schedule.borders import border_kernel
from onward.compiler.schedule.contraction import contraction_kernels
from onward.compiler.schedule.kernel import Kernel
from onward.compiler.schedule.lanes import LaneSchedule
from onward.compiler.schedule.moves import copy_kernel
from onward.compiler.schedule.nest import NestSchedule
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
        case Nest():
            schedule = LaneSchedule if step.stages[0].kind == "lane" else NestSchedule
            return [schedule(step, layouts, target, needed).kernel()]
        case ContractionStep():
            return contraction_kernels(step, layouts, target)
        case CopyStep():
            return [copy_kernel(step, layouts, target)]
        case BorderStep():
            return [border_kernel(step, layouts, target)]
        case UpdateStep():
            return update_kernels(step, layouts, target)
    return routine_kernels(step, layouts, target)
