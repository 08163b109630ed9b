"""Tokenizer and MurmurHash3 of com.microsoft: words and characters of text, and hashes of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np

from onward import program as P
from onward.errors import InvalidArgument
from onward.ir.datatypes import DataType
from onward.operators.microsoft.activations import DOMAIN
from onward.operators.registry import operator
from onward.operators.text.determinism import is_deterministic
from onward.operators.text.regular_expressions import compile_expression

START, END = "\x02", "\x03"


@operator("Tokenizer", domain=DOMAIN)
def tokenizer(
    x: P.Array,
    *,
    mark: int,
    mincharnum: int,
    pad_value: str,
    separators: list[str] | None = None,
    tokenexp: str | None = None,
) -> P.Array:
    """The tokens of each text along a new last axis, filled up with `pad_value`.

    Tokens match `tokenexp`, or stand between what matches one of `separators`, the first of which wins; a single separator "" gives
    characters. Tokens shorter than `mincharnum` are left out. With `mark` they stand between two tokens for start and end.

    Raises InvalidArgument for no expression or both, and for an expression that is not deterministic: onnxruntime takes the
    longest match, Python the first.
    """
    if (tokenexp is None) == (separators is None):
        raise InvalidArgument("Tokenizer takes separators or tokenexp, one of them")
    cut = _cut(tokenexp, separators or [])

    def tokenize(text: np.ndarray) -> tuple[np.ndarray, ...]:
        rows = [[token for token in cut(item) if len(token) >= mincharnum] for item in text.reshape(-1)]
        longest = max(map(len, rows), default=0)
        if mark and longest:
            rows, longest = [[START, *row, END] for row in rows], longest + 2
        made = np.empty((len(rows), longest), object)
        for place, row in enumerate(rows):
            made[place] = row + [pad_value] * (longest - len(row))
        return (made.reshape(*text.shape, longest),)

    most = P.fresh_symbol("tokens")
    (tokens,) = P.routine("host", [x], [((*x.shape, most), DataType.STRING)], [most], function=tokenize)
    return tokens


def _cut(tokenexp: str | None, separators: Sequence[str]) -> Callable[[str], list[str]]:
    if tokenexp is not None:
        expression = _expression(tokenexp)
        return lambda text: [found[0] for found in expression.finditer(text) if found[0]]
    if list(separators) == [""]:
        return list
    between = [_expression(separator) for separator in separators]

    def split(text: str) -> list[str]:
        parts = [text]
        for expression in between:
            parts = [piece for part in parts for piece in _outside(expression, part)]
        return parts

    return split


def _outside(expression: re.Pattern[str], text: str) -> list[str]:
    """What is left of a text between the matches."""
    edges = [0, *(edge for found in expression.finditer(text) if found[0] for edge in found.span()), len(text)]
    return [text[begin:end] for begin, end in zip(edges[::2], edges[1::2]) if begin < end]


def _expression(pattern: str) -> re.Pattern[str]:
    expression = compile_expression(pattern)
    if not is_deterministic(expression):
        raise InvalidArgument(f"'{pattern}' is not deterministic: its longest match, which is meant, may be another than the first")
    return expression


@operator("MurmurHash3", domain=DOMAIN)
def murmur_hash(x: P.Array, *, positive: int = 1, seed: int = 0) -> P.Array:
    """MurmurHash3 of 32 bits of each text (its UTF-8 bytes) or number (its own bytes), uint32 or, unless `positive`, int32.

    Source: Austin Appleby, MurmurHash3, 2011 (x86, 32 bits).
    """
    kind = DataType.UINT32 if positive else DataType.INT32

    def hashes(items: np.ndarray) -> tuple[np.ndarray, ...]:
        found = [_murmur(item.encode() if isinstance(item, str) else item.tobytes(), seed) for item in items.reshape(-1)]
        return (np.array(found, np.uint32).view(kind.numpy).reshape(items.shape),)

    (result,) = P.routine("host", [x], [(x.shape, kind)], function=hashes)
    return result


def _murmur(data: bytes, seed: int) -> int:
    whole = 0xFFFFFFFF
    state = seed & whole
    for start in range(0, len(data), 4):
        block = int.from_bytes(data[start : start + 4], "little") * 0xCC9E2D51 & whole
        block = (block << 15 | block >> 17) & whole
        state ^= block * 0x1B873593 & whole
        if start + 4 <= len(data):
            state = (state << 13 | state >> 19) & whole
            state = state * 5 + 0xE6546B64 & whole
    state ^= len(data)
    state = (state ^ state >> 16) * 0x85EBCA6B & whole
    state = (state ^ state >> 13) * 0xC2B2AE35 & whole
    return state ^ state >> 16
