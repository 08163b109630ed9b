"""Exact integer expressions over symbols: extents, strides and indices.

An `Expression` is a polynomial with integer coefficients over *atoms*: symbols, floor divisions, remainders, minima,
maxima and opaque values (an index read from data). It is brought to normal form on construction, compared
structurally and hashable. Whatever simplifies to a constant *is* a Python int, so a `Dimension` is `int | Expression`.

Symbols carry bounds. They let `(64*i + j) // 64` simplify to `i` when `0 <= j < 64`, which is what turns the index
arithmetic of a fused Reshape back into plain strides.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Union

Dimension = Union[int, "Expression"]


class Atom(ABC):
    """A factor of a monomial. Subclasses are immutable and compared by `key`."""

    __slots__ = ("key", "_hash", "_text")

    key: tuple[Hashable, ...]

    def __init__(self, key: tuple[Hashable, ...]) -> None:
        self.key = key
        self._hash = hash(key)
        self._text: str | None = None

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Atom) and self._hash == other._hash and self.key == other.key)

    def __hash__(self) -> int:
        return self._hash

    def __str__(self) -> str:
        # Kept, since atoms are ordered by it and hold others: written anew each time, it takes time exponential in their depth.
        if self._text is None:
            self._text = self._written()
        return self._text

    @abstractmethod
    def _written(self) -> str:
        """The text, made anew."""

    @property
    def lower(self) -> int | None:
        """The least value the atom can take, or None where unknown."""
        return None

    @property
    def upper(self) -> Dimension | None:
        """An inclusive upper bound, possibly symbolic, or None where unknown."""
        return None

    @property
    def operands(self) -> tuple[Dimension, ...]:
        """The expressions inside the atom."""
        return ()


class SymbolAtom(Atom):
    """An unknown integer with a name and bounds. Compared by name alone."""

    __slots__ = ("name", "_lower", "_upper")

    def __init__(self, name: str, lower: int, upper: Dimension | None) -> None:
        super().__init__(("symbol", name))
        self.name = name
        self._lower = lower
        self._upper = upper

    @property
    def lower(self) -> int:
        return self._lower

    @property
    def upper(self) -> Dimension | None:
        return self._upper

    def _written(self) -> str:
        return self.name


class OpaqueAtom(Atom):
    """An integer known only at run time, such as an index read from data. `payload` is hashable and may be anything."""

    __slots__ = ("payload",)

    def __init__(self, payload: Hashable) -> None:
        super().__init__(("opaque", payload))
        self.payload = payload

    def _written(self) -> str:
        return f"<{self.payload}>"


class BinaryAtom(Atom):
    """`left OP right` for an operation that does not distribute over sums: //, %, minimum, maximum."""

    __slots__ = ("operation", "left", "right", "_bounds")

    def __init__(self, operation: str, left: Dimension, right: Dimension) -> None:
        super().__init__((operation, left, right))
        self.operation = operation
        self.left = left
        self.right = right
        self._bounds: tuple[int | None, Dimension | None] | None = None

    @property
    def operands(self) -> tuple[Dimension, ...]:
        return (self.left, self.right)

    @property
    def lower(self) -> int | None:
        return self._bounded()[0]

    @property
    def upper(self) -> Dimension | None:
        return self._bounded()[1]

    def _bounded(self) -> tuple[int | None, Dimension | None]:
        if self._bounds is None:  # kept for the same reason as the text
            self._bounds = self._lowest(), self._highest()
        return self._bounds

    def _lowest(self) -> int | None:
        left, right = lower_bound(self.left), lower_bound(self.right)
        if self.operation == "minimum":
            return None if left is None or right is None else min(left, right)
        if self.operation == "maximum":
            known = [bound for bound in (left, right) if bound is not None]
            return max(known) if known else None
        if self.operation == "%":
            return 0
        if left is not None and left >= 0 and right is not None and right >= 0:
            return 0
        if left is not None and isinstance(self.right, int) and self.right > 0:
            return left // self.right
        return None

    def _highest(self) -> Dimension | None:
        left, right = upper_bound(self.left), upper_bound(self.right)
        if self.operation == "%":
            return self.right - 1
        if self.operation == "minimum":
            if isinstance(left, int) and isinstance(right, int):
                return min(left, right)
            return left if left is not None else right
        if self.operation == "maximum":
            return max(left, right) if isinstance(left, int) and isinstance(right, int) else None
        if isinstance(left, int) and isinstance(self.right, int) and self.right > 0:
            return left // self.right
        return None

    def _written(self) -> str:
        if self.operation in ("minimum", "maximum"):
            return f"{self.operation[:3]}({self.left}, {self.right})"
        left, right = (f"({side})" if " " in str(side) else str(side) for side in self.operands)
        return f"({left} {self.operation} {right})"


