"""Models from files and to files."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from onward.errors import ExternalDataError, FormatError, InvalidArgument
from onward.format.mapping import MappedFile
from onward.format.text import parse_model_text, print_model_text
from onward.format.wire import Message, encode, encode_parts
from onward.ir.deserialization import model_from_bytes
from onward.ir.model import Model
from onward.ir.serialization import model_to_message

TEXT_SUFFIX = ".onnxtxt"
EXTERNAL_ALIGNMENT = 64


def load(source: Any) -> Model:
    """The model in a file (path), in bytes, in a binary file object, or in an object with SerializeToString.

    A file is memory-mapped: tensors are views of it, read when somebody looks. Raises FormatError for damaged data and
    InvalidGraph for a graph whose names do not fit together.
    """
    if isinstance(source, Model):
        return source
    if isinstance(source, (str, os.PathLike)):
        return _load_path(Path(source))
    if isinstance(source, (bytes, bytearray, memoryview)):
        return model_from_bytes(memoryview(source).cast("B"))
    if hasattr(source, "SerializeToString"):
        return model_from_bytes(source.SerializeToString())
    if hasattr(source, "read"):
        return model_from_bytes(source.read())
    raise InvalidArgument(f"cannot load a model from {type(source).__name__}; expected a path, bytes, a file or a model")


as_model = load


def parse_text(text: str) -> Model:
    """The model that a text in the ONNX text syntax describes. Raises FormatError with line and column."""
    return model_from_bytes(encode(parse_model_text(text)))


def print_text(model: Any) -> str:
    """A model in the ONNX text syntax."""
    return print_model_text(model_to_message(as_model(model)))


def _load_path(path: Path) -> Model:
    if path.suffix == TEXT_SUFFIX:
        try:
            return parse_text(path.read_text("utf-8", "surrogateescape"))
        except OSError as problem:
            raise FormatError(f"'{path}' cannot be opened: {problem.strerror}") from problem
    try:
        with open(path, "rb") as file:
            if os.fstat(file.fileno()).st_size == 0:
                raise FormatError(f"'{path}' is empty")
            mapped = MappedFile.of(file)
    except OSError as problem:
        raise FormatError(f"'{path}' cannot be opened: {problem.strerror}") from problem
    model = model_from_bytes(memoryview(mapped), path)
    mapped.let_go()  # reading the names between the tensors has made the system map what lies around them
    return model


def save(model: Any, path: str | os.PathLike[str], *, external_data: str | None = None, size_threshold: int = 1024) -> None:
    """Writes a model; a path that ends in .onnxtxt gets the text syntax.

    Tensors are inline, or, of at least `size_threshold` bytes, in the file `external_data` (a plain file name) beside the
    model, each at a multiple of 64 bytes. Files appear whole or not at all. Raises ExternalDataError for a name that is
    no plain file name.
    """
    model = as_model(model)
    target = Path(path)
    message = model_to_message(model)
    if target.suffix == TEXT_SUFFIX:
        write_whole(target, [print_model_text(message).encode("utf-8", "surrogateescape")])
        return
    if external_data is not None:
        if external_data != Path(external_data).name or external_data in ("", ".", "..", target.name) or "\\" in external_data:
            raise ExternalDataError(f"'{external_data}' cannot hold the tensors of '{target.name}': expected a plain file name")
        data = _move_out(message, external_data, size_threshold)
        write_together([(target.parent / external_data, data), (target, encode_parts(message))])
        return
    write_whole(target, encode_parts(message))


def _move_out(message: Message, location: str, threshold: int) -> list[bytes | memoryview]:
    """Replaces the data of all large tensors, wherever they stand, by references to a file; gives that file's content."""
    parts: list[bytes | memoryview] = []
    position = 0
    for tensor in _tensors(message):
        name, data = _data_of(tensor)
        size = memoryview(data).nbytes
        if size < threshold:
            continue
        gap = -position % EXTERNAL_ALIGNMENT
        entries = {"location": location, "offset": position + gap, "length": size}
        props = [Message("StringStringEntryProto", key=key, value=str(value)) for key, value in entries.items()]
        del tensor.fields[name]
        tensor.fields.update(external_data=props, data_location=1)
        parts += [bytes(gap), data]
        position += gap + size
    return parts


def _tensors(message: Message) -> Iterator[Message]:
    """Every tensor of a model: initialisers and attributes, those of graphs inside and of functions included."""
    for name, value in message.fields.items():
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, Message) and item.kind == "TensorProto" and name != "sparse_initializer":
                yield item
            elif isinstance(item, Message) and item.kind != "SparseTensorProto":
                yield from _tensors(item)


NUMBERS = {"float_data": np.float32, "double_data": np.float64, "int64_data": np.int64, "uint64_data": np.uint64}
"""The fields that hold elements one to one; int32_data holds many types and stays where it is."""


def _data_of(tensor: Message) -> tuple[str, bytes | memoryview]:
    """The field that holds a tensor's numbers, and the numbers as they would lie in a file."""
    if "raw_data" in tensor.fields:
        return "raw_data", tensor.fields["raw_data"]
    for name, kind in NUMBERS.items():
        if name in tensor.fields and tensor.get("data_type") in (1, 7, 11, 13):
            value = tensor.fields[name]
            return name, bytes(value) if isinstance(value, memoryview) else np.array(value, kind).tobytes()
    return "", b""


def write_together(files: Sequence[tuple[Path, Iterable[bytes | memoryview]]]) -> None:
    """Writes several files aside, and only when all are there gives them their names."""
    written: list[tuple[str, Path]] = []
    try:
        for target, parts in files:
            written.append((_write_aside(target, parts), target))
        while written:
            name, target = written[0]
            os.replace(name, target)
            written.pop(0)
    except BaseException:
        for name, _ in written:
            os.unlink(name)
        raise


def write_whole(target: Path, parts: Iterable[bytes | memoryview]) -> None:
    """Writes a file aside and renames it, with the permissions that a new file would have."""
    write_together([(target, parts)])


def _write_aside(target: Path, parts: Iterable[bytes | memoryview]) -> str:
    handle, name = tempfile.mkstemp(prefix=f".{target.name}-", dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            for part in parts:
                file.write(part)
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(name, 0o666 & ~mask)
    except BaseException:
        os.unlink(name)
        raise
    return name
