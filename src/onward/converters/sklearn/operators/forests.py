"""Trees and what is made of them. One TreeEnsemble finds each tree's leaf; tables say what a leaf gives.

The library casts rows to single precision and compares them with thresholds in double; so does the graph.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from onward.converters.sklearn.registry import method
from onward.converters.tracing import Array, Frame, as_array
from onward.converters.trees import LESS_OR_EQUAL, MEMBER, Tree, constant_tree, tree_ensemble


def leaves_of(x: Array, structures: Sequence[Any], features: Sequence[Any] | None = None) -> Array:
    """(rows, trees): the number of the leaf that each row reaches. `features` are the columns that each tree sees."""
    x = x.astype(np.float32, copy=False).astype(np.float64)
    trees = [_numbered(structure, number, None if features is None else features[number]) for number, structure in enumerate(structures)]
    return _ensemble(x, trees, len(trees)).astype(np.int64)


def _ensemble(x: Array, trees: Sequence[Tree], targets: int) -> Array:
    value = tree_ensemble(x.trace.b, x.value, trees, targets)
    return Array(x.trace, value, np.dtype(np.float64), (x.shape[0], targets))


def _numbered(structure: Any, target: int, features: Any) -> Tree:
    """A tree whose leaves hold their own numbers."""
    count = structure.node_count
    if count == 1:
        return constant_tree(0.0, target, np.float64)
    left, right = np.asarray(structure.children_left), np.asarray(structure.children_right)
    split = np.maximum(np.asarray(structure.feature), 0)
    inner = left >= 0
    return Tree(
        np.where(inner, split if features is None else np.asarray(features)[np.where(inner, split, 0)], 0),
        np.full(count, LESS_OR_EQUAL),
        np.where(inner, structure.threshold, 0.0).astype(np.float64),
        left,
        right,
        np.asarray(structure.missing_go_to_left).astype(np.int64),
        np.arange(count, dtype=np.float64),
        target,
        {},
    )


def gathered(leaves: Array, tables: Sequence[np.ndarray]) -> Array:
    """(rows, trees, ...): what each tree's table says of its leaf."""
    starts = np.cumsum([0, *[len(table) for table in tables[:-1]]])
    table = as_array(leaves.trace, np.concatenate([np.asarray(item, np.float64) for item in tables]))
    return table[leaves + starts]


class TracedTree:
    """A `tree_` that also takes traced rows."""

    def __init__(self, structure: Any) -> None:
        self.structure = structure

    def __getattr__(self, name: str) -> Any:
        if name == "structure":
            raise AttributeError(name)
        return getattr(self.structure, name)

    def apply(self, x: Any) -> Any:
        """The number of each row's leaf."""
        if not isinstance(x, Array):
            return self.structure.apply(x)
        return leaves_of(x, [self.structure])[:, 0]

    def predict(self, x: Any) -> Any:
        """(rows, outputs, classes), or (rows, classes) for one output."""
        if not isinstance(x, Array):
            return self.structure.predict(x)
        found = gathered(leaves_of(x, [self.structure]), [self.structure.value])[:, 0]
        return found[:, 0] if self.structure.n_outputs == 1 else found


@method("_validate_X_predict", "BaseDecisionTree", "BaseForest")
def validated(estimator: Any, x: Array, check_input: bool = True) -> Array:
    return x.astype(np.float32, copy=False)


@method("apply", "BaseForest")
def forest_apply(estimator: Any, x: Array) -> Array:
    return leaves_of(x, [tree.tree_ for tree in estimator.estimators_])


def _values(estimator: Any, x: Array) -> Array:
    """(rows, outputs, classes): the mean of the trees' values."""
    structures = [tree.tree_ for tree in estimator.estimators_]
    return np.sum(gathered(leaves_of(x, structures), [item.value for item in structures]), axis=1) / len(structures)


@method("predict_proba", "ForestClassifier")
def forest_probabilities(estimator: Any, x: Array) -> Any:
    values = _values(estimator, x)
    if estimator.n_outputs_ == 1:
        return values[:, 0]
    return [values[:, place, :count] for place, count in enumerate(estimator.n_classes_)]


