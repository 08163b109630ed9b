"""Replacing in text, as far as operators that split it and put it together say it."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from onward.converters.tensorflow.emitter import Emitter
from onward.converters.tensorflow.operators.characters import joined
from onward.errors import UnsupportedOperator
from onward.ir import Value

LITERAL = re.compile(r"(?:[^\\.^$*+?{}\[\]|()]|\\[^\w\s])+")
SET = re.compile(r"\[(?!\^)(?:\\.|[^\]\\])+\]|\\[sdw]", re.DOTALL)
"""One character out of several."""


def any_of(characters: str) -> str:
    """The pattern of one of some characters."""
    return "[" + "".join(re.escape(character) for character in characters) + "]"


def outside(c: Emitter, text: Any, pattern: str) -> Value:
    """(rows, pieces): what stands between the matches, without empty pieces."""
    return c.op("Tokenizer", text, domain="com.microsoft", separators=[pattern], mark=0, mincharnum=1, pad_value="")  # type: ignore[no-any-return]


def replaced(c: Emitter, text: Value, pattern: str, rewrite: str, everywhere: bool) -> Value:
    """A vector of texts with the matches rewritten.

    Raises UnsupportedOperator for a rewriting that quotes the match, and for a pattern, not to be left out, that is no text, no set of
    characters and no run of one.
    """
    if "\\" in rewrite:
        raise UnsupportedOperator("a rewriting that quotes parts of the match")
    if LITERAL.fullmatch(pattern):
        return _of_literal(c, text, re.sub(r"\\(.)", r"\1", pattern), rewrite, everywhere)
    if not everywhere:
        raise UnsupportedOperator("the first match of a pattern that is no plain text")
    if not rewrite:
        return joined(c, outside(c, text, pattern))
    if SET.fullmatch(pattern.removesuffix("+")) and pattern.endswith("+"):
        return _of_runs(c, text, pattern, rewrite)
    if SET.fullmatch(pattern):
        members = [chr(code) for code in range(128) if re.fullmatch(pattern, chr(code))]
        if pattern.isascii() and "\\" not in pattern and not set(rewrite) & set(members) and len(members) <= 40:
            for member in members:
                text = _of_literal(c, text, member, rewrite, True)
            return text
    raise UnsupportedOperator(f"the pattern '{pattern}', which ONNX has no operator to replace")


def _of_literal(c: Emitter, text: Value, literal: str, rewrite: str, everywhere: bool) -> Value:
    pieces, counts = c.op("StringSplit", text, outputs=2, delimiter=literal, maxsplit=None if everywhere else 1)
    places = c.op("Range", np.array(0), c.squeeze(c.op("Shape", pieces, start=1), 0), np.array(1))
    return joined(c, pieces, rewrite, c.op("Less", places, c.unsqueeze(counts, 1)))


def _of_runs(c: Emitter, text: Value, pattern: str, rewrite: str) -> Value:
    """Runs stand between pieces, or before the first and behind the last one."""
    pieces = outside(c, text, pattern)
    there = c.op("Not", c.op("Equal", pieces, np.array("", object)))
    empty, whole = np.array("", object), np.array(rewrite, object)
    before, behind = (c.op("RegexFullMatch", text, pattern=form) for form in (f"{pattern}(?s:.*)", f"(?s:.*){pattern}"))
    only = c.op("RegexFullMatch", text, pattern=pattern)
    start = c.op("Where", before, whole, empty)
    end = c.op("Where", c.op("And", behind, c.op("Not", only)), whole, empty)
    return c.op("StringConcat", c.op("StringConcat", start, joined(c, pieces, rewrite, there)), end)  # type: ignore[no-any-return]
