"""What is written takes its place whole, or not at all."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from onward.errors import InvalidArgument

BESIDE_WEIGHTS = 1 << 16
"""Bytes that files need for what is no weight."""


def require_place(path: Path, native: bool) -> None:
    """Raises InvalidArgument where a native file, or a folder of source, cannot be: before anything is computed."""
    if native and not path.absolute().parent.is_dir():
        raise InvalidArgument(f"there is no folder '{path.parent}' for '{path.name}'")
    if not native and (path.exists() or _above(path) != path) and not _above(path).is_dir():
        raise InvalidArgument(f"'{_above(path)}' is a file, and a folder is written")


@contextmanager
def placed(path: Path, native: bool, weights: int = 0) -> Iterator[Path]:
    """A path on the same disk to write to; what is there, and beside it, in the end goes to `path`, and beside it.

    A native folder is replaced as a whole, one of source keeps its other files. Raises OSError that names `path`; what was there is still there then.
    A disk without room for that many bytes of `weights` is refused at once: libraries that write to it end the process.
    """
    try:
        if weights and shutil.disk_usage(_above(path.absolute().parent)).free < weights + BESIDE_WEIGHTS:
            raise OSError(errno.ENOSPC, "")
        with tempfile.TemporaryDirectory(prefix=".", dir=_above(path.absolute().parent)) as place:
            made, old = Path(place) / "made", Path(place) / "old"
            made.mkdir()
            yield made / path.name
            path.parent.mkdir(parents=True, exist_ok=True)
            for item in sorted(made.iterdir() if native else (made / path.name).iterdir()):
                _move(item, (path.parent if native else _made(path)) / item.name, old)
    except OSError as problem:
        if problem.errno is None:
            raise
        raise OSError(problem.errno, f"{os.strerror(problem.errno)}; nothing was written", str(path)) from problem


def _above(path: Path) -> Path:
    """The path, or the nearest one above it, that is there."""
    return next(item for item in (path.absolute(), *path.absolute().parents) if item.exists())


def _made(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    return folder


def _move(item: Path, final: Path, old: Path) -> None:
    if final.is_dir():
        final.rename(old)
    try:
        item.replace(final)
    except OSError:
        if old.exists():
            old.rename(final)
        raise
