"""How many columns of weights a row needs, as far as the conditions in their definition say.

Where attention is causal, scores beyond a row's own column are minus infinity, so that their weights are e^-inf = 0, whatever the
rest of the row is. This is found from the expressions alone: what the weights are made of is looked at as it is where a condition
fails. Two values matter there, minus infinity and zero, since they change no maximum and no sum. (In a row whose maximum is
infinite or no number all weights are NaN, the visible ones included.)
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from onward.compiler.rewrite import substitute
from onward.compiler.roots import Root
from onward.ir.datatypes import DataType
from onward.ir.expressions import Dimension, Expression, SymbolAtom
from onward.ir.expressions import substitute as substitute_index
from onward.program.array import Array
from onward.program.scalar import Cast, IndexValue, Literal, Operation, Read, Scalar, ScalarKey, Select

LEAST, ZERO = "minus infinity", "zero"
UNCHANGED_BY = {"max": LEAST, "sum": ZERO}
"""What a reduction may leave out."""


@dataclass(frozen=True)
class Visibility:
    """A row needs the columns below `limit`, in terms of the row's variable; `loops` names the loop over columns of each array that has one."""

    limit: Dimension
    loops: Mapping[Array, str]


def visibility_of(root: Root, roots: Mapping[Array, Root], interior: Collection[Array], row: Expression) -> Visibility | None:
    """What a `row` needs of the left operand of a contraction, which is made in the `interior`; None where that may be all of it."""
    assert root.contraction is not None
    if len(root.reduction) != 1:
        return None
    proof = _Proof(roots, interior, root.reduction[0])
    if proof.hidden(root.contraction.left) != ZERO:
        return None
    for read in root.body.reads():
        proof.is_unchanged(read)
    if len(proof.limits) != 1:
        return None
    (limit,) = proof.limits
    atoms = limit.atoms if isinstance(limit, Expression) else ()
    others = {str(variable) for variable in root.variables} - {str(row)}
    if any(not isinstance(atom, SymbolAtom) or atom.name in others for atom in atoms):
        return None
    if isinstance(limit, Expression) and limit.coefficient(row) not in (0, 1):
        return None
    loops = _loops(root, roots, interior, {root.array: str(root.reduction[0]), **proof.reductions})
    return None if loops is None else Visibility(limit, loops)


