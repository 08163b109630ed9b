"""Random trees in the forms that converters write."""

from __future__ import annotations

from typing import Any

import numpy as np

from onward.converters.builder import ModelBuilder
from onward.ir import Model
from onward.ir.datatypes import DataType

MODES = ("BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ")
FORMS = ("SUM", "AVERAGE", "several targets")


def nodes_of(
    random: np.random.Generator, trees: int, columns: int, limits: np.ndarray, modes: tuple[str, ...] = MODES
) -> tuple[dict[str, list[Any]], list[tuple[int, int]]]:
    """The attributes nodes_* of random trees, and (tree, node) of each leaf."""
    nodes: dict[str, list[Any]] = {
        name: [] for name in ("treeids", "nodeids", "featureids", "values", "modes", "truenodeids", "falsenodeids", "missing_value_tracks_true")
    }
    leaves = []
    for tree in range(trees):
        depths = [0]
        node = 0
        while node < len(depths):
            leaf = depths[node] == 4 or random.random() < 0.15
            if leaf:
                leaves.append((tree, node))
            row = {
                "treeids": tree, "nodeids": node, "featureids": int(random.integers(columns)), "values": float(random.choice(limits)),
                "modes": "LEAF" if leaf else str(random.choice(modes)), "truenodeids": 0 if leaf else len(depths),
                "falsenodeids": 0 if leaf else len(depths) + 1, "missing_value_tracks_true": int(random.integers(2)),
            }  # fmt: skip
            depths += [] if leaf else [depths[node] + 1] * 2
            for name, value in row.items():
                nodes[name].append(value)
            node += 1
    return {f"nodes_{name}": items for name, items in nodes.items()}, leaves


def random_trees(seed: int, form: str) -> tuple[Model, np.ndarray]:
    """A TreeEnsembleRegressor of any modes over 4 columns, and the numbers that it compares with. Its leaves are multiples of 1/64,
    whose sums are exact: leaves of other numbers may cancel, and then what is left is rounding."""
    random = np.random.default_rng(seed)
    limits = np.unique(np.concatenate([[0.0, 1.0], random.standard_normal(5)]).astype(np.float32))
    nodes, leaves = nodes_of(random, int(random.integers(1, 6)), 4, limits)
    targets = 3 if form == "several targets" else 1
    b = ModelBuilder("trees")
    given = [(tree, node, target) for tree, node in leaves for target in range(targets) if targets == 1 or random.random() < 0.6]
    b.output(
        b.op(
            "TreeEnsembleRegressor", b.input("x", DataType.FLOAT, ["rows", 4]), domain="ai.onnx.ml", n_targets=targets,
            aggregate_function="AVERAGE" if form == "AVERAGE" else "SUM", target_treeids=[tree for tree, _, _ in given],
            target_nodeids=[node for _, node, _ in given], target_ids=[target for _, _, target in given],
            target_weights=(random.integers(-128, 129, len(given)) / 64).tolist(), **nodes,
        ),
        "y",
    )  # fmt: skip
    b.domains["ai.onnx.ml"] = 3
    return b.model(), limits


def regressor(seed: int, classes: int = 0, transform: str = "NONE", base: bool = False) -> Model:
    """Random trees as a TreeEnsembleRegressor or, for so many classes, as a TreeEnsembleClassifier; two classes share a column."""
    random = np.random.default_rng(seed)
    nodes, leaves = nodes_of(random, 6, 4, random.standard_normal(20).astype(np.float32), ("BRANCH_LEQ",))
    prefix = "class" if classes else "target"
    ids = [tree % classes if classes > 2 else 0 for tree, _ in leaves]
    own: dict[str, Any] = {"classlabels_int64s": list(range(classes))} if classes else {"n_targets": 1}
    columns = classes if classes > 2 else 1
    b = ModelBuilder("trees")
    result = b.op(
        "TreeEnsembleClassifier" if classes else "TreeEnsembleRegressor", b.input("x", DataType.FLOAT, ["rows", 4]), domain="ai.onnx.ml",
        outputs=2 if classes else 1, post_transform=transform, base_values=random.standard_normal(columns).tolist() if base else None, **nodes, **own,
        **{
            f"{prefix}_treeids": [tree for tree, _ in leaves], f"{prefix}_nodeids": [node for _, node in leaves], f"{prefix}_ids": ids,
            f"{prefix}_weights": random.standard_normal(len(leaves)).astype(np.float32).tolist(),
        },
    )  # fmt: skip
    for value, name in zip(result if classes else [result], ("label", "scores") if classes else ("y",), strict=True):
        b.output(value, name)
    b.domains["ai.onnx.ml"] = 3
    return b.model()
