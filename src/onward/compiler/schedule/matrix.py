"""Contractions as kernels (provisional: plain nests)."""

from __future__ import annotations

from onward.compiler.layout import LayoutPlanner
from onward.compiler.schedule.kernel import Kernel
from onward.compiler.schedule.nest import NestSchedule
from onward.compiler.steps import ContractionStep, Nest, Stage
from onward.compiler.targets import Target


def contraction_kernels(step: ContractionStep, layouts: LayoutPlanner, target: Target) -> list[Kernel]:
    """The kernels of a contraction."""
    root = step.root
    extents = {str(v): e for v, e in zip((*root.variables, *root.reduction), (*root.shape, *root.extents))}
    nest = Nest(list(root.variables), extents, None, [Stage(root, "lane", root.variables, root.reduction, root.body, root.reduce_body)])
    return [NestSchedule(nest, layouts, target, {root.array}).kernel()]
