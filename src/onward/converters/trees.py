"""TreeEnsemble nodes from trees as the boosting libraries store them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from onward.converters.builder import ModelBuilder
from onward.ir import Value
from onward.ir.tensor import Tensor

LESS_OR_EQUAL, LESS, MEMBER = 0, 1, 6
"""Codes of nodes_modes, ONNX TreeEnsemble-5."""


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


def constant_tree(value: float, target: int, dtype: Any) -> Tree:
    """A tree that adds the same number for every row."""
    leaf, nothing = np.array([-1]), np.zeros(1, np.int64)
    return Tree(nothing, nothing, np.zeros(1, dtype), leaf, leaf, nothing, np.array([value], dtype), target, {})


def tree_ensemble(b: ModelBuilder, x: Value, trees: Sequence[Tree], targets: int) -> Value:
    """(rows, targets): the sums of the trees' leaves, in the order of the trees. ONNX TreeEnsemble-5."""
    dtype = trees[0].splits.dtype
    nodes: dict[str, list[int]] = {
        name: [] for name in ("features", "modes", "true", "true_leaf", "false", "false_leaf", "missing")
    }
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


def _append(
    nodes: dict[str, list[int]], feature: Any, mode: Any, true: tuple[int, int], false: tuple[int, int], missing: Any
) -> None:
    row = {
        "features": feature, "modes": mode, "true": true[0], "true_leaf": true[1], "false": false[0], "false_leaf": false[1],
        "missing": missing,
    }  # fmt: skip
    for name, value in row.items():
        nodes[name].append(int(value))
