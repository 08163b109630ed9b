"""What a program takes for granted about sizes that are known only at run time.

A definition says `require_equal(left, right, what)` where two symbolic extents must agree. While a graph is lowered these
guards are collected; a session checks them for the sizes of a run before it starts.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from onward.errors import InvalidArgument
from onward.ir.expressions import Dimension, maximum


@dataclass(frozen=True)
class Guard:
    """`left` equals `right`, or (`or_one`) is 1. `message` says for what."""

    left: Dimension
    right: Dimension
    or_one: bool
    message: str


_active: ContextVar[dict[tuple[Dimension, Dimension, bool], Guard] | None] = ContextVar("guards", default=None)


@contextmanager
def collected() -> Iterator[dict[tuple[Dimension, Dimension, bool], Guard]]:
    """The guards that definitions ask for within the block."""
    guards: dict[tuple[Dimension, Dimension, bool], Guard] = {}
    token = _active.set(guards)
    try:
        yield guards
    finally:
        _active.reset(token)


def require_equal(left: Dimension, right: Dimension, what: str, *, or_one: bool = False) -> None:
    """Asks that two extents be equal (or the left one 1). Raises InvalidArgument when they are known and are not."""
    if left == right or or_one and isinstance(left, int) and left == 1:
        return
    if isinstance(left, int) and isinstance(right, int):
        raise InvalidArgument(f"{what}: {left} against {right}")
    guards = _active.get()
    if guards is not None:
        guards.setdefault((left, right, or_one), Guard(left, right, or_one, what))


def require_at_least(extent: Dimension, least: Dimension, what: str) -> None:
    """Asks that an extent be no less than another. Raises InvalidArgument when they are known and it is."""
    require_equal(extent, maximum(extent, least), what)
