"""Hashes of texts of every length and of characters of every width, compared with TensorFlow's."""

from __future__ import annotations

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow")

import onward  # noqa: E402
from onward.converters.builder import ModelBuilder  # noqa: E402
from onward.converters.text_hashes import bucket, fingerprint, hashes, murmur_hash, sip_hash  # noqa: E402
from onward.ir import Model  # noqa: E402
from onward.ir.datatypes import DataType  # noqa: E402

COUNT, KEY = 2**62 - 1, [133, 2**40 + 7]
LETTERS = [*"ab C0~", "ä", "\u07ff", "\u0800", "日", "\uffff", "\U00010000", "\U0010ffff", "🙂"]


def texts() -> np.ndarray:
    """Texts of 0 to 140 bytes, others of characters of several bytes, and long ones."""
    random = np.random.default_rng(0)
    lengths = [*range(1, 24), *random.integers(24, 130, 20)]
    mixed = ["".join(random.choice(LETTERS, length)) for length in lengths]
    return np.array(["".join(random.choice(list("xyz"), length)) for length in [*range(141), 192, 193, 300]] + mixed, object)


def test_hashes_are_those_of_tensorflow() -> None:
    b = ModelBuilder("hashes", 23)
    text = b.input("text", DataType.STRING, ["rows"])
    b.graph.outputs += [bucket(hashes(b, text, method), COUNT) for method in (fingerprint, sip_hash(KEY), murmur_hash)]
    model = Model(b.graph, b.domains)
    onward.check(model)
    session, given = onward.InferenceSession(model.to_bytes()), texts()
    expected = (tf.strings.to_hash_bucket_fast, lambda x, count: tf.strings.to_hash_bucket_strong(x, count, KEY), tf.strings.to_hash_bucket)
    for rows in (given, given[:1], given[:0], np.array(["", ""], object)):
        wanted = [method(tf.constant(rows, tf.string), COUNT).numpy() for method in expected]
        for found, item in zip(session.run(None, {"text": rows}), wanted, strict=True):
            np.testing.assert_array_equal(found, item)
    onnxruntime = pytest.importorskip("onnxruntime")
    onnxruntime.set_default_logger_severity(3)
    for found, item in zip(onnxruntime.InferenceSession(model.to_bytes()).run(None, {"text": given}), session.run(None, {"text": given}), strict=True):
        np.testing.assert_array_equal(found, item)
