"""Words of text, counted and weighted.

ONNX has no operator that finds words, but text can be split at one separator after another; the pieces stay a flat list, each with
the number of its row. Text with a character that is neither a letter, digit or underscore nor one of the separators has no
answer: it is seen by a regular expression, and the run ends with an error (an index that is outside) instead of wrong counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from onward.converters.sklearn.operators.ensembles import weighted_counts
from onward.converters.sklearn.registry import method
from onward.converters.tracing import Array
from onward.errors import UnsupportedOperator

SEPARATORS = "!\"#$%&'()*+,-./:;<=>?@[\\]^`{|}~–—‘’“”…€"
"""Besides white space; no letter, digit or underscore."""

CHARACTER = r"[\pL\pN_]"
"""What scikit-learn means by \\w: letters and digits of all scripts. In the standard's expressions \\w is about ASCII."""

STEPS = 10
"""In so many steps text is split: separators of one step make an axis each, then the pieces become a flat list again."""

PATTERNS = {r"\b\w\w+\b": 2, r"\b\w+\b": 1, r"\w\w+": 2, r"\w+": 1, r"\b[\w]+\b": 1}
"""The token patterns that are runs of letters, digits and underscores, and how long those must be."""


@method("transform", "HashingVectorizer")
def hashed(estimator: Any, x: Array) -> Any:
    raise UnsupportedOperator("HashingVectorizer hashes the bytes of words, which no operator of ONNX sees; a vocabulary (CountVectorizer) can be said")


@method("transform", "TfidfVectorizer")
def weighted(estimator: Any, x: Array) -> Any:
    return weighted_counts(estimator._tfidf, counted(estimator, x).astype(estimator.dtype)).astype(estimator.dtype)


@method("transform", "CountVectorizer")
def counted(estimator: Any, x: Array) -> Any:
    """(rows, vocabulary): how often each n-gram of words occurs."""
    shortest = _shortest_word(estimator)
    b, text = x.trace.b, x.value
    count = b.op("Shape", text)
    if estimator.lowercase:
        text = b.op("StringNormalizer", text, case_change_action="LOWER")
    numbers = (x.trace.constant(np.array(item)) for item in (0, 1))
    row = b.op("Range", next(numbers), b.op("Squeeze", count), next(numbers))
    words = _Words(x.trace, text, row)
    words.split([""])
    if shortest:
        for first in range(STEPS):
            words.split(list(SEPARATORS[first::STEPS]))
        words.require(f"{CHARACTER}+")
    if shortest == 2:
        words.keep(b.op("RegexFullMatch", words.text, pattern=f"{CHARACTER}{CHARACTER}+"))
    stopped = sorted(estimator.get_stop_words() or ())
    if stopped:
        words.keep(b.op("Less", _coded(b, words.text, stopped), x.trace.constant(np.array(0))))
    rows, columns = _grams(words, estimator)
    width = len(estimator.vocabulary_)
    size = b.op("Concat", count, x.trace.vector([width + 1]), axis=0)
    zeros = b.op("Expand", x.trace.constant(np.array(0)), size)
    points = b.op("Concat", *(b.op("Unsqueeze", item, x.trace.vector([1])) for item in (rows, columns)), axis=1)
    ones = b.op("Expand", x.trace.constant(np.array(1)), b.op("Shape", rows))
    total = Array(x.trace, b.op("ScatterND", zeros, points, ones, reduction="add"), np.dtype(np.int64), (x.shape[0], width + 1))
    total = total[:, :width]
    return (total > 0 if estimator.binary else total).astype(estimator.dtype)


def _shortest_word(estimator: Any) -> int:
    """The length of the shortest word, 0 for words between white space. Raises UnsupportedOperator for other words."""
    name = type(estimator).__name__
    if estimator.analyzer != "word":
        raise UnsupportedOperator(f"{name} with analyzer={estimator.analyzer!r}: no operator of ONNX takes words apart; analyzer='word' can be said")
    for option in ("strip_accents", "preprocessor"):
        if getattr(estimator, option) is not None:
            raise UnsupportedOperator(f"{name} with {option}={getattr(estimator, option)!r}: no operator of ONNX replaces characters; do that before")
    if estimator.input != "content":
        raise UnsupportedOperator(f"{name} with input={estimator.input!r}: a graph reads no files")
    if estimator.tokenizer is str.split:
        return 0
    pattern = estimator.token_pattern.removeprefix("(?u)")
    if estimator.tokenizer is None and pattern in (r"\S+", r"[^\s]+"):
        return 0
    if estimator.tokenizer is not None or pattern not in PATTERNS:
        what = f"tokenizer={estimator.tokenizer!r}" if estimator.tokenizer is not None else f"token_pattern={estimator.token_pattern!r}"
        raise UnsupportedOperator(f"{name} with {what}: no operator of ONNX finds such words; known are {', '.join(PATTERNS)}, \\S+ and str.split")
    return PATTERNS[pattern]


