"""The native code of each routine, against the evaluator."""

from __future__ import annotations

import numpy as np
import pytest

from onward import program as P
from onward.errors import IndexOutOfBounds, RunError
from onward.ir.datatypes import DataType
from onward.runtime.executable import Executable
from tests.compiler.native import TARGETS, compare, compile_arrays

FLOAT, INT64 = DataType.FLOAT, DataType.INT64
BATCH = P.Symbol("batch")
X = P.Input((BATCH, 7, 5), FLOAT, "x")
NUMBERS = np.round(np.random.default_rng(0).standard_normal((3, 7, 5)) * 3).astype(np.float32)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("exclusive", [False, True])
@pytest.mark.parametrize("reverse", [False, True])
def test_cumulative(target: str, axis: int, exclusive: bool, reverse: bool) -> None:
    for operation in ("sum", "prod"):
        (result,) = P.routine("cumulative", [X], [(X.shape, FLOAT)], axis=axis, exclusive=exclusive, reverse=reverse, operation=operation)
        compare([X], {"y": result}, {"x": NUMBERS}, target)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("largest", [False, True])
def test_top_k_keeps_the_order_of_equals_and_puts_nan_on_top(target: str, largest: bool) -> None:
    numbers = NUMBERS.copy()
    numbers[0, 0, 2] = numbers[1, 3, 1] = np.nan
    values, places = P.routine("top_k", [X], [((BATCH, 7, 3), FLOAT), ((BATCH, 7, 3), INT64)], largest=largest, count=3)
    compare([X], {"values": values, "places": places}, {"x": numbers}, target)


@pytest.mark.parametrize("target", TARGETS)
def test_non_zero_finds_its_size(target: str) -> None:
    count = P.fresh_symbol("count")
    (places,) = P.routine("non_zero", [X], [((3, count), INT64)], [count])
    compare([X], {"places": places, "turned": P.transpose(places, [1, 0]) * 2}, {"x": NUMBERS}, target)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("reduction", ["none", "add", "mul", "max", "min"])
def test_scatter(target: str, reduction: str) -> None:
    g = np.random.default_rng(1)
    data, rows, updates = P.Input((9, 5), FLOAT, "data"), P.Input((6,), INT64, "rows"), P.Input((6, 5), FLOAT, "updates")
    (result,) = P.routine("scatter", [data, rows, updates], [((9, 5), FLOAT)], reduction=reduction)
    feeds = {
        "data": g.standard_normal((9, 5)).astype(np.float32), "rows": g.integers(0, 9, 6),
        "updates": g.standard_normal((6, 5)).astype(np.float32),
    }  # fmt: skip
    compare([data, rows, updates], {"z": result + 1.0}, feeds, target)


@pytest.mark.parametrize("target", TARGETS)
def test_non_max_suppression(target: str) -> None:
    g = np.random.default_rng(2)
    corners = g.random((1, 20, 2)).astype(np.float32)
    boxes, scores = P.Input((1, 20, 4), FLOAT, "boxes"), P.Input((1, 2, 20), FLOAT, "scores")
    limits = [P.constant(np.array([5])), P.constant(np.array([0.3], np.float32)), P.constant(np.array([0.1], np.float32))]
    count = P.fresh_symbol("count")
    (kept,) = P.routine("non_max_suppression", [boxes, scores, *limits], [((count, 3), INT64)], [count])
    feeds = {"boxes": np.concatenate([corners, corners + 0.4], -1), "scores": g.random((1, 2, 20)).astype(np.float32)}
    compare([boxes, scores], {"kept": kept}, feeds, target)


def test_an_index_outside_is_an_error_and_the_next_run_is_right() -> None:
    table, rows = P.constant(np.arange(12, dtype=np.float32).reshape(4, 3)), P.Input((2,), INT64, "rows")
    executable = Executable(compile_arrays([rows], {"y": P.take(table, rows, 0)}, "host"))
    for bad in ([0, 4], [-5, 0], [2**62, 0]):
        with pytest.raises(IndexOutOfBounds, match="outside"):
            executable.run([np.array(bad)])
    np.testing.assert_array_equal(executable.run([np.array([1, -1])])[0], [[3, 4, 5], [9, 10, 11]])


def test_absurd_sizes_from_data_are_errors() -> None:
    wanted, row = P.Input((2,), INT64, "wanted"), P.Input((1, 4), FLOAT, "row")
    artifact = compile_arrays([wanted, row], {"z": P.broadcast_to(row, P.dimensions(wanted)) * 2.0}, "host")
    executable = Executable(artifact)
    for bad in ([-1, 4], [2**50, 4]):
        with pytest.raises(RunError, match="size"):
            executable.run([np.array(bad), np.zeros((1, 4), np.float32)])
