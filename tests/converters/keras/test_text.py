"""Layers of words need TensorFlow beneath Keras: they are tried in a process of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("tensorflow")

PROGRAM = """
import sys
import keras, numpy as np, onward

L = keras.layers
WORDS, WEIGHTS = ["the", "cat", "sat", "mat", "its"], [0.1, 0.2, 0.3, 0.4, 0.5]


def text(layer, *, dtype="string", shape=(1,)):
    return keras.Sequential([keras.Input(shape, dtype=dtype), layer])


column = keras.Input((1,), dtype="int64")
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
    "n-grams": text(L.TextVectorization(vocabulary=[*WORDS, "the cat", "cat the"], ngrams=2, split="whitespace")),
    "characters": text(L.TextVectorization(vocabulary=["a", "t", "ca", "at", "the"], ngrams=(2, 1, 3), split="character", output_mode="count")),
    "hashed": text(L.Hashing(20, mask_value="dog"), shape=(3,)),
    "hashed with salt": text(L.Hashing(20, salt=[133, 7], output_mode="multi_hot"), dtype="int64", shape=(3,)),
    "crossed": keras.Model(column, L.HashedCrossing(30, output_mode="one_hot")([column, column + 1])),
    "hashes of unknown": text(L.IntegerLookup(vocabulary=[3, 5, 9], num_oov_indices=3, oov_method="farmhash", salt=7), dtype="int64", shape=(4,)),
    "model": keras.Sequential([
        keras.Input((1,), dtype="string"), L.TextVectorization(vocabulary=WORDS, output_sequence_length=6), L.Embedding(10, 4, mask_zero=True),
        L.LSTM(3), L.Dense(2),
    ]),
}
adapted = L.TextVectorization()
adapted.adapt(np.array(["the cat sat", "the mat"]))
CASES["adapted"] = text(adapted)
random = np.random.default_rng(0)
for place, (name, model) in enumerate(CASES.items()):
    onward.check(onward.convert(model))
    model.save(f"{sys.argv[1]}/{place}.keras")
    shape = (3, *model.inputs[0].shape[1:])
    words = random.choice(np.array([*WORDS, "other", "dog", "the cat", "MAT", "the cat sat"], object), shape)
    data = words if model.inputs[0].dtype == "string" else random.integers(0, 7, shape)
    result = model(keras.ops.convert_to_tensor(data)).numpy()
    result = np.vectorize(lambda item: item.decode())(result) if result.dtype == object else result
    np.savez(f"{sys.argv[1]}/{place}.npz", data=data.astype(str) if data.dtype == object else data, result=result)
    print(name)
"""

FILES = """
import sys
sys.modules["keras"] = sys.modules["tensorflow"] = None
import numpy as np, onward
for place in range(int(sys.argv[2])):
    session = onward.InferenceSession(onward.convert(f"{sys.argv[1]}/{place}.keras", verify=False))
    kept = np.load(f"{sys.argv[1]}/{place}.npz")
    data = kept["data"].astype(object) if kept["data"].dtype.kind == "U" else kept["data"]
    (result,) = session.run(None, {session.get_inputs()[0].name: data})
    if kept["result"].dtype.kind == "f":
        np.testing.assert_allclose(result, kept["result"], rtol=1e-5, atol=1e-6, strict=True, err_msg=place)
    else:
        np.testing.assert_array_equal(result, kept["result"].astype(result.dtype), strict=True, err_msg=place)
"""


def test_layers_of_words(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path)], capture_output=True, text=True, env={**os.environ, "KERAS_BACKEND": "tensorflow"}, timeout=300
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert len(done.stdout.splitlines()) == 22
    files = subprocess.run([sys.executable, "-c", FILES, str(tmp_path), "22"], capture_output=True, text=True, timeout=300)
    assert files.returncode == 0, files.stderr[-3000:]
