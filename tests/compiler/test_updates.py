"""Outputs that are an input but for a range: the range alone is written where both are one memory, and all of it where they are not."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from onward import program as P
from onward.ir.datatypes import DataType
from onward.ir.expressions import Symbol
from onward.program.scalar import operation, select
from onward.runtime.executable import Executable
from tests.compiler.native import TARGETS, compile_arrays

SIZES = list(itertools.product((0, 1, 2), (0, 1, 5, 17), (0, 1, 3, 16, 37)))
LEAST, GREATEST = -(2**63), 2**63 - 1
ENDS = [(0, 5), (2, 4), (-3, 2), (3, 99), (4, 2), (0, 0), (LEAST, GREATEST), (GREATEST, GREATEST), (LEAST, LEAST)]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("first, last", [("greater_equal", "less"), ("greater", "less_equal")])
@pytest.mark.parametrize("new", ["other", "old"])
def test_in_one_memory_and_in_two(target: str, first: str, last: str, new: str) -> None:
    """What is new may be made of the old elements: then the two are not one memory."""
    batch, rows, columns = shape = Symbol("batch"), Symbol("rows"), Symbol("columns")
    x, w = P.Input(shape, DataType.FLOAT, "x"), P.Input((batch, columns), DataType.FLOAT, "w")
    begin, end = (P.Input((), DataType.INT64, name) for name in ("begin", "end"))

    def element(i: P.Dimension, j: P.Dimension, k: P.Dimension) -> P.Scalar:
        inside = operation("and", operation(first, P.scalar(j), begin[()]), operation(last, P.scalar(j), end[()]))
        return select(inside, w[i, k] if new == "other" else x[i, rows - 1 - j, k], x[i, j, k])

    artifact = compile_arrays([x, w, begin, end], {"y": P.compute(shape, element)}, target)
    assert artifact.in_place == ([(0, 0)] if new == "other" else [])
    executable, generator = Executable(artifact), np.random.default_rng(0)
    for sizes, ends in itertools.product(SIZES, ENDS):
        old, other = (generator.standard_normal(size).astype(np.float32) for size in (sizes, (sizes[0], sizes[2])))
        old.flat[:1] = np.nan
        place = np.arange(sizes[1])
        inside = getattr(np, first)(place, ends[0]) & getattr(np, last)(place, ends[1])
        wanted = np.where(inside[:, None], other[:, None] if new == "other" else old[:, ::-1], old)
        for together in (False, True) if new == "other" else (False,):
            memory = old.copy()
            feeds = [memory, other, *(np.array(item, np.int64) for item in ends)]
            (found,) = executable.run(feeds, [memory] if together else None)
            np.testing.assert_array_equal(found, wanted, err_msg=f"{sizes} {ends} {together}")
