"""Routines as kernels."""

from __future__ import annotations

from onward.compiler.layout import LayoutPlanner
from onward.compiler.schedule.kernel import Kernel
from onward.compiler.steps import RoutineStep
from onward.compiler.targets import Target
from onward.errors import UnsupportedOperator


def routine_kernels(step: RoutineStep, layouts: LayoutPlanner, target: Target) -> list[Kernel]:
    """The kernels of a routine, in order. The first defines the sizes that the others and the results depend on."""
    from onward.compiler.routines import ROUTINES  # the pages are written with what this room exports

    page = ROUTINES.get(step.routine.name)
    if page is None:
        raise UnsupportedOperator(f"the routine '{step.routine.name}' has no native code")
    return page(step.routine, layouts, target)
