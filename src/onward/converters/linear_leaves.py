"""Trees whose leaves are linear functions of the features: a TreeEnsemble finds each tree's leaf, tables say what a leaf computes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from onward.converters.builder import ModelBuilder
from onward.converters.trees import Tree, tree_ensemble
from onward.ir import Value


@dataclass
class LinearLeaves:
    """The leaves of a tree in the order of its nodes: `constants[i]` plus the sum of `coefficients[i]` times the columns `features[i]`,
    added one by one; or else `otherwise[i]`, where one of these columns is NaN."""

    constants: np.ndarray
    features: Sequence[np.ndarray]
    coefficients: Sequence[np.ndarray]
    otherwise: np.ndarray


def linear_ensemble(b: ModelBuilder, x: Value, width: int, tests: Value, trees: Sequence[Tree], leaves: Sequence[LinearLeaves], targets: int) -> Value:
    """(rows, targets): the sums of what the trees' leaves give, in the order of the trees, which serve the targets by turns.

    x (rows, width) is what the leaves compute with, `tests` what the trees look at. Everything is double.
    """
    starts = np.cumsum([0, *[len(item.constants) for item in leaves]])
    numbered = [_numbered(tree, place, int(start)) for place, (tree, start) in enumerate(zip(trees, starts))]
    reached = b.op("Cast", tree_ensemble(b, tests, numbered, len(trees), 2 * width), to=7)
    total, otherwise = (
        b.op("Gather", b.constant(np.concatenate([getattr(item, name) for item in leaves]), name), reached) for name in ("constants", "otherwise")
    )
    columns, factors = _tables(leaves, width)
    padded = b.op("Pad", x, b.constant(np.array([0, 0, 0, 1])))  # shorter sums end with 0 times the last column
    missing = None
    for column, factor in zip(columns.T, factors.T):
        value = b.op("GatherElements", padded, b.op("Gather", b.constant(column, "columns"), reached), axis=1)
        total = b.op("Add", total, b.op("Mul", value, b.op("Gather", b.constant(factor, "coefficients"), reached)))
        nan = b.op("IsNaN", value)
        missing = nan if missing is None else b.op("Or", missing, nan)
    if missing is not None:
        total = b.op("Where", missing, otherwise, total)
    rounds = b.op("Reshape", total, b.constant(np.array([0, len(trees) // targets, targets])))
    one = np.array(1)
    return b.op("Gather", b.op("CumSum", rounds, b.constant(one)), b.constant(-one), axis=1)  # a sum in this order, unlike ReduceSum


def _numbered(tree: Tree, place: int, start: int) -> Tree:
    """A tree that adds the number of its leaf to a column of its own."""
    values = np.zeros(tree.true.size)
    leaf = tree.true < 0
    values[leaf] = start + np.arange(leaf.sum())
    return replace(tree, values=values, target=place)


def _tables(leaves: Sequence[LinearLeaves], padding: int) -> tuple[np.ndarray, np.ndarray]:
    """(leaves, greatest number of features) each: columns and coefficients. Shorter rows end with `padding` and 0."""
    columns = [item for tree in leaves for item in tree.features]
    factors = [item for tree in leaves for item in tree.coefficients]
    shape = (len(columns), max(len(item) for item in columns))
    found = np.full(shape, padding, np.int64), np.zeros(shape)
    for number, (column, factor) in enumerate(zip(columns, factors, strict=True)):
        found[0][number, : len(column)], found[1][number, : len(factor)] = column, factor
    return found
