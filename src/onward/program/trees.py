"""Decision trees as tables: what the routine `tree_ensemble` walks through."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from onward.program.routines import evaluator


@dataclass(frozen=True, eq=False)
class Trees:
    """Nodes of all trees, numbered together.

    A row goes to `yes` where low <= x[feature] <= high, or where that is NaN and `missing` says so; else to `no`. Both
    are the node itself for a leaf. Trees begin at `roots`. A leaf adds `values` (nodes, 1) to the target of its tree
    (`targets`), or (nodes, outputs) to all when `targets` is None. `combine` is sum, min or max, in the order of the trees.
    """

    feature: np.ndarray
    low: np.ndarray
    high: np.ndarray
    yes: np.ndarray
    no: np.ndarray
    missing: np.ndarray
    roots: np.ndarray
    values: np.ndarray
    targets: np.ndarray | None
    outputs: int
    combine: str
    depths: np.ndarray
    """The number of levels below each root."""


START = {"sum": 0.0, "min": np.inf, "max": -np.inf}
"""What each way of combining leaves begins with."""


@evaluator("tree_ensemble")
def tree_ensemble(attributes: Mapping[str, Any], x: np.ndarray) -> tuple[np.ndarray, ...]:
    """The combined leaves of each row of x (N, F), (N, outputs)."""
    trees: Trees = attributes["trees"]
    place = np.broadcast_to(trees.roots, (len(x), len(trees.roots)))
    for _ in range(int(trees.depths.max(initial=0))):
        element = np.take_along_axis(x, trees.feature[place].astype(np.int64), 1)
        holds = (element >= trees.low[place]) & (element <= trees.high[place])
        holds |= np.isnan(element) & trees.missing[place]
        place = np.where(holds, trees.yes[place], trees.no[place])
    result = np.full((len(x), trees.outputs), START[trees.combine], trees.values.dtype)
    function = {"sum": np.add, "min": np.minimum, "max": np.maximum}[trees.combine]
    for number in range(len(trees.roots)):
        target = slice(None) if trees.targets is None else slice(trees.targets[number], trees.targets[number] + 1)
        result[:, target] = function(result[:, target], trees.values[place[:, number]])
    return (result,)
