"""Reads flatbuffers of the TFLite schema into records. Whatever the bytes say, reading ends and stays within them."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np

from onward.converters.tflite.schema import SCALARS, Field, schema
from onward.errors import FormatError

IDENTIFIER = b"TFL3"
EFFORT = 16
"""Tables may be shared, so that a small file could stand for an enormous tree: at most so many bytes are read for each byte of it."""


class Record:
    """A table: its fields as attributes. Absent tables and text are None, absent vectors empty, members their names."""

    def __init__(self, table: str, values: dict[str, Any]) -> None:
        self.table = table
        self.__dict__.update(values)

    def __getattr__(self, name: str) -> Any:
        raise FormatError(f"{self.__dict__.get('table', 'a record')} has no field '{name}'")

    def __repr__(self) -> str:
        return f"{self.table}({', '.join(f'{name}={value!r}' for name, value in self.__dict__.items() if name != 'table')})"


def default_record(table: str) -> Record:
    """A table of which nothing is written."""
    return Record(table, {field.name: _default(field) for field in schema().tables[table]})


def read_model(data: bytes) -> Record:
    """The root table `Model`. Raises FormatError for anything that is no whole TFLite file."""
    if len(data) < 8 or data[4:8] != IDENTIFIER:
        raise FormatError("this is no TFLite file: the mark TFL3 is missing")
    reader = _Reader(data)
    return reader.table("Model", reader.offset(0))


def _default(field: Field) -> Any:
    if field.element:
        return np.empty(0, SCALARS[field.element]) if field.element in SCALARS else []
    if field.kind not in SCALARS:
        return None
    if field.enum:
        return schema().enums[field.enum].get(field.default, "")
    return SCALARS[field.kind].type(field.default).item()


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.left = EFFORT * len(data)

    def number(self, position: int, format: str) -> Any:
        try:
            return struct.unpack_from(f"<{format}", self.data, self.within(position))[0]
        except struct.error:
            raise FormatError(f"the TFLite file ends before byte {position}") from None

    def within(self, position: int) -> int:
        if not 0 <= position < len(self.data):
            raise FormatError(f"the TFLite file of {len(self.data)} bytes points at byte {position}")
        return position

    def spend(self, amount: int) -> None:
        self.left -= amount
        if self.left < 0:
            raise FormatError("the TFLite file refers to the same data over and over")

    def offset(self, position: int) -> int:
        """Where an offset points: always forward, so that nothing can contain itself."""
        distance = self.number(position, "I")
        if distance == 0:
            raise FormatError(f"the TFLite file has an offset of zero at byte {position}")
        return self.within(position + distance)

    def table(self, name: str, position: int) -> Record:
        index = position - self.number(position, "i")
        size = self.number(index, "H") // 2 - 2
        fields = schema().tables[name]
        self.spend(4 + 4 * len(fields))
        values: dict[str, Any] = {}
        for field in fields:
            relative = self.number(index + 4 + 2 * field.slot, "H") if field.slot < size else 0
            values[field.name] = self.field(field, position + relative, values) if relative else _default(field)
        return Record(name, values)

    def field(self, field: Field, position: int, earlier: dict[str, Any]) -> Any:
        if field.kind.startswith("|"):
            return self.union(field, position, earlier)
        if field.element:
            return self.vector(field.element, self.offset(position))
        if field.kind in SCALARS:
            value = self.scalars(field.kind, position, 1)[0].item()
            return schema().enums[field.enum].get(value, f"{field.enum} {value}") if field.enum else value
        return self.item(field.kind, self.offset(position))

    def union(self, field: Field, position: int, earlier: dict[str, Any]) -> Record | None:
        number = earlier[f"{field.name}_type"]
        member = schema().enums[field.kind[1:]].get(number)
        if member is None:
            raise FormatError(f"the TFLite file has {field.name} number {number}, which the schema does not know")
        return None if member == "NONE" else self.table(member, self.offset(position))

    def item(self, kind: str, position: int) -> Any:
        if kind != "string":
            return self.table(kind, position)
        return self.vector("uint8", position).tobytes().decode("utf-8", "replace")

    def vector(self, kind: str, position: int) -> Any:
        count = self.number(position, "I")
        if kind in SCALARS:
            return self.scalars(kind, position + 4, count)
        self.spend(4 * count)
        if position + 4 + 4 * count > len(self.data):
            raise FormatError(f"the TFLite file has a vector of {count} elements at byte {position}, beyond its end")
        return [self.item(kind, self.offset(position + 4 + 4 * place)) for place in range(count)]

    def scalars(self, kind: str, position: int, count: int) -> np.ndarray:
        dtype = SCALARS[kind]
        if position + count * dtype.itemsize > len(self.data):
            raise FormatError(f"the TFLite file has {count} numbers at byte {position}, beyond its end")
        return np.frombuffer(self.data, dtype, count, position) if count else np.empty(0, dtype)
