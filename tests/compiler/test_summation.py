"""Sums in blocks: results at sizes where blocks end, and the error of long sums against double precision."""

from __future__ import annotations

import numpy as np
import pytest

from onward import program as P
from onward.compiler.schedule.summation import PRODUCTS, cut
from onward.ir.datatypes import DataType
from onward.ir.expressions import Symbol
from onward.runtime.executable import Executable
from tests.compiler.native import TARGETS, compare, compile_arrays


def run(x: P.Input, result: P.Array, data: np.ndarray, target: str) -> np.ndarray:
    """The result of compiled code, in double precision."""
    return Executable(compile_arrays([x], {"y": result}, target), threads=1).run([data])[0].astype(np.float64)


@pytest.mark.parametrize(
    "extents, block, multiple, expected",
    [
        ([], 64, 1, None), ([64], 64, 1, None), ([65], 64, 1, (0, 33)), ([1000], 64, 1, (0, 63)), ([1000], 256, 4, (0, 252)),
        ([3, 64], 64, 1, (0, 1)), ([9, 16], 64, 1, (0, 3)), ([3, 1000], 64, 1, (1, 63)), ([7, 7], 64, 1, None),
        ([Symbol("n", 0)], 64, 4, (0, 64)), ([Symbol("n", 0), 10], 64, 1, (0, 6)), ([5, Symbol("n", 0)], 64, 1, (1, 64)),
    ],
)  # fmt: skip
def test_which_loop_is_cut(extents: list[object], block: int, multiple: int, expected: tuple[int, int] | None) -> None:
    assert cut(extents, block, multiple) == expected  # type: ignore[arg-type]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("is_open, depth", [
    (is_open, depth)
    for is_open in (True, False)
    for depth in (0, 1, 3, 4, 7, 8, PRODUCTS - 1, PRODUCTS, PRODUCTS + 1, 2 * PRODUCTS + 3, 1031)
    if depth or is_open
])  # fmt: skip
def test_products_of_every_depth(target: str, is_open: bool, depth: int) -> None:
    """Whole numbers, whose sums are exact in every order: each product is taken once."""
    g = np.random.default_rng(depth)
    left, right = (g.integers(-8, 9, shape).astype(np.float32) for shape in ((5, depth), (depth, 37)))
    extent = Symbol("k", 0) if is_open else depth
    x, w = P.Input((5, extent), DataType.FLOAT, "x"), P.Input((extent, 37), DataType.FLOAT, "w")
    compare([x, w], {"y": P.matmul(x, w)}, {"x": left, "w": right}, target, tolerance=0)
    if not is_open:
        compare([x], {"y": P.matmul(x, P.constant(right))}, {"x": left}, target, tolerance=0)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("shape", [(2, 1031), (2, 70, 67), (3, 5, 7, 130), (2, 4099, 3)])
@pytest.mark.parametrize("axes", ["first", "last", "all"])
@pytest.mark.parametrize("is_open", [True, False])
def test_sums_of_every_length(target: str, shape: tuple[int, ...], axes: str, is_open: bool) -> None:
    """Whole numbers: each element is added once, along rows and across them."""
    data = np.random.default_rng(0).integers(-8, 9, shape).astype(np.float32)
    extents = [Symbol(f"n{place}", 0) for place in range(len(shape))] if is_open else list(shape)
    x = P.Input(tuple(extents), DataType.FLOAT, "x")
    summed = {"first": range(len(shape) - 1), "last": range(len(shape) - 1, len(shape)), "all": range(1, len(shape))}[axes]
    compare([x], {"y": P.sum(x, list(summed))}, {"x": data}, target, tolerance=0)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("depth", [512, 4608, 25088])
def test_the_error_of_long_products(target: str, depth: int) -> None:
    """Below a third of what one chain gives (measured: 3.5 times less at 4608), with numbers of one sign."""
    g = np.random.default_rng(depth)
    left, right = g.random((8, depth), np.float32), g.random((depth, 64), np.float32)
    x = P.Input(left.shape, DataType.FLOAT, "x")
    exact = left.astype(np.float64) @ right.astype(np.float64)
    chain = np.zeros(exact.shape, np.float32)
    for k in range(depth):
        chain += left[:, k : k + 1] * right[k]
    error = np.linalg.norm(run(x, P.matmul(x, P.constant(right)), left, target) - exact)
    assert error < np.linalg.norm(chain - exact) * (0.75 if depth == 512 else 1 / 3)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("shape, axis", [((1, 100_000), 1), ((60_000, 3), 0)])
@pytest.mark.parametrize("number", [0.1, 0.7])
def test_the_mean_of_a_constant(target: str, shape: tuple[int, ...], axis: int, number: float) -> None:
    """Where all roundings have one sign: in one chain the error is 6e-4 of the number."""
    x = P.Input(shape, DataType.FLOAT, "x")
    mean = run(x, P.sum(x, [axis]), np.full(shape, number, np.float32), target) / shape[axis]
    np.testing.assert_allclose(mean, np.float32(number), rtol=2e-5)
