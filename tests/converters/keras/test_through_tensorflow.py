"""On Keras's TensorFlow backend layers that call TensorFlow itself are read too, and models as users write them; in a process of their own."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

pytest.importorskip("tensorflow")

PROGRAM = """
import keras, numpy as np, onward, tensorflow as tf

L = keras.layers


class Pictures(L.Layer):
    def call(self, x):
        small = tf.nn.space_to_depth(tf.image.resize(x, (4, 4)), 2)
        return tf.concat([small, tf.tile(tf.reduce_max(x, [1, 2, 3], keepdims=True), [1, 2, 2, 1])], -1)


class Distances(L.Layer):
    def build(self, shape):
        self.table = self.add_weight(shape=(9, shape[-1]), name="table")

    def call(self, x):
        places = keras.ops.arange(keras.ops.shape(x)[1])
        apart = keras.ops.clip(places[None] - places[:, None], -4, 4) + 4
        scores = keras.ops.einsum("bid,ijd->bij", x, keras.ops.take(self.table, apart, axis=0))
        return keras.ops.softmax(scores, -1) @ x


class Compiled(keras.Model):
    def __init__(self):
        super().__init__()
        self.inner = [L.Dense(5, activation="gelu") for _ in range(2)]

    @tf.function
    def call(self, x):
        for layer in self.inner:
            x = x + layer(x)
        return x


class Step(keras.Model):
    def __init__(self):
        super().__init__()
        self.cell = L.GRUCell(4)

    def call(self, inputs):
        result, (state,) = self.cell(inputs["x"], [inputs["state"]])
        return {"result": result, "state": state}


class Cache(keras.Model):
    def call(self, inputs):
        kept = keras.ops.slice_update(inputs["kept"], [0, inputs["place"], 0], inputs["x"][:, None])
        return {"kept": kept, "mean": keras.ops.mean(kept, 1)}


age, kind = keras.Input((1,), name="age"), keras.Input((1,), dtype="string", name="kind")
joined = L.Concatenate()([age, L.StringLookup(vocabulary=["cat", "dog"], output_mode="one_hot")(kind)])
masked = keras.Input((None, 3))
x = L.LSTM(4, return_sequences=True)(L.Masking(-1.0)(masked))
rows = np.ones((2, 5), np.float32)
for model, example in (
    (keras.Sequential([keras.Input((8, 8, 3)), Pictures()]), None),
    (keras.Sequential([keras.Input((None, 6)), Distances()]), None),
    (Compiled(), rows),
    (Step(), {"x": rows[:, :3], "state": rows[:, :4]}),
    (Cache(), {"x": rows[:, :3], "kept": np.zeros((2, 4, 3), np.float32), "place": np.array(1, np.int32)}),
    (keras.Model({"age": age, "kind": kind}, L.Dense(2)(joined)), None),
    (keras.Model(masked, L.GlobalAveragePooling1D()(L.TimeDistributed(L.Dense(2))(x))), None),
):
    if example is not None:
        model(example)
    made = onward.convert(model, example)
    onward.check(made)
    inputs, outputs = ([value.name for value in values] for values in (made.graph.inputs, made.graph.outputs))
    print(type(model).__name__, len(made.graph.nodes), *inputs, "->", *outputs)
"""


def test_layers_of_tensorflow() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, env={**os.environ, "KERAS_BACKEND": "tensorflow"}, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    lines = [line.split() for line in done.stdout.splitlines()]
    assert len(lines) == 7
    assert int(lines[2][1]) < 15
    assert lines[3][2:] == ["state", "x", "->", "result", "state_output"]
    assert lines[4][2:] == ["kept", "place", "x", "->", "kept_output", "mean"]
