"""Data with channels last: the same numbers with and without the transpositions, and no more of these than are needed."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import onward
from onward.converters import channels_last
from onward.converters.builder import ModelBuilder
from onward.ir import Model
from onward.ir.datatypes import DataType

RANDOM = np.random.default_rng(7)


def weights(*shape: int) -> np.ndarray:
    return (RANDOM.standard_normal(shape) / np.sqrt(np.prod(shape[:-1]))).astype(np.float32)


def settled(b: ModelBuilder, x: np.ndarray) -> tuple[Model, int]:
    """The model without superfluous transpositions, proved equal, and how many are left."""
    model = b.model()
    name = b.graph.inputs[0].name
    before = onward.InferenceSession(model.to_bytes()).run(None, {name: x})
    channels_last.settle(model)
    onward.check(model)
    after = onward.InferenceSession(model.to_bytes()).run(None, {name: x})
    for left, right in zip(before, after, strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-5, atol=1e-5)
    return model, sum(node.op_type == "Transpose" for node in model.graph.nodes)


def convolution(b: ModelBuilder, x, inputs: int, outputs: int, size: int = 3, stride: int = 1):
    steps = [stride, stride]
    return channels_last.convolution(
        b, x, weights(size, size, inputs, outputs), b.constant(weights(outputs)), strides=steps, dilations=[1, 1], padding="same", extents=[None, None]
    )


def test_a_residual_network_keeps_one_transposition_at_its_edge() -> None:
    b = ModelBuilder("residual")
    x = b.op("Mul", b.input("x", DataType.FLOAT, ["batch", "height", "width", 3]), b.constant(weights(3)))
    x = b.op("Relu", convolution(b, x, 3, 8, stride=2))
    for _ in range(3):
        inner = b.op("Relu", b.op("Add", convolution(b, x, 8, 8), b.constant(weights(8))))
        squeezed = b.op("ReduceMean", inner, b.constant(np.array([1, 2])), keepdims=1)
        gate = b.op("Sigmoid", convolution(b, squeezed, 8, 8, 1))
        inner = b.op("Mul", inner, gate)
        x = b.op("Concat", b.op("Add", x, convolution(b, inner, 8, 8)), inner, axis=-1)
        x = convolution(b, x, 16, 8, 1)
    b.output(b.op("ReduceMean", x, b.constant(np.array([1, 2])), keepdims=0), "y")
    _, left = settled(b, RANDOM.standard_normal((2, 12, 10, 3)).astype(np.float32))
    assert left == 1


def test_operators_that_speak_of_axes_turn_with_their_data() -> None:
    b = ModelBuilder("axes")
    x = convolution(b, b.input("x", DataType.FLOAT, ["batch", "height", "width", 4]), 4, 4)
    x = b.op("Pad", x, b.constant(np.array([0, 1, 2, 0, 0, 3, 0, 1])))
    x = b.op("Slice", x, b.constant(np.array([1, 0])), b.constant(np.array([100, 3])), b.constant(np.array([1, -1])))
    left, right = b.op("Split", x, b.constant(np.array([1, 2])), axis=-1, outputs=2)
    x = b.op("Concat", b.op("Softmax", left, axis=1), right, axis=3)
    x = b.op("Where", b.op("Greater", x, b.constant(np.float32(0))), x, b.constant(weights(1, 1, 3)))
    b.output(convolution(b, x, 3, 2), "y")
    _, left_over = settled(b, RANDOM.standard_normal((2, 6, 5, 4)).astype(np.float32))
    assert left_over == 2


@pytest.mark.parametrize("rank", [3, 4, 5])
def test_any_rank(rank: int) -> None:
    b = ModelBuilder("ranks")
    x = b.input("x", DataType.FLOAT, ["batch", *[f"size_{axis}" for axis in range(rank - 2)], 2])
    for _ in range(2):
        spatial = rank - 2
        x = channels_last.convolution(
            b, x, weights(*[3] * spatial, 2, 2), None, strides=[1] * spatial, dilations=[2] * spatial, padding="SAME", extents=[None] * spatial
        )
        x = b.op("Elu", b.op("Mul", x, b.constant(weights(2))))
        x = channels_last.pool(b, x, "max", window=[2] * spatial, strides=[2] * spatial, padding="same", extents=[None] * spatial)
    b.output(b.op("MatMul", x, b.constant(weights(2, 3))), "y")
    _, left = settled(b, RANDOM.standard_normal((2, *range(7, 7 + rank - 2), 2)).astype(np.float32))
    assert left == 2


@pytest.mark.parametrize(("extent", "window", "stride"), itertools.product([5, 6], [1, 3], [1, 2, 3]))
def test_known_and_open_sizes_are_padded_alike(extent: int, window: int, stride: int) -> None:
    kernel, x = weights(window, 2, 3), RANDOM.standard_normal((2, extent, 2)).astype(np.float32)
    found = []
    for known in (extent, None):
        b = ModelBuilder("padding")
        data = b.input("x", DataType.FLOAT, ["batch", known or "size", 2])
        b.output(channels_last.convolution(b, data, kernel, None, strides=[stride], dilations=[1], padding="SAME", extents=[known]), "y")
        found += onward.InferenceSession(b.model().to_bytes()).run(None, {"x": x})
    assert found[0].shape == (2, -(-extent // stride), 3)
    np.testing.assert_array_equal(found[0], found[1])


def random_graph(random: np.random.Generator, rank: int) -> ModelBuilder:
    """Operators that keep the shape of a cube, among transpositions of all kinds."""
    b = ModelBuilder("cube")
    shape = (3,) * rank
    values = [b.input("x", DataType.FLOAT, list(shape))]
    for _ in range(int(random.integers(4, 14))):
        x, y = (values[int(place)] for place in random.integers(0, len(values), 2))
        mask = b.constant(random.random((*(1,) * int(random.integers(0, rank)), 3)) < 0.5)
        square = b.constant(np.tril(np.ones((3, 3), bool)))
        kinds = [
            lambda x=x: b.op("Transpose", x, perm=[0, *range(2, rank), 1]),
            lambda x=x: b.op("Transpose", x, perm=[0, rank - 1, *range(1, rank - 1)]),
            lambda x=x: b.op("Transpose", x, perm=[int(axis) for axis in random.permutation(rank)]),
            lambda x=x, y=y: b.op("Add", x, b.op("Relu", y)),
            lambda x=x, mask=mask: b.op("Where", mask, x, b.constant(np.float32(0.5))),
            lambda x=x, square=square: b.op("Where", square, x, b.constant(np.float32(-0.5))),
            lambda x=x, y=y: b.op("Sub", x, b.op("ReduceMax", y, b.constant(np.array([int(random.integers(rank))])), keepdims=1)),
            lambda x=x: b.op("Softmax", x, axis=int(random.integers(rank))),
            lambda x=x: b.op("CumSum", x, b.constant(np.array(int(random.integers(rank))))),
        ]
        values.append(kinds[int(random.integers(len(kinds)))]())
    b.output(b.op("Tanh", b.op("Add", values[-1], values[-2])), "y")
    return b


@pytest.mark.parametrize("seed", range(40))
def test_cubes_whose_axes_are_alike(seed: int) -> None:
    random = np.random.default_rng(seed)
    rank = int(random.integers(3, 5))
    settled(random_graph(random, rank), random.standard_normal((3,) * rank).astype(np.float32))