class _Proof:
    """Looks at scalars, in terms of a contraction's variables, where a column is hidden."""

    def __init__(self, roots: Mapping[Array, Root], interior: Collection[Array], column: Expression) -> None:
        self.roots, self.interior, self.column = roots, interior, column
        self.limits: set[Dimension] = set()
        """Where the hidden columns begin."""
        self.reductions: dict[Array, str] = {}
        """Reductions over columns that may leave them out, and their loops."""

    def hidden(self, scalar: Scalar) -> str | None:
        """LEAST or ZERO, if it is that in all hidden columns."""
        match scalar:
            case Literal(value=value) if scalar.dtype.is_float:
                return LEAST if value == -math.inf else ZERO if value == 0 else None
            case Cast() if scalar.dtype.is_float:
                return self.hidden(scalar.argument)
            case Read() if scalar.array in self.interior and scalar.array in self.roots:
                root = self.roots[scalar.array]
                if root.reduce is scalar.array:  # nothing is done with what is reduced
                    return None
                return self.hidden(substitute(root.body, dict(zip(map(str, root.variables), scalar.indices))))
            case Select():
                return self._hidden_by(scalar)
            case Operation(name="exp"):
                return ZERO if self.hidden(scalar.arguments[0]) == LEAST else None
            case Operation(name="subtract"):
                value, shift = scalar.arguments
                return LEAST if self.hidden(value) == LEAST and self._is_maximum(shift, value) else None
        return None

    def _hidden_by(self, select: Select) -> str | None:
        bound = self._bound(select.condition)
        if bound is None:
            branches = {self.hidden(select.then), self.hidden(select.otherwise)}
            return branches.pop() if len(branches) == 1 else None
        limit, holds = bound
        self.limits.add(limit)
        return self.hidden(select.then if holds else select.otherwise)

    def _bound(self, condition: Scalar) -> tuple[Dimension, bool] | None:
        """From which column on a condition has always the same value, and that value."""
        if not isinstance(condition, Operation) or condition.name not in ("less", "less_equal", "greater", "greater_equal"):
            return None
        left, right = map(_integer, condition.arguments)
        if left is None or right is None:
            return None
        rest = right - left if condition.name.startswith("less") else left - right  # it holds where this is not negative
        if not condition.name.endswith("equal"):
            rest = rest - 1
        step = rest.coefficient(self.column) if isinstance(rest, Expression) else 0
        start = substitute_index(rest, {str(self.column): 0})
        return (start + 1, False) if step == -1 else (-start, True) if step == 1 else None

    def _is_maximum(self, shift: Scalar, value: Scalar) -> bool:
        """Whether it is the maximum of that value's row, or a number in place of it."""
        if isinstance(shift, Select) and isinstance(shift.then, Literal):
            shift = shift.otherwise
        return isinstance(shift, Read) and self.is_unchanged(shift, value)

    def is_unchanged(self, read: Read, value: Scalar | None = None) -> bool:
        """Whether a number of the row is a reduction that hidden columns do not change; the maximum of a certain value if one is given."""
        root = self.roots.get(read.array) if read.array in self.interior else None
        if root is None or root.reduce is None or root.reduce_body is None or len(root.reduction) != 1:
            return False
        names = map(str, (*root.variables, *root.reduction))
        reduced = substitute(root.reduce_body, dict(zip(names, (*read.indices, self.column))))
        if value is not None and (root.reduce.operation != "max" or ScalarKey(reduced) != ScalarKey(value)):
            return False
        if self.hidden(reduced) != UNCHANGED_BY.get(root.reduce.operation, ""):
            return False
        self.reductions[read.array] = str(root.reduction[0])
        return True


def _integer(scalar: Scalar) -> Dimension | None:
    """An integer scalar as an expression, where it is made of indices and sizes."""
    match scalar:
        case IndexValue():
            return scalar.expression
        case Literal() if scalar.dtype.is_integer:
            return int(scalar.value)
        case Cast() if scalar.dtype == DataType.INT64:
            return _integer(scalar.argument)
        case Operation(name="add" | "subtract"):
            left, right = map(_integer, scalar.arguments)
            if left is not None and right is not None:
                return left + right if scalar.name == "add" else left - right
    return None


def _loops(root: Root, roots: Mapping[Array, Root], interior: Collection[Array], proven: Mapping[Array, str]) -> dict[Array, str] | None:
    """The loops over columns of all arrays; None where one is read both by a loop that may be short and otherwise."""
    loops = dict(proven)
    members = [root, *(roots[array] for array in interior if array in roots)]
    pending = [array for array in interior if array in roots and array not in loops]
    while pending:
        found = {array: axis for array in pending if (axis := _column_axis(array, members, loops)) is not None}
        if not found:
            break
        for array, axis in found.items():
            if roots[array].shape[axis] != root.extents[0]:
                return None
            loops[array] = str(roots[array].variables[axis])
        pending = [array for array in pending if array not in loops]
    along = [read for member in members if member.array in loops for read in _reads_along(member, loops[member.array])]
    return loops if all(read.array in loops for read in along if read.array in interior) else None


def _column_axis(array: Array, members: Collection[Root], loops: Mapping[Array, str]) -> int | None:
    """The axis of an array that all its readers walk by loops over columns."""
    axes: set[int | None] = set()
    for member in members:
        for read in member.reads():
            if read.array is array:
                places = [axis for axis, place in enumerate(read.indices) if str(place) == loops.get(member.array)]
                axes.add(places[0] if len(places) == 1 else None)
    return axes.pop() if len(axes) == 1 else None


def _reads_along(root: Root, loop: str) -> Iterator[Read]:
    return (read for read in root.reads() if any(isinstance(place, Expression) and loop in place.symbols for place in read.indices))
