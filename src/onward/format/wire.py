"""The protobuf wire format, driven by the table in `schema.py`.

Reading makes `Message` objects whose bytes are memoryviews of the source: no tensor is copied or even touched. Fields
that the table does not know are kept as they came and written back. Source: Protocol Buffers encoding specification.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

from onward.errors import FormatError
from onward.format.schema import MESSAGES, FieldRow

DEEPEST = 100
"""Messages nested deeper than this are refused, as the official parser does."""

_WIRE_OF = {"double": 1, "float": 5, "string": 2, "bytes": 2}
_NATURAL = {kind: 2 if kind[0].isupper() else _WIRE_OF.get(kind, 0) for rows in MESSAGES.values() for _, _, kind, _ in rows}
_BY_NUMBER: dict[str, dict[int, FieldRow]] = {name: {row[0]: row for row in rows} for name, rows in MESSAGES.items()}
_ORDERED: dict[str, list[FieldRow]] = {name: sorted(rows) for name, rows in MESSAGES.items()}


class Message:
    """A message: `kind` names its type, `fields` holds what is present (lists for repeated fields).

    A packed field of fixed-size numbers is a memoryview of its bytes; `unknown` keeps foreign fields as raw bytes.
    """

    __slots__ = ("kind", "fields", "unknown")

    def __init__(self, kind: str, **fields: Any) -> None:
        self.kind = kind
        self.fields: dict[str, Any] = fields
        self.unknown: tuple[bytes, ...] = ()

    def get(self, name: str, default: Any = None) -> Any:
        """A field's value, or the default when it is absent."""
        return self.fields.get(name, default)

    def items(self, name: str) -> list[Any]:
        """The elements of a repeated field."""
        return self.fields.get(name, [])

    def __repr__(self) -> str:
        return f"{self.kind}({', '.join(self.fields)})"


Path = tuple[str, ...]


def _varint(data: memoryview, position: int, end: int, path: Path) -> tuple[int, int]:
    result = shift = 0
    while True:
        if position >= end:
            raise FormatError(f"{_place(path)}: the file ends inside a number at byte {position}; it is truncated or no ONNX file")
        byte = data[position]
        position += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            return result & 0xFFFFFFFFFFFFFFFF, position
        shift += 7
        if shift > 63:
            raise FormatError(f"{_place(path)}: a number at byte {position} is longer than 64 bits; this is no ONNX file")


def _place(path: Path) -> str:
    return ".".join(path)


def decode(kind: str, data: memoryview | bytes, path: Path = (), depth: int = 0) -> Message:
    """The message of type `kind` that `data` holds. Raises FormatError with the place of the first fault."""
    view = memoryview(data).cast("B") if not isinstance(data, memoryview) else data
    path = path or (kind,)
    if depth > DEEPEST:
        raise FormatError(f"{_place(path[:6])}...: messages are nested deeper than {DEEPEST} levels")
    table = _BY_NUMBER[kind]
    message = Message(kind)
    fields = message.fields
    unknown: list[bytes] = []
    position, end = 0, len(view)
    while position < end:
        start = position
        tag = view[position]
        if tag < 0x80:
            position += 1
        else:
            tag, position = _varint(view, position, end, path)
        row, wire = table.get(tag >> 3), tag & 7
        if wire == 2 and position < end and view[position] < 0x80 and row is not None:
            stop = position + 1 + view[position]
            if stop <= end and row[3] == "optional" and row[2] == "string":  # most of a file's fields: names
                try:
                    fields[row[1]] = str(view[position + 1 : stop], "utf-8")
                    position = stop
                    continue
                except UnicodeDecodeError:
                    pass
        if tag >> 3 == 0:
            raise FormatError(f"{_place(path)}: field number 0 at byte {start}; the file is damaged or no ONNX file")
        payload, position = _payload(view, position, end, wire, path)
        if row is None or not _fits(row, wire):
            unknown.append(bytes(view[start:position]))
            continue
        _store(message, row, wire, payload, path, depth)
    if unknown:
        message.unknown = tuple(unknown)
    return message


def _payload(view: memoryview, position: int, end: int, wire: int, path: Path) -> tuple[Any, int]:
    if wire == 0:
        return _varint(view, position, end, path)
    if wire == 2:
        length, position = _varint(view, position, end, path)
        if length > end - position:
            raise FormatError(f"{_place(path)}: a field at byte {position} claims {length} bytes but {end - position} are left; the file is truncated")
        return view[position : position + length], position + length
    size = {1: 8, 5: 4}.get(wire)
    if size is None:
        raise FormatError(f"{_place(path)}: wire type {wire} at byte {position} is not used by ONNX; the file is damaged")
    if size > end - position:
        raise FormatError(f"{_place(path)}: the file ends inside a number at byte {position}; it is truncated")
    return view[position : position + size], position + size


def _fits(row: FieldRow, wire: int) -> bool:
    kind, label = row[2], row[3]
    natural = _NATURAL[kind]
    return wire == natural or wire == 2 and label in ("repeated", "packed") and natural != 2


