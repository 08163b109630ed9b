"""The file that a model was converted from, as its certificate remembers it."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

from onward.errors import ConversionMismatch, InvalidArgument
from onward.ir import Model


def record(source: Any) -> dict[str, str]:
    """Path and SHA-256 of a source that is a file or a folder; nothing of one that is an object."""
    if not isinstance(source, (str, os.PathLike)):
        return {}
    return {"path": str(source), "sha256": _digest(Path(source))}


def is_recorded(model: Model) -> bool:
    """Whether the model's certificate names a source."""
    from onward.converters.certificate import Certificate

    certificate = Certificate.of(model)
    return certificate is not None and bool(certificate.source)


def recorded(model: Model) -> Path:
    """The source that the model's certificate names, looked for where it was and beside the model.

    Raises InvalidArgument where it is not there, and ConversionMismatch where its content is another by now.
    """
    from onward.converters.certificate import Certificate

    certificate = Certificate.of(model)
    assert certificate is not None
    path = Path(certificate.source["path"])
    places = [path] if model.path is None else [path, Path(model.path).parent / path.name]
    found = next((place for place in places if place.exists()), None)
    if found is None:
        raise InvalidArgument(f"the source '{path}' is not there any more: pass the place where it is now")
    if _digest(found) != certificate.source["sha256"]:
        raise ConversionMismatch(f"'{found}' has changed since the model was converted from it")
    return found


def _digest(path: Path) -> str:
    """SHA-256 of a file, or of the names and contents of all files of a folder."""
    total = hashlib.sha256()
    for file in sorted(item for item in path.rglob("*") if item.is_file()) if path.is_dir() else [path]:
        if path.is_dir():
            total.update(file.relative_to(path).as_posix().encode() + b"\0")
        with open(file, "rb") as opened:
            total.update(hashlib.file_digest(opened, "sha256").digest())
    return total.hexdigest()
