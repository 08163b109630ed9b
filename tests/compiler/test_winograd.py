"""Convolutions of 3 x 3 by Winograd's products, beside sums in double precision."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onward import program as P
from onward.compiler.artifact import Artifact, CompileOptions
from onward.compiler.driver import compile_program
from onward.ir.datatypes import DataType
from onward.ir.expressions import Symbol
from onward.operators.linear.convolution import convolution
from onward.operators.lowering import Program
from onward.runtime.executable import Executable
from tests.compiler.native import TARGETS


def data(batch: int, channels: int, features: int, height: int, width: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    g = np.random.default_rng(seed)
    shapes = ((batch, channels, height, width), (features, channels, 3, 3), (features,))
    x, weights, bias = (g.standard_normal(shape).astype(np.float32) for shape in shapes)
    return x, weights, bias


def compiled(shape: tuple[P.Dimension, ...], weights: np.ndarray, bias: np.ndarray, pads: tuple[int, ...], target: str) -> Artifact:
    """relu(conv(x) + bias)."""
    x = P.Input(shape, DataType.FLOAT, "x")
    y = P.maximum(convolution(x, P.constant(weights), P.constant(bias), pads=list(pads)), 0.0)
    return compile_program(Program("test", (x,), {"y": y}, {}), CompileOptions(target=target))


def run(artifact: Artifact, x: np.ndarray, threads: int = 2) -> np.ndarray:
    return Executable(artifact, threads=threads).run([x])[0]


def expected(x: np.ndarray, weights: np.ndarray, bias: np.ndarray, pads: tuple[int, ...], dtype: type = np.float64) -> np.ndarray:
    top, left, bottom, right = pads
    padded = np.pad(x.astype(dtype), [(0, 0), (0, 0), (top, bottom), (left, right)])
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))
    with np.errstate(all="ignore"):
        sums = np.tensordot(windows, weights.astype(dtype), axes=([1, 4, 5], [1, 2, 3])).transpose(0, 3, 1, 2)
        return np.maximum(sums + bias.astype(dtype)[:, None, None], 0)


def is_in_blocks(artifact: Artifact) -> bool:
    return [kernel.kind for kernel in artifact.kernels].count("blocks") == 1


def relative_error(got: np.ndarray, want: np.ndarray) -> float:
    return float(np.linalg.norm(got - want) / np.linalg.norm(want))


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(
    "height, width, pads", [(14, 14, (1, 1, 1, 1)), (27, 30, (0, 0, 0, 0)), (16, 41, (2, 1, 0, 1)), (13, 13, (1, 1, 1, 1)), (40, 13, (0, 2, 2, 2))]
)
def test_sizes_and_paddings(target: str, height: int, width: int, pads: tuple[int, ...]) -> None:
    x, weights, bias = data(2, 40, 130, height, width)
    artifact = compiled(x.shape, weights, bias, pads, target)
    assert is_in_blocks(artifact)
    assert relative_error(run(artifact, x), expected(x, weights, bias, pads)) < 4e-7


@settings(max_examples=8, deadline=None)
@given(st.integers(1, 3), st.integers(32, 150), st.sampled_from([32, 48, 100, 128, 200]), st.integers(13, 45), st.integers(13, 45), st.integers(0, 2**32 - 1))
def test_random_shapes(batch: int, channels: int, features: int, height: int, width: int, seed: int) -> None:
    x, weights, bias = data(batch, channels, features, height, width, seed)
    artifact = compiled(x.shape, weights, bias, (1, 1, 1, 1), "host")
    assert is_in_blocks(artifact)
    assert relative_error(run(artifact, x), expected(x, weights, bias, (1, 1, 1, 1))) < 4e-7


def test_errors_are_those_of_a_plain_sum_with_many_channels() -> None:
    x, weights, bias = data(1, 512, 64, 14, 14)
    want = expected(x, weights, bias, (1, 1, 1, 1))
    error = relative_error(run(compiled(x.shape, weights, bias, (1, 1, 1, 1), "host"), x), want)
    assert error < 1.3 * relative_error(expected(x, weights, bias, (1, 1, 1, 1), np.float32), want)
    assert error < 3.5e-7


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan, 3e38])
@pytest.mark.parametrize("place", [(0, 0), (7, 11), (26, 27)])
def test_what_is_not_finite_reaches_the_same_results(value: float, place: tuple[int, int]) -> None:
    x, weights, bias = data(2, 32, 64, 27, 28)
    x[1, 5][place] = value
    artifact = compiled(x.shape, weights, bias, (1, 1, 1, 1), "host")
    assert is_in_blocks(artifact)
    got, want = run(artifact, x), expected(x, weights, bias, (1, 1, 1, 1), np.float32)
    np.testing.assert_array_equal(np.isnan(got), np.isnan(want))
    np.testing.assert_array_equal(np.isinf(got), np.isinf(want))
    finite = np.isfinite(want)
    np.testing.assert_allclose(got[finite], want[finite], rtol=1e-3, atol=1e-4)


def test_any_number_of_images_and_threads() -> None:
    x, weights, bias = data(5, 48, 128, 28, 27)
    artifact = compiled((Symbol("n"), *x.shape[1:]), weights, bias, (1, 1, 1, 1), "host")
    assert is_in_blocks(artifact)
    whole = run(artifact, x, 1)
    assert relative_error(whole, expected(x, weights, bias, (1, 1, 1, 1))) < 4e-7
    for threads in (2, 3, 7):
        np.testing.assert_array_equal(run(artifact, x, threads), whole)
    np.testing.assert_array_equal(run(artifact, x[2:3]), whole[2:3])
    assert run(artifact, x[:0]).shape == (0, 128, 28, 27)


@pytest.mark.parametrize("channels, features, size", [(16, 64, 28), (64, 16, 28), (64, 64, 7)])
def test_small_ones_are_not_worth_it(channels: int, features: int, size: int) -> None:
    x, weights, bias = data(1, channels, features, size, size)
    assert not is_in_blocks(compiled(x.shape, weights, bias, (1, 1, 1, 1), "host"))


def test_weights_as_they_are_lie_behind_all_others() -> None:
    x, weights, bias = data(1, 32, 32, 28, 28)
    artifact = two_convolutions(x.shape, weights, bias)
    assert [kernel.kind for kernel in artifact.kernels].count("blocks") == 2
    positions = [position for position, _ in artifact.weights]
    assert positions == sorted(positions)
    sizes = [end - position for position, end in zip(positions, [*positions[1:], artifact.weights_bytes])]
    assert [size == weights.nbytes for size in sizes] == [False] * (len(sizes) - 2) + [True] * 2


def two_convolutions(shape: tuple[P.Dimension, ...], weights: np.ndarray, bias: np.ndarray) -> Artifact:
    """conv(conv(x) + bias) + bias, with the negative of the weights the second time."""
    x = P.Input(shape, DataType.FLOAT, "x")
    middle = convolution(x, P.constant(weights), P.constant(bias), pads=[1, 1, 1, 1])
    y = convolution(middle, P.constant(-weights), P.constant(bias), pads=[1, 1, 1, 1])
    return compile_program(Program("test", (x,), {"y": y}, {}), CompileOptions(target="host"))


def test_weights_that_are_not_finite_are_multiplied_as_defined() -> None:
    x, weights, bias = data(1, 32, 32, 28, 28)
    weights[3, 4, 1, 1] = np.inf
    artifact = compiled(x.shape, weights, bias, (1, 1, 1, 1), "host")
    assert not is_in_blocks(artifact)
    np.testing.assert_array_equal(np.isinf(run(artifact, x)), np.isinf(expected(x, weights, bias, (1, 1, 1, 1), np.float32)))
