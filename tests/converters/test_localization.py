"""A model that computes something else than its source: the first operator that does is named, whatever the framework."""

from __future__ import annotations

import os
import subprocess
import sys
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
