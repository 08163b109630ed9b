"""What methods of which classes become: one function each, found by the names of an estimator's classes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Translation = Callable[..., Any]
METHODS: dict[tuple[str, str], Translation] = {}


def method(name: str, *classes: str) -> Callable[[Translation], Translation]:
    """Registers what `classes`' method `name` becomes: a function of the estimator and its traced input.

    Subclasses share it unless they define the method themselves.

    >>> @method("transform", "MyScaler")
    ... def scaled(estimator, x):
    ...     return (x - estimator.low_) / estimator.range_
    """

    def register(translation: Translation) -> Translation:
        for item in classes:
            METHODS[name, item] = translation
        return translation

    return register


def find(estimator: Any, name: str) -> Translation | None:
    """The translation of a method, or None where its own code is traced."""
    for kind in type(estimator).__mro__:
        found = METHODS.get((name, kind.__name__))
        if found is not None:
            return found
        if name in vars(kind):
            return None
    return None
