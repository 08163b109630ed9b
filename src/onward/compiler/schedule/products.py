"""One step of a contraction's reduction: what is loaded, and how it is multiplied and added.

Floats go one by one. 8-bit integers go in groups of four neighbours along the reduction, an unsigned left and a signed right
one, whose products are summed in 32 bits: one instruction where the processor has it. The right operand lies as (groups,
columns, 4) then, and each lane of a vector holds the group of a column. Where x86 has no such instruction, they are pairs of 16 bits.
Numbers that are stored as bfloat16 lie in the same way in groups of two, which are multiplied by one instruction where that is faster than floats; elsewhere
weights alone are stored so, and each half becomes a float when it is used. Registers that hold a matrix take both operands in tiles of such groups.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

from onward.compiler.builder import Builder
from onward.compiler.operations import storage_type
from onward.compiler.schedule.splitting import PARTS, PASSES
from onward.compiler.targets import Target
from onward.compiler.values import BF16, F32, I8, I16, I32, I64, Type, Value
from onward.ir.datatypes import DataType


class Form(Protocol):
    """What a product takes and gives."""

    @property
    def group(self) -> int:
        """Neighbours along the reduction in one step."""
        ...

    @property
    def left_element(self) -> Type:
        """An element of the left operand in memory."""
        ...

    @property
    def right_element(self) -> Type:
        """An element of the right operand in memory."""
        ...

    @property
    def total(self) -> Type:
        """A sum."""
        ...


class Product(Form, Protocol):
    """How the elements of two operands are multiplied, a vector at a time."""

    outer: int
    """Outer products in one step, each of a column of the left and a row of the right operand."""
    expansion: float
    """Cycles in which the units for multiply-add make a vector of the right operand ready for an outer product."""
    stored: DataType | None
    """What both operands are stored as for it, if that is not their own type."""

    def registers(self, rows: int, vectors: int) -> int:
        """Vector registers that a tile occupies at once."""
        ...

    def left(self, b: Builder, pointer: Value, step: Value, count: int, lanes: int) -> Value:
        """`count` neighbours, `step` elements apart, as the group of every lane; zeros for the rest of the group."""
        ...

    def right(self, b: Builder, pointer: Value, lanes: int, mask: Value | None, turn: int) -> Value:
        """What the outer product number `turn` of a step takes of the groups of `lanes` columns."""
        ...

    def add(self, b: Builder, total: Value, left: Value, right: Value) -> Value:
        """total + left * right."""
        ...


def product_of(operand: DataType, target: Target, stored: DataType | None = None, *, in_pairs: bool = False) -> Product:
    """The way to multiply operands of a type: floats, or 8-bit integers (the type of either).

    A right operand of float32 may be `stored` as bfloat16; where both are, they may be multiplied `in_pairs` by one instruction.
    """
    if stored == DataType.BFLOAT16:
        if in_pairs:
            return BFloat16Product(target)
        return ExpandedProduct(target)
    if operand.is_float:
        return FloatProduct(storage_type(operand), target)
    return _BYTE_PRODUCTS[target.byte_product](target)


@dataclass(frozen=True)
class TileProduct:
    """An instruction that adds the product of two tiles to a third: rows of numbers, a row for each group of the other's columns.

    Numbers may be kept in several `parts`; a product is then the sum of products of a part of each, made in `passes` over the reduction.
    """

    instruction: str
    left: DataType
    right: DataType
    group: int
    chunk: int
    """Numbers in a row of the left tile."""
    left_element: Type
    right_element: Type
    total: Type
    parts: int = 1
    passes: tuple[tuple[tuple[int, int], ...], ...] = (((0, 0),),)


def tile_product_of(left: DataType, right: DataType, target: Target) -> TileProduct | None:
    """The way to multiply operands of these types by tiles; None where there is none."""
    if target.tiles and left == right == DataType.FLOAT:
        narrow = TileProduct("tdpbf16ps", DataType.BFLOAT16, DataType.BFLOAT16, 2, 32, BF16, BF16, F32)
        return narrow if target.narrow else replace(narrow, parts=PARTS, passes=PASSES)
    if target.tiles and (left, right) == (DataType.UINT8, DataType.INT8):
        return TileProduct("tdpbusd", left, right, 4, 64, I8, I8, I32)
    return None


class FloatProduct:
    """Floats, with fused multiply-add where there is one."""

    group = 1
    outer = 1
    expansion = 0.0
    stored: DataType | None = None

    def __init__(self, element: Type, target: Target) -> None:
        self.left_element = self.right_element = self.total = element
        self.target = target

    def registers(self, rows: int, vectors: int) -> int:
        """Sums, right operands, and a broadcast if it is used more than once; a product of its own without fused multiply-add."""
        return rows * vectors + vectors + (1 if vectors > 1 else 0) + (0 if self.target.has_fma else 2)

    def left(self, b: Builder, pointer: Value, step: Value, count: int, lanes: int) -> Value:
        """An element in every lane."""
        return b.splat(b.load(pointer, self.left_element), lanes)

    def right(self, b: Builder, pointer: Value, lanes: int, mask: Value | None, turn: int) -> Value:
        """A vector of columns."""
        return b.load(pointer, self.right_element.with_lanes(lanes), mask=mask)

    def add(self, b: Builder, total: Value, left: Value, right: Value) -> Value:
        """total + left * right."""
        return b.fma(left, right, total)


class ExpandedProduct(FloatProduct):
    """Floats and weights of bfloat16, two neighbours of a column in 32 bits: either half is a float once it stands in the upper one."""

    group = 2
    outer = 2
    expansion = 0.5

    def __init__(self, target: Target) -> None:
        super().__init__(F32, target)
        self.right_element = BF16

    def registers(self, rows: int, vectors: int) -> int:
        """The pairs stay while their first halves are used."""
        return super().registers(rows, vectors) + vectors

    def right(self, b: Builder, pointer: Value, lanes: int, mask: Value | None, turn: int) -> Value:
        """One half of each pair."""
        pair = b.load(pointer, I32.with_lanes(lanes), mask=mask)
        upper = pair & b.constant(pair.type, -1 << 16) if turn else pair << b.constant(pair.type, 16)
        return b.bitcast(upper, F32.with_lanes(lanes))


class ByteProduct:
    """Groups of four bytes, one instruction a vector: `vpdpbusd` on x86, `usdot` on ARM."""

    group = 4
    outer = 1
    expansion = 0.0
    stored: DataType | None = None
    left_element = right_element = I8
    total = I32

    def __init__(self, target: Target) -> None:
        self.target = target

    def registers(self, rows: int, vectors: int) -> int:
        """As for floats."""
        return rows * vectors + vectors + (1 if vectors > 1 else 0)

    def left(self, b: Builder, pointer: Value, step: Value, count: int, lanes: int) -> Value:
        """Four bytes in every lane."""
        return b.splat(_group(b, pointer, step, count), lanes)

    def right(self, b: Builder, pointer: Value, lanes: int, mask: Value | None, turn: int) -> Value:
        """A group of each column."""
        return b.load(pointer, I32.with_lanes(lanes), alignment=1, mask=mask)

    def add(self, b: Builder, total: Value, left: Value, right: Value) -> Value:
        """total + the sum of four products."""
        bytes_of = Type("i8", 4 * total.type.lanes)
        if total.type.lanes == 1:
            return sum_of_products(b, total, left, right)
        if total.type.lanes * 32 == 128 and not self.target.is_x86:
            name = f"llvm.aarch64.neon.usdot.{total.type.mangled}.{bytes_of.mangled}"
        else:
            name = f"llvm.x86.avx512.vpdpbusd.{32 * total.type.lanes}"
        return b.intrinsic(name, total.type, total, b.bitcast(left, bytes_of), b.bitcast(right, bytes_of))


class BFloat16Product(ByteProduct):
    """Pairs of bfloat16, one instruction a vector: `vdpbf16ps`, which takes subnormal numbers for 0."""

    group = 2
    left_element = right_element = BF16
    total = F32
    stored: DataType | None = DataType.BFLOAT16

    def left(self, b: Builder, pointer: Value, step: Value, count: int, lanes: int) -> Value:
        """A pair in every lane."""
        return b.splat(_group(b, pointer, step, count, I16), lanes)

    def add(self, b: Builder, total: Value, left: Value, right: Value) -> Value:
        """total + the sum of two products."""
        pairs = BF16.with_lanes(2 * total.type.lanes)
        name = f"llvm.x86.avx512bf16.dpbf16ps.{32 * total.type.lanes}"
        return b.intrinsic(name, total.type, total, b.bitcast(left, pairs), b.bitcast(right, pairs))


class WideProduct(ByteProduct):
    """Processors without such an instruction: four products in 32 bits."""

    def registers(self, rows: int, vectors: int) -> int:
        """The right operands are two vectors each while they are used, the left one too, and a product."""
        return rows * vectors + 2 * vectors + 3

    def add(self, b: Builder, total: Value, left: Value, right: Value) -> Value:
        """total + the sum of four products."""
        return sum_of_products(b, total, left, right)


class PairProduct(ByteProduct):
    """x86 without such an instruction: pairs of 16 bits, multiplied and added by `pmaddwd`. Both operands are widened once, ahead: in the
    loop it would take a fourth of the time."""

    group = 2
    left_element = right_element = I16
    stored = DataType.INT16

    def registers(self, rows: int, vectors: int) -> int:
        """As for floats that are multiplied and added one after the other."""
        return super().registers(rows, vectors) + 1

    def left(self, b: Builder, pointer: Value, step: Value, count: int, lanes: int) -> Value:
        """A pair in every lane."""
        return b.splat(_group(b, pointer, step, count, I16), lanes)

    def add(self, b: Builder, total: Value, left: Value, right: Value) -> Value:
        """total + the sum of two products."""
        lanes = total.type.lanes
        if lanes == 1:
            return sum_of_products(b, total, left, right, 16)
        pairs = Type("i16", 2 * lanes)
        name = {4: "sse2.pmadd.wd", 8: "avx2.pmadd.wd", 16: "avx512.pmaddw.d.512"}[lanes]
        return total + b.intrinsic(f"llvm.x86.{name}", total.type, b.bitcast(left, pairs), b.bitcast(right, pairs))


_BYTE_PRODUCTS = {"dot": ByteProduct, "pairs": PairProduct, "": WideProduct}


def _group(b: Builder, pointer: Value, step: Value, count: int, element: Type = I8) -> Value:
    """Up to four bytes, or two numbers of 16 bits, as one of 32 bits, the first in the lowest bits."""
    if step.name == "1" and count * element.bits == 32:
        return b.load(pointer, I32, alignment=1)
    if step.name == "1" and count * element.bits == 16:
        return b.cast(b.load(pointer, I16, alignment=1), I32, signed=False)
    total = b.constant(I32, 0)
    for number in range(count):
        item = b.load(b.offset(pointer, b.constant(I64, number) * step, element), element)
        total = total | (b.cast(item, I32, signed=False) << b.constant(I32, element.bits * number))
    return total


def sum_of_products(b: Builder, total: Value, left: Value, right: Value, bits: int = 8) -> Value:
    """total + the sum of the products of four bytes, or of two numbers of 16 bits, unsigned and signed ones, in every lane."""
    kind = total.type
    for number in range(32 // bits):
        first = b.logical_shift_right(left, b.constant(kind, bits * number)) & b.constant(kind, (1 << bits) - 1)
        second = (right << b.constant(kind, 32 - bits - bits * number)) >> b.constant(kind, 32 - bits)
        total = total + first * second
    return total
