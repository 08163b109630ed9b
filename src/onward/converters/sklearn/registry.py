"""What methods of which classes become: one function each, by the names of the classes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Translation = Callable[..., Any]
METHODS: dict[tuple[str, str], Translation] = {}
TABLES: set[tuple[str, str]] = set()
"""Those of them that take tables as they are, text beside numbers; others get a table as a matrix."""


def method(name: str, *classes: str, tables: bool = False) -> Callable[[Translation], Translation]:
    """Registers what `classes`' method `name` becomes: a function of the estimator and its traced input.

    Subclasses share it unless they define the method themselves. With `tables` the function takes `Frame`s too.

    >>> @method("transform", "MyScaler")
    ... def scaled(estimator, x):
    ...     return (x - estimator.low_) / estimator.range_
    """

    def register(translation: Translation) -> Translation:
        for item in classes:
            METHODS[name, item] = translation
            if tables:
                TABLES.add((name, item))
        return translation

    return register
