"""Substitution in scalars: index variables by expressions, reads of inlined arrays by their definitions."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping

from onward.ir.expressions import Dimension, Expression
from onward.program.array import Array, Compute
from onward.program.scalar import Cast, IndexValue, Literal, Operation, Read, Scalar, ScalarKey, Select, index

ReadRule = Callable[[Read], Scalar]


def substitute(body: Scalar, mapping: Mapping[str, Dimension]) -> Scalar:
    """`body` with index variables replaced by name, inside data-dependent indices too."""
    return _Rewriter(mapping, None)(body)


def replace_reads(body: Scalar, rule: ReadRule) -> Scalar:
    """`body` with each read replaced by `rule(read)`; the reads inside indices first."""
    return _Rewriter({}, rule)(body)


def replace_part(body: Scalar, part: Scalar, by: Scalar) -> Scalar:
    """`body` with every `part` of it that is this one replaced."""
    rewriter = _Rewriter({}, None)
    rewriter.done[ScalarKey(part)] = by
    return rewriter(body)


def expand(body: Scalar, is_inlined: Callable[[Compute], bool], expanded: dict[Array, Scalar] | None = None) -> Scalar:
    """`body` with every read of an inlined array replaced by that array's element, all the way down.

    `expanded` keeps the bodies of inlined arrays from call to call, for as long as what is inlined stays the same.
    """
    known = {} if expanded is None else expanded

    def rule(read: Read) -> Scalar:
        array = read.array
        if not (isinstance(array, Compute) and is_inlined(array)):
            return read
        if array not in known:
            known[array] = expand(array.body, is_inlined, known)
        return substitute(known[array], dict(zip(map(str, array.variables), read.indices)))

    return replace_reads(body, rule)


class _Rewriter:
    def __init__(self, mapping: Mapping[str, Dimension], rule: ReadRule | None) -> None:
        self.mapping = mapping
        self.rule = rule
        self.done: dict[ScalarKey, Scalar] = {}

    def __call__(self, scalar: Scalar) -> Scalar:
        if isinstance(scalar, Literal):
            return scalar
        key = ScalarKey(scalar)
        found = self.done.get(key)
        if found is None:
            found = self.done[key] = self._rewrite(scalar)
        return found

    def _rewrite(self, scalar: Scalar) -> Scalar:
        match scalar:
            case IndexValue():
                return IndexValue(self._index(scalar.expression))
            case Read():
                read = Read(scalar.array, tuple(self._index(place) for place in scalar.indices))
                return self.rule(read) if self.rule else read
            case Cast():
                return Cast(self(scalar.argument), scalar.dtype, scalar.saturate)
            case Select():
                return self._select(scalar)
            case Operation():
                return Operation(scalar.name, tuple(map(self, scalar.arguments)), scalar.dtype)
        raise TypeError(f"no rule for {type(scalar).__name__}")

    def _select(self, scalar: Select) -> Scalar:
        condition = decided(self(scalar.condition))
        if isinstance(condition, bool):
            return self(scalar.then if condition else scalar.otherwise)
        return Select(condition, self(scalar.then), self(scalar.otherwise))

    def _index(self, expression: Dimension) -> Dimension:
        if not isinstance(expression, Expression):
            return expression

        def opaque(payload: Hashable) -> Dimension:
            assert isinstance(payload, ScalarKey)
            return index(self(payload.scalar))

        if not self.mapping.keys() & expression.symbols and not expression.opaque:
            return expression
        return expression.substitute(self.mapping, opaque)


def decided(condition: Scalar) -> Scalar | bool:
    """A condition that the bounds of its indices decide, as a bool."""
    from onward.program.content import Unknown, _compare

    if isinstance(condition, Operation) and condition.name in ("less", "less_equal", "greater", "greater_equal"):
        left, right = condition.arguments
        sides = [
            side.expression if isinstance(side, IndexValue) else int(side.value)
            for side in (left, right)
            if isinstance(side, IndexValue) or isinstance(side, Literal) and side.dtype.is_integer
        ]
        if len(sides) == 2:
            try:
                return _compare(condition.name, sides[0], sides[1])
            except Unknown:
                return condition
    if isinstance(condition, Operation) and condition.name == "and" and condition.dtype.name == "BOOL":
        first, second = (decided(argument) for argument in condition.arguments)
        if first is False or second is False:
            return False
        if first is True:
            return second
        if second is True:
            return first
        return Operation("and", (first, second), condition.dtype)  # type: ignore[arg-type]
    return condition
