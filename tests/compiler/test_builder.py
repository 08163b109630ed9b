"""The builder: what its methods emit computes what they say."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable

import ml_dtypes
import numpy as np
import pytest

from onward.compiler import native
from onward.compiler.builder import Builder, Module
from onward.compiler.native import Library, assembly, compile_module, compile_modules
from onward.compiler.targets import Target
from onward.compiler.values import BF16, F16, F32, F64, I1, I8, I32, I64, POINTER, Type, Value, literal
from onward.errors import CompileError
from tests.compiler.native import TARGETS

LANES = 8
KINDS = {np.float32: F32, np.float64: F64, np.float16: F16, np.int32: I32, np.int64: I64, np.int8: I8}


def run_lanes(emit: Callable[..., Value], arrays: list[np.ndarray], result: type, target: str = "host") -> np.ndarray:
    """Calls a function that loads eight lanes of each array and stores what `emit` makes of them."""
    description = Target.parse(target)
    module = Module(description)
    b = module.function("f", [(f"x{i}", POINTER) for i in range(len(arrays) + 1)])
    values = [b.load(p, KINDS[a.dtype.type].with_lanes(LANES)) for p, a in zip(b.arguments, arrays)]
    b.store(b.arguments[-1], emit(b, *values))
    b.ret()
    library = Library([compile_module(module.text(), description)], ["f"])
    out = np.zeros(LANES, result)
    function = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * (len(arrays) + 1))(library.address("f"))
    function(*[array.ctypes.data for array in (*arrays, out)])
    return out


X = np.array([-7, -1, 0, 1, 2, 3, 100, -128], np.int32)
Y = np.array([2, 3, 5, -1, 7, -2, 9, 1], np.int32)
A = np.array([-2.5, -0.5, 0.5, 1.5, 2.5, 3.0, 1e30, -1e-30], np.float32)
B = np.array([1.0, -2.0, 0.25, 8.0, -3.0, 1e-3, 2.0, 4.0], np.float32)

INTEGER = {
    "add": (lambda b, x, y: x + y, X + Y),
    "multiply": (lambda b, x, y: x * y, X * Y),
    "divide": (lambda b, x, y: x / y, np.trunc(X / Y).astype(np.int32)),
    "remainder": (lambda b, x, y: b.remainder(x, y), np.fmod(X, Y)),
    "unsigned divide": (lambda b, x, y: b.unsigned_divide(x, y), (X.view(np.uint32) // Y.view(np.uint32)).view(np.int32)),
    "and": (lambda b, x, y: x & y, X & Y),
    "invert": (lambda b, x, y: b.invert(x), ~X),
    "negative": (lambda b, x, y: -x, -X),
    "arithmetic shift": (lambda b, x, y: x >> b.constant(x.type, 1), X >> 1),
    "logical shift": (lambda b, x, y: b.logical_shift_right(x, b.constant(x.type, 1)), (X.view(np.uint32) >> 1).view(np.int32)),
    "signed less": (lambda b, x, y: b.cast(x < y, I32), (X < Y).astype(np.int32)),
    "unsigned less": (lambda b, x, y: b.cast(b.unsigned_less(x, y), I32), (X.view(np.uint32) < Y.view(np.uint32)).astype(np.int32)),
    "select": (lambda b, x, y: b.select(x < y, x, y), np.minimum(X, Y)),
    "iota": (lambda b, x, y: b.iota(x.type), np.arange(LANES, dtype=np.int32)),
    "shuffle": (lambda b, x, y: b.shuffle(x, y, [7, 6, 5, 4, 8, 9, 10, 11]), np.concatenate([X[:3:-1], Y[:4]])),
    "sum of lanes": (lambda b, x, y: b.splat(b.reduce("add", x), LANES), np.full(LANES, X.sum(), np.int32)),
    "insert and extract": (lambda b, x, y: b.insert(x, b.extract(y, 4), 1), np.array([-7, 7, 0, 1, 2, 3, 100, -128], np.int32)),
}  # fmt: skip
FLOAT = {
    "add": (lambda b, x, y: x + y, A + B),
    "divide": (lambda b, x, y: x / y, A / B),
    "fused": (lambda b, x, y: b.fma(x, y, x), (A.astype(np.float64) * B + A).astype(np.float32)),
    "floor": (lambda b, x, y: b.floor(x), np.floor(A)),
    "ceil": (lambda b, x, y: b.ceil(x), np.ceil(A)),
    "half to even": (lambda b, x, y: b.round_even(x), np.rint(A)),
    "absolute": (lambda b, x, y: b.absolute(x), np.abs(A)),
    "copysign": (lambda b, x, y: b.copysign(x, y), np.copysign(A, B)),
    "square root": (lambda b, x, y: b.sqrt(b.absolute(x)), np.sqrt(np.abs(A))),
    "not equal is true of NaN": (lambda b, x, y: b.cast(b.cast(x / x != x / x, I32), F32), np.zeros(LANES, np.float32)),
}  # fmt: skip


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", INTEGER)
def test_integers(name: str, target: str) -> None:
    emit, want = INTEGER[name]
    np.testing.assert_array_equal(run_lanes(emit, [X, Y], np.int32, target), want)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", FLOAT)
def test_floats(name: str, target: str) -> None:
    emit, want = FLOAT[name]
    np.testing.assert_allclose(run_lanes(emit, [A, B], np.float32, target), want, rtol=2e-7)


@pytest.mark.parametrize("target", TARGETS)
def test_masked_lanes_are_not_touched(target: str) -> None:
    def emit(b: Builder, x: Value) -> Value:
        mask = b.iota(x.type) < b.constant(x.type, 3)
        b.store(b.arguments[0], b.constant(x.type, 9), mask=mask)
        return b.load(b.arguments[0], x.type, mask=b.invert(mask))

    data = X.copy()
    got = run_lanes(emit, [data], np.int32, target)
    np.testing.assert_array_equal(data, np.concatenate([[9, 9, 9], X[3:]]))
    np.testing.assert_array_equal(got, np.concatenate([[0, 0, 0], X[3:]]))


@pytest.mark.parametrize("target", [*TARGETS, "avx512"])
@pytest.mark.parametrize("lanes", [1, 8])
def test_narrow_floats_need_no_runtime_library(target: str, lanes: int) -> None:
    """Every conversion is instructions: a process has no __truncsfbf2 for sure."""
    description = Target.parse(target)
    kinds = (F16, BF16, F32, F64, I32)
    module = Module(description)
    b = module.function("f", [("x", POINTER)])
    for source in kinds:
        for result in kinds:
            b.store(b.arguments[0], b.cast(b.load(b.arguments[0], source.with_lanes(lanes)), result))
    b.ret()
    assert "call" not in assembly(module.text(), description)


EDGES = [0.0, 65504, 65519.99, 65520, 1e9, 6.1e-5, 5.96e-8, 2.98e-8, 2.99e-8, 1e-10, 1 + 2**-11, 1 + 3 * 2**-11, 1 + 2**-11 + 2**-40, 3.4e38, np.inf, np.nan]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("source", [np.float32, np.float64])
@pytest.mark.parametrize("kind, reference", [(F16, np.float16), (BF16, ml_dtypes.bfloat16)])
def test_narrow_floats_round_to_even(target: str, source: type, kind: Type, reference: type) -> None:
    numbers = np.concatenate([EDGES, np.negative(EDGES), np.random.default_rng(0).standard_normal(96) * 10.0 ** np.arange(-9, 7).repeat(6)])
    for chunk in numbers.astype(source).reshape(-1, LANES):
        got = run_lanes(lambda b, x: b.cast(b.cast(x, kind), F32), [chunk.copy()], np.float32, target)
        with np.errstate(over="ignore"):
            np.testing.assert_array_equal(got, chunk.astype(reference).astype(np.float32))


def test_control_flow_and_variables() -> None:
    """The sum of the odd numbers below n, in a loop with a branch."""
    target = Target.parse(None)
    module = Module(target)
    b = module.function("f", [("n", I64)], I64)
    total = b.variable(b.constant(I64, 0))
    with b.loop(b.constant(I64, 0), b.arguments[0]) as i:
        odd = (i & b.constant(I64, 1)) == b.constant(I64, 1)
        with b.if_else(odd) as (then, otherwise):
            with then:
                total.set(total.get() + i)
            with otherwise:
                total.set(total.get() - b.constant(I64, 0))
        with b.when(b.invert(odd)):
            b.comment("even numbers add nothing")
    b.ret(total.get())
    library = Library([compile_module(module.text(), target)], ["f"])
    function = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)(library.address("f"))
    assert [function(n) for n in (0, 1, 2, 10)] == [0, 0, 1, 25]


def test_equal_calls_give_equal_text_but_for_the_name() -> None:
    def text(name: str) -> str:
        module = Module(Target.parse("generic"))
        b = module.function(name, [("x", POINTER)])
        b.store(b.arguments[0], b.load(b.arguments[0], F32) + b.constant(F32, 1))
        b.ret()
        return module.text()

    assert text("one").replace("@one(", "@two(") == text("two")


@pytest.mark.parametrize(
    "kind, value, want",
    [(I1, True, "true"), (I8, 255, "-1"), (I64, 1 << 63, str(-(1 << 63))), (F32, 0.5, "0x3FE0000000000000"), (F16, 1, "0xH3C00"), (BF16, -2, "0xRC000")],
)  # fmt: skip
def test_literals(kind: Type, value: float, want: str) -> None:
    assert literal(kind, value) == want


def test_operands_of_different_types_are_refused() -> None:
    b = Module(Target.parse("generic")).function("f", [("x", I64), ("y", I32)])
    with pytest.raises(AssertionError, match="i64 and i32"):
        b.arguments[0] + b.arguments[1]


def test_bad_code_is_reported_with_its_text() -> None:
    with pytest.raises(CompileError, match="@wrong"):
        compile_module("define i32 @wrong() { ret i64 0 }", Target.parse("generic"))


@pytest.mark.parametrize("executable", ["", "/does/not/exist", sys.executable])
def test_many_modules_give_the_code_of_each(executable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Here alone, by a helper that cannot be started, and by one that can."""
    monkeypatch.setattr(native, "WORTH_A_PROCESS", 500)
    monkeypatch.setattr(sys, "executable", executable)
    target = Target.parse(None)
    texts = []
    for number in range(40):
        module = Module(target)
        b = module.function(f"f{number}", [], I64)
        b.ret(b.constant(I64, number))
        texts.append(module.text())
    library = Library(compile_modules(texts, target, 2), [f"f{number}" for number in range(40)])
    for number in range(40):
        assert ctypes.CFUNCTYPE(ctypes.c_int64)(library.address(f"f{number}"))() == number


