"""Universal Binary JSON, draft 12: the binary files of XGBoost."""

from __future__ import annotations

from typing import Any

import numpy as np

from onward.errors import FormatError

NUMBERS = {"i": ">i1", "U": ">u1", "I": ">i2", "u": ">u2", "l": ">i4", "m": ">u4", "L": ">i8", "M": ">u8", "d": ">f4", "D": ">f8"}
LITERALS = {"Z": None, "T": True, "F": False}
DEEPEST = 64
"""Containers within containers; models have eight."""


def decode(data: bytes) -> Any:
    """The value in `data`; typed arrays of numbers come as lists. Raises FormatError for what is cut short, too deep or unknown."""
    reader = _Reader(data)
    value = reader.value(reader.marker(), 0)
    if reader.place != len(data):
        raise FormatError(f"{len(data) - reader.place} bytes follow the end of the document")
    return value


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.place = 0

    def take(self, count: int) -> bytes:
        if not 0 <= count <= len(self.data) - self.place:
            raise FormatError(f"the document ends at byte {len(self.data)}, {count} bytes were expected from byte {self.place} on")
        self.place += count
        return self.data[self.place - count : self.place]

    def marker(self) -> str:
        """The next type, without the padding that may come before it."""
        found = self.take(1)
        while found == b"N":
            found = self.take(1)
        return found.decode("latin-1")

    def value(self, kind: str, depth: int) -> Any:
        if depth > DEEPEST:
            raise FormatError(f"containers are nested more than {DEEPEST} deep at byte {self.place}")
        if kind in NUMBERS:
            return self.numbers(kind, 1)[0]
        if kind in LITERALS:
            return LITERALS[kind]
        if kind in ("S", "H"):
            return self.text()
        if kind == "C":
            return self.take(1).decode("latin-1")
        if kind == "[":
            return self.array(depth)
        if kind == "{":
            return self.object(depth)
        raise FormatError(f"byte {self.place - 1} says type {kind!r}, which there is not")

    def numbers(self, kind: str, count: int) -> list[Any]:
        dtype = np.dtype(NUMBERS[kind])
        return np.frombuffer(self.take(dtype.itemsize * count), dtype).tolist()  # type: ignore[no-any-return]

    def count(self) -> int:
        kind = self.marker()
        if kind not in NUMBERS or kind in "dD":
            raise FormatError(f"byte {self.place - 1} says type {kind!r} where a length is expected")
        return int(self.numbers(kind, 1)[0])

    def text(self) -> str:
        try:
            return self.take(self.count()).decode()
        except UnicodeDecodeError as problem:
            raise FormatError(f"the text before byte {self.place} is no UTF-8") from problem

    def header(self) -> tuple[str | None, int | None]:
        """What a container says of all its elements: their type and number."""
        kind = count = None
        if self.data[self.place : self.place + 1] == b"$":
            self.take(1)
            kind = self.marker()
            if self.data[self.place : self.place + 1] != b"#":
                raise FormatError(f"a type without a count at byte {self.place}")
        if self.data[self.place : self.place + 1] == b"#":
            self.take(1)
            count = self.count()
            if not 0 <= count <= len(self.data):  # no element takes less than a byte, but for literals, which no model repeats
                raise FormatError(f"a container of {count} elements at byte {self.place}")
        return kind, count

    def array(self, depth: int) -> list[Any]:
        kind, count = self.header()
        if kind in NUMBERS and count is not None:
            return self.numbers(kind, count)
        items: list[Any] = []
        while count is None or len(items) < count:
            own = kind or self.marker()
            if own == "]" and count is None:
                return items
            items.append(self.value(own, depth + 1))
        return items

    def object(self, depth: int) -> dict[str, Any]:
        kind, count = self.header()
        items: dict[str, Any] = {}
        read = 0
        while count is None or read < count:
            if count is None and self.data[self.place : self.place + 1] == b"}":
                self.take(1)
                return items
            name = self.text()
            items[name] = self.value(kind or self.marker(), depth + 1)
            read += 1
        return items
