"""Which kernels make a contraction: with vectors or with tiles, with operands packed for the run, or sum by sum."""

from __future__ import annotations

from onward.compiler.layout import LayoutPlanner
from onward.compiler.roots import Root
from onward.compiler.schedule.growth import carrier_of
from onward.compiler.schedule.kernel import Kernel
from onward.compiler.schedule.matrix import MatrixSchedule
from onward.compiler.schedule.nest import NestSchedule
from onward.compiler.schedule.products import tile_product_of
from onward.compiler.schedule.tiled import TiledSchedule, can_have_tiles, is_worth_it
from onward.compiler.steps import ContractionStep, Nest, row_nest
from onward.compiler.targets import Target
from onward.ir.expressions import Dimension, floor_divide, minimum
from onward.program.array import Array

FEW_ROWS = 4
"""With fewer rows, keys are better multiplied where they lie: 2 rows times 1024 keys of 64 take half the time, 4 rows about the same (measured)."""


def contraction_kernels(step: ContractionStep, layouts: LayoutPlanner, target: Target) -> list[Kernel]:
    """The kernel of one contraction with its epilogue, after those that pack operands, if that is done for the run.

    It is not worth it for few rows where the operand lies along the reduction, as keys do: each result is a sum of its own then. Which of
    both it is, the run says where it alone knows the number of rows: what is not wanted has no blocks. So it is with the kernel
    that copies an operand which grows (`growth.py`).
    """
    root, schedule = step.root, schedule_of(step.root, layouts, target)
    kernel = schedule.kernel()
    packing = schedule.packing_kernels()
    shares: list[tuple[Kernel, Dimension]] = [(item, 1) for item in (*packing, kernel)]
    if packing and schedule.lies_along_reduction():
        sums = NestSchedule(row_nest(root), layouts, target, {root.array}).kernel()
        many = minimum(1, floor_divide(schedule.row_count, FEW_ROWS))
        shares = [*((item, many) for item, _ in shares), (sums, 1 - many)]
    return _shared(shares, _carrying_kernel(root, schedule))


def nest_kernels(nest: Nest, layouts: LayoutPlanner, target: Target, needed: set[Array]) -> list[Kernel]:
    """The kernel of maps and row reductions. Where a sum of products copies an operand that grows, the run may choose between two."""
    carriers = [carrier_of(stage.root, layouts) if stage.kind == "row" else None for stage in nest.stages]
    carrier = next((carrier for stage, carrier in zip(nest.stages, carriers) if carrier is not None and list(stage.inner) == [carrier.read.indices[-1]]), None)
    carrying = None if carrier is None else NestSchedule(nest.copy(), layouts, target, needed, carrier).kernel()
    return _shared([(NestSchedule(nest, layouts, target, needed).kernel(), 1)], carrying)


def _carrying_kernel(root: Root, schedule: MatrixSchedule) -> Kernel | None:
    """The kernel for a single row that copies its right operand: sum by sum along the last axis, or all sums along the axis that grows."""
    layouts, target, carrier = schedule.layouts, schedule.target, carrier_of(root, schedule.layouts)
    if carrier is None or carrier.read.array is not schedule.right.array:
        return None
    if schedule.packed and schedule.lies_along_reduction() and schedule.inner == [carrier.read.indices[-1]]:
        return NestSchedule(row_nest(root), layouts, target, {root.array}, carrier).kernel()
    if not schedule.packed and schedule.inner == [carrier.read.indices[carrier.growth.axis]]:
        return MatrixSchedule(root, layouts, target, carrier).kernel()
    return None


def _shared(shares: list[tuple[Kernel, Dimension]], carrying: Kernel | None) -> list[Kernel]:
    """The kernels with their shares, numbers that are 1 or 0. One that carries a copy may take the place of the last, which is for a single row."""
    if carrying is not None and carrying.carrier is not None:
        single, share = shares.pop()
        shares += [(single, share - carrying.carrier.share), (carrying, carrying.carrier.share)]
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
