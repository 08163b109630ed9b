"""What a tensor program's scalars and indices look like: small questions that the printer asks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from onward.ir.datatypes import DataType
from onward.ir.expressions import Dimension, Expression, OpaqueAtom, SymbolAtom, lower_bound
from onward.program.array import Array, Compute, Parameter
from onward.program.scalar import IndexValue, Literal, Operation, Read, Scalar, ScalarKey, Select
from onward.program.scalar import index as index_of


def symbol_of(index: Expression, name: str) -> Expression | None:
    """The symbol of that name as an expression, if the index is linear in it."""
    for monomial in index.terms:
        if len(monomial) == 1 and monomial[0][1] == 1 and isinstance(monomial[0][0], SymbolAtom) and monomial[0][0].name == name:
            atom = monomial[0][0]
            return Expression({((atom, 1),): 1})
    return None


def lies_within(index: Expression, extent: Dimension) -> bool:
    """Whether an index surely lies in its axis."""
    if index.opaque:
        return False
    low, high = lower_bound(index), lower_bound(extent - 1 - index)
    return low is not None and low >= 0 and high is not None and high >= 0


def payload_of(index: Dimension) -> Scalar | None:
    """The scalar that an index is, if it is one that is computed from data."""
    atom = index.single_atom() if isinstance(index, Expression) else None
    return atom.payload.scalar if isinstance(atom, OpaqueAtom) and isinstance(atom.payload, ScalarKey) else None


def from_end(index: Dimension, extent: Dimension) -> Dimension:
    """An index `i < 0 ? i + extent : i` as `i`."""
    match payload_of(index):
        case Select(condition=Operation(name="less", arguments=(left, Literal(value=0))), then=Operation(name="add", arguments=(base, added)), otherwise=plain):
            distance = added.expression if isinstance(added, IndexValue) else added.value if isinstance(added, Literal) else None
            if left.same(plain) and base.same(plain) and distance is not None and distance == extent:
                return index_of(plain)
    return index


NEUTRAL = {"add": 0, "subtract": 0, "multiply": 1, "and": True, "or": False}


def without_neutral(name: str, operands: list[Scalar]) -> list[Scalar]:
    """The operands of an operation on whole numbers or truth values but for one that changes nothing."""
    kinds = operands[0].dtype == DataType.BOOL if name in ("and", "or") else operands[0].dtype.is_integer
    if name in NEUTRAL and kinds and not all_literal(*operands):
        for place in (1, 0) if name != "subtract" else (1,):
            item = operands[place]
            if isinstance(item, Literal) and item.value == NEUTRAL[name]:
                return [operands[1 - place]]
    return operands


def least_rank(array: Compute, mentioned: set[str]) -> int:
    """The least rank of the expression: it may end before leading axes that nothing mentions."""
    for place, variable in enumerate(array.variables):
        if str(variable) in mentioned:
            return array.rank - place
    return 0


def bounds_of(condition: Scalar) -> set[tuple[str, str, str]]:
    """The comparisons of indices that a conjunction consists of; something that is in no array's bounds if there are others."""
    match condition:
        case Operation(name="and"):
            left, right = condition.arguments
            return bounds_of(left) | bounds_of(right)
        case Operation(name="greater_equal" | "less"):
            left, right = condition.arguments
            if isinstance(left, IndexValue) and isinstance(right, (Literal, IndexValue)):
                limit = right.value if isinstance(right, Literal) else right.expression
                return {(str(left.expression), ">=" if condition.name == "greater_equal" else "<", str(limit))}
    return {("", "", str(condition))}


def factors_of(body: Scalar) -> list[Scalar]:
    if isinstance(body, Operation) and body.name == "multiply":
        return [factor for argument in body.arguments for factor in factors_of(argument)]
    return [body]


def plain_order(read: Read) -> list[str] | None:
    """The variables of a read that covers its whole array, each index one variable."""
    order: list[str] = []
    for index, extent in zip(read.indices, read.array.shape):
        atom = index.single_atom() if isinstance(index, Expression) else None
        if not isinstance(atom, SymbolAtom) or atom.upper != extent - 1 or atom.name in order:
            return None
        order.append(atom.name)
    return order


def all_literal(*items: Scalar) -> bool:
    return all(isinstance(item, Literal) for item in items)


def has_numbers(body: Scalar) -> bool:
    return isinstance(body, (Operation, Select)) and any(isinstance(item, Literal) for item in body.walk())


def identity(operation: str, dtype: DataType) -> Any:
    if dtype == DataType.BOOL:
        return operation == "min"
    if dtype.is_float:
        return -np.inf if operation == "max" else np.inf
    limits = np.iinfo(dtype.numpy)
    return limits.min if operation == "max" else limits.max


def bare(text: str) -> str:
    """Without parentheses that enclose all of it."""
    if not (text.startswith("(") and text.endswith(")")):
        return text
    depth = 0
    for place, letter in enumerate(text):
        depth += {"(": 1, ")": -1}.get(letter, 0)
        if depth == 0 and place < len(text) - 1:
            return text
    return text[1:-1]


def wish(array: Array) -> str:
    """What a variable would like to be called: as its value in the model, else after the operator that it belongs to."""
    kind = type(array).__name__.lower()
    if not array.label.startswith(kind) or not array.label[len(kind) :].isdigit():
        return array.label.rpartition("/")[2].lower() if "/" in array.label else array.label
    origins: Sequence[Any] = array.origins
    return origins[0].op_type.lower() if origins else kind


def parameters_of(array: Array) -> list[Parameter]:
    """The weights that an array is computed from, each once."""
    found, seen, pending = [], set[Array](), [array]
    while pending:
        item = pending.pop()
        if item not in seen:
            seen.add(item)
            pending.extend(item.sources)
            if isinstance(item, Parameter):
                found.append(item)
    return found
