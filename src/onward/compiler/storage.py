"""Arrays that are stored as another type than their own: left operands of products that take bfloat16.

Whoever writes such an array rounds its elements, and whoever reads them reads what products read; in registers they are float32 as
ever. So nothing is converted twice, and half the bytes are moved.
"""

from __future__ import annotations

from onward.compiler.layout import Buffer
from onward.compiler.plan import Plan
from onward.compiler.schedule.matrix import MatrixSchedule
from onward.compiler.steps import ContractionStep, RoutineStep
from onward.compiler.targets import Target
from onward.ir.datatypes import DataType
from onward.program.array import Array


def round_operands(plan: Plan, target: Target) -> None:
    """Settles which of a plan's own buffers hold bfloat16, before any kernel is made.

    Not those that routines or other products go through, by addresses of their own.
    """
    if not target.multiplies_bfloat16:
        return
    layouts = plan.layouts
    steps = {step.root for step in plan.steps if isinstance(step, ContractionStep)}
    rounded, exact = set[Buffer](), set[Buffer]()

    def buffers(*arrays: Array) -> set[Buffer]:
        return {layouts.view(array).buffer for array in arrays}

    for root in plan.roots:
        if root.contraction is None:
            continue
        left, right = root.contraction.left.array, root.contraction.right.array
        if root in steps and MatrixSchedule(root, layouts, target).product.stored == DataType.BFLOAT16:
            rounded |= buffers(left)
        else:
            exact |= buffers(left, right)
    for step in plan.steps:
        if isinstance(step, RoutineStep):
            exact |= buffers(*step.routine.inputs, *step.routine.results)
    for buffer in rounded - exact - plan.outside:
        if buffer.kind == "arena" and buffer.dtype == DataType.FLOAT:
            buffer.dtype = DataType.BFLOAT16
