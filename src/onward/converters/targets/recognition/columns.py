"""What the tests of trees look at: columns of the rows, as they are or made whole, with marks for missing values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from onward import program as P
from onward.converters.targets.recognition.rows import RowModel, Unrecognized

MOST_CATEGORIES = 300
"""The categories that are looked for where unknown ones count as missing: histograms have 255 of them at most."""

ZERO = float(np.float32(1e-35))
"""Numbers up to this size count as zero in LightGBM."""


@dataclass(frozen=True)
class ColumnMap:
    """What a test looks at: `column` of the rows through `function`, by `kind`; `marks` are where the function jumps besides whole numbers."""

    column: int
    kind: str
    function: Callable[[np.ndarray], np.ndarray]
    dtype: np.dtype
    marks: tuple[float, ...] = ()
    known: dict[int, float] | None = None
    """What each category that is known becomes, where all others count as missing."""

    @property
    def whole(self) -> bool:
        """Whether tests see whole numbers alone."""
        return self.kind in ("floor", "whole part", "known categories")

    def regions(self, low: float, high: float, missing: bool) -> tuple[list[float], list[bool]]:
        """Where low <= function(x) <= high holds: the numbers at which that changes, in order, each the last of its region, and
        whether it holds in each region, the last one included. NaN as what the function gives counts as `missing` says, and one region at
        least is like it: the last one, of no number, if need be."""
        if self.known is not None:
            raise Unrecognized(f"it takes column {self.column} for categories, but asks which of them are greater")
        if self.kind == "same" and low == -np.inf and np.isfinite(high):  # as nearly all tests are
            return [float(high)], [True, False]
        below = lambda value: float(np.nextafter(value.astype(self.dtype), self.dtype.type(-np.inf)))  # noqa: E731
        ends: list[float] = []
        for limit in (low, high):
            if np.isfinite(limit):
                number = self.dtype.type(limit)
                ends += [float(number), below(number)]
                if self.whole:
                    for whole in (np.ceil(number), np.floor(number), np.ceil(number) - 1, np.floor(number) + 1):
                        ends += [float(whole), below(self.dtype.type(whole))]
        for mark in self.marks:
            ends += [mark, below(self.dtype.type(mark))]
        ends = sorted({end for end in ends if np.isfinite(end)})
        with np.errstate(invalid="ignore"):
            seen = self.function(np.array([*ends, np.inf], self.dtype))
            holds = np.where(np.isnan(seen), missing, (seen >= low) & (seen <= high)).astype(bool).tolist()
        kept = [number for number in range(len(ends)) if holds[number] != holds[number + 1]]
        if not kept and holds[-1] != missing:  # the same for all numbers
            return [np.inf], [holds[-1], missing]
        return [ends[number] for number in kept], [*(holds[number] for number in kept), holds[-1]]


def _kinds(rows: RowModel) -> list[tuple[str, Callable[[np.ndarray], np.ndarray], tuple[float, ...]]]:
    found: list[tuple[str, Callable[[np.ndarray], np.ndarray], tuple[float, ...]]] = [
        ("same", lambda x: x, ()),
        ("floor", np.floor, ()),
        ("whole part", np.trunc, ()),
        ("zero is missing", lambda x: np.where(np.abs(x) <= ZERO, np.nan, x), (ZERO, -ZERO)),
    ]
    for node in rows.model.graph.nodes:
        if node.op_type == "Equal" and node.inputs[1] is not None and node.inputs[1].tensor is not None:
            mark = node.inputs[1].tensor.numpy().reshape(-1)
            if mark.size == 1 and mark.dtype.kind == "f":
                found.append((f"{mark[0]} is missing", lambda x, mark=mark[0]: np.where(x == mark, np.nan, x), (float(mark[0]),)))  # type: ignore[misc]
    return found


def column_maps(rows: RowModel, tested: P.Array, start: P.Array | None, used: Sequence[int]) -> tuple[int, dict[int, ColumnMap], bool]:
    """The number of columns, what each of the `used` columns of `tested` is, and whether they are rounded to float32.

    Raises Unrecognized for a column that is made in another way.
    """
    width = rows.columns if start is None else int(start.shape[1])  # type: ignore[call-overload]
    dtype = np.dtype(rows.dtype if start is None else start.dtype.numpy)
    kinds = _kinds(rows)
    given = _probes(width, [mark for _, _, marks in kinds for mark in marks]).astype(dtype)
    seen = rows.before(tested, given, start)
    single = dtype == np.float64 and not _same(seen, given) and seen.dtype == np.float64 and bool(_same(seen, seen.astype(np.float32)))
    single = single or dtype == np.float32
    given = given.astype(np.float32).astype(dtype) if single else given
    compared = np.dtype(np.float32) if single and seen.dtype == np.float32 else np.dtype(np.float64)
    maps = {}
    for place in used:
        for column, (kind, function, marks) in [(column, item) for item in kinds for column in [place % width, *range(width)]]:
            if _same(seen[:, place], function(given[:, column])):
                maps[place] = ColumnMap(column, kind, function, compared, marks)
                break
        else:
            maps[place] = _known_categories(rows, tested, start, width, place)
    return width, maps, single


def _known_categories(rows: RowModel, tested: P.Array, start: P.Array | None, width: int, place: int) -> ColumnMap:
    """What `place` of the tested numbers is, where it is a number for each of some categories and NaN for all else."""
    numbers = np.arange(-1, MOST_CATEGORIES).astype(np.float64)
    for column in [place % width, *range(width)]:
        given = np.full((2 * len(numbers), width), 0.5)
        given[:, column] = np.concatenate([numbers, numbers + 0.5])
        seen = rows.before(tested, given, start)[:, place].astype(np.float64)
        known = {int(number): float(code) for number, code in zip(numbers, seen) if not np.isnan(code)}
        if known and -1 not in known and np.isnan(seen[len(numbers) :]).all() and all(code.is_integer() for code in known.values()):
            return ColumnMap(column, "known categories", lambda x: x, np.dtype(np.float64), (), known)
    raise Unrecognized(f"its trees look at column {place} of numbers that are made of the rows, not the rows themselves")


def _probes(width: int, marks: Sequence[float]) -> np.ndarray:
    """Rows without two equal columns: fractions of both signs, zeros, marks and missing values."""
    random = np.random.default_rng(0)
    found = random.standard_normal((64, width)) * 5
    for value in (0.0, np.nan, *marks):
        found[random.random(found.shape) < 0.08] = value
    return found


def _same(left: np.ndarray, right: np.ndarray) -> bool:
    return left.shape == right.shape and bool(np.array_equal(left.astype(np.float64), right.astype(np.float64), equal_nan=True))
