"""StringConcat, StringSplit, RegexFullMatch and StringNormalizer."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from onward import program as P
from onward.errors import InvalidArgument, InvalidInput
from onward.ir.datatypes import DataType
from onward.operators.registry import operator
from onward.operators.text.regular_expressions import compile_expression

CASES = {"NONE": lambda word: word, "LOWER": str.lower, "UPPER": str.upper}


@operator("StringConcat", since=20)
def string_concat(left: P.Array, right: P.Array) -> P.Array:
    """The strings of `left` followed by those of `right`, with broadcasting. ONNX StringConcat-20."""
    shape = P.broadcast_shapes(left.shape, right.shape)

    def join(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, ...]:
        return (np.asarray(first + second, object),)

    (result,) = P.routine("host", [left, right], [(shape, DataType.STRING)], function=join)
    return result


@operator("RegexFullMatch", since=20)
def regex_full_match(x: P.Array, *, pattern: str) -> P.Array:
    """Whether all of a string matches a regular expression. ONNX RegexFullMatch-20.

    Raises InvalidArgument for what is no regular expression (`regular_expressions.py`).
    """
    expression = compile_expression(pattern)

    def match(text: np.ndarray) -> tuple[np.ndarray, ...]:
        return (_each(text, lambda item: expression.fullmatch(item) is not None).astype(bool),)

    (result,) = P.routine("host", [x], [(x.shape, DataType.BOOL)], function=match)
    return result


@operator("StringSplit", since=20)
def string_split(x: P.Array, *, delimiter: str = "", maxsplit: int | None = None) -> tuple[P.Array, P.Array]:
    """The parts of each string along a new last axis, filled up with "", and their number. ONNX StringSplit-20.

    Without a delimiter (or with an empty one) strings are split at runs of white space.
    """
    limit = -1 if maxsplit is None else maxsplit

    def split(text: np.ndarray) -> tuple[np.ndarray, ...]:
        rows = [item.split(delimiter or None, limit) if item else [] for item in text.reshape(-1)]
        longest = max(map(len, rows), default=0)
        parts = np.empty((len(rows), longest), object)
        for place, row in enumerate(rows):
            parts[place] = row + [""] * (longest - len(row))
        counts = np.array([len(row) for row in rows], np.int64)
        return parts.reshape(*text.shape, longest), counts.reshape(text.shape)

    most = P.fresh_symbol("parts")
    outputs = [((*x.shape, most), DataType.STRING), (x.shape, DataType.INT64)]
    parts, counts = P.routine("host", [x], outputs, [most], function=split)
    return parts, counts


@operator("StringNormalizer", since=10)
def string_normalizer(
    x: P.Array,
    *,
    case_change_action: str = "NONE",
    is_case_sensitive: int = 0,
    locale: str = "en_US",
    stopwords: list[str] | None = None,
) -> P.Array:
    """The strings without stop words, in lower or upper case; a single "" if none is left. ONNX StringNormalizer-10.

    `x` is (count,) or (1, count). Upper and lower case are those of Unicode, whatever the locale.
    """
    if case_change_action not in CASES:
        raise InvalidArgument(f"there is no case_change_action '{case_change_action}'; known are {', '.join(CASES)}")
    if x.rank not in (1, 2) or x.rank == 2 and x.shape[0] not in (1,) and isinstance(x.shape[0], int):
        raise InvalidArgument(f"StringNormalizer takes text of shape (count,) or (1, count), got {x}")
    change = CASES[case_change_action]
    compared = CASES["NONE" if is_case_sensitive else "LOWER"]
    left_out = {compared(word) for word in stopwords or ()}

    def normalize(text: np.ndarray) -> tuple[np.ndarray, ...]:
        if text.ndim == 2 and len(text) != 1:
            raise InvalidInput(f"StringNormalizer takes text of shape (count,) or (1, count), got {text.shape}")
        words = [change(word) for word in text.reshape(-1) if compared(word) not in left_out] or [""]
        return (np.array(words, object).reshape((1,) * (text.ndim - 1) + (len(words),)),)

    count = P.fresh_symbol("words")
    shape = (1, count) if x.rank == 2 else (count,)
    (result,) = P.routine("host", [x], [(shape, DataType.STRING)], [count], function=normalize)
    return result


def _each(text: np.ndarray, function: Callable[[str], object]) -> np.ndarray:
    return np.asarray(np.frompyfunc(function, 1, 1)(text), object).reshape(text.shape)
