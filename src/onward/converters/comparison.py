"""Two arrays side by side: how far they are apart, and how far they may be."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np

from onward.errors import ConversionMismatch

NARROW = 4e-2
"""The tolerance of bfloat16 and of floats of 8 bits and less."""


@dataclass(frozen=True)
class Statistics:
    """What one looks at first in an array: its shape and type, least and greatest number, mean, and what is not finite."""

    shape: tuple[int, ...]
    dtype: str
    least: float
    greatest: float
    mean: float
    not_finite: int

    @classmethod
    def of(cls, array: np.ndarray) -> Statistics:
        """The statistics of an array of numbers; of text only shape and type."""
        if array.dtype.kind in "OUS" or array.size == 0:
            return cls(array.shape, str(array.dtype), np.nan, np.nan, np.nan, 0)
        numbers = array.astype(np.complex128 if array.dtype.kind == "c" else np.float64)
        finite = np.abs(numbers[np.isfinite(numbers)]) if array.dtype.kind == "c" else numbers[np.isfinite(numbers)]
        if not finite.size:
            return cls(array.shape, str(array.dtype), np.nan, np.nan, np.nan, array.size)
        figures = (float(finite.min()), float(finite.max()), float(finite.mean()))
        return cls(array.shape, str(array.dtype), *figures, array.size - finite.size)

    def __str__(self) -> str:
        odd = f", {self.not_finite} not finite" if self.not_finite else ""
        return f"{self.dtype} {list(self.shape)}, {self.least:.6g} to {self.greatest:.6g}, mean {self.mean:.6g}{odd}"


def tolerance_of(dtype: np.dtype, tolerances: Mapping[Any, float]) -> float:
    """The greatest relative difference for a type: 0 for whole numbers and text."""
    return tolerances.get(dtype, NARROW if dtype.kind not in "biufcOUS" else 0.0)


def tolerances_with(narrow: Iterable[np.dtype], tolerances: Mapping[Any, float]) -> tuple[dict[Any, float], tuple[str, ...]]:
    """The tolerances where a source rounds to narrow types on the way to results of wider ones, which have no more digits then, and what is
    to be noted."""
    limits = {str(dtype): tolerance_of(dtype, tolerances) for dtype in narrow if dtype.itemsize < 4 and dtype.kind not in "biuOUS"}
    if not limits:
        return dict(tolerances), ()
    coarsest = max(limits, key=lambda name: limits[name])
    note = f"the source computes in {coarsest} on the way: all real results are compared as numbers of that type"
    return {dtype: max(limit, limits[coarsest]) for dtype, limit in tolerances.items()}, (note,)


def difference(ours: np.ndarray, theirs: np.ndarray, where: str) -> dict[str, float]:
    """The greatest absolute difference, the same relative to the largest number of `theirs`, and in units of the last place;
    for whole numbers and text how many elements differ. Raises ConversionMismatch where the shapes differ."""
    if ours.shape != theirs.shape:
        raise ConversionMismatch(f"{where} has shape {ours.shape}, expected {theirs.shape}")
    if theirs.dtype.kind in "iu" and ours.dtype == theirs.dtype:
        gap = np.abs(ours.astype(object) - theirs.astype(object)) if theirs.dtype.itemsize == 8 else np.abs(ours.astype(np.int64) - theirs)
        return {"different": float(np.sum(gap != 0)), "steps": float(gap.max(initial=0))}
    if theirs.dtype.kind in "iubOUS":
        return {"different": float(np.sum(ours != theirs))}
    kind = np.complex128 if theirs.dtype.kind == "c" else np.float64
    left, right = ours.astype(kind), theirs.astype(kind)
    same = (left == right) | np.isnan(left) & np.isnan(right)
    with np.errstate(invalid="ignore"):
        gap = np.where(same, 0.0, np.abs(left - right))
    gap = np.where(np.isnan(gap), np.inf, gap)
    scale = np.abs(right[np.isfinite(right)]).max(initial=0) or 1.0
    with np.errstate(over="ignore"):
        units = gap / _spacing(theirs)
    return {
        "absolute": float(gap.max(initial=0)),
        "relative": float(gap.max(initial=0) / scale),
        "units": float(np.nan_to_num(units).max(initial=0)),
    }


def row_gaps(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """(rows,): the greatest absolute difference in each row of two arrays of one shape; 1 where text or whole numbers differ."""
    if theirs.dtype.kind in "iubOUS":
        gaps = np.asarray(ours != theirs, np.float64)
    else:
        same = (ours == theirs) | np.isnan(ours) & np.isnan(theirs)
        with np.errstate(invalid="ignore"):
            gaps = np.where(same, 0.0, np.nan_to_num(np.abs(ours - theirs), nan=np.inf))
    return gaps.reshape(len(gaps), -1).max(axis=1, initial=0)  # type: ignore[no-any-return]


def exceeds(found: Mapping[str, float], allowed: float, step: float = 0) -> bool:
    """Whether a difference is greater than what is allowed, and than `step`, the distance of neighbouring results."""
    if found.get("different", 0) > 0:
        return found.get("steps", np.inf) > step
    return found.get("relative", 0) > allowed and found["absolute"] > step * (1 + 1e-6)


def rounded(found: Mapping[str, float]) -> str:
    """A difference as people read it."""
    return ", ".join(f"{what} {value:.3g}" for what, value in found.items())


def _spacing(array: np.ndarray) -> np.ndarray:
    """The distance to the next number of the type, at each number."""
    if array.dtype.kind == "c":
        return _spacing(np.maximum(np.abs(array.real), np.abs(array.imag)))
    if array.dtype.kind == "f":
        return np.spacing(np.maximum(np.abs(array), np.finfo(array.dtype).tiny)).astype(np.float64)
    limits = ml_dtypes.finfo(array.dtype)
    return np.maximum(np.abs(array.astype(np.float64)), float(limits.tiny)) * float(limits.eps)
