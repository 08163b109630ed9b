"""Models from files and to files."""

from __future__ import annotations

import mmap
import os
import tempfile
from pathlib import Path
from typing import Any

from onward.errors import FormatError, InvalidArgument
from onward.format.wire import encode_parts
from onward.ir.model import Model
from onward.ir.serialization import model_from_bytes, model_to_message


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


def _load_path(path: Path) -> Model:
    try:
        with open(path, "rb") as file:
            if os.fstat(file.fileno()).st_size == 0:
                raise FormatError(f"'{path}' is empty")
            data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    except OSError as problem:
        raise FormatError(f"'{path}' cannot be opened: {problem.strerror}") from problem
    return model_from_bytes(data, path)


def save(model: Any, path: str | os.PathLike[str]) -> None:
    """Writes a model with its tensors inline. The file appears whole or not at all."""
    model = as_model(model)
    target = Path(path)
    handle, name = tempfile.mkstemp(prefix=target.name, dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            for part in encode_parts(model_to_message(model)):
                file.write(part)
        os.replace(name, target)
    except BaseException:
        os.unlink(name)
        raise
