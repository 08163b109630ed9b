"""Products with operands stored as bfloat16, beside NumPy with the same operands rounded."""

from __future__ import annotations

import re
from dataclasses import replace

import ml_dtypes
import numpy as np
import pytest

from onward import program as P
from onward.compiler.artifact import Artifact, CompileOptions
from onward.compiler.driver import compile_program
from onward.compiler.native import assembly
from onward.compiler.targets import Target
from onward.ir.datatypes import DataType
from onward.ir.expressions import Symbol
from onward.operators.lowering import Program
from onward.runtime.executable import Executable
from tests.compiler import native
from tests.compiler.native import only_with
from tests.compiler.test_contraction import texts_of

TARGETS = [*native.TARGETS, pytest.param("avx512bf16", marks=only_with("avx512bf16"))]


def in_pairs(target: str) -> bool:
    """Whether left operands are rounded, too, and products of all sizes."""
    return replace(Target.parse(target), narrow=True).multiplies_bfloat16


def compile_narrow(x: P.Input, result: P.Array, target: str, precision: str = "bfloat16") -> Artifact:
    """The code of a result, with weights that may be rounded."""
    return compile_program(Program("test", (x,), {"y": result}, {}), CompileOptions(target=target, precision=precision))


def rounded(weights: np.ndarray) -> np.ndarray:
    """The nearest numbers of bfloat16, in double precision."""
    return weights.astype(ml_dtypes.bfloat16).astype(np.float64)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("rows, columns, depth", [(1, 64, 7), (1, 768, 1000), (3, 50, 64), (5, 129, 1), (7, 37, 33), (10, 96, 1031), (2, 1, 300)])
@pytest.mark.parametrize("is_open", [False, True])
def test_products(target: str, rows: int, columns: int, depth: int, is_open: bool) -> None:
    """The sum of rounded weights times exact numbers, or rounded ones, and no farther from the exact sum than rounding explains."""
    g = np.random.default_rng(rows * columns)
    left, right = g.standard_normal((rows, depth), np.float32), g.standard_normal((depth, columns), np.float32)
    x = P.Input((Symbol("n", 0) if is_open else rows, depth), DataType.FLOAT, "x")
    artifact = compile_narrow(x, P.matmul(x, P.constant(right)), target)
    (got,) = Executable(artifact, threads=2).run([left])
    terms = np.abs(left).astype(np.float64) @ np.abs(right)
    is_rounded = in_pairs(target) and depth > 1
    used = rounded(left) if is_rounded else left.astype(np.float64)
    assert np.all(np.abs(got - used @ rounded(right)) <= 1e-6 * terms)
    assert np.all(np.abs(got - left.astype(np.float64) @ right) <= (2.0**-7 if is_rounded else 2.0**-8) * terms)


@pytest.mark.parametrize("target", TARGETS)
def test_weights_take_half_the_memory(target: str) -> None:
    """But for what fills the last panel of columns, which may be wider."""
    x = P.Input((1, 512), DataType.FLOAT, "x")
    product = P.matmul(x, P.constant(np.ones((512, 512), np.float32)))
    narrow, wide = (compile_narrow(x, product, target, precision).weights_bytes for precision in ("bfloat16", "float32"))
    assert wide * 0.45 < narrow < wide * 0.55


@pytest.mark.parametrize("target", TARGETS)
def test_products_of_many_rows(target: str) -> None:
    """There the multiplications take longer than the weights need from memory: they stay as they are but where pairs are multiplied faster."""
    g = np.random.default_rng(0)
    left, right = g.standard_normal((200, 64), np.float32), g.standard_normal((64, 48), np.float32)
    x = P.Input(left.shape, DataType.FLOAT, "x")
    (got,) = Executable(compile_narrow(x, P.matmul(x, P.constant(right)), target), threads=1).run([left])
    left, right = (rounded(item) if in_pairs(target) else item.astype(np.float64) for item in (left, right))
    np.testing.assert_allclose(got, left @ right, rtol=0, atol=1e-5)


@pytest.mark.parametrize("target", TARGETS)
def test_weights_used_by_few_and_many_rows(target: str) -> None:
    """They are packed twice, but where all are multiplied alike."""
    g = np.random.default_rng(0)
    few, many, right = (g.standard_normal(shape, np.float32) for shape in ((2, 64), (200, 64), (64, 48)))
    x, y, w = P.Input(few.shape, DataType.FLOAT, "x"), P.Input(many.shape, DataType.FLOAT, "y"), P.constant(right)
    program = Program("test", (x, y), {"a": P.matmul(x, w), "b": P.matmul(y, w)}, {})
    artifact = compile_program(program, CompileOptions(target=target, precision="bfloat16"))
    first, second = Executable(artifact, threads=1).run([few, many])
    pairs = in_pairs(target)
    np.testing.assert_allclose(first, (rounded(few) if pairs else few) @ rounded(right), rtol=0, atol=1e-5)
    np.testing.assert_allclose(second, rounded(many) @ rounded(right) if pairs else many.astype(np.float64) @ right, rtol=0, atol=1e-5)


@pytest.mark.parametrize("target", TARGETS)
def test_numbers_that_are_none(target: str) -> None:
    """Infinities and NaN of weights arrive, and rounding makes no new ones of numbers within bfloat16."""
    right = np.zeros((4, 40), np.float32)
    right[0, :4] = np.inf, -np.inf, np.nan, 3.3e38
    x = P.Input((1, 4), DataType.FLOAT, "x")
    artifact = compile_narrow(x, P.matmul(x, P.constant(right)), target)
    (got,) = Executable(artifact, threads=1).run([np.ones((1, 4), np.float32)])
    np.testing.assert_array_equal(got[0], rounded(right)[0].astype(np.float32))


@pytest.mark.parametrize("target", TARGETS)
def test_other_operands_stay_exact(target: str) -> None:
    """What the run brings, and what has another type, is not rounded."""
    g = np.random.default_rng(0)
    left, right = g.standard_normal((3, 50)), g.standard_normal((50, 40))
    for kind in (np.float32, np.float64):
        x, w = (P.Input(item.shape, DataType.of(np.dtype(kind)), name) for item, name in ((left, "x"), (right, "w")))
        outputs = {"y": P.matmul(x, w)} | ({"z": P.matmul(x, P.constant(right))} if kind == np.float64 else {})
        program = Program("test", (x, w), outputs, {})
        artifact = compile_program(program, CompileOptions(target=target, precision="bfloat16"))
        for got in Executable(artifact, threads=1).run([left.astype(kind), right.astype(kind)]):
            np.testing.assert_allclose(got, left @ right, rtol=0, atol=1e-5 if kind == np.float32 else 1e-13)


@pytest.mark.parametrize("target", ["generic", "avx2", "avx512", "avx512bf16", "aarch64"])
@pytest.mark.parametrize("rows, columns, depth", [(1, 3072, 768), (8, 768, 768), (10, 512, 513), (200, 96, 65)])
def test_tiles_stay_in_registers(target: str, rows: int, columns: int, depth: int, monkeypatch: pytest.MonkeyPatch) -> None:
    x = P.Input((rows, depth), DataType.FLOAT, "x")
    program = Program("test", (x,), {"y": P.matmul(x, P.constant(np.zeros((depth, columns), np.float32)))}, {})
    (text,) = texts_of(program, target, monkeypatch, precision="bfloat16")
    assert not re.search("spill|reload", assembly(text, Target.parse(target)), re.IGNORECASE)
    assert ("vdpbf16ps" in assembly(text, Target.parse(target))) == (target == "avx512bf16")
