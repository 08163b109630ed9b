"""Scalars: the expression that computes one element of an array.

A scalar is an immutable tree, compared and hashed by structure (arrays by identity). A `Select` reads lazily: the branch
that is not taken is not evaluated, so a guarded read may have an index outside its array.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import TYPE_CHECKING, Any, Union

from onward.errors import InvalidArgument
from onward.ir.datatypes import DataType
from onward.ir.expressions import Dimension, Expression, Opaque

if TYPE_CHECKING:
    from onward.program.array import Array

ScalarLike = Union["Scalar", Expression, int, float, bool, complex]

COMPARISONS = frozenset({"equal", "not_equal", "less", "less_equal", "greater", "greater_equal"})
PREDICATES = frozenset({"is_nan", "is_infinite"})


class Scalar:
    """One element's value: a tree with a data type. Build it with Python operators and the functions of `program`."""

    __slots__ = ("dtype", "_key", "_hash")

    dtype: DataType

    def __init__(self, dtype: DataType, key: tuple[Hashable, ...]) -> None:
        self.dtype = dtype
        self._key = key
        self._hash = hash((type(self), dtype, key))

    def __hash__(self) -> int:
        return self._hash

    def same(self, other: object) -> bool:
        """Structural equality (`==` builds a comparison)."""
        return self is other or (
            type(self) is type(other)
            and isinstance(other, Scalar)
            and self._hash == other._hash
            and self.dtype == other.dtype
            and _same_key(self._key, other._key)
        )

    @property
    def arguments(self) -> tuple[Scalar, ...]:
        """The scalars directly below this one (not those inside indices)."""
        return ()

    def walk(self) -> Iterator[Scalar]:
        """This scalar and all below it, those inside data-dependent indices included."""
        yield self
        for argument in self.arguments:
            yield from argument.walk()
        for index in getattr(self, "indices", ()) or (getattr(self, "expression", 0),):
            if isinstance(index, Expression):
                for payload in index.opaque:
                    assert isinstance(payload, ScalarKey)
                    yield from payload.scalar.walk()

    def reads(self) -> Iterator[Read]:
        """All reads, data-dependent indices included."""
        return (scalar for scalar in self.walk() if isinstance(scalar, Read))

    # -- operators ---------------------------------------------------------------------------------------------
    def __add__(self, other: ScalarLike) -> Scalar:
        return operation("add", self, other)

    def __radd__(self, other: ScalarLike) -> Scalar:
        return operation("add", other, self)

    def __sub__(self, other: ScalarLike) -> Scalar:
        return operation("subtract", self, other)

    def __rsub__(self, other: ScalarLike) -> Scalar:
        return operation("subtract", other, self)

    def __mul__(self, other: ScalarLike) -> Scalar:
        return operation("multiply", self, other)

    def __rmul__(self, other: ScalarLike) -> Scalar:
        return operation("multiply", other, self)

    def __truediv__(self, other: ScalarLike) -> Scalar:
        return operation("divide", self, other)

    def __rtruediv__(self, other: ScalarLike) -> Scalar:
        return operation("divide", other, self)

    def __neg__(self) -> Scalar:
        return operation("negate", self)

    def __abs__(self) -> Scalar:
        return operation("absolute", self)

    def __and__(self, other: ScalarLike) -> Scalar:
        return operation("and", self, other)

    def __rand__(self, other: ScalarLike) -> Scalar:
        return operation("and", other, self)

    def __or__(self, other: ScalarLike) -> Scalar:
        return operation("or", self, other)

    def __ror__(self, other: ScalarLike) -> Scalar:
        return operation("or", other, self)

    def __xor__(self, other: ScalarLike) -> Scalar:
        return operation("xor", self, other)

    def __invert__(self) -> Scalar:
        return operation("not", self)

    def __lshift__(self, other: ScalarLike) -> Scalar:
        return operation("shift_left", self, other)

    def __rshift__(self, other: ScalarLike) -> Scalar:
        return operation("shift_right", self, other)

    def __lt__(self, other: ScalarLike) -> Scalar:
        return operation("less", self, other)

    def __le__(self, other: ScalarLike) -> Scalar:
        return operation("less_equal", self, other)

    def __gt__(self, other: ScalarLike) -> Scalar:
        return operation("greater", self, other)

    def __ge__(self, other: ScalarLike) -> Scalar:
        return operation("greater_equal", self, other)

    def __eq__(self, other: object) -> Scalar:  # type: ignore[override]
        return operation("equal", self, other)  # type: ignore[arg-type]

    def __ne__(self, other: object) -> Scalar:  # type: ignore[override]
        return operation("not_equal", self, other)  # type: ignore[arg-type]

    def __bool__(self) -> bool:
        raise TypeError("an element of an array has no truth value while the program is being written; use where(...)")


class Literal(Scalar):
    """A constant."""

    __slots__ = ("value",)

    def __init__(self, value: Any, dtype: DataType) -> None:
        super().__init__(dtype, (repr(value),))
        self.value = value

    def __str__(self) -> str:
        return f"{self.value}"


class IndexValue(Scalar):
    """The value of an integer expression (an index or a size), as int64."""

    __slots__ = ("expression",)

    def __init__(self, expression: Dimension) -> None:
        super().__init__(DataType.INT64, (expression,))
        self.expression = expression

    def __str__(self) -> str:
        return f"[{self.expression}]"


