"""Python's regular expressions for words in the syntax of RE2, which the operators of ONNX mean."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from re import _parser  # type: ignore[attr-defined]
from typing import Any

import numpy as np

from onward.errors import UnsupportedOperator
from onward.operators.text.determinism import combined, is_deterministic, members

WORD = r"[\pL\pN_]"
"""What Python means by \\w: letters and digits of all scripts. RE2's \\w is about ASCII."""

MOST = 1000
"""RE2 repeats no part more often."""


@dataclass(frozen=True)
class WordPattern:
    """Words are what `found` finds, one after another, as far as it matches all of `whole` (empty: any)."""

    found: str
    whole: str = ""


def word_pattern(pattern: str) -> WordPattern:
    """The words that `re.findall` finds with a token pattern.

    Raises UnsupportedOperator for a pattern of which an operator of ONNX would find other words: one that looks around, that is not
    deterministic (RE2 takes the longest match, Python the first), or whose boundaries tell words apart that no expression does.
    """
    expression = re.compile(pattern)
    tree = _parser.parse(pattern)
    items, flags = list(tree), tree.state.flags
    if len(items) == 1 and str(items[0][0]) == "SUBPATTERN" and expression.groups < 2:
        _, added, removed, inner = items[0][1]
        items, flags = list(inner), combined(flags, added, removed)
    elif expression.groups:
        raise _refusal(pattern, "of a match it takes a part")
    begins, ends = (bool(items) and items[place] == (_parser.AT, _parser.AT_BOUNDARY) for place in (0, -1))
    items = items[begins : len(items) - ends]
    text = _written(items, flags, pattern)
    if begins and ends and _all_within(items, flags):  # such a match is a whole run of word characters
        return WordPattern(f"{WORD}+", "" if text in (f"{WORD}+", f"{WORD}{{1,}}") else text)
    if not is_deterministic(expression):
        raise _refusal(pattern, "it is not deterministic, so that its first match may be another than its longest")
    if (begins or ends) and not _stands_alone(items, flags):
        raise _refusal(pattern, "its boundaries are not those of its words")
    return WordPattern(text)


def _refusal(pattern: str, reason: str) -> UnsupportedOperator:
    return UnsupportedOperator(f"token_pattern={pattern!r}: {reason}; patterns such as {WORD_EXAMPLES} can be said")


WORD_EXAMPLES = r"(?u)\b\w\w+\b, [a-zA-Z]+, [^,]+, \b[^\W\d]{3,}\b and \w+(?:'\w+)?"


def _all_within(items: Sequence[Any], flags: int) -> bool:
    """Whether all characters that take part are those of words."""
    word = _word_characters()
    return all(not bool(np.any(found & ~word)) for found in _classes(items, flags))


def _stands_alone(items: Sequence[Any], flags: int) -> bool:
    """Whether a match begins and ends at boundaries anyway: runs of all word characters with others between, as in \\w+(?:-\\w+)*."""
    parts = [list(argument[2]) if str(operation) == "MAX_REPEAT" and len(argument[2]) > 1 else [(operation, argument)] for operation, argument in items]
    return bool(parts) and all(
        _is_run(part[-1], flags) and not _touches(part[:-1], flags) and (len(part) > 1) == (number > 0) for number, part in enumerate(parts)
    )


def _is_run(item: Any, flags: int) -> bool:
    """Whether it is \\w+."""
    operation, argument = item
    if str(operation) != "MAX_REPEAT" or argument[0] != 1 or argument[1] is not _parser.MAXREPEAT:
        return False
    found = list(_classes(list(argument[2]), flags))
    return len(found) == 1 and bool(np.array_equal(found[0], _word_characters()))


def _touches(items: Sequence[Any], flags: int) -> bool:
    return any(bool(np.any(found & _word_characters())) for found in _classes(items, flags))


def takes_space(pattern: str) -> bool:
    """Whether words of a pattern may hold a space."""
    tree = _parser.parse(pattern)
    return any(bool(found[ord(" ")]) for found in _classes(list(tree), tree.state.flags))


def _word_characters() -> np.ndarray:
    return members((_parser.IN, [(_parser.CATEGORY, _parser.CATEGORY_WORD)]), re.UNICODE)


def _classes(items: Sequence[Any], flags: int) -> Any:
    """The characters of each element."""
    for operation, argument in items:
        name = str(operation)
        if name in ("LITERAL", "NOT_LITERAL", "ANY", "IN"):
            yield members((operation, argument), flags)
        elif name == "BRANCH":
            for way in argument[1]:
                yield from _classes(list(way), flags)
        elif name == "SUBPATTERN":
            yield from _classes(list(argument[3]), combined(flags, argument[1], argument[2]))
        elif name in ("MAX_REPEAT", "MIN_REPEAT"):
            yield from _classes(list(argument[2]), flags)


def _written(items: Sequence[Any], flags: int, pattern: str) -> str:
    return "".join(_WRITERS.get(str(operation), _unknown)(operation, argument, flags, pattern) for operation, argument in items)


def _unknown(operation: Any, _argument: Any, _flags: int, pattern: str) -> str:
    raise _refusal(pattern, f"there is no word for its part {str(operation).lower()}")


def _character(operation: Any, argument: Any, flags: int, _pattern: str) -> str:
    found = members((operation, argument), flags)
    if np.array_equal(found, _word_characters()):
        return WORD
    edges = np.flatnonzero(np.diff(np.concatenate([[False], found, [False]])))
    if not len(edges):
        return r"[^\x{0}-\x{10FFFF}]"
    return "[" + "".join(_range(int(begin), int(end) - 1) for begin, end in zip(edges[::2], edges[1::2])) + "]"


def _range(first: int, last: int) -> str:
    return _code(first) if first == last else f"{_code(first)}-{_code(last)}"


def _code(number: int) -> str:
    character = chr(number)
    return character if character.isascii() and character.isalnum() else f"\\x{{{number:X}}}"


def _repeat(operation: Any, argument: Any, flags: int, pattern: str) -> str:
    least, most, inner = argument
    if least > MOST or most is not _parser.MAXREPEAT and most > MOST:
        raise _refusal(pattern, f"a part is repeated more than {MOST} times")
    part = _written(list(inner), flags, pattern)
    part = part if len(inner) == 1 and str(inner[0][0]) in ("LITERAL", "NOT_LITERAL", "ANY", "IN") else f"(?:{part})"
    if most is _parser.MAXREPEAT:
        return part + {0: "*", 1: "+"}.get(least, f"{{{least},}}")
    return part + ("?" if (least, most) == (0, 1) else f"{{{least},{most}}}") + ("?" if str(operation) == "MIN_REPEAT" else "")


def _group(_operation: Any, argument: Any, flags: int, pattern: str) -> str:
    return f"(?:{_written(list(argument[3]), combined(flags, argument[1], argument[2]), pattern)})"


def _ways(_operation: Any, argument: Any, flags: int, pattern: str) -> str:
    return f"(?:{'|'.join(_written(list(way), flags, pattern) for way in argument[1])})"


_WRITERS: dict[str, Callable[[Any, Any, int, str], str]] = {
    **dict.fromkeys(("LITERAL", "NOT_LITERAL", "ANY", "IN"), _character), **dict.fromkeys(("MAX_REPEAT", "MIN_REPEAT"), _repeat),
    "SUBPATTERN": _group, "BRANCH": _ways,
}  # fmt: skip
