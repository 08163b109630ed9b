"""Tree ensembles trained by XGBoost, LightGBM, scikit-learn and CatBoost: onward, onnxruntime and the framework by turns in one process.

    python benchmarks/trees.py [--threads 2] [--seconds 3] [--trees 500] [--models CatBoost]

The data is synthetic: 28 features, a label that depends on products of some. The models are written as
TreeEnsembleRegressor nodes of raw scores; CatBoost's and HistGradientBoosting's as `onward.convert` gives them, with sums in double. The last column is the greatest difference from the framework.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import onward
from onward.cli.output import console, table
from onward.ir import DataType, Graph, Model, Node, TensorType, Value

FEATURES = 28
SIZES = (1, 100, 10_000)
Predict = Callable[[np.ndarray], np.ndarray]


def data(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows of float32 features, and labels 0 or 1."""
    generator = np.random.default_rng(seed)
    x = generator.standard_normal((count, FEATURES)).astype(np.float32)
    score = x[:, 0] * x[:, 1] + np.abs(x[:, 2]) - x[:, 3] * x[:, 4] * x[:, 5] + generator.standard_normal(count) * 0.5
    return x, (score > 0.5).astype(np.int32)


@dataclass
class Ensemble:
    """Nodes in the attributes of TreeEnsembleRegressor."""

    mode: str
    double: bool = False
    nodes: dict[str, list[Any]] = field(default_factory=lambda: {name: [] for name in (
        "treeids", "nodeids", "featureids", "values", "modes", "truenodeids", "falsenodeids", "missing_value_tracks_true"
    )})  # fmt: skip
    leaves: dict[str, list[Any]] = field(default_factory=lambda: {name: [] for name in ("treeids", "nodeids", "ids", "weights")})
    base: float = 0.0

    def node(self, tree: int, number: int, feature: int, value: float, yes: int, no: int, missing: bool) -> None:
        """A test."""
        row = (tree, number, feature, value, self.mode, yes, no, int(missing))
        for items, item in zip(self.nodes.values(), row):
            items.append(item)

    def leaf(self, tree: int, number: int, weight: float) -> None:
        """A leaf."""
        for items, item in zip(self.nodes.values(), (tree, number, 0, 0.0, "LEAF", 0, 0, 0)):
            items.append(item)
        for items, item in zip(self.leaves.values(), (tree, number, 0, weight)):
            items.append(item)

    def model(self) -> Model:
        """x (rows, 28) -> scores (rows, 1)."""
        attributes: dict[str, Any] = {f"nodes_{name}": items for name, items in self.nodes.items()}
        attributes |= {f"target_{name}": items for name, items in self.leaves.items()}
        attributes |= {"n_targets": 1, "base_values": [self.base]}
        if not any(attributes["nodes_missing_value_tracks_true"]):
            del attributes["nodes_missing_value_tracks_true"]
        rows = onward.ir.Symbol("rows")
        graph = Graph("trees")
        x = Value("x", TensorType(DataType.FLOAT, (rows, FEATURES)))
        y = Value("y", TensorType(DataType.FLOAT, (rows, 1)))
        graph.inputs.append(x)
        graph.append(Node("TreeEnsembleRegressor", [x], [y], attributes, domain="ai.onnx.ml"))
        graph.outputs.append(y)
        return Model(graph, {"": 17, "ai.onnx.ml": 3})


def xgboost_model(trees: int, x: np.ndarray, y: np.ndarray, threads: int) -> tuple[Model, Predict]:
    """Trees of depth 6."""
    import xgboost

    settings = {"max_depth": 6, "eta": 0.1, "objective": "binary:logitraw", "nthread": threads, "base_score": 0.5}
    booster = xgboost.train(settings, xgboost.DMatrix(x, y), trees)
    booster.set_param({"nthread": threads})
    result = Ensemble("BRANCH_LT", base=0.5)
    learner = json.loads(bytes(booster.save_raw("json")))["learner"]
    for number, tree in enumerate(learner["gradient_booster"]["model"]["trees"]):
        columns = (tree[name] for name in ("left_children", "right_children", "split_indices", "split_conditions", "default_left"))
        for place, (left, right, feature, value, default) in enumerate(zip(*columns)):
            if left == -1:
                result.leaf(number, place, value)
            else:
                result.node(number, place, feature, value, left, right, bool(default))
    return result.model(), lambda rows: booster.inplace_predict(rows, predict_type="margin")


def lightgbm_model(trees: int, x: np.ndarray, y: np.ndarray, threads: int) -> tuple[Model, Predict]:
    """Trees of 31 leaves, grown leaf by leaf."""
    import lightgbm

    settings = {"objective": "binary", "num_leaves": 31, "verbosity": -1, "num_threads": threads}
    booster = lightgbm.train(settings, lightgbm.Dataset(x, y), trees)
    result = Ensemble("BRANCH_LEQ")
    for number, tree in enumerate(booster.dump_model()["tree_info"]):
        pending, count = [(tree["tree_structure"], 0)], 1
        while pending:
            node, place = pending.pop()
            if "leaf_value" in node:
                result.leaf(number, place, node["leaf_value"])
                continue
            limit = np.float32(node["threshold"])  # the greatest float32 that is not above the threshold
            limit = np.nextafter(limit, np.float32(-np.inf)) if float(limit) > node["threshold"] else limit
            result.node(number, place, node["split_feature"], float(limit), count, count + 1, node["default_left"])
            pending += [(node["left_child"], count), (node["right_child"], count + 1)]
            count += 2
    return result.model(), lambda rows: booster.predict(rows, raw_score=True, num_threads=threads)