def _repetitive(b: Builder, x: Value, y: Value) -> Value:
    """Sums with neutral and known numbers, and products that are written twice, in two blocks."""
    one, zero, most = (b.constant(x.type, number) for number in (1, 0, 2**31 - 1))
    total = b.variable((x * y + zero) * one + x * zero + (most + one) + (y * x + x * y) * (zero + one))
    with b.loop(b.constant(I64, 0), b.constant(I64, 2)):
        total.set(total.get() + x * y)
    return total.get()


def test_instructions_are_not_repeated() -> None:
    """What a basic block has already, and what is known, is not written again; another block may not see it, so there it is."""
    found = run_lanes(_repetitive, [X, Y], np.int32)
    np.testing.assert_array_equal(found, (X * Y + np.int32(-(2**31)) + (Y * X + X * Y) + 2 * (X * Y)).astype(np.int32))
    module = Module(Target.parse("host"))
    b = module.function("f", [("x", POINTER), ("y", POINTER), ("z", POINTER)])
    b.store(b.arguments[2], _repetitive(b, *(b.load(place, I32.with_lanes(LANES)) for place in b.arguments[:2])))
    b.ret()
    products = [line for line in module.text().splitlines() if " = mul " in line]
    assert len(products) == 3, products  # x * y, y * x, and x * y inside the loop