Monomial = tuple[tuple[Atom, int], ...]


def _sort_key(monomial: Monomial) -> tuple[int, str]:
    return (-sum(power for _, power in monomial), "*".join(f"{atom}^{power}" for atom, power in monomial))


class Expression:
    """A non-constant polynomial over atoms. Build it from `Symbol(...)` with ordinary arithmetic."""

    __slots__ = ("terms", "_hash", "_symbols", "_opaque")

    terms: dict[Monomial, int]

    def __init__(self, terms: dict[Monomial, int]) -> None:
        self.terms = terms
        self._hash = hash(frozenset(terms.items()))
        self._symbols: frozenset[str] | None = None
        self._opaque: frozenset[Hashable] | None = None

    # -- structure ---------------------------------------------------------------------------------------------
    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Expression) and self._hash == other._hash and self.terms == other.terms)

    def __hash__(self) -> int:
        return self._hash

    @property
    def atoms(self) -> set[Atom]:
        """The atoms at the top level (not those inside divisions and minima)."""
        return {atom for monomial in self.terms for atom, _ in monomial}

    @property
    def symbols(self) -> frozenset[str]:
        """The names of all symbols, nested ones included."""
        if self._symbols is None:
            names: set[str] = set()
            for atom in self.atoms:
                if isinstance(atom, SymbolAtom):
                    names.add(atom.name)
                for operand in atom.operands:
                    names |= symbols_of(operand)
            self._symbols = frozenset(names)
        return self._symbols

    @property
    def opaque(self) -> frozenset[Hashable]:
        """The payloads of all opaque atoms, nested ones included."""
        if self._opaque is None:
            found: set[Hashable] = set()
            for atom in self.atoms:
                if isinstance(atom, OpaqueAtom):
                    found.add(atom.payload)
                for operand in atom.operands:
                    if isinstance(operand, Expression):
                        found |= operand.opaque
            self._opaque = frozenset(found)
        return self._opaque

    def coefficient(self, symbol: Expression) -> Dimension | None:
        """The factor of `symbol` when the expression is affine in it; None when it is not."""
        atom = symbol.single_atom()
        assert atom is not None
        factor: dict[Monomial, int] = {}
        for monomial, number in self.terms.items():
            powers = dict(monomial)
            if atom in powers:
                if powers[atom] != 1:
                    return None
                rest = tuple(item for item in monomial if item[0] != atom)
                if any(_mentions(other, atom) for other, _ in rest):
                    return None
                factor[rest] = number
            elif any(_mentions(other, atom) for other, _ in monomial):
                return None
        return _make(factor)

    def single_atom(self) -> Atom | None:
        """The atom when the expression is exactly one atom, else None."""
        if len(self.terms) == 1:
            ((monomial, number),) = self.terms.items()
            if number == 1 and len(monomial) == 1 and monomial[0][1] == 1:
                return monomial[0][0]
        return None

    @property
    def constant(self) -> int:
        """The constant term."""
        return self.terms.get((), 0)

    # -- arithmetic --------------------------------------------------------------------------------------------
    def __add__(self, other: Dimension) -> Dimension:
        terms = dict(self.terms)
        for monomial, number in _terms(other).items():
            total = terms.get(monomial, 0) + number
            if total:
                terms[monomial] = total
            else:
                terms.pop(monomial, None)
        return _make(terms)

    __radd__ = __add__

    def __neg__(self) -> Dimension:
        return _make({monomial: -number for monomial, number in self.terms.items()})

    def __sub__(self, other: Dimension) -> Dimension:
        return self + (-other)

    def __rsub__(self, other: Dimension) -> Dimension:
        return -self + other

    def __mul__(self, other: Dimension) -> Dimension:
        if isinstance(other, int):
            return _make({monomial: number * other for monomial, number in self.terms.items()}) if other else 0
        terms: dict[Monomial, int] = {}
        for left, left_number in self.terms.items():
            for right, right_number in _terms(other).items():
                monomial = _multiply(left, right)
                terms[monomial] = terms.get(monomial, 0) + left_number * right_number
        return _make({monomial: number for monomial, number in terms.items() if number})

    __rmul__ = __mul__

    def __floordiv__(self, other: Dimension) -> Dimension:
        return floor_divide(self, other)

    def __rfloordiv__(self, other: Dimension) -> Dimension:
        return floor_divide(other, self)

    def __mod__(self, other: Dimension) -> Dimension:
        return remainder(self, other)

    def __rmod__(self, other: Dimension) -> Dimension:
        return remainder(other, self)

    # -- use ---------------------------------------------------------------------------------------------------
    def substitute(self, mapping: Mapping[str, Dimension], opaque: Callable[[Hashable], Dimension] | None = None) -> Dimension:
        """The expression with symbols replaced by name; `opaque` maps the payload of each opaque atom."""
        result: Dimension = 0
        for monomial, number in self.terms.items():
            product: Dimension = number
            for atom, power in monomial:
                factor = _substitute_atom(atom, mapping, opaque)
                for _ in range(power):
                    product = product * factor
            result = result + product
        return result

    def evaluate(self, mapping: Mapping[str, int]) -> int:
        """The number, given a number for every symbol. Raises KeyError for a missing one."""
        total = 0
        for monomial, number in self.terms.items():
            product = number
            for atom, power in monomial:
                product *= _evaluate_atom(atom, mapping) ** power
            total += product
        return total

    def __int__(self) -> int:
        raise TypeError(f"{self} is symbolic and has no single integer value")

    def __index__(self) -> int:
        raise TypeError(f"{self} is symbolic and has no single integer value")

    def __bool__(self) -> bool:
        raise TypeError(f"the truth of the symbolic expression {self} is not known")

    def __str__(self) -> str:
        parts = []
        for monomial in sorted(self.terms, key=_sort_key):
            number = self.terms[monomial]
            factors = [str(atom) for atom, power in monomial for _ in range(power)]
            if abs(number) != 1 or not factors:
                factors.insert(0, str(abs(number)))
            sign = "-" if number < 0 else "+"
            parts.append(f" {sign} " + "*".join(factors))
        text = "".join(parts)
        return text[3:] if text.startswith(" + ") else "-" + text[3:]

    __repr__ = __str__


