"""Sums of trees as estimators of scikit-learn: a tree, a forest, boosting, histogram-based boosting."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn import ensemble, tree
from sklearn.ensemble._hist_gradient_boosting.predictor import TreePredictor
from sklearn.tree._tree import Tree

from onward.converters.targets.recognition.forests import DecisionTree, Forest
from onward.converters.targets.recognition.rows import Unrecognized
from onward.converters.targets.sklearn.fitting import fitted, with_numbers
from onward.converters.targets.sklearn.linear import Built


def forest(found: Forest, double: bool) -> Built:
    """The estimator of a sum of trees. `double` says that rows come in double precision, as which histograms compare them.

    Raises Unrecognized for what scikit-learn does not have.
    """
    if any(item.categories for item in found.trees):
        raise Unrecognized("its trees ask for categories")
    labels = found.head.classes
    if labels is not None and labels != sorted(labels):
        raise Unrecognized("its classes are not in order")
    averaged = _averaged(found)
    if averaged is not None:
        return _forest(found, averaged, labels)
    if found.single and double:
        return _boosting(found, labels)
    return _histograms(found, labels)


def _averaged(found: Forest) -> list[np.ndarray] | None:
    """The values of the trees' nodes where scores are their mean: shares of classes, or numbers."""
    count = len(found.trees)
    if found.base.any() or found.head.link not in ("identity", "complement"):
        return None
    added = [found.added(number).astype(np.float64) * count for number in range(count)]
    if found.head.link == "complement":
        added = [np.concatenate([1 - values, values], axis=1) for values in added]
    if found.head.classes is not None:
        leaves = [values[item.left < 0] for values, item in zip(added, found.trees)]
        return added if all(np.allclose(values.sum(axis=1), 1, atol=1e-4) and (values > -1e-6).all() for values in leaves) else None
    mean = all(np.array_equal(weights, np.eye(len(weights)) / count) for weights in found.weights)
    return [item.values.astype(np.float64) for item in found.trees] if mean else None


def _forest(found: Forest, values: list[np.ndarray], labels: list[Any] | None) -> Built:
    """A tree, or the mean of several."""
    count, targets = len(values), values[0].shape[1]
    if count == 1:
        kind = tree.DecisionTreeRegressor() if labels is None else tree.DecisionTreeClassifier()
        estimator = fitted(kind, found.columns, labels, targets)
        estimator.tree_ = _like(estimator, found.trees[0], values[0])
    else:
        kind = ensemble.RandomForestRegressor if labels is None else ensemble.RandomForestClassifier
        estimator = fitted(kind(n_estimators=count), found.columns, labels, targets)
        for member, item, own in zip(estimator.estimators_, found.trees, values, strict=True):
            member.tree_ = _like(member, item, own)
    return Built(estimator, "predict" if labels is None else "predict_proba")


def structure(columns: int, classes: Sequence[int], item: DecisionTree, values: np.ndarray, samples: Any = 1) -> Any:
    """The library's tree of these tables, which has so many classes (1 of a number) for each target. `samples` are the rows of training at each node."""
    made = Tree(columns, np.array(classes, np.intp), len(classes))
    state = made.__getstate__()
    count, leaf = item.left.size, item.left < 0
    nodes = np.zeros(count, state["nodes"].dtype)
    tables = {
        "left_child": item.left, "right_child": item.right, "feature": np.where(leaf, -2, item.column), "threshold": np.where(leaf, -2.0, item.limit),
        "n_node_samples": samples, "weighted_n_node_samples": samples, "missing_go_to_left": item.missing_left,
    }  # fmt: skip
    for name, numbers in tables.items():
        if name in (nodes.dtype.names or ()):
            nodes[name] = numbers
    shape = (count, len(classes), max(classes))
    values = np.ascontiguousarray(values.reshape(shape), np.float64)
    made.__setstate__({**state, "max_depth": int(_depths(item).max()), "node_count": count, "nodes": nodes, "values": values})
    return made


def _like(member: Any, item: DecisionTree, values: np.ndarray) -> Any:
    """The library's tree of these tables in the place of an estimator's own."""
    return structure(member.tree_.n_features, member.tree_.n_classes.tolist(), item, values)


def _depths(item: DecisionTree) -> np.ndarray:
    """The depth of each node."""
    depths = np.zeros(item.left.size, np.int64)
    level = np.zeros(1, np.int64)
    depth = 0
    while level.size:
        depths[level] = depth
        inner = level[item.left[level] >= 0]
        level, depth = np.concatenate([item.left[inner], item.right[inner]]), depth + 1
    return depths


