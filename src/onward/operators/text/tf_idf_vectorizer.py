"""TfIdfVectorizer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from onward import program as P
from onward.errors import InvalidArgument
from onward.ir.datatypes import DataType
from onward.operators.registry import operator

MODES = ("TF", "IDF", "TFIDF")


@operator("TfIdfVectorizer", since=9)
def tf_idf_vectorizer(
    x: P.Array,
    *,
    max_gram_length: int,
    max_skip_count: int,
    min_gram_length: int,
    mode: str,
    ngram_counts: list[int],
    ngram_indexes: list[int],
    pool_int64s: list[int] | None = None,
    pool_strings: list[str] | None = None,
    weights: list[float] | None = None,
) -> P.Array:
    """How often each n-gram of a pool occurs in a row of tokens, float32 (..., columns). ONNX TfIdfVectorizer-9.

    `x` is (tokens,) or (rows, tokens). Tokens of an n-gram lie up to `max_skip_count` + 1 places apart, all equally far;
    single tokens are counted once. `mode` TF counts, IDF weighs what occurs, TFIDF weighs the counts.
    """
    if mode not in MODES:
        raise InvalidArgument(f"TfIdfVectorizer has no mode '{mode}'; known are {', '.join(MODES)}")
    if x.rank not in (1, 2):
        raise InvalidArgument(f"TfIdfVectorizer takes tokens of shape (tokens,) or (rows, tokens), got {x}")
    pool: Sequence[object] = pool_strings if pool_strings is not None else pool_int64s or []
    rows = P.expand_axes(x, [0]) if x.rank == 1 else x
    counts, columns, first = [], [], 0
    for length, begin in enumerate(ngram_counts, start=1):
        end = ngram_counts[length] if length < len(ngram_counts) else len(pool)
        grams = _grams(pool[begin:end], length, x.dtype)
        columns += list(range(first, first + len(grams))) if min_gram_length <= length <= max_gram_length else []
        if len(grams) and min_gram_length <= length <= max_gram_length:
            counts.append(_count(rows, grams, length, max_skip_count if length > 1 else 0))
        first += len(grams)
    if first != len(ngram_indexes):
        raise InvalidArgument(f"TfIdfVectorizer has {first} n-grams in its pool and {len(ngram_indexes)} ngram_indexes")
    width = max(ngram_indexes, default=-1) + 1
    source = np.full(width, -1, np.int64)  # the place among `counts` of each column
    source[[ngram_indexes[place] for place in columns]] = np.arange(len(columns))
    factor = np.ones(width, np.float32)
    if weights is not None:
        factor[ngram_indexes] = weights
    result = _columns(counts, source, factor, mode, rows.shape[0])
    return P.reshape(result, (width,)) if x.rank == 1 else result


def _grams(pool: Sequence[object], length: int, dtype: DataType) -> np.ndarray:
    if len(pool) % length:
        raise InvalidArgument(f"{len(pool)} tokens of the pool are no whole number of n-grams of length {length}")
    return np.array(pool, dtype.numpy).reshape(-1, length)


def _count(rows: P.Array, grams: np.ndarray, length: int, skips: int) -> P.Array:
    """float32 (rows, grams): the occurrences of each."""
    wanted = P.constant(grams)
    tokens = rows.shape[1]

    def occurs(row: P.Dimension, gram: P.Dimension, skip: P.Dimension, place: P.Dimension) -> P.Scalar:
        step = skip + 1
        found = P.scalar(1.0, DataType.FLOAT)
        for part in reversed(range(length)):
            same = P.equal(rows[row, place + part * step], wanted[gram, part])
            found = P.where(same, found, P.scalar(0.0, DataType.FLOAT))
        inside = P.less(P.scalar(place + (length - 1) * step), P.scalar(tokens))
        return P.where(inside, found, P.scalar(0.0, DataType.FLOAT))

    return P.reduce("sum", (rows.shape[0], len(grams)), (skips + 1, tokens), occurs)


def _columns(counts: list[P.Array], source: np.ndarray, factor: np.ndarray, mode: str, rows: P.Dimension) -> P.Array:
    """The counts in their columns, weighted."""
    width = len(source)
    if not counts:
        return P.broadcast_to(P.full((), 0.0, DataType.FLOAT), (rows, width))
    found = P.concatenate(counts, 1) if len(counts) > 1 else counts[0]
    places, factors = P.constant(source), P.constant(factor)
    zero, one = P.scalar(0.0, DataType.FLOAT), P.scalar(1.0, DataType.FLOAT)

    def element(row: P.Dimension, column: P.Dimension) -> P.Scalar:
        place = places[column]
        count = P.where(place < 0, zero, found[row, P.where(place < 0, P.scalar(0), place)])
        if mode == "IDF":
            count = P.where(P.greater(count, zero), one, zero)
        return count if mode == "TF" else count * factors[column]

    return P.compute((rows, width), element)
