"""Nodes of trees as pairs of words that a walk reads: a limit, and where to go.

Every test becomes `x <= limit`, which NaN never passes. The two children of a node lie side by side, so that the next node
is a sum: node + delta, and one more for a row that passes. A leaf has delta 0 and a limit that nothing passes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from onward.program.trees import START, Trees


@dataclass(frozen=True, eq=False)
class Records:
    """`nodes` (count, 2) holds limits (their bits) and words; a word is delta << `shift` | feature (<< 1 | turned).

    A `turned` test compares -x. Words and limits are of 64 bits where `wide`, else of 32. Trees begin at `roots`; leaf n
    adds `values[n]`. Roots are padded with a leaf that adds nothing.
    """

    nodes: np.ndarray
    roots: np.ndarray
    values: np.ndarray
    shift: int
    turned: bool
    wide: bool


@dataclass(eq=False)
class Tests:
    """Tests `x <= limit` (or `-x <= limit` where `turned`) of all nodes, false for NaN, and where they lead."""

    feature: np.ndarray
    limit: np.ndarray
    turned: np.ndarray
    yes: np.ndarray
    no: np.ndarray


def records_of(trees: Trees, together: int) -> Records:
    """The nodes of trees as records, with the number of roots a multiple of `together`."""
    tests = _tests(trees)
    number = np.arange(len(tests.yes))
    inner = np.flatnonzero((tests.yes != number) | (tests.no != number))
    inner = inner[_order(tests, trees.roots, inner)]
    roots, count = trees.roots.astype(np.int64), len(trees.roots)
    # Each root has a slot, each inner node two for its children, no before yes.
    held = np.concatenate([roots, np.stack([tests.no[inner], tests.yes[inner]], 1).reshape(-1)])
    below = np.full(len(number), -1, np.int64)
    below[inner] = count + 2 * np.arange(len(inner))
    place = np.arange(len(held))
    delta = np.where(below[held] < 0, 0, below[held] - place)
    # A node with two parents stands in two slots, and both lead to the same children.
    limit = np.where(below[held] < 0, np.nan, tests.limit[held]).astype(tests.limit.dtype)
    turned = bool(tests.turned[inner].any())
    feature = np.where(below[held] < 0, 0, tests.feature[held]).astype(np.int64)
    bits = max(1, int(feature.max(initial=0)).bit_length()) + turned
    wide = limit.dtype == np.float64 or bits + int(np.abs(delta).max(initial=0)).bit_length() + 1 > 32
    word = delta << bits | (feature << 1 | tests.turned[held] if turned else feature)
    kinds = (np.float64, np.int64) if wide else (np.float32, np.int32)
    nodes = np.stack([limit.astype(kinds[0]).view(kinds[1]), word.astype(kinds[1])], 1)
    nothing = np.array([[limit.dtype.type(np.nan).astype(kinds[0]).view(kinds[1]), 0]], kinds[1])
    source = np.minimum(held, len(trees.values) - 1)  # nodes that were added here are no leaves
    values = np.concatenate([trees.values[source], np.full((1, trees.values.shape[1]), START[trees.combine], trees.values.dtype)])
    slots = np.concatenate([np.arange(count), np.full(-count % together, len(held))]).astype(np.int32)
    return Records(np.concatenate([nodes, nothing]), slots, values, bits, turned, wide)


def _tests(trees: Trees) -> Tests:
    """The tests low <= x <= high as tests of one limit."""
    feature, low, high = trees.feature.astype(np.int64), trees.low.copy(), trees.high.copy()
    yes, no, missing = trees.yes.astype(np.int64), trees.no.astype(np.int64), trees.missing.copy()
    number, infinity = np.arange(len(yes)), np.array(np.inf, low.dtype)
    both = np.flatnonzero((low != -np.inf) & (high != np.inf) & ((yes != number) | (no != number)))
    if both.size:  # first the upper limit, then a node for the lower one
        feature, missing = np.append(feature, feature[both]), np.append(missing, missing[both])
        low, high = np.append(low, low[both]), np.append(high, np.full(both.size, infinity))
        yes, no = np.append(yes, yes[both]), np.append(no, no[both])
        low[both], yes[both] = -infinity, np.arange(len(number), len(yes))
    # x >= low is not (x <= what comes before); x >= NaN is not (x <= infinity).
    lower = low != -np.inf
    before = np.where(np.isnan(low), infinity, np.nextafter(low, -infinity))
    limit = np.where(lower, before, high)
    yes, no, missing = np.where(lower, no, yes), np.where(lower, yes, no), missing ^ lower
    # NaN never passes: where it should, x > limit is tested in place, as -x <= -(what comes after).
    after = np.where(limit == infinity, np.nan, -np.nextafter(limit, infinity))
    turned_limit = np.where(np.isnan(limit), infinity, after).astype(low.dtype)
    return Tests(feature, np.where(missing, turned_limit, limit), missing, np.where(missing, no, yes), np.where(missing, yes, no))


def _order(tests: Tests, roots: np.ndarray, inner: np.ndarray) -> np.ndarray:
    """Inner nodes tree by tree, the upper ones first: an order of `inner`."""
    is_inner = np.zeros(len(tests.yes), np.bool_)
    is_inner[inner] = True
    tree, level = np.full(len(tests.yes), -1, np.int64), np.zeros(len(tests.yes), np.int64)
    nodes, owners, depth = roots.astype(np.int64), np.arange(len(roots)), 0
    while nodes.size:
        fresh = is_inner[nodes] & (tree[nodes] < 0)
        nodes, first = np.unique(nodes[fresh], return_index=True)
        owners = owners[fresh][first]
        tree[nodes], level[nodes] = owners, depth
        nodes, owners, depth = np.concatenate([tests.no[nodes], tests.yes[nodes]]), np.tile(owners, 2), depth + 1
    reached = tree[inner] >= 0
    order = np.lexsort((level[inner], tree[inner]))
    return order[reached[order]]