class _Words:
    """Pieces of text in the order in which they stand, and the row of each."""

    def __init__(self, trace: Any, text: Any, row: Any) -> None:
        self.trace, self.b, self.text, self.row = trace, trace.b, text, row

    def split(self, separators: Sequence[str]) -> None:
        """At every separator, at white space for an empty one; empty pieces are left out afterwards."""
        parts = self.text
        for separator in separators:
            parts, _ = self.b.op("StringSplit", parts, outputs=2, delimiter=separator)
        full = self.b.op("Not", self.b.op("Equal", parts, self.trace.constant(np.array("", object))))
        places = self.b.op("NonZero", full)
        self.text = self.b.op("GatherND", parts, self.b.op("Transpose", places, perm=[1, 0]))
        self.row = self.b.op("Gather", self.row, self.b.op("Gather", places, self.trace.constant(np.array(0)), axis=0))

    def keep(self, chosen: Any) -> None:
        """Only the pieces that are chosen."""
        places = self.b.op("Squeeze", self.b.op("NonZero", chosen), self.trace.vector([0]))
        self.text, self.row = (self.b.op("Gather", item, places) for item in (self.text, self.row))

    def require(self, pattern: str) -> None:
        """An index is outside where a piece does not match."""
        other = self.b.op("Cast", self.b.op("Not", self.b.op("RegexFullMatch", self.text, pattern=pattern)), to=7)
        some = self.b.op("Min", self.b.op("ReduceSum", other, keepdims=0), self.trace.constant(np.array(1)))
        self.row = self.b.op("Add", self.row, self.b.op("Gather", self.trace.vector([0]), some))


def _coded(b: Any, text: Any, known: list[str]) -> Any:
    return b.op("LabelEncoder", text, domain="ai.onnx.ml", keys_strings=known, values_int64s=list(range(len(known))), default_int64=-1)


def _grams(words: _Words, estimator: Any) -> tuple[Any, Any]:
    """Rows and columns of all n-grams; those that are not in the vocabulary stand in a column behind it."""
    b, trace = words.b, words.trace
    vocabulary = {tuple(term.split(" ")): int(place) for term, place in estimator.vocabulary_.items()}
    low, high = estimator.ngram_range
    known = sorted({word for term in vocabulary for word in term})
    number = {word: place for place, word in enumerate(known)}
    codes = _coded(b, words.text, known)
    prefixes: list[tuple[str, ...]] = [(word,) for word in known]
    found, rows, columns = codes, [], []
    for length in range(1, high + 1):
        if length > 1:
            before = {prefix: place for place, prefix in enumerate(prefixes)}
            prefixes = sorted({term[:length] for term in vocabulary if len(term) >= length} | {
                term[start : start + length] for term in vocabulary for start in range(len(term) - length + 1)
            })  # fmt: skip
            keys = [before[prefix[:-1]] * len(known) + number[prefix[-1]] for prefix in prefixes]
            first, second = _sliced(b, trace, found, None, -1), _sliced(b, trace, codes, length - 1, None)
            pair = b.op("Add", b.op("Mul", first, trace.constant(np.array(len(known)))), second)
            same = b.op("Equal", _sliced(b, trace, words.row, None, 1 - length), _sliced(b, trace, words.row, length - 1, None))
            none = trace.constant(np.array(-1))
            whole = b.op("And", same, b.op("And", b.op("Greater", first, none), b.op("Greater", second, none)))
            found = _renumbered(b, b.op("Where", whole, pair, none), keys or [-2], list(range(len(keys))) or [-1], -1)
        if length >= low:
            column = [vocabulary.get(prefix, len(vocabulary)) for prefix in prefixes]
            columns.append(_renumbered(b, found, list(range(len(column))) or [-2], column or [-1], len(vocabulary)))
            rows.append(_sliced(b, trace, words.row, length - 1, None) if length > 1 else words.row)
    return (rows[0], columns[0]) if len(rows) == 1 else (b.op("Concat", *rows, axis=0), b.op("Concat", *columns, axis=0))


def _renumbered(b: Any, value: Any, keys: list[int], values: list[int], other: int) -> Any:
    return b.op("LabelEncoder", value, domain="ai.onnx.ml", keys_int64s=keys, values_int64s=values, default_int64=other)


def _sliced(b: Any, trace: Any, value: Any, start: int | None, stop: int | None) -> Any:
    bounds = (trace.vector([start or 0]), trace.vector([np.iinfo(np.int64).max if stop is None else stop]), trace.vector([0]))
    return b.op("Slice", value, *bounds)
