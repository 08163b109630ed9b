"""Lists, tuples and dictionaries of tensors, as Keras nests them: dictionaries in the order of their keys."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any


def flatten(structure: Any) -> list[Any]:
    """What a structure holds, in order."""
    if isinstance(structure, dict):
        return [item for key in sorted(structure) for item in flatten(structure[key])]
    return [item for part in structure for item in flatten(part)] if isinstance(structure, (list, tuple)) else [structure]


def mapped(function: Callable[[Any], Any], structure: Any) -> Any:
    """The same structure of a function's results."""
    if isinstance(structure, dict):
        return {key: mapped(function, structure[key]) for key in sorted(structure)}
    return [mapped(function, part) for part in structure] if isinstance(structure, (list, tuple)) else function(structure)


def packed(structure: Any, items: Sequence[Any]) -> Any:
    """The same structure of other items."""
    left = iter(items)
    return mapped(lambda _: next(left), structure)