def _rounds(found: Forest) -> tuple[np.ndarray, list[list[tuple[DecisionTree, np.ndarray]]]]:
    """What the scores begin with, and the trees of each round: one for each score, with the values of its nodes.

    Lone leaves at the beginning are in the former; a tree that adds to several scores stands once for each.
    """
    base = found.base.astype(np.float64).copy()
    columns: list[list[tuple[DecisionTree, np.ndarray]]] = [[] for _ in base]
    for number, item in enumerate(found.trees):
        added = found.added(number).astype(np.float64)
        for score in np.flatnonzero(found.weights[number].any(axis=0)).tolist():
            if item.left.size == 1 and not columns[score]:
                base[score] += added[0, score]
            else:
                columns[score].append((item, added[:, score]))
    count = max(map(len, columns))
    if count == 0:
        raise Unrecognized("it is a constant")
    one, nothing = np.array([-1]), np.zeros(1, np.int64)
    empty = DecisionTree(nothing, np.zeros(1), one, one, nothing, np.zeros((1, 1)))
    for column in columns:
        column += [(empty, np.zeros(1))] * (count - len(column))
    return base, [list(trees) for trees in zip(*columns, strict=True)]


def _boosting(found: Forest, labels: list[Any] | None) -> Built:
    base, rounds = _rounds(found)
    if labels is None and found.head.link != "identity" or labels is not None and found.head.link not in ("softmax", "logistic of two"):
        raise Unrecognized(f"scikit-learn's boosting has no link '{found.head.link}'")
    kind = ensemble.GradientBoostingRegressor if labels is None else ensemble.GradientBoostingClassifier
    if labels is None and len(base) > 1:
        raise Unrecognized("scikit-learn's boosting has one target")
    estimator = fitted(kind(n_estimators=len(rounds), learning_rate=1.0, max_depth=1), found.columns, labels)
    for members, trees in zip(estimator.estimators_, rounds, strict=True):
        for member, (item, own) in zip(members, trees, strict=True):
            member.tree_ = _like(member, item, own)
    if labels is None:
        estimator.init_.constant_ = np.array([[base[0]]])
    else:
        powers = np.exp(base - base.max()) if len(base) > 1 else np.array([1.0, np.exp(base[0])])
        estimator.init_.class_prior_ = powers / powers.sum()
    return Built(estimator, "predict" if labels is None else "predict_proba")


def _histograms(found: Forest, labels: list[Any] | None) -> Built:
    base, rounds = _rounds(found)
    losses = {"identity": "squared_error", "exponential": "poisson"}
    if labels is None:
        if found.head.link not in losses or len(base) > 1:
            raise Unrecognized(f"scikit-learn's histogram-based boosting has no link '{found.head.link}' for {len(base)} targets")
        estimator = fitted(ensemble.HistGradientBoostingRegressor(loss=losses[found.head.link], max_iter=len(rounds), learning_rate=1.0), found.columns)
    elif found.head.link in ("softmax", "logistic of two"):
        estimator = fitted(ensemble.HistGradientBoostingClassifier(max_iter=len(rounds), learning_rate=1.0), found.columns, labels)
    else:
        raise Unrecognized(f"scikit-learn's histogram-based boosting has no link '{found.head.link}'")
    like = estimator._predictors[0][0].nodes.dtype
    predictors = [[_predictor(item, own, like) for item, own in trees] for trees in rounds]
    return Built(with_numbers(estimator, _predictors=predictors, _baseline_prediction=base.reshape(1, -1)), "predict" if labels is None else "predict_proba")


def _predictor(item: DecisionTree, values: np.ndarray, dtype: np.dtype) -> Any:
    """The library's tree of these tables."""
    leaf = item.left < 0
    nodes = np.zeros(leaf.size, dtype)
    columns = {
        "value": np.where(leaf, values, 0), "count": 1, "feature_idx": np.where(leaf, 0, item.column), "num_threshold": np.where(leaf, 0, item.limit),
        "missing_go_to_left": item.missing_left, "left": np.where(leaf, 0, item.left), "right": np.where(leaf, 0, item.right), "is_leaf": leaf,
        "depth": _depths(item),
    }  # fmt: skip
    for name, numbers in columns.items():
        nodes[name] = numbers
    nothing = np.zeros((0, 8), np.uint32)
    return TreePredictor(nodes, nothing, nothing)
