"""Random numbers as a function of their position: SplitMix64 on a counter, so that they are plain index expressions.

Source: Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators". A seed gives the same numbers on
every machine and with any number of threads.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence

import numpy as np

from onward import program as P
from onward.ir.datatypes import DataType
from onward.ir.expressions import Dimension
from onward.operators.registry import Context

GOLDEN = 0x9E3779B97F4A7C15
"""The odd number next to 2^64 divided by the golden ratio."""


def seed_of(seed: float | None, context: Context) -> int:
    """64 bits from the attribute; without it from the node's name, so that nodes differ and runs do not."""
    if seed is None:
        names = "/".join([context.node.name, *(output.name for output in context.node.outputs)])
        return zlib.crc32(names.encode()) * GOLDEN % 2**64
    return (int(np.float32(seed).view(np.uint32)) + 1) * GOLDEN % 2**64


def uniform(position: Sequence[Dimension], shape: Sequence[Dimension], seed: int, dtype: DataType) -> P.Scalar:
    """A number in [0, 1) for a position: float64 with 53 random bits, else float32 with 24."""
    number: Dimension = 0
    for place, extent in zip(position, shape):
        number = number * extent + place
    bits = _mixed(P.scalar(number, DataType.UINT64), seed)
    if dtype == DataType.DOUBLE:
        return P.cast(bits >> 11, DataType.DOUBLE) * 2.0**-53
    return P.cast(bits >> 40, DataType.FLOAT) * 2.0**-24


def normal(position: Sequence[Dimension], shape: Sequence[Dimension], seed: int, dtype: DataType) -> P.Scalar:
    """A number with the standard normal distribution. Box and Muller 1958."""
    first, second = (uniform([*position, part], [*shape, 2], seed, dtype) for part in (0, 1))
    return P.sqrt(-2.0 * P.log(1.0 - first)) * P.cos(2 * math.pi * second)


def _mixed(counter: P.Scalar, seed: int) -> P.Scalar:
    bits = counter * GOLDEN + (seed + GOLDEN) % 2**64
    bits = (bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9
    bits = (bits ^ (bits >> 27)) * 0x94D049BB133111EB
    return bits ^ (bits >> 31)
