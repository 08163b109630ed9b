"""Words of text, counted and weighted; what cannot be said is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfTransformer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVC

import onward
from onward.errors import OnwardError, UnsupportedOperator

TEXTS = [
    "The cat sat on the mat.", "A dog and a cat, both black; the dog-house!", "Nobody saw THE mat (nor the cat)...", "",
    "Ünïcode wörds: the naïve café — 50% off", "dogs, cats & snakes_2", "the the the dog dog", "x y z",
]  # fmt: skip
LABELS = np.array(["pets", "pets", "pets", "other", "other", "pets", "pets", "other"])

VECTORIZERS: dict[str, Any] = {
    "counts": CountVectorizer(binary=True, dtype=np.float32, ngram_range=(1, 2)), "triples": CountVectorizer(ngram_range=(3, 3), lowercase=False),
    "stop words": CountVectorizer(stop_words=["the", "and", "on"], ngram_range=(1, 3), token_pattern=r"(?u)\b\w+\b"),
    "given": TfidfVectorizer(vocabulary=["cat", "the cat", "dog"], ngram_range=(1, 2), dtype=np.float32, sublinear_tf=True),
    "split": make_pipeline(CountVectorizer(tokenizer=str.split, token_pattern=None, min_df=2), TfidfTransformer(norm="l1")),
}  # fmt: skip


@pytest.mark.parametrize("name", VECTORIZERS)
def test_vectorizers(name: str) -> None:
    estimator = VECTORIZERS[name].fit(TEXTS)
    model = onward.convert(estimator, TEXTS)
    (found,) = onward.InferenceSession(model).run(None, {"x": np.array(TEXTS, object)})
    expected = estimator.transform(TEXTS).toarray()
    assert found.dtype == expected.dtype
    np.testing.assert_allclose(found, expected, rtol=1e-6 if found.dtype == np.float32 else 1e-12)


def test_a_classifier() -> None:
    estimator = make_pipeline(TfidfVectorizer(stop_words="english"), LinearSVC()).fit(TEXTS, LABELS)
    onward.convert(estimator, TEXTS)


def test_a_column_of_text() -> None:
    rows = pd.DataFrame({"text": TEXTS, "size": np.arange(8.0)})
    columns = ColumnTransformer([("t", TfidfVectorizer(), "text"), ("n", "passthrough", ["size"])])
    onward.convert(make_pipeline(columns, LogisticRegression()).fit(rows, LABELS), rows)


def test_an_unknown_separator_ends_the_run() -> None:
    model = onward.convert(CountVectorizer().fit(TEXTS), TEXTS)
    with pytest.raises(OnwardError):
        onward.InferenceSession(model).run(None, {"x": np.array(["the☃cat"], object)})


@pytest.mark.parametrize(
    ("estimator", "what"),
    [
        (CountVectorizer(analyzer="char"), "analyzer='char'"), (CountVectorizer(strip_accents="unicode"), "strip_accents='unicode'"),
        (TfidfVectorizer(token_pattern=r"[a-c]+"), "token_pattern"), (CountVectorizer(preprocessor=str.strip), "preprocessor"),
        (HashingVectorizer(), "hashes"),
    ],
)  # fmt: skip
def test_refusals(estimator: Any, what: str) -> None:
    with pytest.raises(UnsupportedOperator, match=what):
        onward.convert(estimator.fit(TEXTS), TEXTS)
