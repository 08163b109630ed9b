"""Layers of words need TensorFlow beneath Keras: they are tried in a process of their own."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

pytest.importorskip("tensorflow")

PROGRAM = """
import keras, onward

L = keras.layers
WORDS, WEIGHTS = ["the", "cat", "sat", "mat", "its"], [0.1, 0.2, 0.3, 0.4, 0.5]


def text(layer, *, dtype="string", shape=(1,)):
    return keras.Sequential([keras.Input(shape, dtype=dtype), layer])


CASES = {
    "lookup": text(L.StringLookup(vocabulary=WORDS)),
    "mask": text(L.StringLookup(vocabulary=WORDS, mask_token="dog"), shape=(3,)),
    **{mode: text(L.StringLookup(vocabulary=WORDS, output_mode=mode), shape=(3,)) for mode in ("multi_hot", "count")},
    "one_hot": text(L.StringLookup(vocabulary=WORDS, output_mode="one_hot")),
    "tf_idf": text(L.StringLookup(vocabulary=WORDS, output_mode="tf_idf", idf_weights=WEIGHTS), shape=(3,)),
    "inverted": text(L.StringLookup(vocabulary=WORDS, invert=True), dtype="int64"),
    "several unknown": text(L.IntegerLookup(vocabulary=[3, 5, 9], num_oov_indices=3), dtype="int64", shape=(4,)),
    "vectorization": text(L.TextVectorization(vocabulary=WORDS)),
    "length": text(L.TextVectorization(vocabulary=WORDS, output_sequence_length=3)),
    "as it is": text(L.TextVectorization(vocabulary=WORDS, standardize=None, split=None)),
    **{f"text {mode}": text(L.TextVectorization(vocabulary=WORDS, output_mode=mode, standardize="lower")) for mode in ("multi_hot", "count")},
    "weights": text(L.TextVectorization(vocabulary=WORDS, output_mode="tf_idf", idf_weights=WEIGHTS, standardize="strip_punctuation")),
    "model": keras.Sequential([
        keras.Input((1,), dtype="string"), L.TextVectorization(vocabulary=WORDS, output_sequence_length=6), L.Embedding(10, 4, mask_zero=True),
        L.LSTM(3), L.Dense(2),
    ]),
}
for name, model in CASES.items():
    onward.check(onward.convert(model))
    print(name)
"""


def test_layers_of_words() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, env={**os.environ, "KERAS_BACKEND": "tensorflow"}, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    assert len(done.stdout.splitlines()) == 15
