"""Where the elements of an array lie in memory, found in a fraction of the time that `array.ctypes.data` takes."""

from __future__ import annotations

import ctypes
import platform
from collections.abc import Callable

import numpy as np

_word = ctypes.c_size_t.from_address
_HEADER = object.__basicsize__


def _of_structure(array: np.ndarray) -> int:
    """The word after the header of the object: the first field of an array in NumPy's C interface (`PyArrayObject.data`)."""
    return _word(id(array) + _HEADER).value


def _of_interface(array: np.ndarray) -> int:
    return int(array.ctypes.data)


def _chosen() -> Callable[[np.ndarray], int]:
    """The fast way where objects lie at their identity, as a few arrays confirm; elsewhere the way that always works."""
    if platform.python_implementation() != "CPython":
        return _of_interface
    whole = np.arange(24, dtype=np.int16).reshape(4, 6)
    samples = (whole, whole[1:, 2::3], whole.T[3], np.empty(0), np.zeros(()))
    agrees = all(_of_structure(array) == _of_interface(array) for array in samples)
    return _of_structure if agrees else _of_interface


data_address: Callable[[np.ndarray], int] = _chosen()
"""The address of an array's first element. The array must stay alive while the address is used."""
