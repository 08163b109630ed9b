"""Whether a regular expression is deterministic: at each character of a text one way at most leads on.

Then the first match that Python finds, whose repetitions take as much as they can, is the longest one, which others look for.
Source: Brueggemann-Klein and Wood, One-unambiguous regular languages, 1998; the sets are those of Glushkov's automaton.
"""

from __future__ import annotations

import functools
import re
import sys
from collections.abc import Sequence
from re import _compiler, _parser  # type: ignore[attr-defined]
from typing import Any, NamedTuple

import numpy as np

ALL = "".join(map(chr, range(sys.maxunicode + 1)))
CHARACTERS = re.ASCII | re.LOCALE | re.UNICODE
"""Flags that say which characters are letters; one of them is set."""
MOST_COPIES = 64
"""A part that is repeated more often counts as repeated without end."""


def is_deterministic(expression: re.Pattern[str]) -> bool:
    """Whether one way at most leads through any text. False where that cannot be told: lazy repetitions, references, looking around."""
    tree = _parser.parse(expression.pattern, expression.flags)
    automaton = _Automaton()
    try:
        ends = automaton.sequence(list(tree), tree.state.flags)
    except _SeveralWays:
        return False
    return all(map(automaton.apart, [ends.first, *automaton.follow]))


def members(item: Any, flags: int) -> np.ndarray:
    """Which characters, a truth value for each, one element of a parsed expression takes."""
    return _members(repr(item), _Hidden(item), flags & (re.IGNORECASE | re.ASCII | re.DOTALL | re.UNICODE))


def combined(flags: int, added: int, removed: int) -> int:
    """The flags within a group that sets some of its own."""
    kept = flags & ~CHARACTERS if added & CHARACTERS else flags
    return (kept | added) & ~removed


class _Hidden:
    """An argument that a cache does not compare: the text beside it says the same."""

    def __init__(self, item: Any) -> None:
        self.item = item

    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 0


@functools.lru_cache(64)
def _members(_text: str, hidden: _Hidden, flags: int) -> np.ndarray:
    state = _parser.State()
    state.flags = flags
    state.str = ""
    one = _compiler.compile(_parser.SubPattern(state, [hidden.item]), flags)
    found = np.zeros(len(ALL), bool)
    found[[ord(character) for character in one.findall(ALL)]] = True
    return found


class _SeveralWays(Exception):
    """More than one way leads on, or what cannot be told apart."""


class _Ends(NamedTuple):
    """Of a part: the places where it begins, those where it ends, and whether it may be nothing."""

    first: list[int]
    last: list[int]
    empty: bool


class _Automaton:
    """Glushkov's: a place for each character class of the expression, and the places that follow each."""

    def __init__(self) -> None:
        self.classes: list[np.ndarray] = []
        self.follow: list[list[int]] = []

    def apart(self, places: Sequence[int]) -> bool:
        """Whether no character leads to two of the places."""
        total: Any = 0
        for place in set(places):
            total = total + self.classes[place].astype(np.int16)
        return bool(np.max(total) < 2)

    def sequence(self, items: Sequence[Any], flags: int) -> _Ends:
        """The places of parts that stand one after another."""
        ends = _Ends([], [], True)
        for operation, argument in items:
            following = self.part(str(operation), argument, flags)
            if following is not None:
                self._connect(ends.last, following.first)
                ends = _Ends(
                    ends.first + (following.first if ends.empty else []),
                    following.last + (ends.last if following.empty else []),
                    ends.empty and following.empty,
                )
        return ends

    def part(self, operation: str, argument: Any, flags: int) -> _Ends | None:
        """The places of one part; None for one that takes no characters, such as a boundary."""
        if operation == "AT":
            return None
        if operation in ("LITERAL", "NOT_LITERAL", "ANY", "IN"):
            self.classes.append(members((getattr(_parser, operation), argument), flags))
            self.follow.append([])
            return _Ends([len(self.classes) - 1], [len(self.classes) - 1], False)
        if operation == "SUBPATTERN":
            _, added, removed, inner = argument
            return self.sequence(list(inner), combined(flags, added, removed))
        if operation == "BRANCH":
            ways = [self.sequence(list(inner), flags) for inner in argument[1]]
            if any(way.empty for way in ways[:-1]):
                raise _SeveralWays
            return _Ends([place for way in ways for place in way.first], [place for way in ways for place in way.last], ways[-1].empty)
        if operation == "MAX_REPEAT":
            least, most, inner = argument
            return self._repeated(least, most, inner, flags)
        raise _SeveralWays

    def _repeated(self, least: int, most: int, inner: Any, flags: int) -> _Ends:
        """Copies in a row, each of which is reached through the one before it alone."""
        endless = most > MOST_COPIES
        copies = [self.sequence(list(inner), flags) for _ in range(max(1, min(least, MOST_COPIES)) if endless else most)]
        if any(copy.empty for copy in copies):
            raise _SeveralWays
        for before, after in zip(copies, copies[1:]):
            self._connect(before.last, after.first)
        if endless:
            self._connect(copies[-1].last, copies[-1].first)
        last = [place for number, copy in enumerate(copies, start=1) if number >= least or copy is copies[-1] for place in copy.last]
        return _Ends(copies[0].first if copies else [], last, least == 0)

    def _connect(self, last: Sequence[int], first: Sequence[int]) -> None:
        for place in last:
            self.follow[place].extend(first)