class Read(Scalar):
    """The element of an array at given indices."""

    __slots__ = ("array", "indices")

    def __init__(self, array: Array, indices: tuple[Dimension, ...]) -> None:
        super().__init__(array.dtype, (id(array), indices))
        self.array = array
        self.indices = indices

    def __str__(self) -> str:
        return f"{self.array.label}[{', '.join(map(str, self.indices))}]"


class Operation(Scalar):
    """A named operation on scalars of one dtype; comparisons and predicates give BOOL."""

    __slots__ = ("name", "_arguments")

    def __init__(self, name: str, arguments: tuple[Scalar, ...], dtype: DataType) -> None:
        super().__init__(dtype, (name, *map(ScalarKey, arguments)))
        self.name = name
        self._arguments = arguments

    @property
    def arguments(self) -> tuple[Scalar, ...]:
        return self._arguments

    def __str__(self) -> str:
        return f"{self.name}({', '.join(map(str, self._arguments))})"


class Cast(Scalar):
    """Conversion to another data type with the rules of ONNX Cast (saturating only where the name says so)."""

    __slots__ = ("argument", "saturate")

    def __init__(self, argument: Scalar, dtype: DataType, saturate: bool = True) -> None:
        super().__init__(dtype, (ScalarKey(argument), saturate))
        self.argument = argument
        self.saturate = saturate

    @property
    def arguments(self) -> tuple[Scalar, ...]:
        return (self.argument,)

    def __str__(self) -> str:
        return f"{self.dtype.name.lower()}({self.argument})"


class Select(Scalar):
    """`then` where the condition holds, else `otherwise`; only the branch taken is read."""

    __slots__ = ("condition", "then", "otherwise")

    def __init__(self, condition: Scalar, then: Scalar, otherwise: Scalar) -> None:
        super().__init__(then.dtype, (ScalarKey(condition), ScalarKey(then), ScalarKey(otherwise)))
        self.condition = condition
        self.then = then
        self.otherwise = otherwise

    @property
    def arguments(self) -> tuple[Scalar, ...]:
        return (self.condition, self.then, self.otherwise)

    def __str__(self) -> str:
        return f"select({self.condition}, {self.then}, {self.otherwise})"


class ScalarKey:
    """A scalar as a dictionary key or the payload of an opaque index: `==` compares structure."""

    __slots__ = ("scalar",)

    def __init__(self, scalar: Scalar) -> None:
        self.scalar = scalar

    def __hash__(self) -> int:
        return hash(self.scalar)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ScalarKey) and self.scalar.same(other.scalar)

    def __str__(self) -> str:
        return str(self.scalar)


def _same_key(left: tuple[Hashable, ...], right: tuple[Hashable, ...]) -> bool:
    return left == right


def scalar(value: ScalarLike, dtype: DataType | None = None) -> Scalar:
    """`value` as a scalar. Python numbers take `dtype` (int64, float32 or bool when it is None)."""
    if isinstance(value, Scalar):
        return value
    if isinstance(value, Expression):
        index = IndexValue(value)
        return index if dtype in (None, DataType.INT64) else Cast(index, dtype)  # type: ignore[arg-type]
    if dtype is None:
        dtype = DataType.BOOL if isinstance(value, bool) else DataType.INT64 if isinstance(value, int) else DataType.FLOAT
    return Literal(value, dtype)


def operation(name: str, *values: ScalarLike) -> Scalar:
    """The operation on scalars; Python numbers adapt to the dtype of the other operand.

    Raises InvalidArgument when the operands' dtypes differ.
    """
    dtype = next((value.dtype for value in values if isinstance(value, Scalar)), None)
    arguments = tuple(scalar(value, dtype) for value in values)
    kinds = {argument.dtype for argument in arguments}
    if len(kinds) > 1:
        names = ", ".join(sorted(kind.name for kind in kinds))
        raise InvalidArgument(f"operation '{name}' needs operands of one dtype, got {names}; cast one of them")
    result = DataType.BOOL if name in COMPARISONS or name in PREDICATES else arguments[0].dtype
    return Operation(name, arguments, result)


def select(condition: Scalar | bool, then: ScalarLike, otherwise: ScalarLike) -> Scalar:
    """`then` where `condition` holds, else `otherwise`."""
    dtype = next((value.dtype for value in (then, otherwise) if isinstance(value, Scalar)), None)
    then_scalar, otherwise_scalar = scalar(then, dtype), scalar(otherwise, dtype)
    if then_scalar.dtype != otherwise_scalar.dtype:
        raise InvalidArgument(f"select needs branches of one dtype, got {then_scalar.dtype.name} and {otherwise_scalar.dtype.name}")
    if isinstance(condition, bool):
        return then_scalar if condition else otherwise_scalar
    return Select(condition, then_scalar, otherwise_scalar)


def cast(value: Scalar, dtype: DataType, saturate: bool = True) -> Scalar:
    """`value` converted to `dtype`; the same scalar when nothing changes."""
    return value if value.dtype == dtype else Cast(value, dtype, saturate)


def index(value: Dimension | Scalar) -> Dimension:
    """`value` as an index: integer scalars become opaque run-time integers."""
    if isinstance(value, Scalar):
        if isinstance(value, IndexValue):
            return value.expression
        if isinstance(value, Literal):
            return int(value.value)
        if isinstance(value, Cast) and isinstance(value.argument, IndexValue) and value.dtype == DataType.INT64:
            return value.argument.expression
        return Opaque(ScalarKey(value))
    return value
