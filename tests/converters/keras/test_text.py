"""Layers of words need TensorFlow beneath Keras: they are tried in a process of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import onward
from onward.converters import Certificate

pytest.importorskip("tensorflow")

PROGRAM = """
import sys
import keras, numpy as np, onward

L = keras.layers
WORDS, WEIGHTS = ["the", "cat", "sat", "mat", "its"], [0.1, 0.2, 0.3, 0.4, 0.5]


def together(dtype, size, *layers):
    given = keras.Input((size,), dtype=dtype)
    return keras.Model(given, [layer(given) for layer in layers])


adapted = L.TextVectorization()
adapted.adapt(np.array(["the cat sat", "the mat"]))
column = keras.Input((1,), dtype="int64")
MODELS = [
    together(
        "string", 1, L.StringLookup(vocabulary=WORDS), L.StringLookup(vocabulary=WORDS, output_mode="one_hot"), L.TextVectorization(vocabulary=WORDS),
        L.TextVectorization(vocabulary=WORDS, output_sequence_length=3), L.TextVectorization(vocabulary=WORDS, standardize=None, split=None),
        *(L.TextVectorization(vocabulary=WORDS, output_mode=mode, standardize="lower") for mode in ("multi_hot", "count")),
        L.TextVectorization(vocabulary=WORDS, output_mode="tf_idf", idf_weights=WEIGHTS, standardize="strip_punctuation"),
        L.TextVectorization(vocabulary=[*WORDS, "the cat", "cat the"], ngrams=2, split="whitespace"),
        L.TextVectorization(vocabulary=["a", "t", "ca", "at", "the"], ngrams=(2, 1, 3), split="character", output_mode="count"), adapted,
    ),
    together(
        "string", 3, L.StringLookup(vocabulary=WORDS, mask_token="dog"), *(L.StringLookup(vocabulary=WORDS, output_mode=mode) for mode in ("multi_hot", "count")),
        L.StringLookup(vocabulary=WORDS, output_mode="tf_idf", idf_weights=WEIGHTS), L.Hashing(20, mask_value="dog"),
    ),
    together(
        "int64", 3, L.StringLookup(vocabulary=WORDS, invert=True), L.IntegerLookup(vocabulary=[3, 5, 9], num_oov_indices=3),
        L.Hashing(20, salt=[133, 7], output_mode="multi_hot"), L.IntegerLookup(vocabulary=[3, 5, 9], num_oov_indices=3, oov_method="farmhash", salt=7),
    ),
    keras.Model(column, L.HashedCrossing(30, output_mode="one_hot")([column, column + 1])),
    keras.Sequential([
        keras.Input((1,), dtype="string"), L.TextVectorization(vocabulary=WORDS, output_sequence_length=6), L.Embedding(10, 4, mask_zero=True),
        L.LSTM(3), L.Dense(2),
    ]),
]
random = np.random.default_rng(0)
for place, model in enumerate(MODELS):
    shape = (3, *model.inputs[0].shape[1:])
    words = random.choice(np.array([*WORDS, "other", "dog", "the cat", "MAT", "the cat sat"], object), shape)
    data = words if model.inputs[0].dtype == "string" else random.integers(0, 7, shape)
    onward.check(onward.convert(model, data))
    model.save(f"{sys.argv[1]}/{place}.keras")
    results = [item.numpy() for item in keras.tree.flatten(model(keras.ops.convert_to_tensor(data)))]
    results = [np.vectorize(lambda item: item.decode())(item) if item.dtype == object else item for item in results]
    np.savez(f"{sys.argv[1]}/{place}.npz", data.astype(str) if data.dtype == object else data, *results)
    print(len(results))
"""

FILES = """
import sys
sys.modules["keras"] = sys.modules["tensorflow"] = None
import numpy as np, onward
for place in range(int(sys.argv[2])):
    session = onward.InferenceSession(onward.convert(f"{sys.argv[1]}/{place}.keras", verify=False))
    data, *expected = np.load(f"{sys.argv[1]}/{place}.npz").values()
    results = session.run(None, {session.get_inputs()[0].name: data.astype(object) if data.dtype.kind == "U" else data})
    for number, (result, item) in enumerate(zip(results, expected, strict=True)):
        if item.dtype.kind == "f":
            np.testing.assert_allclose(result, item, rtol=1e-5, atol=1e-6, strict=True, err_msg=f"{place} {number}")
        else:
            np.testing.assert_array_equal(result, item.astype(result.dtype), strict=True, err_msg=f"{place} {number}")
"""


def test_layers_of_words(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path)], capture_output=True, text=True, env={**os.environ, "KERAS_BACKEND": "tensorflow"}, timeout=300
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.split() == ["11", "5", "4", "1", "1"]
    files = subprocess.run([sys.executable, "-c", FILES, str(tmp_path), "5"], capture_output=True, text=True, timeout=300)
    assert files.returncode == 0, files.stderr[-3000:]


def test_text_on_a_backend_without_it() -> None:
    """A process whose backend is not TensorFlow converts models of text, and says that their numbers were not compared."""
    keras = pytest.importorskip("keras")
    if keras.backend.backend() == "tensorflow":
        pytest.skip("the backend has text")
    model = keras.Sequential([keras.Input((2,), dtype="string"), keras.layers.StringLookup(vocabulary=["the", "cat"])])
    converted = onward.convert(model)
    certificate = Certificate.of(converted)
    assert certificate is not None and any("no tensors of text" in note for note in certificate.notes)
    found = onward.InferenceSession(converted).run(None, {converted.graph.inputs[0].name: np.array([["cat", "dog"]], object)})[0]
    assert found.tolist() == [[2, 0]]
