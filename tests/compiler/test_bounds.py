"""Checked code finds accesses beyond a buffer's ends."""

from __future__ import annotations

import numpy as np
import pytest

from onward import program as P
from onward.compiler.artifact import CompileOptions
from onward.compiler.context import ErrorCode
from onward.compiler.driver import compile_program
from onward.compiler.schedule.imperative import Imperative
from onward.errors import RunError
from onward.ir.datatypes import DataType
from onward.operators.lowering import Program
from onward.runtime.executable import Executable


def run(array: P.Array, source: P.Input, data: np.ndarray) -> np.ndarray:
    artifact = compile_program(Program("test", (source,), {"y": array}, {}), CompileOptions())
    return Executable(artifact, threads=1).run([data])[0]


@pytest.mark.parametrize("extent", [1, 7, 64, 1000])
def test_kernels_stay_inside_their_buffers(extent: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONWARD_CHECKED", "1")
    source = P.Input((extent, 3), DataType.FLOAT, "x")
    data = np.random.default_rng(0).standard_normal((extent, 3)).astype(np.float32)
    np.testing.assert_allclose(run(P.exp(P.transpose(source, [1, 0])), source, data), np.exp(data.T), rtol=1e-6)


@pytest.mark.parametrize("place", [-1, 5])
@pytest.mark.parametrize("checked", ["1", "0"])
def test_a_wrong_access_is_reported(place: int, checked: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A routine that reads one element before or behind its input."""
    monkeypatch.setenv("ONWARD_CHECKED", checked)
    from onward.compiler import routines

    def wrong(routine, layouts, target):  # type: ignore[no-untyped-def]
        (source,), (result,) = routine.inputs, routine.results
        k = Imperative(layouts, target, [source], [result])
        with k.each_block():
            pointer = k.arguments.pointer(layouts.view(source).buffer)
            value = k.b.load(k.b.offset(pointer, k.number(place), k.b.constant(k.number(0).type, 0).type), k.number(0).type)
            k.store(result, value, k.number(0))
        return [k.kernel()]

    monkeypatch.setitem(routines.ROUTINES, "wrong", wrong)
    source = P.Input((5,), DataType.INT64, "x")
    (result,) = P.routine("wrong", [source], [((1,), DataType.INT64)])
    if checked == "1":
        with pytest.raises(RunError, match=ErrorCode.OUT_OF_BOUNDS_ACCESS.name.lower().replace("_", " ")):
            run(result, source, np.arange(5))
    else:
        run(result, source, np.arange(7)[1:6])
