"""Files that are looked at where the system maps them: read when somebody looks, and given back."""

from __future__ import annotations

import mmap
from typing import IO

import numpy as np


class MappedFile(mmap.mmap):
    """A file in memory, not to be written to."""

    @classmethod
    def of(cls, file: IO[bytes]) -> MappedFile:
        """The whole of an open file, which is not empty. Raises OSError."""
        return cls(file.fileno(), 0, access=mmap.ACCESS_READ)

    def let_go(self, start: int = 0, end: int | None = None) -> None:
        """Gives back what the system has read of these bytes, whole pages of them; it is read again when somebody looks."""
        first, last = -(-start // mmap.PAGESIZE) * mmap.PAGESIZE, (len(self) if end is None else end // mmap.PAGESIZE * mmap.PAGESIZE)
        if last > first and hasattr(mmap, "MADV_DONTNEED"):
            self.madvise(mmap.MADV_DONTNEED, first, last - first)


def let_go(array: np.ndarray) -> None:
    """The same for what an array shows of a MappedFile; nothing for any other array."""
    base: object = array
    while isinstance(base, np.ndarray):
        base = base.base
    file = base.obj if isinstance(base, memoryview) else base
    if isinstance(file, MappedFile) and array.flags.c_contiguous:
        start = array.ctypes.data - np.frombuffer(file, np.uint8).ctypes.data
        file.let_go(start, start + array.nbytes)
