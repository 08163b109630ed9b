"""External data: tensors whose bytes lie in files beside the model.

No path is trusted: a location must name a regular file inside the model's folder, reached without links.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Mapping
from pathlib import Path

from onward.errors import ExternalDataError
from onward.format.mapping import MappedFile


def check_location(folder: Path, location: str, tensor: str) -> Path:
    """The file a location names. Raises ExternalDataError when it could lie outside the folder."""
    where = f"tensor '{tensor}': external data location '{location}'"
    if not location or "\0" in location:
        raise ExternalDataError(f"{where} names no file")
    parts = location.replace("\\", "/").split("/")
    if os.path.isabs(location) or location.startswith(("/", "\\")) or ":" in parts[0] or ".." in parts:
        raise ExternalDataError(f"{where} leaves the model's folder; only relative paths inside it are read")
    path = folder
    try:
        for part in parts:
            path = path / part
            if path.is_symlink():
                raise ExternalDataError(f"{where} goes through the symbolic link '{path.name}', which could lead anywhere")
        status = path.stat()
    except OSError as problem:
        raise ExternalDataError(f"{where} cannot be opened in '{folder}': {problem.strerror}") from problem
    if not stat.S_ISREG(status.st_mode):
        raise ExternalDataError(f"{where} is not a regular file")
    if status.st_nlink > 1:
        raise ExternalDataError(f"{where} has {status.st_nlink} hard links, so it may belong to something else; copy the file")
    return path


class ExternalFiles:
    """The external files of one model, each mapped once, when first read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._maps: dict[str, memoryview] = {}
        self._sums: dict[str, str] = {}

    def read(self, entries: Mapping[str, str], tensor: str, size: int) -> memoryview:
        """The bytes of a tensor of `size` bytes, as a view of the file."""
        location = entries.get("location", "")
        offset, length = (self._number(entries, name, tensor) for name in ("offset", "length"))
        data = self._map(location, tensor)
        self._verify(entries.get("checksum", ""), location, data, tensor)
        begin = offset or 0
        count = size if length is None else length
        if begin + count > len(data):
            raise ExternalDataError(f"tensor '{tensor}' needs bytes {begin} to {begin + count} of '{location}', which has {len(data)}")
        return data[begin : begin + count]

    def _verify(self, checksum: str, location: str, data: memoryview, tensor: str) -> None:
        """Compares the SHA-1 sum of the whole file, where the model gives one."""
        if not checksum:
            return
        if location not in self._sums:
            self._sums[location] = hashlib.sha1(data).hexdigest()  # the sum that the standard names, against accidents
        if self._sums[location] != checksum.lower():
            raise ExternalDataError(f"tensor '{tensor}': '{location}' has another SHA-1 sum than the model says; it has changed")

    def _number(self, entries: Mapping[str, str], name: str, tensor: str) -> int | None:
        text = entries.get(name)
        if text is None or text == "":
            return None
        if not (text.isascii() and text.isdecimal()) or len(text) > 19:
            raise ExternalDataError(f"tensor '{tensor}': external data {name} is '{text}', expected a number of bytes")
        return int(text)

    def _map(self, location: str, tensor: str) -> memoryview:
        if location not in self._maps:
            path = check_location(self.folder, location, tensor)
            with open(path, "rb") as file:
                empty = os.fstat(file.fileno()).st_size == 0
                self._maps[location] = memoryview(b"") if empty else memoryview(MappedFile.of(file))
        return self._maps[location]
