"""A model that computes something else than its source: the first operator that does is named, whatever the framework."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import onward
from onward.converters import divergence
from onward.ir.tensor import Tensor


def spoilt(model: onward.Model, name: str) -> onward.Model:
    """The model with one weight changed."""
    (value,) = [item for item in model.graph.values() if item.tensor is not None and name in item.name]
    assert value.tensor is not None
    value.tensor = Tensor.of(value.tensor.numpy() + np.float32(0.5))
    return model


def test_jax() -> None:
    jax = pytest.importorskip("jax")
    parameters = {"first": np.eye(4, dtype=np.float32), "second": np.ones((4, 3), np.float32)}

    def network(parameters: Any, x: Any) -> Any:
        return jax.nn.softmax(jax.numpy.tanh(x @ parameters["first"]) @ parameters["second"])

    import functools

    function = functools.partial(network, parameters)
    model = spoilt(onward.convert(function, (np.ones((2, 4), np.float32),)), "second")
    found = divergence(model, function, (np.ones((5, 4), np.float32),))
    assert found is not None and found.operator in ("MatMul", "Gemm", "Einsum")
    assert "test_localization.py" in found.source


def test_tensorflow() -> None:
    tf = pytest.importorskip("tensorflow")

    class Network(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.filters = tf.Variable(np.random.default_rng(0).standard_normal((3, 3, 2, 4)).astype(np.float32), name="filters")
            self.weights = tf.Variable(np.ones((4, 3), np.float32), name="weights")

        @tf.function(input_signature=[tf.TensorSpec([None, 8, 8, 2], tf.float32)])
        def __call__(self, x: Any) -> Any:
            y = tf.nn.relu(tf.nn.conv2d(x, self.filters, 1, "SAME"))
            return tf.nn.softmax(tf.matmul(tf.reduce_mean(y, [1, 2]), self.weights))

    network = Network()
    model = spoilt(onward.convert(network), "weights")
    found = divergence(model, network)
    assert found is not None and found.operator in ("MatMul", "Gemm")


KERAS = """
import keras, numpy as np, onward
from onward.converters import divergence
from onward.ir.tensor import Tensor

L = keras.layers
model = keras.Sequential([
    keras.Input((8, 8, 3)), L.Conv2D(4, 3, activation="relu"), L.Conv2D(4, 3, name="middle"), L.GlobalAveragePooling2D(), L.Dense(3, name="last"),
])
for layer in ("middle", "last"):
    made = onward.convert(model)
    (value,) = [item for item in made.graph.values() if item.tensor is not None and item.name.endswith(layer + "/kernel")]
    value.tensor = Tensor.of(value.tensor.numpy() + np.float32(0.5))
    print(divergence(made, model))
"""


def test_keras() -> None:
    pytest.importorskip("keras")
    done = subprocess.run([sys.executable, "-c", KERAS], capture_output=True, text=True, env={**os.environ, "KERAS_BACKEND": "numpy"}, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "in module 'sequential/last'" in done.stdout
    assert done.stdout.count("the first value that differs") == 2


def boosters() -> dict[str, Callable[[np.ndarray, np.ndarray], Any]]:
    """Models of 20 rounds by what they are; those of three classes have three trees a round."""
    return {
        "xgboost": lambda x, y: pytest.importorskip("xgboost").XGBClassifier(n_estimators=20, max_depth=3).fit(x, y),
        "xgboost-booster": lambda x, y: pytest.importorskip("xgboost").XGBRegressor(n_estimators=20, max_depth=3).fit(x, y).get_booster(),
        "lightgbm": lambda x, y: pytest.importorskip("lightgbm").LGBMClassifier(n_estimators=20, num_leaves=6, verbose=-1).fit(x, y),
        "lightgbm-forest": lambda x, y: (
            pytest.importorskip("lightgbm").LGBMRegressor(n_estimators=20, boosting_type="rf", subsample=0.7, subsample_freq=1, verbose=-1).fit(x, y)
        ),
        "catboost": lambda x, y: pytest.importorskip("catboost").CatBoostRegressor(iterations=20, depth=3, verbose=0, allow_writing_files=False).fit(x, y),
    }


@pytest.mark.parametrize(("name", "spoilt_round"), list(zip(boosters(), (13, 20, 1, 8, 2))))
def test_boosters(name: str, spoilt_round: int) -> None:
    """The first round whose trees add something else, wherever it is."""
    rows = np.random.default_rng(0).standard_normal((300, 4)).astype(np.float32)
    source = boosters()[name](rows, np.digitize(rows[:, 0] + rows[:, 1] ** 2, [0.5, 1.5]))
    model = onward.convert(source)
    assert divergence(model, source) is None
    (node,) = [item for item in model.graph.nodes if item.op_type == "TreeEnsemble"]
    ends = json.loads(node.metadata["onward.rounds"])
    assert len(ends) == 20
    other = model.copy()
    (node,) = [item for item in other.graph.nodes if item.op_type == "TreeEnsemble"]
    roots, splits = list(node.attribute("tree_roots")), node.attribute("nodes_splits").numpy().copy()
    splits[roots[ends[spoilt_round - 1] - 1]] += 0.5
    node.attributes["nodes_splits"] = replace(node.attributes["nodes_splits"], value=Tensor.of(splits), message=None)
    found = divergence(other, source)
    assert found is not None and found.operator == "TreeEnsemble" and f"from round {spoilt_round} of 20 on" in str(found)


def test_the_shell_tells_the_round(tmp_path: Path) -> None:
    xgboost = pytest.importorskip("xgboost")
    rows = np.random.default_rng(0).standard_normal((100, 3)).astype(np.float32)
    for rounds, name in ((6, "m.json"), (5, "other.json")):
        booster = xgboost.train({"max_depth": 2, "base_score": 0.1 * rounds}, xgboost.DMatrix(rows, label=rows[:, 0]), rounds)
        booster.save_model(tmp_path / name)
    onward.save(onward.convert(tmp_path / "m.json"), tmp_path / "m.onnx")
    for name, code in (("m.json", 0), ("other.json", 1)):
        run = subprocess.run([sys.executable, "-m", "onward.cli", "diff", tmp_path / "m.onnx", tmp_path / name], capture_output=True, text=True)
        assert run.returncode == code, run.stderr
    assert "'trees', computed by TreeEnsemble" in run.stdout
