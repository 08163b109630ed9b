"""The file that a model was converted from, as its certificate remembers it."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

from onward.converters.certificate import Certificate, place_beside
from onward.converters.frameworks import foreign
from onward.errors import ConversionMismatch, InvalidArgument
from onward.ir import Model, load


def record(source: Any) -> dict[str, str]:
    """Path and SHA-256 of a source that is a file or a folder; nothing of one that is an object."""
    if not isinstance(source, (str, os.PathLike)):
        return {}
    return {"path": str(source), "sha256": _digest(Path(source))}


def onnx_model(model: Any) -> Model:
    """An ONNX model of anything that `onward.load` takes. Raises InvalidArgument for a file or folder of another framework."""
    if isinstance(model, Model):
        return model
    if isinstance(model, (str, os.PathLike)) and (Path(model).is_dir() or foreign(Path(model)) is not None):
        raise InvalidArgument(
            f"'{model}' is no ONNX file, and no certificate beside it says what it was made of: give its source as well, or the certificate "
            f"'{place_beside(Path(model))}' that its conversion wrote"
        )
    return load(model)


def recorded(certificate: Certificate, result: Any) -> Path:
    """The source that a certificate names, looked for where it was and beside the file of the result.

    Raises InvalidArgument where none is named or it is not there, and ConversionMismatch where its content is another by now.
    """
    if not certificate.source:
        raise InvalidArgument(f"'{result}' was made of an object, no file, so that its certificate does not name its source: pass that as well")
    path = Path(certificate.source["path"])
    places = [path] if result is None else [path, Path(result).parent / path.name]
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
