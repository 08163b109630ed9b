"""The executable on an artifact written by hand: y = 2 x for any batch, and an error from native code."""

from __future__ import annotations

import numpy as np
import pytest

from onward.compiler.artifact import Artifact, KernelInfo, PortSpec
from onward.compiler.builder import Module
from onward.compiler.context import Slot, Status, emit_fail
from onward.compiler.native import compile_module
from onward.compiler.targets import Target
from onward.compiler.values import F32, I32, I64, POINTER
from onward.errors import IndexOutOfBounds, InvalidInput
from onward.ir import DataType
from onward.ir.expressions import Symbol
from onward.runtime.executable import Executable


def doubling(fails: bool = False) -> Artifact:
    target = Target.parse("generic")
    module = Module(target)
    parameters = [("context", POINTER), ("inputs", POINTER), ("outputs", POINTER), ("sizes", POINTER)]
    b = module.function("run", parameters, I32)
    context, inputs, outputs, sizes = b.arguments
    source, result = b.load(inputs, POINTER), b.load(outputs, POINTER)
    weight = b.load(b.load(b.offset(context, b.constant(I64, int(Slot.WEIGHTS)), POINTER), POINTER), F32)
    count = b.load(sizes, I64) * b.constant(I64, 3)
    with b.loop(b.constant(I64, 0), count) as index:
        b.store(b.offset(result, index, F32), b.load(b.offset(source, index, F32), F32) * weight)
    if fails:
        emit_fail(b, context, Status.INDEX_OUT_OF_BOUNDS, b.constant(I64, 7), b.constant(I64, 3), b.constant(I64, 0))
        b.ret(b.constant(I32, int(Status.INDEX_OUT_OF_BOUNDS)))
    else:
        b.ret(b.constant(I32, 0))
    shape = (Symbol("batch"), 3)
    return Artifact(
        [compile_module(module.text(), target)], "run", [PortSpec("x", DataType.FLOAT, shape)],
        [PortSpec("y", DataType.FLOAT, shape)], ["batch"], 1, Symbol("batch") * 12, [(0, lambda: np.float32([2.0]))], 4,
        [KernelInfo("double", "map", ("the doubling node",))],
    )  # fmt: skip


def test_numbers_for_any_batch() -> None:
    executable = Executable(doubling())
    for batch in (1, 5, 0, 1000, 5):
        x = np.random.default_rng(batch).standard_normal((batch, 3)).astype(np.float32)
        np.testing.assert_array_equal(executable.run([x])[0], 2 * x)


def test_plans_and_states_are_used_again() -> None:
    executable = Executable(doubling())
    x = np.ones((4, 3), np.float32)
    plan = executable.plan([x])
    assert (plan.sizes, plan.arena_bytes, plan.outputs) == ([4], 48, [(4, 3)])
    executable.run([x])
    (state,) = executable._free
    executable.run([x])
    assert executable.plan([x]) is plan and list(executable._free) == [state]


def test_outputs_of_the_caller_are_written() -> None:
    result = np.zeros((2, 3), np.float32)
    (returned,) = Executable(doubling()).run([np.ones((2, 3), np.float32)], [result])
    assert returned is result and (result == 2).all()


def test_native_errors_name_the_node_and_the_next_run_is_clean() -> None:
    executable = Executable(doubling(fails=True))
    for _ in range(3):
        with pytest.raises(IndexOutOfBounds, match=r"the doubling node: index 7 .* axis 0"):
            executable.run([np.ones((2, 3), np.float32)])
        assert len(executable._free) == 1


@pytest.mark.parametrize("shape", [(3,), (2, 4), (1, 2, 3)])
def test_shapes_are_verified(shape: tuple[int, ...]) -> None:
    with pytest.raises(InvalidInput, match="'x'"):
        Executable(doubling()).run([np.ones(shape, np.float32)])
