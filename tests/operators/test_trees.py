"""Tree ensembles on compiled code, against a walk through the trees one row and one tree at a time."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

import onward
from onward.compiler.roots import topological
from onward.compiler.routines.trees.bins import bin_trees
from onward.compiler.routines.trees.shapes import SymmetricTrees
from onward.errors import OnwardError
from onward.operators import lower
from onward.program.array import RoutineOutput
from onward.runtime import InferenceSession

MODES = ("BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ")
TARGETS = ("generic", "avx2", "avx512", "host")


def random_trees(
    generator: np.random.Generator, trees: int, depth: int, features: int, modes: tuple[str, ...], *, full: bool = False,
    missing: bool = False, targets: int = 1, per_leaf: bool = False, fine: bool = False, symmetric: bool = False,
) -> dict[str, list[Any]]:  # fmt: skip
    """Attributes of TreeEnsembleRegressor; thresholds are multiples of 1/4, so that elements hit them, unless `fine`.

    All nodes of one level of a `symmetric` tree ask the same.
    """
    names = (
        "featureids",
        "values",
        "modes",
        "truenodeids",
        "falsenodeids",
        "missing_value_tracks_true",
        "treeids",
        "nodeids",
    )
    nodes: dict[str, list[Any]] = {f"nodes_{name}": [] for name in names}
    leaves: dict[str, list[Any]] = {f"target_{name}": [] for name in ("treeids", "nodeids", "ids", "weights")}

    def test() -> tuple[int, float, str, int]:
        value = float(np.float32(generator.normal())) if fine else float(generator.integers(-8, 9)) / 4
        feature, tracks = int(generator.integers(features)), int(missing and generator.random() < 0.5)
        return feature, value, str(generator.choice(modes)), tracks

    for tree in range(trees):
        pending, count = [(0, 0)], 1
        levels = [test() for _ in range(depth)] if symmetric else []
        while pending:
            number, level = pending.pop(0)
            is_leaf = level == depth or level > 0 and not full and generator.random() < 0.25
            children = (0, 0) if is_leaf else (count, count + 1)
            feature, value, mode, tracks = (0, 0.0, "LEAF", 0) if is_leaf else levels[level] if symmetric else test()
            row = (feature, value, mode, *children, tracks, tree, number)
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
    node = helper.make_node("TreeEnsembleRegressor", ["x"], ["y"], domain="ai.onnx.ml", n_targets=targets, **attributes, **more)
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
    "many thresholds": {
        "trees": 300,
        "depth": 5,
        "modes": ("BRANCH_LT", "BRANCH_GTE"),
        "missing": True,
        "fine": True,
        "features": 2,
    },
    "many features": {"trees": 70, "depth": 4, "modes": ("BRANCH_LEQ",), "features": 300},
    "many outputs": {"trees": 90, "depth": 3, "modes": ("BRANCH_LEQ",), "targets": 70},
    "symmetric trees": {"trees": 70, "depth": 6, "modes": MODES[:4], "full": True, "missing": True, "symmetric": True},
    "deep symmetric trees": {"trees": 9, "depth": 11, "modes": ("BRANCH_GT",), "missing": True, "symmetric": True, "targets": 2},
    "many leaves": {"trees": 3, "depth": 11, "modes": ("BRANCH_LEQ",), "full": True},
}


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", CASES)
def test_sums_are_those_of_a_walk(name: str, target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONWARD_CPU", target)
    generator = np.random.default_rng(len(name))
    options = {"features": 7, **CASES[name]}
    features = options["features"]
    targets = options.get("targets", 1)
    attributes = random_trees(generator, **options)
    session = InferenceSession(model(attributes, features, targets))
    assert not session.runs_in_stages
    for count in (1, 5, 16, 100):
        x = rows(generator, count, features, nan=bool(options.get("missing")))
        np.testing.assert_array_equal(session.run(None, {"x": x})[0], walked(attributes, x, targets))


@pytest.mark.parametrize(("symmetric", "depth", "full"), [(True, 9, True), (True, 6, False), (False, 4, True)])
def test_symmetric_trees_are_recognised(symmetric: bool, depth: int, full: bool) -> None:
    generator = np.random.default_rng(5)
    attributes = random_trees(generator, 20, depth, 7, MODES[:4], full=full, missing=True, symmetric=symmetric)
    arrays = topological(lower(onward.load(model(attributes, 7))).outputs.values())
    (trees,) = (array.routine.attributes["trees"] for array in arrays if isinstance(array, RoutineOutput))
    bins = bin_trees(trees)
    assert bins is not None
    assert np.isfinite(SymmetricTrees.cost(trees, bins)) == symmetric


@pytest.mark.parametrize("aggregate", ["SUM", "AVERAGE", "MIN", "MAX"])
@pytest.mark.parametrize("transform", ["NONE", "SOFTMAX", "LOGISTIC"])
def test_aggregates_and_transforms_agree_with_onnxruntime(aggregate: str, transform: str) -> None:
    generator = np.random.default_rng(3)
    attributes = random_trees(generator, 12, 4, 7, MODES[:1], targets=3, per_leaf=True)
    data = model(attributes, 7, 3, aggregate_function=aggregate, post_transform=transform, base_values=[0.5, -1.0, 2.0])
    x = rows(generator, 40, 7)
    (ours,), (theirs,) = (
        InferenceSession(data).run(None, {"x": x}),
        onnxruntime.InferenceSession(data).run(None, {"x": x}),
    )
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


def ensemble(generator: np.random.Generator, kind: int, modes: tuple[int, ...], *, missing: bool, targets: int) -> dict[str, Any]:
    """Attributes of TreeEnsemble-5: full trees of three levels, with sets of numbers for the nodes that test membership."""
    trees, inner, outer = 5, 7, 8
    dtype = helper.tensor_dtype_to_np_dtype(kind)
    count = trees * inner
    chosen = generator.choice(modes, count).astype(np.uint8)
    members: list[float] = []
    for _ in range(int((chosen == 6).sum())):
        members += [*(generator.choice(np.arange(-8, 9), 3, replace=False) / 4), np.nan]
    place = np.arange(inner)
    leaf = [int(2 * node + 1 >= inner) for _ in range(trees) for node in place]
    yes = [int(tree * outer + 2 * node + 1 - inner if 2 * node + 1 >= inner else tree * inner + 2 * node + 1)
           for tree in range(trees) for node in place]  # fmt: skip
    attributes = {
        "tree_roots": [tree * inner for tree in range(trees)], "n_targets": targets, "nodes_modes": tensor(chosen),
        "nodes_featureids": generator.integers(0, 4, count).tolist(),
        "nodes_splits": tensor((generator.integers(-8, 9, count) / 4).astype(dtype)),
        "nodes_truenodeids": yes, "nodes_trueleafs": leaf, "nodes_falsenodeids": [number + 1 for number in yes],
        "nodes_falseleafs": leaf, "leaf_targetids": generator.integers(0, targets, trees * outer).tolist(),
        "leaf_weights": tensor((generator.integers(-20, 20, trees * outer) / 8).astype(dtype)),
    }  # fmt: skip
    if members:
        attributes["membership_values"] = tensor(np.array(members, dtype))
    if missing:
        attributes["nodes_missing_value_tracks_true"] = generator.integers(0, 2, count).tolist()
    return attributes


def tensor(data: np.ndarray) -> Any:
    return numpy_helper.from_array(data)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("missing", [False, True])
@pytest.mark.parametrize("kind", [TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16])
@pytest.mark.parametrize("modes", [(0,), (0, 1, 2, 3), (4, 5), (0, 6), (0, 1, 2, 3, 4, 5, 6)])
def test_ensembles_of_all_types(modes: tuple[int, ...], kind: int, missing: bool, target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONWARD_CPU", target)
    generator = np.random.default_rng(len(modes))
    for function in range(4):
        attributes = ensemble(generator, kind, modes, missing=missing, targets=3)
        node = helper.make_node("TreeEnsemble", ["x"], ["y"], domain="ai.onnx.ml", aggregate_function=function, **attributes)
        values = [helper.make_tensor_value_info(name, kind, [None, size]) for name, size in (("x", 4), ("y", 3))]
        opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 5)]
        proto = helper.make_model(helper.make_graph([node], "g", values[:1], values[1:]), opset_imports=opsets, ir_version=10)
        x = rows(generator, 70, 4).astype(helper.tensor_dtype_to_np_dtype(kind))
        if missing:
            x[generator.random(x.shape) < 0.2] = np.nan
        session = InferenceSession(proto.SerializeToString())
        assert not session.runs_in_stages
        found = session.run(None, {"x": x})[0]
        assert found.dtype == x.dtype
        np.testing.assert_array_equal(found, reference(attributes, x, function))


def reference(attributes: dict[str, Any], x: np.ndarray, function: int) -> np.ndarray:
    """One row, one tree and one node after another. Weights are such that no sum is rounded."""
    table = {name: numpy_helper.to_array(value) if isinstance(value, TensorProto) else value for name, value in attributes.items()}
    sets = iter(
        np.split(
            table.get("membership_values", np.zeros(0)),
            np.flatnonzero(np.isnan(table.get("membership_values", np.zeros(0)))) + 1,
        )
    )
    members = [next(sets) if mode == 6 else None for mode in table["nodes_modes"]]
    tests = [np.less_equal, np.less, np.greater_equal, np.greater, np.equal, np.not_equal, np.isin]
    result = np.zeros((len(x), table["n_targets"]), x.dtype)
    for row, elements in enumerate(x):
        found: list[list[float]] = [[] for _ in range(table["n_targets"])]
        for node in table["tree_roots"]:
            is_leaf = False
            while not is_leaf:
                element, mode = elements[table["nodes_featureids"][node]], table["nodes_modes"][node]
                limit = members[node][:-1] if mode == 6 else table["nodes_splits"][node]
                yes = bool(tests[mode](element, limit))
                yes |= bool(np.isnan(element)) and bool(table.get("nodes_missing_value_tracks_true", np.zeros(node + 1))[node])
                way = "true" if yes else "false"
                is_leaf, node = bool(table[f"nodes_{way}leafs"][node]), table[f"nodes_{way}nodeids"][node]
            found[table["leaf_targetids"][node]].append(float(table["leaf_weights"][node]))
        for target, items in enumerate(found):
            combined = [sum(items) / len(table["tree_roots"]), sum(items), min(items, default=0), max(items, default=0)]
            result[row, target] = combined[function]
    return result
