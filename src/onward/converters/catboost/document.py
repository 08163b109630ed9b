"""What the JSON of a CatBoost model says, checked: features, splits, trees, loss and classes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from onward.errors import FormatError, UnsupportedOperator

EMPTY = np.uint64(0xFFFFFFFFFFFFFFFF)
"""The key of an unused place in a table."""


@dataclass(frozen=True)
class Split:
    """A test: whether a column is greater than `border`, or (`equal`) whether it is that number.

    `kind` is "float", "category" or "statistic"; `place` counts the columns of that kind; `missing` is the answer for NaN.
    """

    kind: str
    place: int
    border: float
    missing: bool = False

    @property
    def equal(self) -> bool:
        """Whether the test is one for equality."""
        return self.kind == "category"


@dataclass(frozen=True)
class Statistic:
    """A number made of categories: how often a combination occurred in training, and with what target."""

    categories: tuple[int, ...]
    floats: tuple[tuple[int, float], ...]
    exact: tuple[tuple[int, int], ...]
    """Categories, numbers with a border, and categories with a value, whose answers are combined into one key."""
    kind: str
    class_index: int
    prior: tuple[float, float]
    shift: float
    scale: float
    keys: np.ndarray = field(repr=False)
    rows: np.ndarray = field(repr=False)
    """Known keys (uint64), and the numbers counted for each."""
    denominator: float


@dataclass(frozen=True)
class Node:
    """An inner node: `low` where the test fails, `high` where it holds; leaves are vectors of numbers."""

    split: Split
    low: Any
    high: Any


class Document:
    """A model: `trees` of nodes and leaves, all leaves of `targets` numbers, whose sum times `scale` plus `bias` is the raw value."""

    def __init__(self, data: Any) -> None:
        """Raises FormatError for what is no model, UnsupportedOperator for features of text or embeddings."""
        try:
            self._read(data)
        except (KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as problem:
            raise FormatError(f"this is no model of CatBoost: {type(problem).__name__}: {problem}") from problem

    def _read(self, data: Mapping[str, Any]) -> None:
        features = data["features_info"]
        unknown = sorted(name for name in features if name.startswith(("text", "embedding")) and features[name])
        if unknown:
            raise UnsupportedOperator(f"CatBoost models with {', '.join(unknown)}: they cannot be said in ONNX")
        self.floats = features.get("float_features", [])
        self.categories = features.get("categorical_features", [])
        self.statistics = [self._statistic(item, data.get("ctr_data", {})) for item in features.get("ctrs", [])]
        self.splits = [*self._float_splits(), *self._category_splits(), *self._statistic_splits(features.get("ctrs", []))]
        scale, bias = data["scale_and_bias"]
        self.scale, self.bias = float(scale), np.array(bias, np.float64)
        self.targets = len(self.bias)
        if "oblivious_trees" in data:
            self.trees = [self._oblivious(tree) for tree in data["oblivious_trees"]]
        else:
            self.trees = [self._tree(tree) for tree in data["trees"]]
        information = data.get("model_info", {})
        self.loss = str(information["params"]["loss_function"]["type"]) if "params" in information else ""
        classes = information.get("class_params") or {}
        self.classes = list(classes.get("class_names") or []) or list(classes.get("class_to_label") or [])
        self.threshold = float(information.get("binclass_probability_threshold", 0.5))

    # -- splits, in the order in which trees count them -----------------------------------------------------------------
    def _float_splits(self) -> Iterator[Split]:
        for place, feature in enumerate(self.floats):
            as_true = feature.get("nan_value_treatment") == "AsTrue"
            for border in feature.get("borders") or []:
                yield Split("float", place, float(np.float32(border)), as_true)

    def _category_splits(self) -> Iterator[Split]:
        for place, feature in enumerate(self.categories):
            for value in feature.get("values") or []:
                yield Split("category", place, int(value))

    def _statistic_splits(self, found: Sequence[Mapping[str, Any]]) -> Iterator[Split]:
        for place, item in enumerate(found):
            for border in item["borders"]:
                yield Split("statistic", place, float(np.float32(border)))

    def _statistic(self, item: Mapping[str, Any], tables: Mapping[str, Any]) -> Statistic:
        elements = item["elements"]
        table = tables[item["identifier"]]
        flat, stride = table["hash_map"], int(table["hash_stride"])
        if stride < 2 or len(flat) % stride:
            raise ValueError(f"a table of {len(flat)} numbers in rows of {stride}")
        keys = np.array([int(key) for key in flat[::stride]], np.uint64)
        rows = np.array([flat[begin + 1 : begin + stride] for begin in range(0, len(flat), stride)], np.float64)
        used = keys != EMPTY
        return Statistic(
            tuple(int(e["cat_feature_index"]) for e in elements if e["combination_element"] == "cat_feature_value"),
            tuple((int(e["float_feature_index"]), float(e["border"])) for e in elements if e["combination_element"] == "float_feature"),
            tuple((int(e["cat_feature_index"]), int(e["value"])) for e in elements if e["combination_element"] == "cat_feature_exact_value"),
            str(item["ctr_type"]),
            int(item["target_border_idx"]),
            (float(item["prior_numerator"]), float(item["prior_denomerator"])),
            float(item["shift"]),
            float(item["scale"]),
            keys[used],
            rows.reshape(len(keys), stride - 1)[used],
            float(table["counter_denominator"]),
        )

    # -- trees ----------------------------------------------------------------------------------------------------------
    def _oblivious(self, tree: Mapping[str, Any]) -> Any:
        """The same test in all nodes of a level; the first test is the lowest bit of a leaf's number."""
        splits = [self._split(item) for item in tree.get("splits") or []]
        values = self._finite(tree["leaf_values"])
        leaves: list[Any] = [values[begin : begin + self.targets] for begin in range(0, len(values), self.targets)]
        if len(values) != self.targets << len(splits):
            raise ValueError(f"a tree with {len(splits)} levels has {len(values)} numbers in its leaves")
        for split in splits:
            leaves = [Node(split, low, high) for low, high in zip(leaves[::2], leaves[1::2])]
        return leaves[0]

    def _tree(self, tree: Mapping[str, Any]) -> Any:
        if "split" in tree:
            return Node(self._split(tree["split"]), self._tree(tree["left"]), self._tree(tree["right"]))
        value = tree["value"]
        leaf = self._finite(value if isinstance(value, list) else [value])
        if len(leaf) != self.targets:
            raise ValueError(f"a leaf of {len(leaf)} numbers, expected {self.targets}")
        return leaf

    def _split(self, item: Mapping[str, Any]) -> Split:
        place = int(item["split_index"])
        if place < 0:
            raise IndexError(f"there is no test {place}")
        return self.splits[place]

    @staticmethod
    def _finite(numbers: Sequence[Any]) -> list[float]:
        found = [float(number) for number in numbers]
        if not all(map(math.isfinite, found)):
            raise ValueError("a leaf is not finite")
        return found
