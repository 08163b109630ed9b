"""Decision trees as the standard writes them, made into tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from onward import program as P
from onward.errors import InvalidArgument
from onward.ir.datatypes import DataType
from onward.program.trees import Trees

LEAF = "LEAF"
MODES = ("BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ", "BRANCH_MEMBER")
AGGREGATES = {"SUM": "sum", "AVERAGE": "sum", "MIN": "min", "MAX": "max"}


@dataclass
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

    def scores(self, x: P.Array, aggregate: str, base: Sequence[float] | None) -> P.Array:
        """What the leaves add up to for each target, (N, targets), in the weights' dtype.

        Sums are taken one tree after another. x is (N, F). Raises InvalidArgument for trees that make no sense.
        """
        if aggregate not in AGGREGATES:
            raise InvalidArgument(f"no aggregate function '{aggregate}'; known are {', '.join(AGGREGATES)}")
        features = x.shape[1]
        if self.feature.size and isinstance(features, int) and not 0 <= self.feature.min() <= self.feature.max() < features:
            raise InvalidArgument(f"the trees ask for feature {self.feature.max()}, but {x} has {features}")
        trees = self._tables(x.dtype, AGGREGATES[aggregate])
        shape = (x.shape[0], self.weights.shape[1])
        (total,) = P.routine("tree_ensemble", [x], [(shape, DataType.of(self.weights.dtype))], trees=trees)
        result: P.Array = total
        if aggregate in ("MIN", "MAX"):
            result = P.elementwise(lambda e: P.where(P.is_infinite(e), 0.0, e), result)
        elif aggregate == "AVERAGE":
            result = result / float(len(self.roots))
        return result + P.constant(np.array(base, self.weights.dtype)) if base else result

    def _tables(self, dtype: DataType, combine: str) -> Trees:
        self._expand_members()
        low, high, yes, no, missing = self._ranges(dtype)
        depths = self._depths(yes, no)  # first: it refuses cycles
        values, targets = self._values(yes, no, combine)
        return Trees(
            self.feature.astype(np.int32), low, high, yes, no, missing, self.roots.astype(np.int32), values, targets,
            self.weights.shape[1], combine, depths,
        )  # fmt: skip

    def _expand_members(self) -> None:
        """A test for one of several numbers becomes a chain of tests for one number each."""
        chains = [place for place, mode in enumerate(self.mode) if mode == "BRANCH_MEMBER"]
        if not chains:
            return
        assert self.sets is not None
        mode, count = list(self.mode), len(self.mode)
        added: list[tuple[int, float, int, int]] = []
        for place in chains:
            members = self.sets[place][~np.isnan(self.sets[place])]
            mode[place] = "BRANCH_EQ"
            self.value = self.value.astype(np.float64, copy=False)
            self.value[place] = members[0] if members.size else np.nan
            last, otherwise = place, self.no[place]
            for member in members[1:]:
                new = count + len(added)
                added.append((place, float(member), int(self.yes[place]), int(otherwise)))
                if last < count:
                    self.no[last] = new
                else:
                    added[last - count] = (*added[last - count][:3], new)
                last = new
        sources = [item[0] for item in added]
        self.mode = [*mode, *["BRANCH_EQ"] * len(added)]
        self.feature = np.concatenate([self.feature, self.feature[sources]])
        self.value = np.concatenate([self.value, [item[1] for item in added]])
        self.yes = np.concatenate([self.yes, np.array([item[2] for item in added], np.int64)])
        self.no = np.concatenate([self.no, np.array([item[3] for item in added], np.int64)])
        self.missing = np.concatenate([self.missing, np.asarray(self.missing)[sources]])
        self.weights = np.concatenate([self.weights, np.zeros((len(added), self.weights.shape[1]), self.weights.dtype)])
        self.given = np.concatenate([self.given, np.zeros((len(added), self.given.shape[1]), np.bool_)])

    def _ranges(self, dtype: DataType) -> tuple[np.ndarray, ...]:
        """Every test as low <= x <= high, which is false for NaN, and where it leads."""
        unknown = sorted(set(self.mode) - {*MODES, LEAF})
        if unknown:
            raise InvalidArgument(f"no node mode '{unknown[0]}'; known are {', '.join(MODES)}")
        mode, value = np.array(self.mode), self.value.astype(dtype.numpy)
        infinity = np.array(np.inf, value.dtype)
        low, high = np.full(value.shape, -infinity), np.full(value.shape, infinity)
        below, above = np.nextafter(value, -infinity), np.nextafter(value, infinity)
        below[value == -infinity] = np.nan
        above[value == infinity] = np.nan
        point = np.isin(mode, ("BRANCH_EQ", "BRANCH_NEQ"))
        high = np.select([mode == "BRANCH_LEQ", mode == "BRANCH_LT", point], [value, below, value], high)
        low = np.select([mode == "BRANCH_GTE", mode == "BRANCH_GT", point], [value, above, value], low)
        swapped = mode == "BRANCH_NEQ"
        yes, no = np.where(swapped, self.no, self.yes), np.where(swapped, self.yes, self.no)
        missing = np.asarray(self.missing).astype(np.bool_) & ~swapped  # NaN differs from everything
        return low, high, yes.astype(np.int32), no.astype(np.int32), missing

    def _values(self, yes: np.ndarray, no: np.ndarray, combine: str) -> tuple[np.ndarray, np.ndarray | None]:
        """What the leaves add; one column, and a target for each tree, where no tree has leaves for several."""
        weights = self.weights
        if combine != "sum":
            weights = np.where(self.given, weights, np.array(np.inf if combine == "min" else -np.inf, weights.dtype))
        if weights.shape[1] == 1:
            return weights, np.zeros(len(self.roots), np.int32)
        owner = self._owners(yes, no)
        targets = np.zeros(len(self.roots), np.int32)
        for number in range(len(self.roots)):
            used = np.flatnonzero(self.given[owner == number].any(0))
            if used.size > 1:
                return weights, None
            targets[number] = used[0] if used.size else 0
        return weights[np.arange(len(weights)), targets[owner]][:, None], targets

    def _owners(self, yes: np.ndarray, no: np.ndarray) -> np.ndarray:
        """The tree of each node."""
        owner = np.zeros(len(yes), np.int64)
        for number, root in enumerate(self.roots):
            level = np.array([root])
            while level.size:
                owner[level] = number
                inner = level[(yes[level] != level) | (no[level] != level)]
                level = np.unique(np.concatenate([yes[inner], no[inner]])) if inner.size else inner
        return owner

    def _depths(self, yes: np.ndarray, no: np.ndarray) -> np.ndarray:
        """The levels below each root. Raises InvalidArgument for a node that is below itself."""
        place = np.arange(len(yes))
        height, inner = np.zeros(len(yes), np.int32), (yes != place) | (no != place)
        for _ in range(len(yes) + 1):
            new = np.where(inner, np.maximum(height[yes], height[no]) + 1, 0)
            if np.array_equal(new, height):
                return height[self.roots.astype(np.int64)]
            height = new
        raise InvalidArgument("a node of a tree ensemble stands below itself")
