"""Copies into another layout: maps that write into a view of their own."""

from __future__ import annotations

from onward.compiler.layout import LayoutPlanner, View, contiguous_strides, reshape_strides
from onward.compiler.roots import Root
from onward.compiler.schedule.kernel import Kernel
from onward.compiler.schedule.nest import NestSchedule
from onward.compiler.steps import CopyStep, Nest, Stage
from onward.compiler.targets import Target
from onward.program.array import Compute, Reshape, compute


def copy_kernel(step: CopyStep, layouts: LayoutPlanner, target: Target) -> Kernel:
    """The elements of the source at their places in the target."""
    copy = compute(step.shape, lambda *position: step.source[tuple(position)])
    home = layouts.view(step.target)
    if isinstance(step.target, Reshape):
        merged, order = step.target.merged, layouts.orders.get(step.target)
        strides = None if merged is None else reshape_strides(step.target.shape, home.strides, step.shape)
        view = View(home.buffer, strides or contiguous_strides(step.shape), home.offset)
        if merged is not None and order is not None:
            layouts.orders[copy] = tuple(part for axis in order for part in merged[axis])
    else:
        view = View(home.buffer, home.strides, home.address(step.shift))
        layouts.orders[copy] = layouts.orders.get(step.target, tuple(range(step.target.rank)))
    return map_into(copy, view, layouts, target)


def map_into(array: Compute, view: View, layouts: LayoutPlanner, target: Target) -> Kernel:
    """A map that writes into a view of its own."""
    layouts.views[array] = view
    root = Root(array, array.variables, array.body)
    extents = {str(variable): extent for variable, extent in zip(array.variables, array.shape)}
    nest = Nest(list(array.variables), extents, None, [Stage(root, "map", array.variables, (), array.body, None)])
    return NestSchedule(nest, layouts, target, {array}).kernel()