@method("predict", "ForestRegressor")
def forest_regression(estimator: Any, x: Array) -> Any:
    values = _values(estimator, x)[:, :, 0]
    return values if estimator.n_outputs_ > 1 else values[:, 0]


@method("score_samples", "IsolationForest")
def isolation(estimator: Any, x: Array) -> Any:
    """From the mean depth of the leaves (Liu et al., 2008)."""
    from sklearn.ensemble._iforest import _average_path_length

    structures = [tree.tree_ for tree in estimator.estimators_]
    depths = [
        np.asarray(lengths) + np.asarray(extra) - 1.0 for lengths, extra in zip(estimator._decision_path_lengths, estimator._average_path_length_per_tree)
    ]
    total = np.sum(gathered(leaves_of(x, structures, estimator.estimators_features_), depths), axis=1)
    usual = len(structures) * _average_path_length(np.array([estimator._max_samples]))
    return -(2.0 ** (-total / usual))


def boosted(stages: Any, x: Array, scale: float, out: Array) -> None:
    """What scikit-learn's predict_stages does: adds each stage's trees to the raw predictions."""
    trees = [(tree.tree_, place) for stage in stages for place, tree in enumerate(stage)]
    found = gathered(leaves_of(x, [tree for tree, _ in trees]), [tree.value[:, 0, 0] * scale for tree, _ in trees])
    count = stages.shape[1]
    out[:] = out + np.sum(found.reshape(found.shape[0], len(trees) // count, count), axis=1)


@method("_raw_predict", "BaseHistGradientBoosting", tables=True)
def histogram_raw(estimator: Any, x: Any, n_threads: Any = None) -> Array:
    """The sums of histogram-based trees, the baseline first as the library adds them; categories that training did not see count as missing."""
    kinds = estimator.is_categorical_
    if getattr(estimator, "_preprocessor", None) is not None:
        x, kinds = estimator._preprocessor.transform(x), estimator._is_categorical_remapped
    x = (x.matrix() if isinstance(x, Frame) else x).astype(np.float64, copy=False)
    bits, places = estimator._bin_mapper.make_known_categories_bitsets()
    if kinds is not None:
        for column in np.flatnonzero(kinds):
            known = _members(bits[places[column]])
            x[:, int(column)] = np.where(np.isin(x[:, int(column)], np.array(known)), x[:, int(column)], np.nan)
    targets = estimator.n_trees_per_iteration_
    baseline = np.broadcast_to(np.asarray(estimator._baseline_prediction, np.float64).reshape(-1), (targets,))
    first = [constant_tree(value, place, np.float64) for place, value in enumerate(baseline)]
    trees = [_histogram_tree(tree, place) for stage in estimator._predictors for place, tree in enumerate(stage)]
    return _ensemble(x, [*first, *trees], targets)


def _members(bits: Any) -> list[float]:
    return [float(32 * place + bit) for place, word in enumerate(bits) for bit in range(32) if int(word) >> bit & 1]


def _histogram_tree(predictor: Any, target: int) -> Tree:
    nodes = predictor.nodes
    leaf = nodes["is_leaf"].astype(bool)
    if leaf[0]:
        return constant_tree(float(nodes["value"][0]), target, np.float64)
    categorical = nodes["is_categorical"].astype(bool) & ~leaf
    members = {int(node): _members(predictor.raw_left_cat_bitsets[nodes["bitset_idx"][node]]) for node in np.flatnonzero(categorical)}
    splits = np.where(leaf | categorical, 0.0, nodes["num_threshold"])
    return Tree(
        np.where(leaf, 0, nodes["feature_idx"]),
        np.where(categorical, MEMBER, LESS_OR_EQUAL),
        splits.astype(np.float64),
        np.where(leaf, -1, nodes["left"].astype(np.int64)),
        np.where(leaf, -1, nodes["right"].astype(np.int64)),
        nodes["missing_go_to_left"].astype(np.int64),
        nodes["value"].astype(np.float64),
        target,
        members,
    )
