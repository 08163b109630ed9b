"""Words and characters of text, counted, weighted and hashed: as scikit-learn does, on our runtime and on onnxruntime; what cannot be said is refused."""

from __future__ import annotations

import random
import re
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfTransformer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVC

import onward
from onward.converters.sklearn.patterns import word_pattern
from onward.errors import UnsupportedOperator
from onward.operators.text.regular_expressions import compile_expression

TEXTS = [
    "The cat sat on the mat.", "A dog and a cat, both black; the dog-house!", "Nobody saw THE mat (nor the cat)...", "",
    "Ünïcode wörds: the naïve café — 50% off", "dogs, cats & snakes_2", "the the the dog dog", "x y z", "a\u0301  b\n\nc\nd ☃😀 «ﬁ½»",
    "e\u0301\u0323 é", "  ", "\u00a0\u3000a 한국어 ´x",
]  # fmt: skip
LABELS = np.arange(len(TEXTS)) % 3 == 0

VECTORIZERS: dict[str, Any] = {
    "counts": CountVectorizer(binary=True, dtype=np.float32, ngram_range=(1, 2)),
    "stop words": CountVectorizer(stop_words=["the", "and", "on"], ngram_range=(1, 3), token_pattern=r"(?u)\b\w+\b"),
    "given": TfidfVectorizer(vocabulary=["cat", "the cat", "dog"], ngram_range=(1, 2), dtype=np.float32, sublinear_tf=True),
    "split": make_pipeline(CountVectorizer(tokenizer=str.split, token_pattern=None, min_df=2), TfidfTransformer(norm="l1")),
    "letters": CountVectorizer(token_pattern=r"[a-z]+", ngram_range=(1, 2)), "long words": TfidfVectorizer(token_pattern=r"\b[^\W\d_]{3,}\b"),
    "characters": CountVectorizer(analyzer="char", ngram_range=(1, 3)),
    "within words": TfidfVectorizer(analyzer="char_wb", ngram_range=(1, 3)), "short words": CountVectorizer(analyzer="char_wb", ngram_range=(5, 6)),
    "accents": CountVectorizer(strip_accents="unicode"), "characters without accents": CountVectorizer(strip_accents="unicode", analyzer="char"),
    "ASCII": TfidfVectorizer(strip_accents="ascii", analyzer="char_wb", ngram_range=(2, 3)), "hashes": HashingVectorizer(n_features=64, norm="l1", dtype=np.float32, lowercase=False, ngram_range=(1, 2)),
    "hashes of characters": HashingVectorizer(n_features=32, analyzer="char_wb", ngram_range=(2, 5), norm=None, binary=True),
}  # fmt: skip


def on_onnxruntime(model: onward.Model, texts: np.ndarray) -> np.ndarray:
    """The locale of the standard need not be installed."""
    data = onnx.load_from_string(model.to_bytes())
    for node in data.graph.node:
        if node.op_type == "StringNormalizer":
            node.attribute.append(onnx.helper.make_attribute("locale", "C.UTF-8"))
    session = onnxruntime.InferenceSession(data.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"x": texts})[0])


@pytest.mark.parametrize("name", VECTORIZERS)
def test_vectorizers(name: str) -> None:
    estimator = VECTORIZERS[name].fit(TEXTS)
    model = onward.convert(estimator, TEXTS)
    given = np.array(TEXTS, object)
    expected = estimator.transform(TEXTS).toarray()
    for found in (onward.InferenceSession(model).run(None, {"x": given})[0], on_onnxruntime(model, given)):
        assert found.dtype == expected.dtype
        np.testing.assert_allclose(found, expected, rtol=1e-6 if found.dtype == np.float32 else 1e-12)


def test_a_classifier() -> None:
    estimator = make_pipeline(TfidfVectorizer(stop_words="english"), LinearSVC()).fit(TEXTS, LABELS)
    onward.convert(estimator, TEXTS)


def test_a_column_of_text() -> None:
    rows = pd.DataFrame({"text": TEXTS, "size": np.arange(12.0)})
    columns = ColumnTransformer([("t", TfidfVectorizer(), "text"), ("n", "passthrough", ["size"])])
    onward.convert(make_pipeline(columns, LogisticRegression()).fit(rows, LABELS), rows)


PATTERNS = [
    r"(?u)\b\w\w+\b", r"\w+", r"\b\w+\b", r"[a-zA-Z]+", r"\b[a-zA-Z]{2,}\b", r"[^,]+", r"\b[^\W\d]{3,}\b", r"\w+(?:'\w+)?", r"\b\w+(?:[-']\w+)*\b", r"\S+",
    r"(?i)[a-c]+", r"([a-z]+)", r"(?:ab|c'|1)+", r".", r"\d+|[^\W\d]+", r"(?:a|b1)*c", r"a{2,3}b?", r"(?a:\w+)", r"\s", r"[^\W_a-c]+|_",
]  # fmt: skip
"""Of words. Any text of the letters below is taken apart as Python does it."""


@pytest.mark.parametrize("pattern", PATTERNS)
def test_patterns(pattern: str) -> None:
    words, source = word_pattern(pattern), random.Random(0)
    found, whole = compile_expression(words.found), compile_expression(words.whole or "(?s:.*)")
    for _ in range(2000):
        text = "".join(source.choices("aabbcA1٣éſ_-', \n☃", k=source.randrange(9)))
        expected = [word for word in re.findall(pattern, text) if word]
        assert [item[0] for item in found.finditer(text) if item[0] and whole.fullmatch(item[0])] == expected, text


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        (r"\w+|\S+", "not deterministic"), (r"a+?", "not deterministic"), (r"[a-z]+(?=\s)", "assert"), (r"x([a-z]+)", "a part"), (r"[a-z]+\b", "boundaries"),
        (r"(\w)\1", "a part"), (r"a{2,2000}", "1000 times"), (r"^a", "no word for its part at"),
    ],
)  # fmt: skip
def test_patterns_that_are_refused(pattern: str, reason: str) -> None:
    with pytest.raises(UnsupportedOperator, match=reason):
        onward.convert(CountVectorizer(token_pattern=pattern, vocabulary=["a"]).fit(TEXTS), TEXTS)


def test_marks_of_their_own_are_accents() -> None:
    """Text that is decomposed already loses them, too."""
    texts = np.array(["cafe\u0301", "caf\u00e9", "a\u0323\u0301", "\u0301", "cafe"], object)
    estimator = CountVectorizer(strip_accents="unicode", analyzer="char_wb", ngram_range=(1, 3)).fit(texts)
    session = onward.InferenceSession(onward.convert(estimator, texts))
    np.testing.assert_array_equal(session.run(None, {"x": texts})[0], estimator.transform(texts).toarray())


@pytest.mark.parametrize(
    ("estimator", "what"),
    [
        (CountVectorizer(analyzer=str.split), "analyzer="), (CountVectorizer(strip_accents=str.strip), "strip_accents="),
        (TfidfVectorizer(tokenizer=str.splitlines), "tokenizer="), (CountVectorizer(preprocessor=str.strip), "preprocessor="),
    ],
)  # fmt: skip
def test_refusals(estimator: Any, what: str) -> None:
    with pytest.raises(UnsupportedOperator, match=what):
        onward.convert(estimator.fit(TEXTS), TEXTS)