def forest_model(trees: int, x: np.ndarray, y: np.ndarray, threads: int) -> tuple[Model, Predict]:
    """A random forest of 100 trees of depth 12."""
    from sklearn.ensemble import RandomForestRegressor

    forest = RandomForestRegressor(100, max_depth=12, n_jobs=threads, random_state=0).fit(x[:20_000], y[:20_000])
    result = Ensemble("BRANCH_LEQ")
    for number, item in enumerate(forest.estimators_):
        tree = item.tree_
        for place in range(tree.node_count):
            if tree.children_left[place] == -1:
                result.leaf(number, place, float(tree.value[place].item()) / 100)
                continue
            limit = np.float32(tree.threshold[place])
            limit = np.nextafter(limit, np.float32(-np.inf)) if float(limit) > tree.threshold[place] else limit
            children = int(tree.children_left[place]), int(tree.children_right[place])
            result.node(number, place, int(tree.feature[place]), float(limit), *children, False)
    return result.model(), forest.predict


def histogram_model(trees: int, x: np.ndarray, y: np.ndarray, threads: int) -> tuple[Model, Predict]:
    """scikit-learn's HistGradientBoostingRegressor, trees of 31 leaves."""
    from sklearn.ensemble import HistGradientBoostingRegressor
    from threadpoolctl import threadpool_limits

    model = HistGradientBoostingRegressor(max_iter=trees, early_stopping=False, random_state=0).fit(x, y)

    def predict(rows: np.ndarray) -> np.ndarray:
        with threadpool_limits(threads):
            return model.predict(rows)

    return onward.convert(model, x[:100], input_names=["x"]), predict


def catboost_model(trees: int, x: np.ndarray, y: np.ndarray, threads: int, depth: int = 6) -> tuple[Model, Predict]:
    """Symmetric trees of depth 6."""
    import catboost

    model = catboost.CatBoostRegressor(iterations=trees, depth=depth, verbose=0, thread_count=threads, allow_writing_files=False).fit(x, y)
    return onward.convert(model), lambda rows: model.predict(rows, thread_count=threads)


def deep_catboost_model(trees: int, x: np.ndarray, y: np.ndarray, threads: int) -> tuple[Model, Predict]:
    """Symmetric trees of depth 8."""
    return catboost_model(trees, x, y, threads, 8)


MODELS = {
    "XGBoost": xgboost_model,
    "LightGBM": lightgbm_model,
    "scikit-learn forest": forest_model,
    "HistGradientBoosting": histogram_model,
    "CatBoost": catboost_model,
    "CatBoost, deep": deep_catboost_model,
}


def peer(model: Model, threads: int) -> Predict:
    """onnxruntime."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(model.to_bytes(), options)
    return lambda rows: session.run(None, {"x": rows})[0]


def microseconds(contestants: dict[str, Predict], rows: np.ndarray, seconds: float) -> dict[str, list[float]]:
    """Times of calls, the contestants by turns."""
    times: dict[str, list[float]] = {name: [] for name in contestants}
    repeats = 10 if len(rows) < 1000 else 1
    for run in contestants.values():
        run(rows)
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(next(iter(times.values()))) < 5:
        for name, run in contestants.items():
            time.sleep(0.001)  # one contestant's threads spin into the next one's time
            for _ in range(repeats):
                begin = time.perf_counter_ns()
                run(rows)
                times[name].append((time.perf_counter_ns() - begin) / 1000)
    return times


def main() -> None:
    """Prints a table for each model."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--trees", type=int, default=500)
    parser.add_argument("--models", nargs="*", choices=MODELS, default=list(MODELS))
    arguments = parser.parse_args()
    x, y = data(100_000, 0)
    for name in arguments.models:
        make = MODELS[name]
        model, framework = make(arguments.trees, x, y, arguments.threads)
        options = onward.ort.SessionOptions()
        options.intra_op_num_threads = arguments.threads
        begin = time.perf_counter()
        session = onward.InferenceSession(model, options)
        loaded = time.perf_counter() - begin
        contestants: dict[str, Predict] = {"onward": lambda rows, of=session: of.run(None, {"x": rows})[0]}
        contestants["onnxruntime"] = peer(model, arguments.threads)
        contestants[name] = framework
        title = f"{name}: {make.__doc__} {arguments.threads} threads, made in {loaded:.1f} s"
        columns = ["rows", "runtime", "median us", "least us", "times onward's", "off the framework"]
        shown = table(*columns, title=title, left=2)
        for size in SIZES:
            rows, _ = data(size, 1)
            times = microseconds(contestants, rows, arguments.seconds)
            found = {key: np.asarray(run(rows), np.float64).reshape(-1) for key, run in contestants.items()}
            ours = np.median(times["onward"])
            for key, items in times.items():
                error = float(np.abs(found[key] - found[name]).max())
                median, least = float(np.median(items)), min(items)
                shown.add_row(f"{size}", key, f"{median:.1f}", f"{least:.1f}", f"{median / ours:.2f}", f"{error:.1e}")
        console.print(shown)


if __name__ == "__main__":
    main()
