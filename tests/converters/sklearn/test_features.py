"""Features of dictionaries, sets of labels and images, beside scikit-learn and onnxruntime."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime
import pytest
from sklearn.feature_extraction import DictVectorizer, FeatureHasher
from sklearn.feature_extraction.image import PatchExtractor
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MultiLabelBinarizer

import onward
from onward.errors import ConversionError, InvalidArgument, UnsupportedOperator

RECORDS = [
    {"city": "Bern", "size": 3, "new": True}, {"city": "Rom", "size": 1.5}, {"size": -2, "street": "a=b"}, {"city": "Bern", "street": "ü"}, {"new": False},
]  # fmt: skip
FEEDS = {
    "city": np.array([["Bern"], ["Oslo"], [""]], object), "size": np.array([[0.0], [2.5], [-1.0]]), "new": np.array([[1.0], [0.0], [1.0]]),
    "street": np.array([[""], ["a=b"], ["ü"]], object),
}  # fmt: skip
ROWS: list[dict[str, Any]] = [{"city": "Bern", "size": 0, "new": 1}, {"city": "Oslo", "size": 2.5, "street": "a=b"}, {"size": -1, "new": 1, "street": "ü"}]


@pytest.mark.parametrize(
    "estimator",
    [
        DictVectorizer(), DictVectorizer(separator=":", sparse=False, dtype=np.float32), FeatureHasher(n_features=16),
        FeatureHasher(n_features=8, alternate_sign=False, dtype=np.float32),
    ],
    ids=["names", "separator", "hashes", "hashes without signs"],
)  # fmt: skip
def test_dictionaries(estimator: Any) -> None:
    model = onward.convert(estimator.fit(RECORDS), RECORDS)
    expected = estimator.transform(ROWS)
    expected = expected.toarray() if hasattr(expected, "toarray") else expected
    theirs = onnxruntime.InferenceSession(model.to_bytes(), providers=["CPUExecutionProvider"])
    for session in (onward.InferenceSession(model), theirs):
        (found,) = session.run(None, FEEDS)
        assert found.dtype == expected.dtype
        np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_pairs() -> None:
    rows = [[*row.items(), ("size", 1)] for row in RECORDS]
    model = onward.convert(FeatureHasher(n_features=8, input_type="pair").fit(rows), rows)
    assert {value.name for value in model.graph.inputs} == {"city", "size", "new", "street"}
    with pytest.raises(ConversionError, match="several texts"):
        onward.convert(FeatureHasher(input_type="pair"), [[("a", "x"), ("a", "y")]])
    with pytest.raises(InvalidArgument, match="no table"):
        onward.convert(FeatureHasher(input_type="string"), [["a", "b"], ["c"]])


def test_a_pipeline() -> None:
    onward.convert(make_pipeline(DictVectorizer(), LogisticRegression()).fit(RECORDS, [0, 1, 0, 1, 1]), RECORDS)


def test_hashes_of_words() -> None:
    words = np.array([["a", "b"], ["", "ü"], ["b", "b"]], object)
    onward.convert(FeatureHasher(n_features=8, input_type="string").fit(words), words)


@pytest.mark.parametrize(("value", "what"), [(["a", "b"], "list"), ("", "empty text"), (None, "NoneType")])
def test_values_that_are_refused(value: Any, what: str) -> None:
    with pytest.raises(ConversionError, match=f"key 'k' .* {what}"):
        onward.convert(FeatureHasher().fit(RECORDS), [{"k": value}])


@pytest.mark.parametrize("labels", [np.array([[1, 2], [3, 1], [2, 2]]), np.array([["a", "b"], ["c", "a"]], object)], ids=["numbers", "text"])
def test_sets_of_labels(labels: np.ndarray) -> None:
    onward.convert(MultiLabelBinarizer().fit(labels), labels)


@pytest.mark.parametrize("shape", [(3, 7, 6), (2, 7, 6, 3)])
def test_patches(shape: tuple[int, ...]) -> None:
    images = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    onward.convert(PatchExtractor(patch_size=(3, 2)).fit(images), images)
    with pytest.raises(UnsupportedOperator, match="random numbers"):
        onward.convert(PatchExtractor(patch_size=(3, 2), max_patches=2).fit(images), images)