def Symbol(name: str, lower: int = 0, upper: Dimension | None = None) -> Expression:  # noqa: N802 (reads as a type)
    """The expression that is one symbol. `lower` and `upper` are inclusive bounds; sizes are at least 0."""
    return Expression({((SymbolAtom(name, lower, upper), 1),): 1})


def Opaque(payload: Hashable) -> Expression:  # noqa: N802
    """An integer known only at run time; equal payloads are equal values."""
    return Expression({((OpaqueAtom(payload), 1),): 1})


def floor_divide(left: Dimension, right: Dimension) -> Dimension:
    """`left // right`, rounding towards minus infinity. Raises ZeroDivisionError for a constant zero divisor."""
    if isinstance(left, int) and isinstance(right, int):
        return left // right
    quotient, rest = _split(left, right)
    if isinstance(rest, int) and rest == 0 or _is_remainder(rest, right):
        return quotient
    if isinstance(quotient, int) and quotient == 0:
        inner = rest.single_atom() if isinstance(rest, Expression) else None
        if isinstance(inner, BinaryAtom) and inner.operation == "//" and _is_positive(inner.right) and _is_positive(right):
            return floor_divide(inner.left, inner.right * right)
    return quotient + _atom(BinaryAtom("//", rest, right))


def remainder(left: Dimension, right: Dimension) -> Dimension:
    """`left % right` with the sign of the divisor, as in Python."""
    if isinstance(left, int) and isinstance(right, int):
        return left % right
    _, rest = _split(left, right)
    if isinstance(rest, int) and rest == 0 or _is_remainder(rest, right):
        return rest
    return _atom(BinaryAtom("%", rest, right))


def minimum(left: Dimension, right: Dimension) -> Dimension:
    """The lesser of two expressions."""
    if isinstance(left, int) and isinstance(right, int):
        return min(left, right)
    if is_nonnegative(right - left) or _bounds("maximum", right, left) or _bounds("minimum", left, right):
        return left
    if is_nonnegative(left - right) or _bounds("maximum", left, right) or _bounds("minimum", right, left):
        return right
    return _atom(BinaryAtom("minimum", *_ordered(left, right)))


def maximum(left: Dimension, right: Dimension) -> Dimension:
    """The greater of two expressions."""
    if isinstance(left, int) and isinstance(right, int):
        return max(left, right)
    if is_nonnegative(left - right) or _bounds("minimum", right, left) or _bounds("maximum", left, right):
        return left
    if is_nonnegative(right - left) or _bounds("minimum", left, right) or _bounds("maximum", right, left):
        return right
    return _atom(BinaryAtom("maximum", *_ordered(left, right)))


def ceiling_divide(left: Dimension, right: Dimension) -> Dimension:
    """`left / right` rounded towards plus infinity."""
    return floor_divide(left + right - 1, right)


