"""Python's garbage collector while a model is compiled.

A compilation makes many objects and keeps nearly all of them to its end, so that looking through them again and again frees nothing;
in a process with PyTorch and TensorFlow, whose objects are looked through too, that is a tenth of the time.
"""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Iterator
from contextlib import contextmanager, suppress

LARGE = 1 << 26
"""Bytes of a model's weights that are worth a look through all objects of the process."""
MANY = 50
"""Kernels whose compilation leaves as much behind: 190 MB for DenseNet-121, which has 300 of them and 33 MB of weights."""


@contextmanager
def collected_late() -> Iterator[None]:
    """Within it the collector waits."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def release(size: int, kernels: int) -> None:
    """Lets go of a compiled model, whose nodes refer to one another, if its weights take `size` bytes, or it has so many `kernels`, that it is worth it."""
    if size >= LARGE or kernels >= MANY:
        gc.collect()
        give_back()


def give_back() -> None:
    """Memory that is free within the C library goes back to the system, where glibc is it: it keeps 50 to 110 MB after a large compilation."""
    with suppress(OSError, TypeError, AttributeError):  # no such library, or no such function in it
        ctypes.CDLL(None).malloc_trim(0)
