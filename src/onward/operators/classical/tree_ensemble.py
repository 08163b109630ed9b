"""TreeEnsemble, TreeEnsembleRegressor and TreeEnsembleClassifier."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from onward import program as P
from onward.ir.datatypes import DataType
from onward.ir.tensor import Tensor
from onward.operators.classical.forest import LEAF, Forest
from onward.operators.classical.scores import best_label, label_table, labelled, second_column, transformed, two_classes
from onward.operators.registry import operator

_MODES = ("BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ", "BRANCH_MEMBER")
_AGGREGATES = ("AVERAGE", "SUM", "MIN", "MAX")
_TRANSFORMS = ("NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT")


@operator("TreeEnsemble", domain="ai.onnx.ml", since=5)
def tree_ensemble(
    x: P.Array,
    *,
    leaf_targetids: list[int],
    leaf_weights: Tensor,
    nodes_falseleafs: list[int],
    nodes_falsenodeids: list[int],
    nodes_featureids: list[int],
    nodes_modes: Tensor,
    nodes_splits: Tensor,
    nodes_trueleafs: list[int],
    nodes_truenodeids: list[int],
    tree_roots: list[int],
    aggregate_function: int = 1,
    membership_values: Tensor | None = None,
    n_targets: int = 1,
    nodes_hitrates: Tensor | None = None,
    nodes_missing_value_tracks_true: list[int] | None = None,
    post_transform: int = 0,
) -> P.Array:
    """The leaves that a row reaches in all trees, aggregated for each target. ONNX TreeEnsemble-5.

    Leaves are numbered apart from the inner nodes; here they follow them.
    """
    inner, leaves = len(nodes_featureids), len(leaf_targetids)
    own = np.arange(inner, inner + leaves)

    def branch(ids: list[int], are_leaves: list[int]) -> np.ndarray:
        return np.concatenate([np.array(ids) + inner * np.array(are_leaves), own]).astype(np.int64)

    modes = [_MODES[int(code)] for code in nodes_modes.numpy().reshape(-1)]
    weights = np.zeros((inner + leaves, n_targets), leaf_weights.dtype.numpy)
    given = np.zeros(weights.shape, np.bool_)
    weights[own, leaf_targetids], given[own, leaf_targetids] = leaf_weights.numpy().reshape(-1), True
    splits = nodes_splits.numpy().reshape(-1)
    forest = Forest(
        np.concatenate([nodes_featureids, np.zeros(leaves)]),
        np.concatenate([splits, np.zeros(leaves, splits.dtype)]),
        [*modes, *[LEAF] * leaves],
        branch(nodes_truenodeids, nodes_trueleafs),
        branch(nodes_falsenodeids, nodes_falseleafs),
        np.concatenate([nodes_missing_value_tracks_true or np.zeros(inner), np.zeros(leaves)]),
        np.array(tree_roots),
        weights,
        given,
        _sets(modes, membership_values, inner + leaves),
    )
    scores = forest.scores(x, _AGGREGATES[aggregate_function], None)
    return P.cast(transformed(scores, _TRANSFORMS[post_transform]), x.dtype)


def _sets(modes: Sequence[str], values: Tensor | None, count: int) -> np.ndarray | None:
    """The members that each node tests, in order of the nodes; in the attribute NaN ends each set."""
    if values is None:
        return None
    groups: list[list[float]] = [[]]
    for value in values.numpy().reshape(-1):
        if np.isnan(value):
            groups.append([])
        else:
            groups[-1].append(float(value))
    table = np.full((count, max(1, *map(len, groups))), np.nan)
    nodes = [number for number, mode in enumerate(modes) if mode == "BRANCH_MEMBER"]
    for number, group in zip(nodes, groups):
        table[number, : len(group)] = group
    return table


@operator("TreeEnsembleRegressor", domain="ai.onnx.ml")
def tree_ensemble_regressor(
    x: P.Array,
    *,
    aggregate_function: str = "SUM",
    base_values: list[float] | None = None,
    base_values_as_tensor: Tensor | None = None,
    n_targets: int = 1,
    post_transform: str = "NONE",
    target_ids: list[int],
    target_nodeids: list[int],
    target_treeids: list[int],
    target_weights: list[float] | None = None,
    target_weights_as_tensor: Tensor | None = None,
    **nodes: Any,
) -> P.Array:
    """As TreeEnsemble-5, with nodes numbered tree by tree. ONNX TreeEnsembleRegressor-1, -3."""
    weights = _numbers(target_weights, target_weights_as_tensor)
    forest = _forest(nodes, target_treeids, target_nodeids, target_ids, weights, n_targets)
    base = _numbers(base_values, base_values_as_tensor)
    scores = forest.scores(_rows(x, forest), aggregate_function, base.tolist())
    return P.cast(transformed(scores, post_transform), DataType.FLOAT)


@operator("TreeEnsembleClassifier", domain="ai.onnx.ml")
def tree_ensemble_classifier(
    x: P.Array,
    *,
    base_values: list[float] | None = None,
    base_values_as_tensor: Tensor | None = None,
    class_ids: list[int],
    class_nodeids: list[int],
    class_treeids: list[int],
    class_weights: list[float] | None = None,
    class_weights_as_tensor: Tensor | None = None,
    classlabels_int64s: list[int] | None = None,
    classlabels_strings: list[str] | None = None,
    post_transform: str = "NONE",
    **nodes: Any,
) -> tuple[P.Array, P.Array]:
    """The label of the class with the greatest sum, and the sums. ONNX TreeEnsembleClassifier-1, -3.

    Two classes may share one column of weights: then a sum above 0 (above 0.5 where no weight is negative) means the
    second class.
    """
    labels = label_table(classlabels_strings, classlabels_int64s)
    weights = _numbers(class_weights, class_weights_as_tensor)
    base = _numbers(base_values, base_values_as_tensor).tolist()
    shared = labels.size == 2 and len(set(class_ids)) == 1
    targets = 1 if shared else int(labels.size)  # type: ignore[arg-type]
    places = [0] * len(class_ids) if shared else class_ids
    forest = _forest(nodes, class_treeids, class_nodeids, places, weights, targets)
    scores = P.cast(forest.scores(_rows(x, forest), "SUM", base), DataType.FLOAT)
    if not shared:
        return best_label(scores, labels), transformed(scores, post_transform)
    positive = bool((weights >= 0).all())
    index = two_classes(scores, 0.5 if positive else 0.0)
    return labelled(index, labels), second_column(scores, post_transform, positive)


def _numbers(values: list[float] | None, tensor: Tensor | None) -> np.ndarray:
    if tensor is not None:
        return tensor.numpy().reshape(-1)
    return np.array(values or [], np.float32)


def _rows(x: P.Array, forest: Forest) -> P.Array:
    """x as rows of floats, in float64 when it or the limits are."""
    double = x.dtype == DataType.DOUBLE or forest.value.dtype == np.float64
    rows = x if x.rank == 2 else P.expand_axes(x, [0])
    return P.cast(rows, DataType.DOUBLE if double else DataType.FLOAT)


def _forest(
    nodes: dict[str, Any],
    leaf_trees: Sequence[int],
    leaf_nodes: Sequence[int],
    targets: Sequence[int],
    weights: np.ndarray,
    count: int,
) -> Forest:
    """The forest of the attributes nodes_*, in which a node is named by its tree and its number there."""
    names = list(zip(nodes["nodes_treeids"], nodes["nodes_nodeids"]))
    number = {name: position for position, name in enumerate(names)}
    modes = [str(mode) for mode in nodes["nodes_modes"]]

    def branch(ids: Sequence[int]) -> np.ndarray:
        return np.array([position if mode == LEAF else number[tree, below] for position, ((tree, _), mode, below) in enumerate(zip(names, modes, ids))])

    roots: dict[int, int] = {}
    for position, (tree, _) in enumerate(names):
        roots.setdefault(tree, position)
    table = np.zeros((len(names), count), weights.dtype)
    given = np.zeros(table.shape, np.bool_)
    for tree, node, target, weight in zip(leaf_trees, leaf_nodes, targets, weights):
        table[number[tree, node], target] += weight
        given[number[tree, node], target] = True
    return Forest(
        np.array(nodes["nodes_featureids"]),
        _numbers(nodes.get("nodes_values"), nodes.get("nodes_values_as_tensor")),
        modes,
        branch(nodes["nodes_truenodeids"]),
        branch(nodes["nodes_falsenodeids"]),
        np.array(nodes.get("nodes_missing_value_tracks_true") or [0] * len(names)),
        np.array(list(roots.values())),
        table,
        given,
    )
