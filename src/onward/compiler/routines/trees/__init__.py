"""tree_ensemble: decision trees as tables.

Shallow and small trees are evaluated without following a path (`binned.py`): features become bytes, every node of a tree
compares 64 bytes at once, and masks say which lanes reach which leaf. Of symmetric trees one comparison a level is enough, and they may be deep.
Lanes are 64 rows, or 64 trees for a few rows.
All other trees, and all trees for a few rows, are walked, several trees at a time (`walked.py`). Sums are taken one tree after another, so
that they do not depend on lanes, threads or the processor.

Sources: Lucchese et al. 2015 (QuickScorer: comparisons in place of branches); Prasad et al. 2022 (Treebeard).
"""

from __future__ import annotations

from onward.compiler.layout import LayoutPlanner
from onward.compiler.routines.trees.binned import MOST_OUTPUTS, Binned
from onward.compiler.routines.trees.bins import Binning, bin_trees
from onward.compiler.routines.trees.rows import ROWS, Rows
from onward.compiler.routines.trees.shapes import CompleteTrees, LeafMasks, SymmetricTrees
from onward.compiler.routines.trees.walked import Walked
from onward.compiler.schedule.imperative import Imperative
from onward.compiler.schedule.kernel import Kernel
from onward.compiler.targets import Target
from onward.ir.expressions import ceiling_divide
from onward.program.array import Routine
from onward.program.trees import Trees


def tree_ensemble(routine: Routine, layouts: LayoutPlanner, target: Target) -> list[Kernel]:
    """One kernel, whose blocks are groups of rows."""
    (x,), (result,) = routine.inputs, routine.results
    trees: Trees = routine.attributes["trees"]
    way = _way(trees, target)
    blocks = ceiling_divide(x.shape[0], way.rows)
    k = Imperative(layouts, target, [x], [result], blocks=blocks, tables=way.tables)
    rows, block_rows = Rows(k, x, result, trees), k.number(way.rows)
    begin, end = (bound * block_rows for bound in k.b.arguments[1:])
    way.emit(k, rows, begin, k.b.select(end < rows.count, end, rows.count))
    kernel = k.kernel()
    kernel.work = x.shape[0] * len(trees.roots) * 8
    return [kernel]


def _way(trees: Trees, target: Target) -> Binned | Walked:
    """The way that takes the fewest cycles."""
    bins = bin_trees(trees) if trees.outputs <= MOST_OUTPUTS else None
    if bins is None:
        return Walked(trees)
    shapes: list[type[CompleteTrees | SymmetricTrees | LeafMasks]] = [SymmetricTrees, CompleteTrees, LeafMasks]
    shape = min(shapes, key=lambda shape: shape.cost(trees, bins))
    count = len(trees.roots)
    cycles = (Binning.CYCLES * len(bins.feature) + shape.cost(trees, bins) * count) * 512 / target.vector_bits
    if cycles > Walked.CYCLES * ROWS * float(trees.depths.mean()) * count:
        return Walked(trees)
    return Binned(trees, bins, shape(trees, bins), target)
