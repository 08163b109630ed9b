"""Which kernels make a contraction: with vectors or with tiles, with operands packed for the run, or sum by sum."""

from __future__ import annotations

from onward.compiler.layout import LayoutPlanner
from onward.compiler.roots import Root
from onward.compiler.schedule.kernel import Kernel
from onward.compiler.schedule.matrix import MatrixSchedule
from onward.compiler.schedule.nest import NestSchedule
from onward.compiler.schedule.products import tile_product_of
from onward.compiler.schedule.tiled import TiledSchedule, can_have_tiles, is_worth_it
from onward.compiler.steps import ContractionStep, row_nest
from onward.compiler.targets import Target
from onward.ir.expressions import floor_divide, minimum

FEW_ROWS = 4
"""With fewer rows, keys are better multiplied where they lie: 2 rows times 1024 keys of 64 take half the time, 4 rows about the same (measured)."""


def contraction_kernels(step: ContractionStep, layouts: LayoutPlanner, target: Target) -> list[Kernel]:
    """The kernel of one contraction with its epilogue, after those that pack operands, if that is done for the run.

    It is not worth it for few rows where the operand lies along the reduction, as keys do: each result is a sum of its own then. Which of
    both it is, the run says where it alone knows the number of rows: what is not wanted has no blocks.
    """
    schedule = schedule_of(step.root, layouts, target)
    kernel = schedule.kernel()
    packing = schedule.packing_kernels()
    if not packing or not schedule.lies_along_reduction():
        return [*packing, kernel]
    sums = NestSchedule(row_nest(step.root), layouts, target, {step.root.array}).kernel()
    many = minimum(1, floor_divide(schedule.row_count, FEW_ROWS))
    shares = [*((item, many) for item in (*packing, kernel)), (sums, 1 - many)]
    for item, share in shares:
        item.blocks, item.work = item.blocks * share, item.work * share
    return [item for item, _ in shares if item.blocks != 0]


def schedule_of(root: Root, layouts: LayoutPlanner, target: Target) -> MatrixSchedule:
    """The schedule of a contraction: with tiles where the target has some and they suit it."""
    schedule = MatrixSchedule(root, layouts, target)
    product = tile_product_of(schedule.left.dtype, schedule.right.dtype, target)
    if product is None or not can_have_tiles(schedule, product) or not is_worth_it(schedule, product):
        return schedule
    return TiledSchedule(root, layouts, target, product)
