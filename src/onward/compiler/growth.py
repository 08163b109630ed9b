"""Outputs that are an input of the model with more behind it: the keys and values of all tokens so far, and those of the next.

Most of such an array is a copy. Attention reads it once in a run with one query, and can copy it on the way (`schedule/growth.py`), so that neither
the input nor the copy is read another time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from onward.compiler.layout import LayoutPlanner
from onward.compiler.roots import Root
from onward.program.array import Array, Concatenate, Input, Reshape, RoutineOutput


@dataclass(frozen=True, eq=False)
class Growth:
    """`array` is `source` up to its end along an axis, and something else from there on."""

    array: Concatenate
    source: Input

    @property
    def axis(self) -> int:
        """The axis along which it grows."""
        return self.array.axis


def find_growths(order: Sequence[Array], roots: Sequence[Root], layouts: LayoutPlanner) -> dict[Array, Growth]:
    """The outputs that grow and are read by one root alone."""
    found: dict[Array, Growth] = {}
    for array in order:
        if isinstance(array, Concatenate) and array in layouts.outputs and array.axis < array.rank - 1 and array.dtype.is_float:
            source, *others = array.parts
            readers = sum(any(read.array is array for read in root.reads()) for root in roots)
            moved = any(array in user.sources for user in order if isinstance(user, (Reshape, Concatenate, RoutineOutput)))
            if isinstance(source, Input) and source not in others and readers == 1 and not moved:
                found[array] = Growth(array, source)
    return found
