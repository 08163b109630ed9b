"""The library's own JSON of a model, written from what was recognised."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from onward.converters.targets.recognition.forests import DecisionTree, Forest
from onward.converters.targets.recognition.heads import Head
from onward.converters.targets.recognition.layers import Dense
from onward.converters.targets.recognition.rows import Unrecognized
from onward.converters.xgboost import ROOT, base_margins

VERSION = (3, 1, 0)
"""The version of the file format: the first with a base score for each class."""

OBJECTIVES = {
    "identity": "reg:squarederror", "complement": "reg:squarederror", "opposites": "reg:squarederror", "logistic": "binary:logistic",
    "logistic of two": "binary:logistic", "softmax": "multi:softprob", "exponential": "count:poisson", "step": "binary:hinge", "place": "multi:softmax",
}  # fmt: skip
"""By link, an objective whose predictions are those; what a model was trained for, it does not tell."""

MOST_CATEGORIES = 1 << 24
"""Single precision does not tell greater numbers apart."""

NEAR = 8
"""Neighbours of a number that are tried as base score."""


@dataclass
class Learner:
    """What is written of a model: the booster, the margins that rows begin with, how many scores there are, and which columns are categories."""

    booster: dict[str, Any]
    base: np.ndarray
    scores: int
    categorical: set[int] = field(default_factory=set)
    trees: list[tuple[dict[str, Any], int]] | None = None
    """Trees and the score that each adds to, where the booster is of trees."""


def document(learner: Learner, head: Head, columns: int, names: Sequence[str]) -> str:
    """The file as text. Raises Unrecognized where no objective makes of the scores what the model makes of them."""
    if head.scores is None:
        raise Unrecognized("it gives labels alone, and XGBoost gives scores")
    if head.link not in OBJECTIVES:
        raise Unrecognized(f"no objective has the link '{head.link}'")
    objective = OBJECTIVES[head.link]
    multiple = objective.startswith("multi:")
    base = _base_score(objective, learner.base)
    if base is None:  # no score has these margins: they become the first trees
        assert learner.trees is not None
        learner.trees[:0] = [(_leaf(margin), score) for score, margin in enumerate(learner.base)]
        base = _base_score(objective, np.zeros_like(learner.base))
    types = ["c" if column in learner.categorical else "float" for column in range(columns)]
    return json.dumps({
        "learner": {
            "attributes": {} if head.classes is None else {"classes": json.dumps(head.classes)},
            "feature_names": list(names),
            "feature_types": types if learner.categorical or names else [],
            "gradient_booster": learner.booster if learner.trees is None else {"model": _forest(learner.trees, columns), "name": "gbtree"},
            "learner_model_param": {
                "base_score": base, "boost_from_average": "1", "num_class": str(learner.scores if multiple else 0),
                "num_feature": str(columns), "num_target": str(1 if multiple else learner.scores),
            },
            "objective": {"name": objective, **_parameters(objective, learner.scores)},
        },
        "version": list(VERSION),
    })  # fmt: skip


def _parameters(objective: str, scores: int) -> dict[str, Any]:
    if objective.startswith("multi:"):
        return {"softmax_multiclass_param": {"num_class": str(scores)}}
    if objective == "count:poisson":
        return {"poisson_regression_param": {"max_delta_step": "0.7"}}
    return {} if objective == "binary:hinge" else {"reg_loss_param": {"scale_pos_weight": "1"}}


def _base_score(objective: str, margins: np.ndarray) -> str | None:
    """The text of base scores of which the objective makes these margins, to the bit; None where no number does."""
    found = []
    for margin in margins.astype(np.float32):
        near = [margin]
        if objective in ("binary:logistic", "count:poisson"):
            exact = np.exp(np.float64(margin))
            near = _neighbours(np.float32(exact / (1 + exact) if objective == "binary:logistic" else exact))
        scores = {"base_score": json.dumps([float(number) for number in near])}
        with np.errstate(all="ignore"):
            fits = base_margins({"objective": {"name": objective}, "learner_model_param": scores}, len(near)) == margin
        if not fits.any():
            return None
        found.append(str(near[int(fits.argmax())]))
    return found[0] if len(set(found)) == 1 else f"[{','.join(found)}]"  # one number is what older versions read, too


def _neighbours(number: np.float32) -> list[np.float32]:
    """A number of single precision and those beside it, the nearest first."""
    found = [number]
    above = below = number
    for _ in range(NEAR):
        above, below = np.nextafter(above, np.float32(np.inf)), np.nextafter(below, np.float32(-np.inf))
        found += [above, below]
    return found


def linear_booster(found: Dense) -> Learner:
    """The linear booster, in which missing values count as 0."""
    weights = np.concatenate([found.weights, found.bias[None]]).astype(np.float32)
    scores = found.weights.shape[1]
    booster = {"model": {"boosted_rounds": 1, "weights": [float(number) for number in weights.reshape(-1)]}, "name": "gblinear"}
    return Learner(booster, np.zeros(scores), scores)


def tree_booster(forest: Forest) -> Learner:
    """Boosted trees: one for each score that a tree adds to. Raises Unrecognized for categories beyond what the library takes.

    Lone leaves at the beginning are the margins that rows begin with.
    """
    base = forest.base.astype(np.float32)
    trees: list[tuple[dict[str, Any], int]] = []
    begun: set[int] = set()
    for number, tree in enumerate(forest.trees):
        added = forest.added(number).astype(np.float32)
        for score in np.flatnonzero(forest.weights[number].any(axis=0)).tolist():
            if tree.left.size == 1 and score not in begun and base[score] == 0:
                base[score] = added[0, score]
            else:
                trees.append((_tree(tree, added[:, score]), score))
            begun.add(score)
    categorical = forest.categorical()
    if any(max(numbers) >= MOST_CATEGORIES for tree in forest.trees for numbers in tree.categories.values()):
        raise Unrecognized(f"it has categories beyond {MOST_CATEGORIES}")
    for tree in forest.trees:
        plain = {int(tree.column[node]) for node in np.flatnonzero(tree.left >= 0).tolist() if node not in tree.categories}
        if plain & categorical:
            raise Unrecognized(f"it takes column {min(plain & categorical)} for categories and for numbers")
    return Learner({}, base, len(base), categorical, trees)


def _forest(trees: Sequence[tuple[dict[str, Any], int]], columns: int) -> dict[str, Any]:
    """The trees of all rounds: a round ends where the scores begin anew."""
    scores = [score for _, score in trees]
    starts = [number for number in range(len(trees)) if number == 0 or scores[number] <= scores[number - 1]]
    numbered = [
        {**tree, "id": number, "tree_param": {"num_deleted": "0", "num_feature": str(columns), "num_nodes": str(len(tree["parents"])), "size_leaf_vector": "1"}}
        for number, (tree, _) in enumerate(trees)
    ]
    return {
        "cats": {"enc": [], "feature_segments": [], "sorted_idx": []},
        "gbtree_model_param": {"num_parallel_tree": "1", "num_trees": str(len(trees))},
        "iteration_indptr": [*starts, len(trees)] if trees else [0],
        "tree_info": scores,
        "trees": numbered,
    }  # fmt: skip


def _leaf(value: Any) -> dict[str, Any]:
    one, zero = np.array([-1]), np.zeros(1)
    return _tree(DecisionTree(zero.astype(int), zero, one, one, zero.astype(bool), zero[:, None]), np.array([value], np.float32))


def _tree(tree: DecisionTree, values: np.ndarray) -> dict[str, Any]:
    """A tree. The library goes left where x < limit, in single precision, and right with a category of the set.

    So limits become the next greater number of single precision: rows, which have no other numbers, go the same way.
    """
    member = np.isin(np.arange(tree.left.size), list(tree.categories))
    everywhere = (tree.left >= 0) & (tree.limit == np.inf)  # x < limit holds for no number above all: the other way round
    swapped = member | everywhere
    left, right = np.where(swapped, tree.right, tree.left), np.where(swapped, tree.left, tree.right)
    order, parents = _order(left, right)
    place = np.argsort(order)
    left, right = (np.where(side[order] < 0, -1, place[side[order]]) for side in (left, right))
    inner, member = left >= 0, member[order]
    limits = np.where(everywhere, -np.inf, _above(tree.limit))[order]
    nodes = np.flatnonzero(member).tolist()
    categories = [tree.categories[order[node]] for node in nodes]
    nothing = [0.0] * inner.size
    return {
        "base_weights": np.where(inner, 0, values[order]).astype(float).tolist(),
        "categories": [number for numbers in categories for number in numbers],
        "categories_nodes": nodes,
        "categories_segments": np.cumsum([0, *map(len, categories)])[:-1].tolist(),
        "categories_sizes": [len(numbers) for numbers in categories],
        "default_left": np.where(inner, (tree.missing_left ^ swapped)[order], False).astype(int).tolist(),
        "left_children": left.tolist(),
        "loss_changes": nothing,
        "parents": parents,
        "right_children": right.tolist(),
        "split_conditions": np.where(inner, np.where(member, 0, limits), values[order]).astype(np.float32).astype(float).tolist(),
        "split_indices": np.where(inner, tree.column[order], 0).tolist(),
        "split_type": member.astype(int).tolist(),
        "sum_hessian": nothing,
    }


def _order(left: np.ndarray, right: np.ndarray) -> tuple[list[int], list[int]]:
    """Nodes level by level, and the parent of each in that order. For a single row the library takes the node after the left child for the right one."""
    order, parents = [0], [ROOT]
    for number, node in enumerate(order):  # which grows meanwhile
        if left[node] >= 0:
            order += [int(left[node]), int(right[node])]
            parents += [number, number]
    return order, parents


def _above(numbers: np.ndarray) -> np.ndarray:
    """The least number of single precision that is greater than each."""
    with np.errstate(over="ignore"):
        single = numbers.astype(np.float32)
    return np.where(single > numbers, single, np.nextafter(single, np.float32(np.inf)))