def product(dimensions: Iterable[Dimension]) -> Dimension:
    """The product of dimensions; 1 for none."""
    result: Dimension = 1
    for dimension in dimensions:
        result = result * dimension
    return result


def symbols_of(dimension: Dimension) -> frozenset[str]:
    """The names of the symbols in a dimension."""
    return dimension.symbols if isinstance(dimension, Expression) else frozenset()


def substitute(dimension: Dimension, mapping: Mapping[str, Dimension]) -> Dimension:
    """`dimension` with symbols replaced by name."""
    return dimension.substitute(mapping) if isinstance(dimension, Expression) else dimension


def evaluate(dimension: Dimension, mapping: Mapping[str, int]) -> int:
    """The number a dimension stands for, given its symbols."""
    return dimension.evaluate(mapping) if isinstance(dimension, Expression) else dimension


def lower_bound(dimension: Dimension) -> int | None:
    """The least value a dimension can take as far as its symbols' bounds tell, or None."""
    if isinstance(dimension, int):
        return dimension
    low = _extreme(dimension, want_upper=False, keep_sizes=False)
    return low if isinstance(low, int) else None


def upper_bound(dimension: Dimension) -> Dimension | None:
    """An inclusive upper bound, possibly in terms of size symbols, or None."""
    if isinstance(dimension, int):
        return dimension
    return _extreme(dimension, want_upper=True, keep_sizes=True)


def is_nonnegative(dimension: Dimension) -> bool:
    """Whether the bounds of the symbols prove `dimension >= 0`. False means 'not proven'."""
    if isinstance(dimension, int):
        return dimension >= 0
    low = _extreme(dimension, want_upper=False, keep_sizes=True)
    if isinstance(low, Expression):
        low = _extreme(low, want_upper=False, keep_sizes=False)
    return isinstance(low, int) and low >= 0


# -- the inside -----------------------------------------------------------------------------------------------------
def _terms(dimension: Dimension) -> dict[Monomial, int]:
    if isinstance(dimension, Expression):
        return dimension.terms
    return {(): int(dimension)} if dimension else {}


def _make(terms: dict[Monomial, int]) -> Dimension:
    if not terms:
        return 0
    if len(terms) == 1 and () in terms:
        return terms[()]
    return Expression(terms)


def _atom(atom: Atom) -> Expression:
    return Expression({((atom, 1),): 1})


def _ordered(left: Dimension, right: Dimension) -> tuple[Dimension, Dimension]:
    return (left, right) if str(left) <= str(right) else (right, left)


def _bounds(operation: str, extreme: Dimension, operand: Dimension) -> bool:
    """Whether `extreme` is the minimum (maximum) of `operand` and something else, and so never above (below) it."""
    atom = extreme.single_atom() if isinstance(extreme, Expression) else None
    if not isinstance(atom, BinaryAtom) or atom.operation != operation:
        return False
    return any(side == operand or _bounds(operation, side, operand) for side in atom.operands)


def _multiply(left: Monomial, right: Monomial) -> Monomial:
    if not left or not right:
        return left or right
    powers: dict[Atom, int] = dict(left)
    for atom, power in right:
        powers[atom] = powers.get(atom, 0) + power
    return tuple(sorted(powers.items(), key=lambda item: str(item[0])))


def _mentions(atom: Atom, wanted: Atom) -> bool:
    return atom == wanted or any(_mentions(inner, wanted) for operand in atom.operands if isinstance(operand, Expression) for inner in operand.atoms)


def _split(left: Dimension, right: Dimension) -> tuple[Dimension, Dimension]:
    """left == quotient * right + rest, with every term that `right` divides moved into the quotient."""
    if isinstance(right, Expression) and len(right.terms) > 1:
        return _split_polynomial(left, right)
    ((divisor, divisor_number),) = _terms(right).items() if _terms(right) else (((), 0),)
    if divisor_number == 0:
        raise ZeroDivisionError(f"{left} // 0")
    quotient: dict[Monomial, int] = {}
    rest: dict[Monomial, int] = {}
    wanted = dict(divisor)
    for monomial, number in _terms(left).items():
        powers = dict(monomial)
        if all(powers.get(atom, 0) >= power for atom, power in wanted.items()):
            times, left_over = divmod(number, divisor_number)
            if times:
                reduced = tuple((atom, power - wanted.get(atom, 0)) for atom, power in monomial if power > wanted.get(atom, 0))
                quotient[reduced] = quotient.get(reduced, 0) + times
            if left_over:
                rest[monomial] = left_over
        else:
            rest[monomial] = number
    return _make(quotient), _make(rest)


