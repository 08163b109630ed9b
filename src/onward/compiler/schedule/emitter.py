"""From scalars to instructions: the elements of `lanes` neighbouring indices at once.

An `Emitter` stands at one point of a loop nest. One index variable may be the *lane*: it runs over as many neighbouring
values as the vectors have lanes. What does not depend on the lane is computed once, as a scalar.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from onward.compiler.builder import Builder
from onward.compiler.context import ErrorCode
from onward.compiler.layout import LayoutPlanner
from onward.compiler.operations import (
    emit_cast,
    emit_literal,
    emit_load,
    emit_operation,
    emit_quantized,
    emit_store,
    nearest_integer,
    storage_type,
)
from onward.compiler.schedule.growth import Carrier
from onward.compiler.schedule.kernel import Arguments
from onward.compiler.schedule.limits import limits_of
from onward.compiler.schedule.rounding import requantized, saturated, small_integer, without_shift
from onward.compiler.values import Type, Value
from onward.ir.datatypes import DataType
from onward.ir.expressions import BinaryAtom, Dimension, Expression, OpaqueAtom, SymbolAtom
from onward.program.array import Array
from onward.program.scalar import Cast, IndexValue, Literal, Operation, Read, Scalar, ScalarKey, Select

I64 = Type("i64")
LARGE = 2.0**30
"""Floats below this fit 32 bits, however their last bits were rounded."""


class Emitter:
    """Emits scalars at one point of a kernel.

    `indices` gives each loop variable's value (the first value, for the lane); `values` gives arrays whose element is
    already in a register; `mask` (one bit a lane) guards every access of a last, partial vector. Where it is `fused`, a product
    that is added to something is rounded once with the sum. What is `known` are parts of index expressions that were computed on
    every way to this point, to which others are added. A `carrier` copies what it reads.
    """

    def __init__(
        self,
        b: Builder,
        arguments: Arguments,
        layouts: LayoutPlanner,
        indices: Mapping[str, Value],
        *,
        lane: str | None = None,
        lanes: int = 1,
        mask: Value | None = None,
        values: Mapping[Array, Value] | None = None,
        fused: bool = False,
        known: dict[BinaryAtom, Value] | None = None,
        carrier: Carrier | None = None,
    ) -> None:
        self.b = b
        self.carrier = carrier
        self.fused = fused
        self.known = known
        self.arguments = arguments
        self.layouts = layouts
        self.indices = dict(indices)
        self.lane = lane if lanes > 1 else None
        self.lanes = lanes
        self.mask = mask
        self.values = dict(values or {})
        self.done: dict[tuple[ScalarKey, int], Value] = {}
        self.guards: list[Value] = []
        self._guards_seen: list[Value] = []  # keeps the identities in the keys of `done` unique

    # -- scalars -----------------------------------------------------------------------------------------------
    def scalar(self, scalar: Scalar) -> Value:
        """The value of a scalar: of one lane when it does not depend on the lane, else of `lanes`."""
        key = (ScalarKey(scalar), len(self.guards) and id(self.guards[-1]))
        found = self.done.get(key)
        if found is None:
            found = self.done[key] = self._scalar(scalar)
        return found

    def vector(self, scalar: Scalar) -> Value:
        """The value of a scalar in every lane."""
        return self.widen(self.scalar(scalar))

    def widen(self, value: Value) -> Value:
        """A value of one lane copied to all."""
        return self.b.splat(value, self.lanes) if value.type.lanes != self.lanes else value

    def _scalar(self, scalar: Scalar) -> Value:
        match scalar:
            case Literal():
                return emit_literal(self.b, scalar.value, scalar.dtype, 1)
            case IndexValue():
                return self.index(scalar.expression)
            case Read():
                return self._read(scalar)
            case Cast():
                whole = saturated(scalar)
                if whole is not None and self._fits(whole[0]):
                    return emit_quantized(self.b, self.scalar(whole[0]), whole[1], scalar.dtype)
                small = small_integer(scalar)
                if small is not None:
                    return nearest_integer(self.b, self.scalar(small[0]))
                back = requantized(scalar)
                if back is not None:
                    return self.scalar(back)
                return emit_cast(self.b, self.scalar(scalar.argument), scalar.argument.dtype, scalar.dtype, scalar.saturate)
            case Select():
                return self._select(scalar)
            case Operation():
                back = without_shift(scalar) if scalar.name == "subtract" else None
                if back is not None:
                    return self.scalar(back)
                if self.fused and scalar.name == "add" and scalar.dtype == DataType.FLOAT:
                    sum_of_product = self._multiply_add(scalar)
                    if sum_of_product is not None:
                        return sum_of_product
                values = self._together([self.scalar(argument) for argument in scalar.arguments])
                if scalar.name == "divisor":
                    return self._divisor(values[0])
                return emit_operation(self.b, scalar.name, values, scalar.arguments[0].dtype)
        raise TypeError(f"no rule for {type(scalar).__name__}")

    def _fits(self, number: Scalar) -> bool:
        """Whether 32 bits hold a float, whatever the data are."""
        return self.layouts is not None and max(map(abs, limits_of(number, self.layouts.known_data))) < LARGE

    def _multiply_add(self, scalar: Operation) -> Value | None:
        for product, addend in (scalar.arguments, scalar.arguments[::-1]):
            if isinstance(product, Operation) and product.name == "multiply":
                return self.b.fma(*self._together([self.scalar(item) for item in (*product.arguments, addend)]))
        return None

    def _divisor(self, value: Value) -> Value:
        """A whole number that something is divided by: a 0 in a lane that counts is reported."""
        wrong = value == self.b.constant(value.type, 0)
        guard = self._access_mask(value.type.lanes)
        if guard is not None:
            wrong, guard = self._together([wrong, guard])
            wrong = self.b.bitwise_and(wrong, guard)
        with self.b.when(self._any(wrong) if wrong.type.lanes > 1 else wrong):
            self.arguments.fail(ErrorCode.DIVISION_BY_ZERO)
        return value

    def _together(self, values: list[Value]) -> list[Value]:
        lanes = max(value.type.lanes for value in values)
        return [self.b.splat(value, lanes) if value.type.lanes != lanes else value for value in values]

    def _select(self, select: Select) -> Value:
        condition = self.scalar(select.condition)
        then = self._guarded(condition, select.then)
        otherwise = self._guarded(self.b.invert(condition), select.otherwise)
        condition, then, otherwise = self._together([condition, then, otherwise])
        return self.b.select(condition, then, otherwise)

    def _guarded(self, condition: Value, scalar: Scalar) -> Value:
        if next(scalar.reads(), None) is None:
            return self.scalar(scalar)
        outer = self.guards[-1] if self.guards else None
        if outer is not None:
            condition, outer = self._together([condition, outer])
            condition = self.b.bitwise_and(condition, outer)
        self.guards.append(condition)
        self._guards_seen.append(condition)
        value = self.scalar(scalar)
        self.guards.pop()
        return value

    # -- indices -----------------------------------------------------------------------------------------------
    def index(self, expression: Dimension) -> Value:
        """An integer expression as i64."""
        if not isinstance(expression, Expression):
            return self.b.constant(I64, expression)
        if self.lane is not None and self.lane in expression.symbols:
            factor = expression.coefficient(_symbol(expression, self.lane))
            if factor is not None and not self._opaque_lane(expression):
                base = self._polynomial(expression)
                return self.widen(base) + self.b.iota(Type("i64", self.lanes)) * self.widen(self.index(factor))
        return self._polynomial(expression, whole=True)

    def _opaque_lane(self, expression: Expression) -> bool:
        return any(self.lane in _symbols_of(payload.scalar) for payload in expression.opaque)  # type: ignore[attr-defined]

    def _polynomial(self, expression: Expression, whole: bool = False) -> Value:
        """The sum of the terms; with `whole`, the lane variable stands for all its lanes."""
        total: Value | None = None
        for monomial, number in expression.terms.items():
            product: Value | None = None
            for atom, power in monomial:
                factor = self._atom(atom, whole)
                for _ in range(power):
                    product = factor if product is None else self._multiply(product, factor)
            if product is None:
                product = self.b.constant(I64, number)
            elif number != 1:
                product = self._multiply(product, self.b.constant(I64, number))
            total = product if total is None else self._add(total, product)
        assert total is not None
        return total

    def _multiply(self, left: Value, right: Value) -> Value:
        left, right = self._together([left, right])
        return left * right

    def _add(self, left: Value, right: Value) -> Value:
        left, right = self._together([left, right])
        return left + right

    def _atom(self, atom: object, whole: bool) -> Value:
        if isinstance(atom, SymbolAtom):
            if atom.name not in self.indices:
                return self.arguments.size(atom.name)
            value = self.indices[atom.name]
            if whole and atom.name == self.lane:
                return self.widen(value) + self.b.iota(Type("i64", self.lanes))
            return value
        if isinstance(atom, OpaqueAtom):
            assert isinstance(atom.payload, ScalarKey)
            return self._integer(atom.payload.scalar)
        assert isinstance(atom, BinaryAtom)
        if self.known is None:
            return self._binary(atom, whole)
        if atom not in self.known:
            self.known[atom] = self._binary(atom, whole)
        return self.known[atom]

    def _binary(self, atom: BinaryAtom, whole: bool) -> Value:
        left, right = self._together([self.index(operand) if whole else self._base(operand) for operand in atom.operands])
        if atom.operation == "minimum":
            return self.b.select(left < right, left, right)
        if atom.operation == "maximum":
            return self.b.select(left < right, right, left)
        return emit_operation(self.b, "remainder", [left, right], DataType.INT64) if atom.operation == "%" else (self._floor_divide(left, right))

    def _floor_divide(self, left: Value, right: Value) -> Value:
        """Operands of index arithmetic are never negative where the quotient is used."""
        return emit_operation(self.b, "divide", [left, right], DataType.INT64)

    def _base(self, operand: Dimension) -> Value:
        return self._polynomial(operand) if isinstance(operand, Expression) else self.b.constant(I64, operand)

    def _integer(self, scalar: Scalar) -> Value:
        return emit_cast(self.b, self.scalar(scalar), scalar.dtype, DataType.INT64, True)

    def places(self, number: Value, extents: Sequence[Dimension]) -> list[Value]:
        """Where the turn of a number stands in loops of these extents, the innermost last."""
        inner: list[Value] = []
        for extent in reversed(extents[1:]):
            size = self.index(extent)
            inner.insert(0, self.b.unsigned_remainder(number, size))
            number = self.b.unsigned_divide(number, size)
        return [number, *inner]

    # -- memory ------------------------------------------------------------------------------------------------
    def _read(self, read: Read) -> Value:
        if read.array in self.values:
            return self.values[read.array]
        view = self.layouts.view(read.array)
        affine: Dimension = view.offset
        data: list[tuple[Value, Dimension]] = []
        for axis, (place, stride) in enumerate(zip(read.indices, view.strides)):
            if isinstance(place, Expression) and place.opaque:
                data.append((self._checked(self.index(place), read, axis), stride))
            else:
                affine = affine + place * stride
        return self._load(read, affine, data)

    def _load(self, read: Read, affine: Dimension, data: list[tuple[Value, Dimension]]) -> Value:
        buffer = self.layouts.view(read.array).buffer
        pointer = self.arguments.pointer(buffer)
        step: Dimension | None = 0
        if self.lane is not None and isinstance(affine, Expression) and self.lane in affine.symbols:
            step = affine.coefficient(_symbol(affine, self.lane))
        wide = any(value.type.lanes > 1 for value, _ in data)
        kind = storage_type(buffer.dtype, 1)
        if not wide and (step == 0 or step == 1):
            place = self._polynomial(affine) if isinstance(affine, Expression) else self.b.constant(I64, affine)
            for value, stride in data:
                place = place + value * self.index(stride)
            lanes = self.lanes if step == 1 else 1
            mask = self._access_mask(lanes)
            if mask is not None and mask.type.lanes == 1:
                place = self.b.select(mask, place, self.b.constant(I64, 0))
                mask = None
            passing = self.carrier.passing(self, read) if self.carrier is not None else None

            def load(place: Value) -> Value:
                return emit_cast(self.b, emit_load(self.b, place, buffer.dtype, lanes, mask=mask), buffer.dtype, read.dtype)

            element = self.b.offset(pointer, place, kind)
            return load(element) if passing is None else passing.load(self.b, element, load, mask)
        places = self.index(affine)
        for value, stride in data:
            places = self._add(places, self._multiply(value, self.index(stride)))
        mask = self._access_mask(self.lanes)
        if mask is not None and mask.type.lanes == 1:
            mask = self.b.splat(mask, self.lanes)
        found = emit_load(self.b, pointer, buffer.dtype, self.lanes, mask=mask, indices=self.widen(places))
        return emit_cast(self.b, found, buffer.dtype, read.dtype)

    def store(self, array: Array, indices: Sequence[Dimension], value: Value) -> None:
        """Stores an element (or a vector of them along the lane) of a stored array."""
        b = self.b
        view = self.layouts.view(array)
        address = view.address(indices)
        pointer, stored = self.arguments.pointer(view.buffer), view.buffer.dtype
        value = emit_cast(b, value, array.dtype, stored)
        step: Dimension | None = 0
        if self.lane is not None and isinstance(address, Expression) and self.lane in address.symbols:
            step = address.coefficient(_symbol(address, self.lane))
        if self.lanes == 1 or step == 1:
            place = self._polynomial(address) if isinstance(address, Expression) else b.constant(I64, address)
            pointer = b.offset(pointer, place, storage_type(stored, 1))
            emit_store(b, pointer, value, stored, mask=self.mask)
        else:
            emit_store(b, pointer, value, stored, mask=self.mask, indices=self.widen(self.index(address)))

    def _access_mask(self, lanes: int) -> Value | None:
        """The lanes that may be read: those inside the loop and inside all selects around."""
        mask = self.mask if lanes > 1 else None
        guard = self.guards[-1] if self.guards else None
        if guard is not None and guard.type.lanes > 1 and lanes == 1:
            guard = None  # a uniform address is inside for some lane, or the index variable is clamped by its select
            return self._any(self.guards[-1])
        if mask is None or guard is None:
            return guard if mask is None else mask
        mask, guard = self._together([mask, guard])
        return self.b.bitwise_and(mask, guard)

    def _any(self, mask: Value) -> Value:
        return self.b.reduce("or", mask)

    def _checked(self, index: Value, read: Read, axis: int) -> Value:
        """An index from data: outside its axis it is reported and replaced by 0."""
        extent = self.index(read.array.shape[axis])
        lanes = index.type.lanes
        limit = self.b.splat(extent, lanes) if lanes > 1 else extent
        inside = self.b.unsigned_less(index, limit)
        wrong = self.b.invert(inside)
        guard = self._access_mask(lanes)
        if guard is not None:
            wrong, guard = self._together([wrong, guard])
            wrong = self.b.bitwise_and(wrong, guard)
        with self.b.when(self._any(wrong) if wrong.type.lanes > 1 else wrong):
            worst = self._first_wrong(index, wrong)
            self.arguments.fail(ErrorCode.INDEX_OUT_OF_BOUNDS, worst, extent, self.b.constant(I64, axis))
        zero = self.b.constant(I64, 0)
        return self.b.select(inside, index, self.b.splat(zero, lanes) if lanes > 1 else zero)

    def _first_wrong(self, index: Value, wrong: Value) -> Value:
        if index.type.lanes == 1:
            return index
        least = self.b.splat(self.b.constant(I64, -(2**63)), index.type.lanes)
        return self.b.reduce("max", self.b.select(wrong, index, least))


def _symbol(expression: Expression, name: str) -> Expression:
    from onward.ir.expressions import Symbol

    return Symbol(name)


def _symbols_of(scalar: Scalar) -> frozenset[str]:
    found: set[str] = set()
    for item in scalar.walk():
        for place in (*getattr(item, "indices", ()), getattr(item, "expression", 0)):
            if isinstance(place, Expression):
                found |= place.symbols
    return frozenset(found)
