"""Tree ensembles on compiled code, against a walk through the trees one row and one tree at a time."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper

from onward.errors import OnwardError
from onward.runtime import InferenceSession

MODES = ("BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ")
TARGETS = ("generic", "avx2", "avx512", "host")


def random_trees(
    generator: np.random.Generator, trees: int, depth: int, features: int, modes: tuple[str, ...], *, full: bool = False,
    missing: bool = False, targets: int = 1, per_leaf: bool = False,
) -> dict[str, list[Any]]:  # fmt: skip
    """Attributes of TreeEnsembleRegressor; thresholds are multiples of 1/4, so that elements hit them."""
    names = ("featureids", "values", "modes", "truenodeids", "falsenodeids", "missing_value_tracks_true", "treeids", "nodeids")
    nodes: dict[str, list[Any]] = {f"nodes_{name}": [] for name in names}
    leaves: dict[str, list[Any]] = {f"target_{name}": [] for name in ("treeids", "nodeids", "ids", "weights")}
    for tree in range(trees):
        pending, count = [(0, 0)], 1
        while pending:
            number, level = pending.pop(0)
            is_leaf = level == depth or level > 0 and not full and generator.random() < 0.25
            mode = "LEAF" if is_leaf else str(generator.choice(modes))
            children = (0, 0) if is_leaf else (count, count + 1)
            row = (int(generator.integers(features)), float(generator.integers(-8, 9)) / 4, mode, *children,
                   int(missing and generator.random() < 0.5), tree, number)  # fmt: skip
            for items, item in zip(nodes.values(), row):
                items.append(item)
            if is_leaf:
                for target in range(targets) if per_leaf else [tree % targets]:
                    for items, item in zip(leaves.values(), (tree, number, target, float(np.float32(generator.standard_normal())))):
                        items.append(item)
            else:
                pending += [(children[0], level + 1), (children[1], level + 1)]
                count += 2
    return {**nodes, **leaves}


def model(attributes: dict[str, Any], features: int, targets: int = 1, **more: Any) -> bytes:
    node = helper.make_node(
        "TreeEnsembleRegressor", ["x"], ["y"], domain="ai.onnx.ml", n_targets=targets, **attributes, **more
    )
    graph = helper.make_graph(
        [node], "trees", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", features])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", targets])],
    )  # fmt: skip
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString()


def holds(mode: str, element: float, value: float) -> bool:
    tests = {"BRANCH_LEQ": element <= value, "BRANCH_LT": element < value, "BRANCH_GTE": element >= value,
             "BRANCH_GT": element > value, "BRANCH_EQ": element == value, "BRANCH_NEQ": element != value}  # fmt: skip
    return tests[mode]


def walked(attributes: dict[str, Any], x: np.ndarray, targets: int) -> np.ndarray:
    """Sums in float32, one tree after another."""
    columns = [attributes[f"nodes_{name}"] for name in ("treeids", "nodeids")]
    number = {key: place for place, key in enumerate(zip(*columns))}
    weights: dict[tuple[int, int], list[tuple[int, float]]] = {}
    for tree, node, target, weight in zip(*(attributes[f"target_{name}"] for name in ("treeids", "nodeids", "ids", "weights"))):
        weights.setdefault((tree, node), []).append((target, weight))
    result = np.zeros((len(x), targets), np.float32)
    for row, elements in enumerate(x):
        for tree in dict.fromkeys(columns[0]):
            node = 0
            while attributes["nodes_modes"][number[tree, node]] != "LEAF":
                place = number[tree, node]
                element = float(elements[attributes["nodes_featureids"][place]])
                yes = holds(attributes["nodes_modes"][place], element, attributes["nodes_values"][place])
                yes = yes or math.isnan(element) and bool(attributes["nodes_missing_value_tracks_true"][place])
                node = attributes["nodes_truenodeids" if yes else "nodes_falsenodeids"][place]
            for target, weight in weights[tree, node]:
                result[row, target] += np.float32(weight)
    return result


def rows(generator: np.random.Generator, count: int, features: int, *, nan: bool = False) -> np.ndarray:
    x = (generator.integers(-10, 11, (count, features)) / 4).astype(np.float32)
    x[generator.random(x.shape) < 0.05] = -0.0
    x[generator.random(x.shape) < 0.02] = np.inf
    if nan:
        x[generator.random(x.shape) < 0.2] = np.nan
    return x


CASES: dict[str, dict[str, Any]] = {
    "complete trees": {"trees": 70, "depth": 5, "modes": ("BRANCH_LT",), "full": True},
    "complete trees with gaps": {"trees": 9, "depth": 6, "modes": ("BRANCH_LEQ", "BRANCH_GT"), "missing": True},
    "stumps": {"trees": 130, "depth": 1, "modes": MODES[:4], "missing": True},
    "small deep trees": {"trees": 20, "depth": 9, "modes": ("BRANCH_LEQ",), "missing": True},
    "classes": {"trees": 67, "depth": 4, "modes": MODES[:4], "targets": 3, "missing": True},
    "equality": {"trees": 20, "depth": 5, "modes": MODES, "missing": True},
    "leaves for all": {"trees": 20, "depth": 7, "modes": MODES, "targets": 5, "per_leaf": True, "missing": True},
    "many leaves": {"trees": 3, "depth": 11, "modes": ("BRANCH_LEQ",), "full": True},
}


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", CASES)
def test_sums_are_those_of_a_walk(name: str, target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONWARD_CPU", target)
    generator = np.random.default_rng(len(name))
    options = CASES[name]
    targets = options.get("targets", 1)
    attributes = random_trees(generator, features=7, **options)
    session = InferenceSession(model(attributes, 7, targets))
    assert not session.runs_in_stages
    for count in (1, 5, 16, 100):
        x = rows(generator, count, 7, nan=bool(options.get("missing")))
        np.testing.assert_array_equal(session.run(None, {"x": x})[0], walked(attributes, x, targets))


@pytest.mark.parametrize("aggregate", ["SUM", "AVERAGE", "MIN", "MAX"])
@pytest.mark.parametrize("transform", ["NONE", "SOFTMAX", "LOGISTIC"])
def test_aggregates_and_transforms_agree_with_onnxruntime(aggregate: str, transform: str) -> None:
    generator = np.random.default_rng(3)
    attributes = random_trees(generator, 12, 4, 7, MODES[:1], targets=3, per_leaf=True)
    data = model(attributes, 7, 3, aggregate_function=aggregate, post_transform=transform, base_values=[0.5, -1.0, 2.0])
    x = rows(generator, 40, 7)
    (ours,), (theirs,) = InferenceSession(data).run(None, {"x": x}), onnxruntime.InferenceSession(data).run(None, {"x": x})
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)


def test_the_same_sums_on_any_number_of_threads() -> None:
    from onward.runtime import SessionOptions

    generator = np.random.default_rng(9)
    data = model(random_trees(generator, 60, 5, 7, MODES[:2]), 7)
    x, results = rows(generator, 1000, 7), []
    for threads in (1, 2, 3):
        options = SessionOptions()
        options.intra_op_num_threads = threads
        results.append(InferenceSession(data, options).run(None, {"x": x})[0])
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[0], results[2])


def test_no_rows_at_all() -> None:
    data = model(random_trees(np.random.default_rng(1), 5, 3, 7, MODES[:1]), 7)
    assert InferenceSession(data).run(None, {"x": np.zeros((0, 7), np.float32)})[0].shape == (0, 1)


def test_trees_that_make_no_sense_are_refused() -> None:
    attributes = random_trees(np.random.default_rng(1), 2, 3, 7, MODES[:1], full=True)
    cycle = {**attributes, "nodes_truenodeids": [0] * len(attributes["nodes_truenodeids"])}
    with pytest.raises(OnwardError, match="below itself"):
        InferenceSession(model(cycle, 7))
    with pytest.raises(OnwardError, match="feature"):
        InferenceSession(model(attributes, 3))
    with pytest.raises(OnwardError, match="BRANCH_MAYBE"):
        InferenceSession(model({**attributes, "nodes_modes": ["BRANCH_MAYBE", *attributes["nodes_modes"][1:]]}, 7))
