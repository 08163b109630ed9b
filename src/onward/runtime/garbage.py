"""Python's garbage collector while a model is compiled.

A compilation makes many objects and keeps nearly all of them to its end, so that looking through them again and again frees nothing;
in a process with PyTorch and TensorFlow, whose objects are looked through too, that is a tenth of the time.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

LARGE = 1 << 26
"""Bytes of a model's weights that are worth a look through all objects of the process."""


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


def release(size: int) -> None:
    """Lets go of a compiled model, whose nodes refer to one another, if its weights take `size` bytes that are worth it."""
    if size >= LARGE:
        gc.collect()
