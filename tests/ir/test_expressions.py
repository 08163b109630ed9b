"""Expressions of sizes: exact, and made in time that does not explode with their depth."""

from __future__ import annotations

import time

from onward.ir.expressions import Symbol, evaluate, is_nonnegative, maximum

LAYERS = 8


def test_sizes_that_hold_each_other() -> None:
    """Sizes of a deep network hold each other twice at each layer: their texts and bounds are found once."""
    begin = time.perf_counter()
    rows, columns = Symbol("rows"), Symbol("columns")
    for _ in range(LAYERS):
        rows, columns = maximum((rows + 3 * columns) // 4, 2 * rows // 3), maximum((3 * rows + columns) // 4, 2 * columns // 3)
        assert is_nonnegative(rows * columns)
    assert time.perf_counter() - begin < 10, "the time is exponential in the depth"
    left, right = 70, 50
    for _ in range(LAYERS):
        left, right = max((left + 3 * right) // 4, 2 * left // 3), max((3 * left + right) // 4, 2 * right // 3)
    mapping = {"rows": 70, "columns": 50}
    assert evaluate(rows * columns + rows, mapping) == left * right + left
