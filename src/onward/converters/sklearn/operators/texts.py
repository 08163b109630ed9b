"""Words and characters of text, counted, weighted or hashed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from onward.converters.sklearn.operators.accents import without_accents
from onward.converters.sklearn.operators.ensembles import weighted_counts
from onward.converters.sklearn.patterns import WordPattern, word_pattern
from onward.converters.sklearn.registry import method
from onward.converters.tracing import Array
from onward.converters.tracing.array import TEXT
from onward.converters.tracing.pieces import Pieces, concatenated, joined, looked_up, matches, part, summed
from onward.errors import UnsupportedOperator

SPACE = np.array(" ", object)
WHITE = {chr(number): 1 for number in range(0x3001) if chr(number).isspace()}
"""What Python takes for white space."""


@method("transform", "TfidfVectorizer")
def weighted(estimator: Any, x: Array) -> Any:
    return weighted_counts(estimator._tfidf, counted(estimator, x).astype(estimator.dtype)).astype(estimator.dtype)


@method("transform", "CountVectorizer")
def counted(estimator: Any, x: Array) -> Any:
    """(rows, vocabulary): how often each n-gram of words or characters occurs."""
    found = _grams(estimator, x)
    terms = {str(term): int(place) for term, place in estimator.vocabulary_.items()}
    column = looked_up(found.text, terms, len(terms))
    total = summed([found.row, column], np.ones_like(column), (x.shape[0], len(terms) + 1))[:, : len(terms)]
    return (total > 0 if estimator.binary else total).astype(estimator.dtype)


@method("transform", "HashingVectorizer")
def hashed(estimator: Any, x: Array) -> Any:
    """(rows, features): n-grams counted where their hashes say, half of them downwards."""
    found = _grams(estimator, x)
    total = hashed_sums(estimator, x.shape[0], found.row, found.text, np.ones_like(found.row).astype(np.float64))
    if estimator.norm is not None:
        size = np.sqrt(np.sum(total * total, axis=1)) if estimator.norm == "l2" else np.sum(np.abs(total), axis=1)
        total = total / np.where(size == 0, 1.0, size).reshape(-1, 1)
    return total.astype(estimator.dtype)


def hashed_sums(estimator: Any, rows: Any, row: Array, text: Array, values: Array) -> Array:
    """(rows, features): the values of pieces of text, in their rows, at the columns that their hashes say.

    Source: Weinberger and others, Feature hashing for large scale multitask learning, 2009.
    """
    code = text.trace.op("MurmurHash3", text, dtype=np.int32, shape=text.shape, domain="com.microsoft", positive=0, seed=0).astype(np.int64)
    column = np.abs(code) % estimator.n_features
    binary = getattr(estimator, "binary", False)
    if estimator.alternate_sign and not binary:
        values = np.where(code >= 0, values, -values)
    total = summed([row, column], values, (rows, estimator.n_features))
    return (total > 0).astype(values.dtype) if binary else total


def _grams(estimator: Any, x: Array) -> Pieces:
    """The n-grams of words or characters. Raises UnsupportedOperator where they are the work of Python code of the user's own."""
    name = type(estimator).__name__
    for option in ("analyzer", "preprocessor", "strip_accents", "tokenizer"):
        given = getattr(estimator, option)
        if callable(given) and (option, given) != ("tokenizer", str.split):
            raise UnsupportedOperator(f"{name} with {option}={given!r}: a graph calls no Python code on text; do that before, or say it with other options")
    if estimator.input != "content":
        raise UnsupportedOperator(f"{name} with input={estimator.input!r}: a graph reads no files")
    text = x
    if estimator.lowercase:
        text = x.trace.op("StringNormalizer", x, dtype=TEXT, shape=x.shape, case_change_action="LOWER")
    if estimator.strip_accents:
        text = without_accents(text, estimator.strip_accents)
    whole, (low, high) = Pieces.of(text), estimator.ngram_range
    if estimator.analyzer == "word":
        return _neighbours(_words(whole, _pattern(estimator), sorted(estimator.get_stop_words() or ())), low, high, SPACE)
    if estimator.analyzer == "char":
        return _neighbours(_one_space(whole.taken_apart()), low, high)
    words = whole.taken_apart(word_pattern(r"\S+").found)
    return _neighbours(replace(words, text=concatenated(SPACE, words.text, SPACE)).taken_apart(), low, high, short_words=True)


def _pattern(estimator: Any) -> WordPattern:
    """What words are. Raises UnsupportedOperator for what no expression of the operators says."""
    try:
        return word_pattern(r"\S+" if estimator.tokenizer is str.split else estimator.token_pattern)
    except UnsupportedOperator as problem:
        raise UnsupportedOperator(f"{type(estimator).__name__} with {problem}") from problem


def _words(whole: Pieces, pattern: WordPattern, stopped: list[str]) -> Pieces:
    words = whole.taken_apart(pattern.found)
    if pattern.whole:
        words = words.keep(matches(words.text, pattern.whole))
    if stopped:
        words = words.keep(looked_up(words.text, dict.fromkeys(stopped, 1), 0) == 0)
    return words


def _one_space(letters: Pieces) -> Pieces:
    """Runs of several white characters become one space each."""
    white = looked_up(letters.text, WHITE, 0)
    both = part(white, 0, -1) * part(white, 1) * (part(letters.group, 0, -1) == part(letters.group, 1))
    none = np.zeros_like(part(white, 0, 1))
    text = np.where(joined([both, none]) > 0, SPACE, letters.text)
    return replace(letters, text=text).keep(joined([none, both]) == 0)


def _neighbours(pieces: Pieces, low: int, high: int, between: np.ndarray | None = None, short_words: bool = False) -> Pieces:
    """The n-grams of `low` to `high` neighbours of a group. With `short_words` padded words of fewer characters count as a whole."""
    gram, found = pieces.text, []
    for length in range(1, high + 1):
        row, same = pieces.row, None
        if length > 1:
            after = part(pieces.text, length - 1)
            gram = concatenated(part(gram, 0, -1), *([] if between is None else [between]), after)
            row, same = part(pieces.row, length - 1), part(pieces.group, 0, 1 - length) == part(pieces.group, length - 1)
        if length < low and short_words and same is not None and length > 2:
            same = same & matches(gram, " [^ ]+ ")
        elif length < low:
            continue
        grams = Pieces(gram, row, row)
        found.append(grams if same is None else grams.keep(same))
    text, row = (joined([getattr(item, name) for item in found]) for name in ("text", "row"))
    return Pieces(text, row, row)
