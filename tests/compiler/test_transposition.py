"""Maps that read along one axis and write along another, beside NumPy."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from onward import program as P
from onward.compiler.artifact import CompileOptions
from onward.compiler.driver import compile_program
from onward.compiler.schedule import nest
from onward.ir.datatypes import DataType
from onward.ir.expressions import Symbol
from onward.operators.lowering import Program
from onward.runtime.executable import Executable
from tests.compiler.native import TARGETS

CASES = [
    ((33, 70), (1, 0)),
    ((2, 17, 3, 19), (0, 2, 3, 1)),
    ((1, 64, 5, 16), (0, 2, 3, 1)),
    ((40, 6, 31), (2, 1, 0)),
    ((130, 128), (1, 0)),
    ((16, 2, 47), (1, 2, 0)),
]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("shape, order", CASES)
def test_known_sizes(monkeypatch: pytest.MonkeyPatch, target: str, shape: tuple[int, ...], order: tuple[int, ...]) -> None:
    found: list[object] = []
    original = nest.transposition_of
    monkeypatch.setattr(nest, "transposition_of", lambda schedule: found.append(original(schedule)) or found[-1])
    for kind in (np.float32, np.int8, np.float64, np.bool_, ml_dtypes.bfloat16):
        data = np.random.default_rng(sum(shape)).integers(-100, 100, shape).astype(kind)
        x = P.Input(shape, DataType.of(data.dtype), "x")
        artifact = compile_program(Program("test", (x,), {"y": P.transpose(x, list(order))}, {}), CompileOptions(target=target))
        np.testing.assert_array_equal(Executable(artifact, threads=2).run([data])[0], data.transpose(order))
    assert any(found), "no case is scheduled as a transposition"


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("rows, columns", [(1, 1), (5, 3), (16, 16), (33, 70), (100, 7), (0, 4)])
def test_unknown_sizes_with_more_to_do(target: str, rows: int, columns: int) -> None:
    m, n = Symbol("m"), Symbol("n")
    x, y = P.Input((m, n), DataType.FLOAT, "x"), P.Input((n, m), DataType.FLOAT, "y")
    result = P.transpose(x, [1, 0]) * 2.0 + y
    g = np.random.default_rng(rows)
    left, right = g.standard_normal((rows, columns)).astype(np.float32), g.standard_normal((columns, rows)).astype(np.float32)
    artifact = compile_program(Program("test", (x, y), {"z": result}, {}), CompileOptions(target=target))
    np.testing.assert_allclose(Executable(artifact, threads=2).run([left, right])[0], left.T * 2 + right, rtol=1e-6, atol=1e-6)
