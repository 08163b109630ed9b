"""TreeEnsemble nodes from trees as the boosting libraries store them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from onward.converters.builder import ModelBuilder
from onward.errors import FormatError
from onward.ir import Value
from onward.ir.tensor import Tensor

LESS_OR_EQUAL, LESS, MEMBER = 0, 1, 6
"""Codes of nodes_modes, ONNX TreeEnsemble-5."""


MOST = 1 << 22
"""The most columns or targets that a model may claim to have."""


@contextmanager
def malformed(what: str) -> Iterator[None]:
    """Within the block, data of a file that cannot be used as what it should be raises FormatError."""
    try:
        yield
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError) as problem:
        raise FormatError(f"{what}: {type(problem).__name__}: {str(problem)[:200]}") from problem
    except FormatError as problem:
        raise FormatError(f"{what}: {problem}") from problem


def count(number: Any, what: str) -> int:
    """A number of columns, targets or trees. Raises ValueError for one that no model has."""
    found = int(number)
    if not 0 <= found <= MOST:
        raise ValueError(f"{found} {what}; expected 0 to {MOST}")
    return found


@dataclass
class Tree:
    """One tree: arrays over its nodes. `true` is the child taken where the test holds; -1 marks leaves.

    `missing` says whether NaN takes that child too, `members` what is tested by nodes of mode MEMBER. Every leaf adds its
    `values` element to column `target`.
    """

    features: np.ndarray
    modes: np.ndarray
    splits: np.ndarray
    true: np.ndarray
    false: np.ndarray
    missing: np.ndarray
    values: np.ndarray
    target: int
    members: dict[int, list[float]]

    def check(self, columns: int | None) -> None:
        """Raises FormatError where the arrays are no tree: a child that is no node or has two parents, a threshold that is not a number,
        a feature beyond the columns, arrays of different lengths."""
        size = self.true.size
        arrays = (self.features, self.modes, self.splits, self.false, self.missing, self.values)
        if not size or any(array.shape != (size,) for array in arrays):
            raise FormatError(f"a tree has {size} nodes, but {', '.join(str(array.shape) for array in arrays)} numbers about them")
        reached = np.zeros(size, bool)
        nodes = np.zeros(1, np.int64)
        while nodes.size:
            reached[nodes] = True
            inner = nodes[self.true[nodes] >= 0]
            nodes = np.concatenate([self.true[inner], self.false[inner]])
            if nodes.size and (nodes.min() < 0 or nodes.max() >= size):
                raise FormatError(f"a tree of {size} nodes has children {nodes.min()} to {nodes.max()}")
            if reached[nodes].any() or np.unique(nodes).size < nodes.size:
                raise FormatError("a tree has a node with two parents")
        inner = np.flatnonzero(reached & (self.true >= 0))
        if np.isnan(self.splits[inner]).any():
            raise FormatError("a tree compares with NaN")
        features = self.features[inner]
        if inner.size and (features.min() < 0 or columns is not None and features.max() >= columns):
            raise FormatError(f"a tree looks at columns {features.min()} to {features.max()}, the model has {columns}")
        if any(node not in self.members for node in inner[self.modes[inner] == MEMBER].tolist()):
            raise FormatError("a tree asks for categories that it does not list")


def constant_tree(value: float, target: int, dtype: Any) -> Tree:
    """A tree that adds the same number for every row."""
    leaf, nothing = np.array([-1]), np.zeros(1, np.int64)
    return Tree(nothing, nothing, np.zeros(1, dtype), leaf, leaf, nothing, np.array([value], dtype), target, {})


def tree_ensemble(b: ModelBuilder, x: Value, trees: Sequence[Tree], targets: int, columns: int | None = None) -> Value:
    """(rows, targets): the sums of the trees' leaves, in the order of the trees. ONNX TreeEnsemble-5.

    Raises FormatError for arrays that are no trees over so many columns (None: not known).
    """
    for tree in trees:
        tree.check(columns)
        if not 0 <= tree.target < targets:
            raise FormatError(f"a tree adds to target {tree.target}, the model has {targets}")
    dtype = trees[0].splits.dtype
    nodes: dict[str, list[int]] = {name: [] for name in ("features", "modes", "true", "true_leaf", "false", "false_leaf", "missing")}
    splits: list[Any] = []
    leaves: list[Any] = []
    leaf_targets: list[int] = []
    members: list[Any] = []
    roots: list[int] = []
    for tree in trees:
        inner = np.flatnonzero(tree.true >= 0)
        place = {int(node): len(splits) + number for number, node in enumerate(inner)}

        def child(node: int, tree: Tree = tree, place: dict[int, int] = place) -> tuple[int, int]:
            """(number, whether it is a leaf) of a node."""
            if node in place:
                return place[node], 0
            leaves.append(tree.values[node])
            leaf_targets.append(tree.target)
            return len(leaves) - 1, 1

        roots.append(len(splits))
        if not inner.size:  # a lone leaf stands on both sides of a test
            number, _ = child(0)
            _append(nodes, 0, LESS_OR_EQUAL, (number, 1), (number, 1), 0)
            splits.append(0)
            continue
        for node in inner.tolist():
            _append(
                nodes,
                tree.features[node],
                tree.modes[node],
                child(int(tree.true[node])),
                child(int(tree.false[node])),
                tree.missing[node],
            )
            splits.append(tree.splits[node])
            if tree.modes[node] == MEMBER:
                members += [*tree.members[node], np.nan]
    return b.op(
        "TreeEnsemble",
        x,
        domain="ai.onnx.ml",
        aggregate_function=1,
        leaf_targetids=leaf_targets,
        leaf_weights=Tensor.of(np.array(leaves, dtype)),
        membership_values=Tensor.of(np.array(members, dtype)) if members else None,
        n_targets=targets,
        nodes_falseleafs=nodes["false_leaf"],
        nodes_falsenodeids=nodes["false"],
        nodes_featureids=nodes["features"],
        nodes_missing_value_tracks_true=nodes["missing"],
        nodes_modes=Tensor.of(np.array(nodes["modes"], np.uint8)),
        nodes_splits=Tensor.of(np.array(splits, dtype)),
        nodes_trueleafs=nodes["true_leaf"],
        nodes_truenodeids=nodes["true"],
        post_transform=0,
        tree_roots=roots,
    )


def _append(nodes: dict[str, list[int]], feature: Any, mode: Any, true: tuple[int, int], false: tuple[int, int], missing: Any) -> None:
    row = {
        "features": feature, "modes": mode, "true": true[0], "true_leaf": true[1], "false": false[0], "false_leaf": false[1],
        "missing": missing,
    }  # fmt: skip
    for name, value in row.items():
        nodes[name].append(int(value))