def _split_polynomial(left: Dimension, right: Expression) -> tuple[Dimension, Dimension]:
    quotient: Dimension = 0
    lead = min(right.terms, key=_sort_key)
    lead_number = right.terms[lead]
    wanted = dict(lead)
    rest: Dimension = left
    for monomial, number in sorted(_terms(left).items(), key=lambda item: _sort_key(item[0])):
        powers = dict(monomial)
        if number % lead_number == 0 and all(powers.get(atom, 0) >= power for atom, power in wanted.items()):
            factor = _make({tuple((atom, power - wanted.get(atom, 0)) for atom, power in monomial if power > wanted.get(atom, 0)): number // lead_number})
            candidate = rest - factor * right
            if len(_terms(candidate)) <= len(_terms(rest)) - 1:
                quotient, rest = quotient + factor, candidate
    return quotient, rest


def _is_positive(dimension: Dimension) -> bool:
    """Sizes in a divisor are taken as at least 1: with a size of 0 there is no element to index."""
    if isinstance(dimension, int):
        return dimension > 0
    low = _extreme(dimension, want_upper=False, keep_sizes=False, least_size=1)
    return isinstance(low, int) and low > 0


def _is_remainder(rest: Dimension, divisor: Dimension) -> bool:
    """Whether 0 <= rest < divisor is provable."""
    if not is_nonnegative(rest):
        return False
    high = upper_bound(rest)
    if high is None:
        return False
    gap = divisor - 1 - high
    if isinstance(gap, int):
        return gap >= 0
    low = _extreme(gap, want_upper=False, keep_sizes=False, least_size=1)
    return isinstance(low, int) and low >= 0


def _extreme(expression: Expression, *, want_upper: bool, keep_sizes: bool, least_size: int = 0) -> Dimension | None:
    """A bound of the expression: bounded atoms (index variables) are replaced by their extreme values one by one.

    Unbounded size symbols stay (`keep_sizes`) or are replaced by their lower bound where that is on the safe side.
    """
    total: Dimension = 0
    for monomial, number in expression.terms.items():
        bound = _extreme_monomial(monomial, number, want_upper, keep_sizes, least_size)
        if bound is None:
            return None
        total = total + bound
    return total


def _extreme_monomial(monomial: Monomial, number: int, want_upper: bool, keep_sizes: bool, least_size: int) -> Dimension | None:
    maximise = want_upper == (number > 0)
    value: Dimension = number
    for atom, power in monomial:
        low = atom.lower
        if low is None or low < 0:
            return _extreme_signed(monomial, number, maximise)
        upper = atom.upper
        factor: Dimension
        if isinstance(atom, SymbolAtom) and upper is None:
            if keep_sizes:
                factor = _atom(atom)
            elif maximise:
                return None
            else:
                factor = max(low, least_size)
        elif maximise:
            if upper is None:
                return None
            factor = upper
        else:
            factor = low
        for _ in range(power):
            value = value * factor
    return value


def _extreme_signed(monomial: Monomial, number: int, maximise: bool) -> Dimension | None:
    """Atoms that may be negative: only a lone one is bounded."""
    if len(monomial) != 1 or monomial[0][1] != 1:
        return None
    bound = monomial[0][0].upper if maximise else monomial[0][0].lower
    return None if bound is None else bound * number


def _substitute_atom(atom: Atom, mapping: Mapping[str, Dimension], opaque: Callable[[Hashable], Dimension] | None) -> Dimension:
    if isinstance(atom, SymbolAtom):
        return mapping.get(atom.name, _atom(atom))
    if isinstance(atom, OpaqueAtom):
        return opaque(atom.payload) if opaque is not None else _atom(atom)
    assert isinstance(atom, BinaryAtom)
    left, right = (operand.substitute(mapping, opaque) if isinstance(operand, Expression) else operand for operand in atom.operands)
    return apply(atom.operation, left, right)


def apply(operation: str, left: Dimension, right: Dimension) -> Dimension:
    """`operation` is one of //, %, minimum, maximum."""
    return {"//": floor_divide, "%": remainder, "minimum": minimum, "maximum": maximum}[operation](left, right)


def _evaluate_atom(atom: Atom, mapping: Mapping[str, int]) -> int:
    if isinstance(atom, SymbolAtom):
        return mapping[atom.name]
    if isinstance(atom, BinaryAtom):
        value = apply(atom.operation, evaluate(atom.left, mapping), evaluate(atom.right, mapping))
        assert isinstance(value, int)
        return value
    raise KeyError(f"{atom} has no value before the run")
