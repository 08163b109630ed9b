"""Decision trees as data: every row walks down all trees at once, one level after another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from onward import program as P
from onward.errors import InvalidArgument
from onward.ir.datatypes import DataType

LEAF = "LEAF"

_COMPARISONS = {
    "BRANCH_LEQ": P.less_equal,
    "BRANCH_LT": P.less,
    "BRANCH_GTE": P.greater_equal,
    "BRANCH_GT": P.greater,
    "BRANCH_EQ": P.equal,
    "BRANCH_NEQ": P.not_equal,
}


@dataclass(frozen=True)
class Forest:
    """Nodes of all trees. `feature`, `value`, `mode`, `yes`, `no` and `missing` are per node, `roots` per tree.

    `yes` and `no` are node numbers; those of a leaf are its own. `missing` says whether NaN takes the yes branch.
    `weights` (nodes, targets) are what a leaf adds, `given` where it adds anything. `sets` (nodes, members) are padded
    with NaN.
    """

    feature: np.ndarray
    value: np.ndarray
    mode: Sequence[str]
    yes: np.ndarray
    no: np.ndarray
    missing: np.ndarray
    roots: np.ndarray
    weights: np.ndarray
    given: np.ndarray
    sets: np.ndarray | None = None

    @property
    def depth(self) -> int:
        """The number of levels below the roots. Raises InvalidArgument for a node that is below itself."""
        level, depth = np.unique(self.roots), 0
        while True:
            inner = level[(self.yes[level] != level) | (self.no[level] != level)]
            if not inner.size:
                return depth
            level, depth = np.unique(np.concatenate([self.yes[inner], self.no[inner]])), depth + 1
            if depth > len(self.yes):
                raise InvalidArgument("a node of a tree ensemble stands below itself")

    def leaves(self, x: P.Array) -> P.Array:
        """The leaf that each row of x (N, F) reaches in each tree, (N, trees)."""
        roots = P.constant(self.roots.astype(np.int64))
        place: P.Array = P.compute((x.shape[0], len(self.roots)), lambda n, t: roots[t])
        for _ in range(self.depth):
            place = self._below(x, place)
        return place

    def _below(self, x: P.Array, place: P.Array) -> P.Array:
        feature, yes, no = (P.constant(item.astype(np.int64)) for item in (self.feature, self.yes, self.no))
        missing = P.constant(self.missing.astype(np.bool_)) if self.missing.any() else None
        test = self._tests(x, place, feature)

        def element(n: P.Dimension, t: P.Dimension) -> P.Scalar:
            node = place[n, t]
            holds = test(n, t)
            if missing is not None:
                holds = holds | (P.is_nan(x[n, feature[node]]) & missing[node])
            return P.where(holds, yes[node], no[node])

        return P.compute(place.shape, element)

    def _tests(self, x: P.Array, place: P.Array, feature: P.Array) -> Callable[[P.Dimension, P.Dimension], P.Scalar]:
        """(row, tree) -> whether the row passes the test of the node it is at."""
        kinds = sorted(set(self.mode) - {LEAF})
        unknown = [kind for kind in kinds if kind not in _COMPARISONS and kind != "BRANCH_MEMBER"]
        if unknown:
            raise InvalidArgument(f"no node mode '{unknown[0]}'; known are {', '.join(_COMPARISONS)} and BRANCH_MEMBER")
        limit = P.constant(self.value.astype(x.dtype.numpy))
        codes = P.constant(np.array([kinds.index(m) if m != LEAF else 0 for m in self.mode], np.int64))
        member = self._members(x, place, feature) if "BRANCH_MEMBER" in kinds else None

        def one(kind: str, n: P.Dimension, t: P.Dimension) -> P.Scalar:
            if kind == "BRANCH_MEMBER":
                assert member is not None
                return member[n, t] > 0
            node = place[n, t]
            return _COMPARISONS[kind](x[n, feature[node]], limit[node])

        def test(n: P.Dimension, t: P.Dimension) -> P.Scalar:
            result = one(kinds[0], n, t) if kinds else P.scalar(True)
            for number, kind in enumerate(kinds[1:], 1):
                result = P.where(P.equal(codes[place[n, t]], number), one(kind, n, t), result)
            return result

        return test

    def _members(self, x: P.Array, place: P.Array, feature: P.Array) -> P.Array:
        assert self.sets is not None
        sets = P.constant(self.sets.astype(x.dtype.numpy))

        def element(n: P.Dimension, t: P.Dimension, k: P.Dimension) -> P.Scalar:
            node = place[n, t]
            return P.cast(P.equal(x[n, feature[node]], sets[node, k]), DataType.INT64)

        return P.reduce("max", place.shape, (self.sets.shape[1],), element)

    def scores(self, x: P.Array, aggregate: str, base: Sequence[float] | None) -> P.Array:
        """What the leaves add up to for each target, (N, targets), in the weights' dtype."""
        leaves = self.leaves(x)
        weights = P.constant(self.weights)
        trees, targets = len(self.roots), self.weights.shape[1]
        shape = (x.shape[0], targets)
        if aggregate in ("SUM", "AVERAGE"):
            total: P.Array = P.reduce("sum", shape, (trees,), lambda n, k, t: weights[leaves[n, t], k])
            total = total / float(trees) if aggregate == "AVERAGE" else total
        elif aggregate in ("MIN", "MAX"):
            nothing = P.scalar(np.inf if aggregate == "MIN" else -np.inf, weights.dtype)
            given = P.constant(self.given)
            total = P.reduce(
                aggregate.lower(),
                shape,
                (trees,),
                lambda n, k, t: P.where(given[leaves[n, t], k], weights[leaves[n, t], k], nothing),
            )
            total = P.elementwise(lambda e: P.where(P.is_infinite(e), 0.0, e), total)
        else:
            raise InvalidArgument(f"no aggregate function '{aggregate}'; known are SUM, AVERAGE, MIN and MAX")
        return total + P.constant(np.array(base, self.weights.dtype)) if base else total
