"""Routines: primitives with native code of their own."""

from __future__ import annotations

from onward.compiler.layout import LayoutPlanner
from onward.compiler.schedule.kernel import Kernel
from onward.compiler.steps import RoutineStep
from onward.compiler.targets import Target
from onward.errors import UnsupportedOperator


def routine_kernels(step: RoutineStep, layouts: LayoutPlanner, target: Target) -> list[Kernel]:
    """The kernels of a routine."""
    raise UnsupportedOperator(f"routine {step.routine.name} has no native form")
