"""Lists of pieces of text, whose lengths only the run knows: taken apart, chosen, joined.

No standard operator takes text apart at any character; Tokenizer of com.microsoft does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from onward.converters.tracing import Array, Trace, as_array
from onward.converters.tracing.array import TEXT

END = np.iinfo(np.int64).max


def tokens(text: Array, tokenexp: str | None = None) -> Array:
    """(pieces, tokens): what an expression finds in each piece, or else its characters, filled up with empty text."""
    how = {"separators": [""]} if tokenexp is None else {"tokenexp": tokenexp}
    shape = (*text.shape, text.shape[0])
    return text.trace.op("Tokenizer", text, dtype=TEXT, shape=shape, domain="com.microsoft", mark=0, mincharnum=1, pad_value="", **how)


def looked_up(text: Array, table: Mapping[str, Any], other: Any) -> Array:
    """What a table says, text or integers, of each piece; `other` of those that it lacks."""
    kind = "string" if isinstance(other, str) else "int64"
    values = {"keys_strings": list(table) or [""], f"values_{kind}s": list(table.values()) or [other], f"default_{kind}": other}
    return text.trace.op(
        "LabelEncoder", text, dtype=TEXT if kind == "string" else np.int64, shape=text.shape, domain="ai.onnx.ml", **values
    )  # fmt: skip


def matches(text: Array, pattern: str) -> Array:
    """Whether all of each piece matches a regular expression."""
    return text.trace.op("RegexFullMatch", text, dtype=bool, shape=text.shape, pattern=pattern)


def concatenated(*texts: Any) -> Array:
    """Texts, one after another, with broadcasting."""
    shape, trace = next((item.shape, item.trace) for item in texts if isinstance(item, Array))
    result = as_array(trace, texts[0])
    for item in texts[1:]:
        result = trace.op("StringConcat", result, item, dtype=TEXT, shape=shape)
    return result


def part(x: Array, start: int, stop: int = END, axis: int = 0) -> Array:
    """From one place of an axis to another, which may be counted from the end."""
    bounds = (x.trace.vector([bound]) for bound in (start, stop, axis))
    return x.trace.op("Slice", x, *bounds, dtype=x.dtype, shape=x.shape)


def joined(lists: Sequence[Any]) -> Array:
    """Lists, one after another."""
    first: Array = lists[0]
    return first if len(lists) == 1 else first.trace.op("Concat", *lists, dtype=first.dtype, shape=first.shape, axis=0)


def gathered(x: Array, places: Array) -> Array:
    """The items of a list at some places."""
    return x.trace.op("Gather", x, places, dtype=x.dtype, shape=places.shape)


def summed(places: Sequence[Array], values: Array, shape: Sequence[Any]) -> Array:
    """Zeros of a shape, to which values are added at the places that the lists give, one for each axis."""
    trace = values.trace
    zeros = trace.op("Expand", np.zeros((), values.dtype), trace.sizes(shape), dtype=values.dtype, shape=shape)
    return trace.op("ScatterND", zeros, np.stack(places, axis=1), values, dtype=values.dtype, shape=shape, reduction="add")


@dataclass
class Pieces:
    """Pieces of text in the order in which they stand, the row of each, and the group of each: its row, or its word."""

    text: Array
    row: Array
    group: Array

    @classmethod
    def of(cls, text: Array) -> Pieces:
        """Each text a piece: the rows."""
        row = text.trace.op("Range", np.array(0), text.shape[0], np.array(1), dtype=np.int64, shape=text.shape)
        return cls(text, row, row)

    @property
    def trace(self) -> Trace:
        return self.text.trace

    def keep(self, chosen: Array) -> Pieces:
        """Those that are chosen."""
        places = self.trace.op("NonZero", chosen, dtype=np.int64, shape=(1, self.text.shape[0]))[0]
        return Pieces(*(gathered(item, places) for item in (self.text, self.row, self.group)))

    def taken_apart(self, tokenexp: str | None = None) -> Pieces:
        """What an expression finds in each piece, or else its characters; those of a piece are a group."""
        found = tokens(self.text, tokenexp)
        places = self.trace.op("NonZero", found != "", dtype=np.int64, shape=(2, self.text.shape[0]))
        text = self.trace.op("GatherND", found, places.T, dtype=TEXT, shape=self.text.shape)
        return Pieces(text, gathered(self.row, places[0]), places[0])
