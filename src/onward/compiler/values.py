"""What a builder of LLVM IR works on: machine types, values in registers, variables, and numbers in LLVM's notation."""

from __future__ import annotations

import functools
import re
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from onward.compiler.builder import Builder


_LLVM = {"f16": "half", "bf16": "bfloat", "f32": "float", "f64": "double", "ptr": "ptr"}
_WHOLE = re.compile(r"(?:splat \(i\d+ )?(-?\d+)\)?")
_FLOATS = frozenset({"f16", "bf16", "f32", "f64"})


@dataclass(frozen=True)
class Type:
    """A machine type: f16, bf16, f32, f64, i1, i8, i16, i32, i64, ptr; `lanes` above 1 make a vector."""

    kind: str
    lanes: int = 1
    text: str = field(init=False, repr=False, compare=False)
    """The type in LLVM's notation, made once: it stands several times in every instruction."""
    bits: int = field(init=False, repr=False, compare=False)
    """Bits of one lane."""
    is_float: bool = field(init=False, repr=False, compare=False)
    """Whether it is a floating-point type."""

    def __post_init__(self) -> None:
        name = _LLVM.get(self.kind, self.kind)
        object.__setattr__(self, "text", f"<{self.lanes} x {name}>" if self.lanes > 1 else name)
        object.__setattr__(self, "bits", {"ptr": 64, "bf16": 16}.get(self.kind) or int(self.kind[1:]))
        object.__setattr__(self, "is_float", self.kind in _FLOATS)

    def __str__(self) -> str:
        return self.text

    def with_lanes(self, lanes: int) -> Type:
        """The same kind with another number of lanes."""
        return _type(self.kind, lanes)

    @property
    def mangled(self) -> str:
        """The name in overloaded intrinsics."""
        return f"v{self.lanes}{self.kind}" if self.lanes > 1 else self.kind if self.kind != "ptr" else "p0"


@functools.cache
def _type(kind: str, lanes: int) -> Type:
    return Type(kind, lanes)


POINTER = Type("ptr")
I1, I8, I16, I32, I64 = (Type(f"i{bits}") for bits in (1, 8, 16, 32, 64))
F16, BF16, F32, F64 = (Type(kind) for kind in ("f16", "bf16", "f32", "f64"))


class Value:
    """A value in a register. Operators work on equal types; on integers they are signed."""

    __slots__ = ("b", "type", "name")

    def __init__(self, b: Builder, type: Type, name: str) -> None:  # noqa: A002 (the field's word)
        self.b = b
        self.type = type
        self.name = name

    def __str__(self) -> str:
        return self.name

    @property
    def known(self) -> int | None:
        """The whole number that it is in every lane, where that stands in the text."""
        found = _WHOLE.fullmatch(self.name)
        return int(found[1]) if found else None

    def _binary(self, other: Value, integer: str, real: str) -> Value:
        return self.b.binary(real if self.type.is_float else integer, self, other)

    def __add__(self, other: Value) -> Value:
        return self._binary(other, "add", "fadd")

    def __sub__(self, other: Value) -> Value:
        return self._binary(other, "sub", "fsub")

    def __mul__(self, other: Value) -> Value:
        return self._binary(other, "mul", "fmul")

    def __truediv__(self, other: Value) -> Value:
        return self._binary(other, "sdiv", "fdiv")

    def __and__(self, other: Value) -> Value:
        return self.b.binary("and", self, other)

    def __or__(self, other: Value) -> Value:
        return self.b.binary("or", self, other)

    def __xor__(self, other: Value) -> Value:
        return self.b.binary("xor", self, other)

    def __lshift__(self, other: Value) -> Value:
        return self.b.binary("shl", self, other)

    def __rshift__(self, other: Value) -> Value:
        return self.b.binary("ashr", self, other)

    def __neg__(self) -> Value:
        if self.type.is_float:
            return self.b.emit(self.type, f"fneg {self.type} {self}")
        return self.b.constant(self.type, 0) - self

    def __lt__(self, other: Value) -> Value:
        return self.b.compare("lt", self, other)

    def __le__(self, other: Value) -> Value:
        return self.b.compare("le", self, other)

    def __gt__(self, other: Value) -> Value:
        return self.b.compare("gt", self, other)

    def __ge__(self, other: Value) -> Value:
        return self.b.compare("ge", self, other)

    def __eq__(self, other: object) -> Value:  # type: ignore[override]
        assert isinstance(other, Value)
        return self.b.compare("eq", self, other)

    def __ne__(self, other: object) -> Value:  # type: ignore[override]
        assert isinstance(other, Value)
        return self.b.compare("ne", self, other)

    def __hash__(self) -> int:
        return id(self)


class Variable:
    """A mutable local value."""

    def __init__(self, b: Builder, type: Type) -> None:  # noqa: A002
        self.b = b
        self.type = type
        self.slot = b.fresh("v")
        b.entry_lines.append(f"  {self.slot} = alloca {type}, align {max(1, min(64, type.bits // 8 * type.lanes))}")

    def get(self) -> Value:
        """The current value."""
        return self.b.emit(self.type, f"load {self.type}, ptr {self.slot}")

    def set(self, value: Value) -> None:
        """Replaces the value."""
        self.b.line(f"store {self.type} {value}, ptr {self.slot}")


def folded(instruction: str, left: Value, right: Value) -> Value | None:
    """A sum or product of whole numbers of which both stand in the text, or of which one changes nothing; None for others."""
    if instruction not in ("add", "mul") or (left.name[0] == "%" and right.name[0] == "%"):
        return None
    first, second = left.known, right.known
    if first is not None and second is not None:
        half = 1 << (left.type.bits - 1)
        whole = first + second if instruction == "add" else first * second
        return left.b.constant(left.type, (whole + half) % (2 * half) - half)
    neutral = 0 if instruction == "add" else 1
    if neutral in (first, second):
        return right if first == neutral else left
    return left.b.constant(left.type, 0) if instruction == "mul" and 0 in (first, second) else None


def literal(type: Type, value: Any) -> str:  # noqa: A002
    """A number in LLVM's notation."""
    if type.kind == "i1":
        return "true" if value else "false"
    if type.is_float:
        if type.kind == "f64" or type.kind == "f32":
            number = struct.unpack("<f", struct.pack("<f", value))[0] if type.kind == "f32" else float(value)
            return f"0x{struct.unpack('<Q', struct.pack('<d', number))[0]:016X}"
        if type.kind == "f16":
            import numpy as np

            return f"0xH{int(np.float16(value).view(np.uint16)):04X}"
        bits = struct.unpack("<I", struct.pack("<f", value))[0]
        return f"0xR{(bits + 0x7FFF + (bits >> 16 & 1)) >> 16 & 0xFFFF:04X}"
    if type.kind == "ptr":
        return "null"
    number = int(value)
    if number >= 1 << (type.bits - 1):
        number -= 1 << type.bits
    return str(number)
