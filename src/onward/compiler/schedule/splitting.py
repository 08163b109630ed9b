"""Numbers of float32 as sums of three numbers of bfloat16, and their products.

Each part is the nearest number of bfloat16 to what the parts before leave over, so that the three of them are the number, but
for what lies below 2^-126, where tiles know no numbers. a * b is then, nearly to the last bit of float32, a1 b1 + (a1 b2 + a2 b1) + (a2 b2 + a1 b3 + a3 b1): the other three products are
2^-26 and less of it. Source: Henry, Tang and Heinecke 2019, Leveraging the bfloat16 artificial intelligence datatype for higher-precision computations.
"""

from __future__ import annotations

import ml_dtypes
import numpy as np

from onward.ir.datatypes import DataType
from onward.program.scalar import Scalar, cast, operation, scalar, select

PARTS = 3
PASSES = (((0, 2), (0, 1), (1, 1), (1, 0), (2, 0)), ((0, 0),))
"""The parts of both operands that are multiplied. Small products are summed first, over the whole reduction, so that they are not rounded as the large ones
are; each takes one part of the product before."""
LARGEST = float(ml_dtypes.finfo(ml_dtypes.bfloat16).max)


def split(numbers: np.ndarray, parts: int) -> list[np.ndarray]:
    """The parts of each number, in float32. What is not finite is its first part, and the others are 0."""
    finite = np.isfinite(numbers)
    rest = np.where(finite, numbers, np.float32(0))
    found: list[np.ndarray] = []
    for _ in range(parts):
        found.append(np.clip(rest, -LARGEST, LARGEST).astype(ml_dtypes.bfloat16).astype(np.float32))
        rest = rest - found[-1]
    found[0] = np.where(finite, found[0], numbers)
    return found


def split_scalar(number: Scalar, parts: int) -> list[Scalar]:
    """The same of a scalar, as bfloat16."""
    finite = operation("less", operation("absolute", number), scalar(float("inf"), DataType.FLOAT))
    rest, found = number, list[Scalar]()
    for _ in range(parts):
        inside = operation("maximum", operation("minimum", rest, LARGEST), -LARGEST) if not found else rest
        found.append(cast(cast(inside, DataType.BFLOAT16), DataType.FLOAT))
        rest = rest - found[-1]
    others = [number, *[scalar(0.0, DataType.FLOAT)] * (parts - 1)]
    return [cast(select(finite, part, other), DataType.BFLOAT16) for part, other in zip(found, others)]
