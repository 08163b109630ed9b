"""Whole networks whose activations are stored as bfloat16 because products take them so, beside the evaluator in single precision."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from onward import program as P
from onward.compiler.artifact import Artifact, CompileOptions
from onward.compiler.driver import compile_program
from onward.ir.datatypes import DataType
from onward.ir.expressions import Symbol
from onward.operators.activation.softmax import softmax
from onward.operators.linear.convolution import convolution
from onward.operators.lowering import Program
from onward.runtime.executable import Executable
from tests.compiler.native import only_with

pytestmark = only_with("avx512bf16")

Network = Callable[[P.Input], dict[str, P.Array]]


def weights(*shape: int, seed: int = 0) -> P.Array:
    """Random numbers that keep the size of what they multiply."""
    g = np.random.default_rng(seed + sum(shape))
    return P.constant((g.standard_normal(shape) / np.sqrt(np.prod(shape[1:]) if len(shape) == 4 else shape[0])).astype(np.float32))


def compiled(x: P.Input, network: Network, precision: str = "bfloat16") -> Artifact:
    return compile_program(Program("test", (x,), network(x), {}), CompileOptions(target="avx512bf16", precision=precision))


def check(x: P.Input, network: Network, value: np.ndarray, tolerance: float = 0.02) -> None:
    """Results are as far from exact ones as some roundings explain, but not equal to them, and do not depend on the threads."""
    results = network(x)
    program = Program("test", (x,), results, {})
    artifact = compile_program(program, CompileOptions(target="avx512bf16", precision="bfloat16"))
    first, second = (Executable(artifact, threads=threads).run([value]) for threads in (1, 2))
    for ours, again, want in zip(first, second, P.evaluate(list(results.values()), {x: value})):
        np.testing.assert_array_equal(ours, again)
        assert ours.shape == want.shape
        if want.dtype.kind == "f" and want.size:
            error = np.linalg.norm(ours.astype(np.float64) - want) / np.linalg.norm(want)
            assert 0 < error < tolerance


def relu(x: P.Array) -> P.Array:
    return P.maximum(x, 0.0)


def perceptron(x: P.Input) -> dict[str, P.Array]:
    """Hidden numbers are read by a product, by a sum, and as they are by an output."""
    hidden = relu(P.matmul(x, weights(33, 50)))
    shortcut = relu(P.matmul(hidden, weights(50, 50)) + hidden)
    return {"y": P.matmul(shortcut, weights(50, 7)), "hidden": shortcut}


def bottleneck(x: P.Input) -> dict[str, P.Array]:
    """Padded arrays, strides, groups, a shortcut, a mean."""
    bias = P.constant(np.zeros(20, np.float32))
    first = relu(convolution(x, weights(20, 3, 3, 3), bias, pads=[1, 1, 1, 1], strides=[2, 2]))
    second = relu(convolution(first, weights(20, 5, 3, 3), bias, pads=[1, 1, 1, 1], group=4))
    third = relu(convolution(second, weights(20, 20, 1, 1), bias, pads=[0, 0, 0, 0]) + first)
    return {"y": P.matmul(P.mean(third, [2, 3]), weights(20, 11))}


def squares(x: P.Input) -> dict[str, P.Array]:
    """Convolutions by Winograd's products, one after the other."""
    bias = P.constant(np.zeros(48, np.float32))
    first = relu(convolution(x, weights(48, 32, 3, 3), bias, pads=[1, 1, 1, 1]))
    return {"y": convolution(first, weights(48, 48, 3, 3), bias, pads=[1, 1, 1, 1])}


def attention(x: P.Input) -> dict[str, P.Array]:
    """What is multiplied by what the run computes stays exact."""
    query, key, value = (P.matmul(x, weights(32, 32, seed=seed)) for seed in range(3))
    scores = softmax(P.matmul(query, P.transpose(key, [1, 0])))
    return {"y": P.matmul(P.matmul(scores, value), weights(32, 32))}


SMALL = {
    "perceptron": (perceptron, (9, 33)),
    "bottleneck": (bottleneck, (2, 3, 17, 15)),
    "squares": (squares, (1, 32, 18, 17)),
    "attention": (attention, (40, 32)),
}


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("is_open", [False, True])
def test_networks(name: str, is_open: bool) -> None:
    network, shape = SMALL[name]
    x = P.Input((Symbol("n", 0) if is_open else shape[0], *shape[1:]), DataType.FLOAT, "x")
    for rows in {1, shape[0]} if is_open else {shape[0]}:
        value = np.random.default_rng(rows).standard_normal((rows, *shape[1:])).astype(np.float32)
        check(x, network, value)


def test_no_rows() -> None:
    x = P.Input((Symbol("n", 0), 33), DataType.FLOAT, "x")
    y, hidden = Executable(compiled(x, perceptron), threads=2).run([np.zeros((0, 33), np.float32)])
    assert y.shape == (0, 7) and hidden.shape == (0, 50)


def test_memory_is_halved() -> None:
    """Activations of hidden layers take two bytes an element."""
    x = P.Input((64, 256), DataType.FLOAT, "x")

    def network(x: P.Input) -> dict[str, P.Array]:
        hidden: P.Array = x
        for seed in range(3):
            hidden = relu(P.matmul(hidden, weights(256, 256, seed=seed)))
        return {"y": hidden}

    narrow, wide = (compiled(x, network, precision) for precision in ("bfloat16", "float32"))
    assert isinstance(narrow.arena_bytes, int) and isinstance(wide.arena_bytes, int)
    assert narrow.arena_bytes < 0.8 * wide.arena_bytes
    assert narrow.weights_bytes < 0.55 * wide.weights_bytes


def test_what_is_not_finite_arrives() -> None:
    """In products of pairs and in Winograd's, which are computed as defined around such numbers."""
    value = np.random.default_rng(0).standard_normal((1, 32, 18, 17)).astype(np.float32)
    value[0, 3, 5, 5], value[0, 7, 14, 2] = np.inf, np.nan
    x = P.Input(value.shape, DataType.FLOAT, "x")
    (got,) = Executable(compiled(x, squares), threads=1).run([value])
    with np.errstate(all="ignore"):
        (want,) = P.evaluate(list(squares(x).values()), {x: value})
    np.testing.assert_array_equal(np.isnan(got), np.isnan(want))
    np.testing.assert_array_equal(np.isinf(got), np.isinf(want))
    finite = np.isfinite(want)
    assert np.linalg.norm(got[finite] - want[finite]) < 0.02 * np.linalg.norm(want[finite])
