"""Data that a model of Keras is tried on: random numbers, zeros, ones, large numbers, one row, other sizes where sizes are open."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from onward.converters.keras.emitter import numpy_type

SIZE = 6
"""The extent of an open axis beside the batch, where no example says one."""


STATEFUL = "layer '{}' is stateful: in this model its states begin at zero with every run"


@dataclass(frozen=True)
class Port:
    """An input: its shape, with None for open sizes, and Keras's name of its data type."""

    name: str
    shape: tuple[int | None, ...]
    dtype: str


def data(ports: Sequence[Port], classes: int, words: Sequence[str], example: Sequence[np.ndarray] | None) -> dict[str, dict[str, np.ndarray]]:
    """Feeds. Whole numbers are below `classes`; text is made of the `words` of the model's vocabularies and others."""
    random = np.random.default_rng(0)

    def feeds(batch: int, more: int, maker: Callable[[tuple[int, ...]], np.ndarray]) -> dict[str, np.ndarray]:
        made = {}
        for place, port in enumerate(ports):
            like = None if example is None else example[place].shape
            shape = tuple(
                (batch if axis == 0 else (like[axis] if like else SIZE) + more) if extent is None else extent for axis, extent in enumerate(port.shape)
            )
            if port.dtype == "string":
                made[port.name] = _texts(random, words, shape)
                continue
            numbers = maker(shape) if "float" in port.dtype else random.integers(0, 2 if port.dtype == "bool" else classes, shape)
            made[port.name] = numbers.astype(numpy_type(port.dtype))
        return made

    found: dict[str, dict[str, np.ndarray]] = {}
    if example is not None:
        found["the example"] = {port.name: item for port, item in zip(ports, example, strict=True)}
    found["random numbers"] = feeds(3, 0, random.standard_normal)
    found["zeros"] = feeds(2, 0, np.zeros)
    found["ones"] = feeds(2, 0, np.ones)
    found["large numbers"] = feeds(2, 0, lambda shape: 100 * random.standard_normal(shape))
    found["one row"] = feeds(1, 0, random.standard_normal)
    if any(None in port.shape[1:] for port in ports):
        found["open sizes of 5 more"] = feeds(2, 5, random.standard_normal)
    return found


def _texts(random: np.random.Generator, known: Sequence[str], shape: tuple[int, ...]) -> np.ndarray:
    """Words of the vocabularies and others, alone and in sentences."""
    words = [*known, *(word.upper() for word in known), "other", "co-operate,", "(it's)", ""]
    sentences = [" ".join(random.choice(words, size)) for size in random.integers(1, 6, int(np.prod(shape)))]
    return np.array(sentences, object).reshape(shape)
