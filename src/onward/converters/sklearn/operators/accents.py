"""Text without accents, as `strip_accents` of text vectorizers means it: character by character, by tables of Unicode."""

from __future__ import annotations

import functools
import sys
import unicodedata

import numpy as np

from onward.converters.tracing import Array, repeat
from onward.converters.tracing.array import TEXT
from onward.converters.tracing.pieces import concatenated, looked_up, matches, tokens

OTHER = "\x00?"
"""Stands for characters that a table lacks; no replacement is this."""


def without_accents(text: Array, how: str) -> Array:
    """Text as `strip_accents_unicode` or `strip_accents_ascii` leaves it."""
    letters = tokens(text)
    if how == "ascii":
        made = np.where(matches(letters, r"[\x00-\x7f]"), letters, looked_up(letters, _plain(), ""))
        return _written_together(text, made)
    made = looked_up(letters, _bare(), OTHER)
    return _written_together(text, np.where(made == OTHER, letters, made))


def _written_together(text: Array, letters: Array) -> Array:
    """(pieces,): the characters of each row, one after another."""
    trace = text.trace

    def turn(made: Array, place: Array) -> tuple[list[Array], bool]:
        letter = trace.op("Gather", letters, place, dtype=TEXT, shape=text.shape, axis=1)
        return [concatenated(made, letter), place + 1], True

    nothing = trace.op("Expand", np.array("", object), trace.sizes(text.shape), dtype=TEXT, shape=text.shape)
    start = Array(trace, trace.constant(np.array(0)), np.dtype(np.int64), ())
    return repeat(letters.shape[1].number(), [nothing, start], turn)[0]


@functools.cache
def _changing() -> list[str]:
    """Characters that are decomposed (Hangul syllables by rule, others by a table) or combine with others."""
    hangul = range(0xAC00, 0xD7A4)
    known = (chr(number) for number in range(128, sys.maxunicode + 1) if number not in hangul)
    return [*map(chr, hangul), *(item for item in known if unicodedata.decomposition(item) or unicodedata.combining(item))]


@functools.cache
def _plain() -> dict[str, str]:
    """Of characters beyond ASCII: the ASCII characters of their decompositions."""
    apart = {character: unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode() for character in _changing()}
    return {character: kept for character, kept in apart.items() if kept}


@functools.cache
def _bare() -> dict[str, str]:
    """Of characters that change: their decompositions without combining marks."""
    apart = {character: unicodedata.normalize("NFKD", character) for character in _changing()}
    bare = {character: "".join(part for part in parts if not unicodedata.combining(part)) for character, parts in apart.items()}
    return {character: kept for character, kept in bare.items() if kept != character}
