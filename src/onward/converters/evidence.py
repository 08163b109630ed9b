"""What a certificate keeps of its runs, so that they can be repeated where the source is no file: small data, and what the source gave for them."""

from __future__ import annotations

import base64
import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from onward.errors import InvalidArgument
from onward.ir.datatypes import DataType

LIMIT = 8192
"""Bytes of data and results, packed, that a certificate keeps."""
LARGEST = 1 << 22
"""Bytes of data that it looks at: zeros pack well."""

Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Evidence:
    """A run: what the data are, feeds and the source's results by name, and by output how far it may be from ours, relative to the
    largest number, and in steps of whole numbers."""

    data: str
    feeds: dict[str, Any]
    results: dict[str, Any]
    allowed: dict[str, tuple[float, float]]

    @classmethod
    def of(cls, data: str, feeds: Arrays, results: Arrays, allowed: Mapping[str, tuple[float, float]], rows: bool) -> Evidence | None:
        """A run in packed form; its first rows alone where the source takes `rows` one by one. None where that is too large."""
        arrays = [np.asarray(item) for item in (*feeds.values(), *results.values())]
        size = sum(map(_bytes, arrays))
        cut: Any = ...
        if rows and all(item.ndim and len(item) == len(arrays[0]) for item in arrays):
            cut = slice(len(arrays[0]) * LIMIT // max(size, LIMIT))
        elif size > LARGEST:
            return None
        given, found = ({name: _packed(np.asarray(item)[cut]) for name, item in part.items()} for part in (feeds, results))
        made = cls(data, given, found, dict(allowed))
        return made if made.size <= LIMIT else None

    @classmethod
    def read(cls, kept: Any) -> Evidence:
        """What a certificate keeps. Raises InvalidArgument where that is no run: a file may hold anything."""
        try:
            made = cls(**kept)
            allowed = {name: (float(made.allowed[name][0]), float(made.allowed[name][1])) for name in made.results}
            return cls(str(made.data), dict(made.feeds), dict(made.results), allowed)
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as problem:
            raise InvalidArgument(f"a run that the certificate keeps is damaged ({problem}): pass the source to compare again") from problem

    @property
    def size(self) -> int:
        """The characters that the arrays take."""
        return sum(len(str(item)) for part in (self.feeds, self.results) for item in part.values())

    def arrays(self) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """Feeds and results. Raises InvalidArgument where they are damaged."""
        feeds, results = ({name: _unpacked(item) for name, item in part.items()} for part in (self.feeds, self.results))
        return feeds, results


def _bytes(array: np.ndarray) -> int:
    return sum(len(str(item)) + 4 for item in array.reshape(-1)) if array.dtype.kind in "OUS" else array.nbytes


def _packed(array: np.ndarray) -> dict[str, Any]:
    if array.dtype.kind in "OUS":
        return {"type": "STRING", "shape": list(array.shape), "texts": [str(item) for item in array.reshape(-1)]}
    packed = base64.b85encode(zlib.compress(np.ascontiguousarray(array).tobytes(), 9))
    return {"type": DataType.of(array.dtype).name, "shape": list(array.shape), "bytes": packed.decode()}


def _unpacked(item: Mapping[str, Any]) -> np.ndarray:
    """Raises InvalidArgument for what is no packed array: a file may hold anything."""
    try:
        if "texts" in item:
            return np.array([str(text) for text in item["texts"]], object).reshape(item["shape"])
        kind, shape = DataType[item["type"]].numpy, [int(extent) for extent in item["shape"]]
        size = math.prod(shape) * kind.itemsize
        if min(shape, default=0) < 0 or size > LARGEST:
            raise ValueError(f"an array of shape {shape}")
        # No more is unpacked than the array has, whatever the bytes would become.
        return np.frombuffer(zlib.decompressobj().decompress(base64.b85decode(item["bytes"]), size or 1), kind).reshape(shape)
    except (KeyError, TypeError, ValueError, zlib.error) as problem:
        raise InvalidArgument(f"a run that the certificate keeps is damaged ({problem}): pass the source to compare again") from problem
