"""The tables, fields and enumerations of the TFLite schema, read from `schema.txt`.

A line is `table NAME FIELD:SLOT:KIND=DEFAULT ...` or `enum NAME MEMBER=NUMBER ...`. A kind is a number (`int32`), a number that
stands for a member (`int8/Padding`), `string`, a table's name, a union (`|BuiltinOptions`, whose member is told by the slot
before), or a vector of these in brackets. A default that is not written is zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Field:
    """A field of a table: its place in the table's index, and what is there."""

    name: str
    slot: int
    kind: str
    default: int = 0
    enum: str = ""

    @property
    def element(self) -> str:
        """The kind of a vector's elements, or an empty text."""
        return self.kind[1:-1] if self.kind.startswith("[") else ""


@dataclass(frozen=True)
class Schema:
    """Fields by table, members by enumeration."""

    tables: dict[str, tuple[Field, ...]]
    enums: dict[str, dict[int, str]]


SCALARS = {name: np.dtype(name).newbyteorder("<") for name in ("bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float32")}


@cache
def schema() -> Schema:
    """The schema, read once."""
    tables: dict[str, tuple[Field, ...]] = {}
    enums: dict[str, dict[int, str]] = {}
    for line in Path(__file__).with_name("schema.txt").read_text().splitlines():
        what, name, *items = line.split()
        if what == "enum":
            members = (item.split("=") for item in items)
            enums[name] = {int(number): member for member, number in members}
        else:
            tables[name] = tuple(_field(item) for item in items)
    return Schema(tables, enums)


def _field(text: str) -> Field:
    name, slot, rest = text.split(":")
    kind, _, default = rest.partition("=")
    kind, _, enum = kind.partition("/")
    return Field(name, int(slot), kind, int(default or 0), enum)
