"""On Keras's JAX backend layers that call JAX itself are read too: they are tried in a process of their own."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

pytest.importorskip("jax")
pytest.importorskip("flax")

PROGRAM = """
import flax.linen, jax, jax.numpy as jnp, keras, onward

class Own(keras.layers.Layer):
    def build(self, shape):
        self.w = self.add_weight(shape=(shape[-1], 3), name="w")

    def call(self, x):
        return jnp.tanh(x @ self.w.value) + jax.nn.softmax(x[:, :3])

class Network(flax.linen.Module):
    @flax.linen.compact
    def __call__(self, x):
        return flax.linen.Dense(4)(flax.linen.relu(flax.linen.Dense(3)(x)))

def of_jax(params, inputs):
    return jnp.dot(inputs, params["w"])

def start(rng, inputs):
    return {"w": jax.random.normal(rng, (5, 3))}

for layer in (Own(), keras.layers.FlaxLayer(Network()), keras.layers.JaxLayer(of_jax, start)):
    model = onward.convert(keras.Sequential([keras.Input((5,)), layer]))
    onward.check(model)
    print(type(layer).__name__, *(name for name in model.graph.initializers if "/" in name))
"""


def test_layers_of_jax_and_flax() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, env={**os.environ, "KERAS_BACKEND": "jax"}, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["Own", "FlaxLayer", "JaxLayer"]
    assert "sequential/own/w" in done.stdout
