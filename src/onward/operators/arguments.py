"""What operator pages ask of those inputs that shape their result: axes, sizes, amounts."""

from __future__ import annotations

from collections.abc import Sequence

from onward import program as P
from onward.errors import InvalidArgument, UnsupportedOperator
from onward.ir.expressions import Expression

ABSENT = object()
"""What an optional value is that holds nothing."""


class NotConstant(UnsupportedOperator):
    """Something that shapes a result must be known before the run, and is not: `arrays`, or inputs given by name."""

    def __init__(self, message: str, arrays: Sequence[P.Array] = (), names: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.arrays = tuple(arrays)
        self.names = tuple(names)

    @property
    def inputs(self) -> list[str]:
        """The names of the model's inputs that would have to be constants."""
        names = dict.fromkeys(self.names)
        pending, seen = list(self.arrays), set(self.arrays)
        while pending:
            array = pending.pop()
            if isinstance(array, P.Input):
                names[array.label] = None
            new = [source for source in array.sources if source not in seen]
            seen.update(new)
            pending.extend(new)
        return list(names)


def known_integers(array: P.Array, what: str) -> list[int]:
    """The elements of an integer array that must be known before the run, such as axes.

    Raises NotConstant when they depend on the data of the run.
    """
    content = array.content
    if content is None or any(isinstance(item, Expression) for item in content.reshape(-1)):
        raise NotConstant(f"{what} must be a constant, but {array} is computed during the run", [array])
    return [int(item) for item in content.reshape(-1)]


def known_integer(array: P.Array, what: str) -> int:
    """The one element of an integer array that must be known before the run."""
    items = known_integers(array, what)
    if len(items) != 1:
        raise InvalidArgument(f"{what} must be one number, got {len(items)}")
    return items[0]


def permuted(axis_count: int, permutation: list[int] | None) -> list[int]:
    """A checked permutation of the axes; None reverses them. Raises InvalidArgument for anything else."""
    if permutation is None:
        return list(reversed(range(axis_count)))
    axes = [P.normalize_axis(axis, axis_count) for axis in permutation]
    if sorted(axes) != list(range(axis_count)):
        raise InvalidArgument(f"{permutation} is not a permutation of the {axis_count} axes")
    return axes


def distinct_axes(axes: list[int], rank: int) -> list[int]:
    """The axes in the order given, as 0 <= axis < rank. Raises InvalidArgument when one occurs twice."""
    places = [P.normalize_axis(axis, rank) for axis in axes]
    if len(set(places)) != len(places):
        raise InvalidArgument(f"axes {axes} name an axis twice")
    return places