def _store(message: Message, row: FieldRow, wire: int, payload: Any, path: Path, depth: int) -> None:
    _, name, kind, label = row
    if label == "optional":
        old = message.fields.get(name)
        value = _scalar(kind, payload, (*path, name), depth)
        if isinstance(old, Message) and isinstance(value, Message):
            _merge(old, value)
        else:
            message.fields[name] = value
        return
    items = message.fields.setdefault(name, [])
    natural = _NATURAL[kind]
    if wire == 2 and natural != 2:
        if natural in (1, 5) and not items:
            message.fields[name] = _fixed(kind, payload, path, name)
        elif natural in (1, 5):
            if not isinstance(items, list):
                items = message.fields[name] = list(items)
            items.extend(_fixed(kind, payload, path, name))
        else:
            items.extend(_packed_varints(kind, payload, (*path, name)))
    else:
        if isinstance(items, memoryview):
            items = message.fields[name] = list(items)
        items.append(_scalar(kind, payload, (*path, f"{name}[{len(items)}]") if kind[0].isupper() else path, depth))


def _fixed(kind: str, payload: memoryview, path: Path, name: str) -> Any:
    size = 8 if kind == "double" else 4
    if len(payload) % size:
        raise FormatError(f"{_place((*path, name))}: {len(payload)} bytes are no whole number of {kind}s")
    try:
        return payload.cast("d" if kind == "double" else "f")
    except (TypeError, ValueError):
        return memoryview(bytes(payload)).cast("d" if kind == "double" else "f")


def _packed_varints(kind: str, payload: memoryview, path: Path) -> Iterator[int]:
    position, end = 0, len(payload)
    while position < end:
        value, position = _varint(payload, position, end, path)
        yield _signed(kind, value)


def _signed(kind: str, value: int) -> int:
    if kind in ("int64", "int32", "enum") and value >= 1 << 63:
        value -= 1 << 64
    if kind in ("int32", "enum"):
        value = (value + (1 << 31)) % (1 << 32) - (1 << 31)
    return value


def _scalar(kind: str, payload: Any, path: Path, depth: int) -> Any:
    if kind[0].isupper():
        return decode(kind, payload, path, depth + 1)
    if kind == "string":
        try:
            return str(payload, "utf-8")
        except UnicodeDecodeError:
            return bytes(payload).decode("utf-8", "surrogateescape")
    if kind == "bytes":
        return payload
    if kind in ("float", "double"):
        return struct.unpack("<f" if kind == "float" else "<d", payload)[0]
    return _signed(kind, payload)


def _merge(old: Message, new: Message) -> None:
    """A message that stands twice: the protobuf rule, at every depth. Repeated fields are joined, others replaced."""
    for name, value in new.fields.items():
        before = old.fields.get(name)
        if isinstance(before, Message) and isinstance(value, Message):
            _merge(before, value)
        elif isinstance(value, (list, memoryview)) and isinstance(before, (list, memoryview)):
            old.fields[name] = [*before, *value]
        else:
            old.fields[name] = value
    old.unknown += new.unknown


# -- writing ----------------------------------------------------------------------------------------------------------
def encode(message: Message) -> bytes:
    """The bytes of a message, fields in order of their numbers as the official writers do."""
    parts: list[bytes | memoryview] = []
    _encode(message, parts)
    return b"".join(parts)


def encode_parts(message: Message) -> list[bytes | memoryview]:
    """The bytes of a message in pieces; tensors are the very buffers, not copies."""
    parts: list[bytes | memoryview] = []
    _encode(message, parts)
    return parts


def _encode(message: Message, parts: list[bytes | memoryview]) -> int:
    begin = len(parts)
    for number, name, kind, label in _ORDERED[message.kind]:
        value = message.fields.get(name)
        if value is None:
            continue
        if label == "optional":
            _encode_one(number, kind, value, parts)
        elif label == "packed" or isinstance(value, memoryview) and kind in ("float", "double"):
            if label == "packed":
                _encode_packed(number, kind, value, parts)
            else:
                for item in value:
                    _encode_one(number, kind, item, parts)
        else:
            for item in value:
                _encode_one(number, kind, item, parts)
    parts.extend(message.unknown)
    return sum(len(part) if isinstance(part, bytes) else part.nbytes for part in parts[begin:])


def encode_varint(value: int) -> bytes:
    """A number in base 128, least significant group first."""
    value &= 0xFFFFFFFFFFFFFFFF
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _encode_one(number: int, kind: str, value: Any, parts: list[bytes | memoryview]) -> None:
    if kind[0].isupper():
        inner: list[bytes | memoryview] = []
        size = _encode(value, inner)
        parts.append(encode_varint(number << 3 | 2) + encode_varint(size))
        parts.extend(inner)
    elif kind in ("string", "bytes"):
        data = value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value
        size = data.nbytes if isinstance(data, memoryview) else len(data)
        parts.append(encode_varint(number << 3 | 2) + encode_varint(size))
        parts.append(data if isinstance(data, (bytes, memoryview)) else bytes(data))
    elif kind == "float":
        parts.append(encode_varint(number << 3 | 5) + struct.pack("<f", value))
    elif kind == "double":
        parts.append(encode_varint(number << 3 | 1) + struct.pack("<d", value))
    else:
        parts.append(encode_varint(number << 3) + encode_varint(int(value)))


def _encode_packed(number: int, kind: str, value: Any, parts: list[bytes | memoryview]) -> None:
    if not len(value):
        return
    data: bytes | memoryview
    if kind in ("float", "double"):
        data = value.cast("B") if isinstance(value, memoryview) else struct.pack(f"<{len(value)}{kind[0]}", *value)
    else:
        data = b"".join(map(encode_varint, value))
    parts.append(encode_varint(number << 3 | 2) + encode_varint(len(data)))
    parts.append(data)
