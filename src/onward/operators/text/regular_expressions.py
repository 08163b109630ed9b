"""Regular expressions of RE2, whose syntax the standard means, as Python's."""

from __future__ import annotations

import functools
import re
import sys
import unicodedata

from onward.errors import InvalidArgument

_POSIX = {
    "alnum": "0-9A-Za-z", "alpha": "A-Za-z", "ascii": r"\x00-\x7f", "blank": r"\t ", "cntrl": r"\x00-\x1f\x7f", "digit": "0-9", "graph": "!-~", "lower": "a-z",
    "print": " -~", "punct": r"!-/:-@\[-`{-~", "space": r"\t\n\v\f\r ", "upper": "A-Z", "word": "0-9A-Za-z_", "xdigit": "0-9A-Fa-f",
}  # fmt: skip
_CATEGORY = re.compile(r"\\([pP])(?:\{(\^?)(\w+)\}|(\w))")
_NAMED = re.compile(r"\[:(\w+):\]")
_NUMBERED = re.compile(r"\\x\{([0-9A-Fa-f]{1,8})\}")


def compile_expression(pattern: str) -> re.Pattern[str]:
    """The expression, of which `\\w`, `\\d`, `\\s` and `\\b` are about ASCII; `\\pL` and the like are about all characters.

    Raises InvalidArgument for what is no expression, or is one for which Python has no words (scripts such as `\\p{Greek}`, `\\C`).
    Source: the syntax page of the RE2 library.
    """
    try:
        return re.compile(_translated(pattern), re.ASCII)
    except re.error as problem:
        raise InvalidArgument(f"'{pattern}' is no regular expression: {problem}") from problem


def _translated(pattern: str) -> str:
    parts: list[str] = []
    place, inside = 0, False
    while place < len(pattern):
        category, named = _CATEGORY.match(pattern, place), _NAMED.match(pattern, place) if inside else None
        numbered = _NUMBERED.match(pattern, place)
        if category is not None:
            negated = (category[1] == "P") != bool(category[2])
            members = _characters(category[3] or category[4], negated)
            piece, length = members if inside else f"[{members}]", len(category[0])
        elif numbered is not None:
            piece, length = f"\\U{int(numbered[1], 16):08x}", len(numbered[0])
        elif named is not None and named[1] in _POSIX:
            piece, length = _POSIX[named[1]], len(named[0])
        elif pattern[place] == "\\":
            length = 2
            piece = r"\Z" if pattern[place : place + 2] == r"\z" else pattern[place : place + 2]
        else:
            piece, length = pattern[place], 1
            if piece == "[" and not inside:
                opening = re.match(r"\[\^?\]?", pattern[place:])
                assert opening is not None
                piece, length, inside = opening[0], len(opening[0]), True
            elif piece == "[":
                piece = r"\["
            elif piece == "]":
                inside = False
        parts.append(piece)
        place += length
    return "".join(parts)


@functools.cache
def _characters(category: str, negated: bool) -> str:
    """The characters of a general category of Unicode (or of one of its parts, such as Lu), as ranges for a character class."""
    belongs = [unicodedata.category(chr(number)).startswith(category) != negated for number in range(sys.maxunicode + 1)]
    edges = [number for number in range(len(belongs) + 1) if (number < len(belongs) and belongs[number]) != (number > 0 and belongs[number - 1])]
    if not edges:
        raise re.error(f"there is no category {category} of characters")
    return "".join(f"\\U{begin:08x}-\\U{end - 1:08x}" for begin, end in zip(edges[::2], edges[1::2]))
