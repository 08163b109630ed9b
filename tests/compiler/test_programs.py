"""Tensor programs through the whole compiler, against the evaluator, on every target this machine can run."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onward import program as P
from onward.ir.datatypes import DataType
from tests.compiler.native import TARGETS, compare

FLOAT = DataType.FLOAT
BATCH, SEQUENCE = P.Symbol("batch"), P.Symbol("sequence")

Case = tuple[list[P.Input], dict[str, P.Array], dict[str, np.ndarray]]
CASES: dict[str, Callable[[np.random.Generator], Case]] = {}


def case(function: Callable[[np.random.Generator], Case]) -> Callable[[np.random.Generator], Case]:
    """Registers a program."""
    CASES[function.__name__] = function
    return function


def normal(generator: np.random.Generator, *shape: int) -> np.ndarray:
    return generator.standard_normal(shape).astype(np.float32)


def convolve(x: P.Array, generator: np.random.Generator, out: int, kernel: int, stride: int, pad: int) -> P.Array:
    channels = x.shape[1]
    assert isinstance(channels, int)
    weights = P.constant(normal(generator, out, channels, kernel, kernel) / np.float32(kernel * channels**0.5))
    bias = P.constant(normal(generator, 1, out, 1, 1))
    padded = P.pad(x, (0, 0, pad, pad), (0, 0, pad, pad))
    side = (padded.shape[2] - kernel) // stride + 1
    product = P.reduce(
        "sum", (x.shape[0], out, side, side), (channels, kernel, kernel),
        lambda n, o, h, w, c, i, j: padded[n, c, stride * h + i, stride * w + j] * weights[o, c, i, j],
    )  # fmt: skip
    return product + bias


@case
def broadcast(g: np.random.Generator) -> Case:
    x, y = P.Input((BATCH, 5, 7), FLOAT, "x"), P.Input((7,), FLOAT, "y")
    return [x, y], {"z": x * 2.0 + y}, {"x": normal(g, 3, 5, 7), "y": normal(g, 7)}


@case
def broadcast_of_unknown_sizes(g: np.random.Generator) -> Case:
    x, y = P.Input((P.Symbol("p"), 9), FLOAT, "x"), P.Input((P.Symbol("q"), 9), FLOAT, "y")
    return [x, y], {"z": x + y}, {"x": normal(g, 1, 9), "y": normal(g, 4, 9)}


@case
def transposition(g: np.random.Generator) -> Case:
    x = P.Input((BATCH, 5, 19), FLOAT, "x")
    return [x], {"z": P.transpose(x, [2, 0, 1]) + 1.0}, {"x": normal(g, 3, 5, 19)}


@case
def reductions(g: np.random.Generator) -> Case:
    x = P.Input((BATCH, 17, 35), FLOAT, "x")
    outputs = {
        "rows": P.sum(x, [2]), "columns": P.sum(x, [1]), "outer": P.sum(x, [0]), "all": P.max(x, [0, 1, 2]),
        "mean": P.mean(x, [1, 2], keepdims=True), "product": P.prod(x, [2]), "least": P.min(x, [1]),
        "place": P.arg_extreme("argmax", x, 1, False), "last": P.arg_extreme("argmin", x, 2, True),
    }  # fmt: skip
    return [x], outputs, {"x": normal(g, 3, 17, 35)}


@case
def pooling(g: np.random.Generator) -> Case:
    x = P.Input((BATCH, 4, 9, 11), FLOAT, "x")
    padded = P.pad(x, (0, 0, 1, 1), (0, 0, 1, 1), -np.inf)
    pooled = P.reduce("max", (BATCH, 4, 5, 6), (3, 3), lambda n, c, h, w, i, j: padded[n, c, 2 * h + i, 2 * w + j])
    return [x], {"z": pooled}, {"x": normal(g, 2, 4, 9, 11)}


@case
def concatenation(g: np.random.Generator) -> Case:
    x, y = P.Input((BATCH, 4, 5), FLOAT, "x"), P.Input((BATCH, 3, 5), FLOAT, "y")
    whole = P.concatenate([P.maximum(x, 0.0), y, P.exp(y), P.maximum(x, 0.0)], 1)
    return [x, y], {"c": whole, "d": whole * 2.0}, {"x": normal(g, 2, 4, 5), "y": normal(g, 2, 3, 5)}


@case
def gather(g: np.random.Generator) -> Case:
    table = P.constant(normal(g, 20, 33))
    rows, columns = P.Input((BATCH, SEQUENCE), DataType.INT64, "rows"), P.Input((7,), DataType.INT64, "columns")
    x = P.Input((4, 33), FLOAT, "x")
    outputs = {"a": P.take(table, rows, 0) + 1.0, "b": P.take(x, columns, 1)}
    feeds = {"rows": g.integers(-20, 20, (2, 6)), "columns": g.integers(-33, 33, 7), "x": normal(g, 4, 33)}
    return [rows, columns, x], outputs, feeds


@case
def convolutions(g: np.random.Generator) -> Case:
    x = P.Input((BATCH, 3, 14, 14), FLOAT, "x")
    a = P.maximum(convolve(x, g, 16, 3, 1, 1), 0.0)
    b = P.maximum(convolve(a, g, 16, 3, 1, 1) + a, 0.0)
    c = P.pad(convolve(b, g, 24, 1, 2, 0), (0, 0, 1, 1), (0, 0, 1, 1))
    depthwise = P.constant(normal(g, 24, 1, 3, 3))
    d = P.reduce("sum", (BATCH, 24, 7, 7), (1, 3, 3), lambda n, o, h, w, c_, i, j: c[n, o + c_, h + i, w + j] * depthwise[o, c_, i, j])
    d = P.minimum(P.maximum(d, 0.0), 6.0)
    pooled = P.reshape(P.mean(d, [2, 3], keepdims=True), (BATCH, 24))
    return [x], {"f": P.matmul(pooled, P.constant(normal(g, 24, 10))), "b": b}, {"x": normal(g, 2, 3, 14, 14)}


@case
def layer_normalization(g: np.random.Generator) -> Case:
    x, y = P.Input((BATCH, SEQUENCE, 40), FLOAT, "x"), P.Input((BATCH, SEQUENCE, 40), FLOAT, "y")
    a = x + y
    centred = a - P.mean(a, [-1], keepdims=True)
    z = centred / P.sqrt(P.mean(centred * centred, [-1], keepdims=True) + 1e-5)
    return [x, y], {"z": z, "a": P.exp(a)}, {"x": normal(g, 2, 3, 40), "y": normal(g, 2, 3, 40)}


@case
def masked_softmax(g: np.random.Generator) -> Case:
    x, mask = P.Input((BATCH, SEQUENCE, 37), FLOAT, "x"), P.Input((BATCH, 1, 37), DataType.BOOL, "mask")
    scores = P.where(mask, x * 0.3, -1e9)
    e = P.exp(scores - P.max(scores, [-1], keepdims=True))
    return [x, mask], {"z": e / P.sum(e, [-1], keepdims=True)}, {"x": normal(g, 2, 5, 37), "mask": g.random((2, 1, 37)) > 0.4}


@case
def attention(g: np.random.Generator) -> Case:
    x = P.Input((BATCH, SEQUENCE, 48), FLOAT, "x")

    def heads() -> P.Array:
        projected = P.matmul(x, P.constant(normal(g, 48, 48) / np.float32(7))) + P.constant(normal(g, 48))
        return P.transpose(P.reshape(projected, (BATCH, SEQUENCE, 3, 16)), (0, 2, 1, 3))

    scores = P.matmul(heads(), P.transpose(heads(), (0, 1, 3, 2))) * 0.25
    e = P.exp(scores - P.max(scores, [-1], keepdims=True))
    mixed = P.matmul(e / P.sum(e, [-1], keepdims=True), heads())
    return [x], {"z": P.reshape(P.transpose(mixed, (0, 2, 1, 3)), (BATCH, SEQUENCE, 48))}, {"x": normal(g, 2, 19, 48)}


@case
def integers(g: np.random.Generator) -> Case:
    x, y = P.Input((BATCH, 9), DataType.INT32, "x"), P.Input((9,), DataType.INT32, "y")
    outputs = {
        "sum": x + y, "less": x < y, "half": P.cast(x, FLOAT) * 0.5, "max": P.max(x, [1]), "wide": P.cast(x, DataType.INT64),
        "quotient": x / y, "rest": P.remainder(x, y),
    }  # fmt: skip
    return [x, y], outputs, {"x": g.integers(-9, 9, (3, 9), np.int32), "y": g.integers(-3, 3, 9, np.int32)}


@case
def reshapes(g: np.random.Generator) -> Case:
    x = P.Input((BATCH, 6, 8), FLOAT, "x")
    outputs = {
        "copied": P.reshape(P.transpose(x, [0, 2, 1]), (BATCH * 4, 12)) * 1.0, "flat": P.reshape(x + 1.0, (BATCH, 48)),
        "input": P.reshape(x, (BATCH * 48,)),
    }  # fmt: skip
    return [x], outputs, {"x": normal(g, 2, 6, 8)}


@case
def empty(g: np.random.Generator) -> Case:
    x = P.Input((BATCH, 9), FLOAT, "x")
    return [x], {"a": x + 1.0, "b": P.sum(x, [1]), "c": P.sum(x, [0])}, {"x": normal(g, 0, 9)}


@case
def sizes_from_data(g: np.random.Generator) -> Case:
    wanted, row = P.Input((2,), DataType.INT64, "wanted"), P.Input((1, 4), FLOAT, "row")
    return [wanted, row], {"z": P.broadcast_to(row, P.dimensions(wanted)) * 2.0}, {"wanted": np.array([3, 4]), "row": normal(g, 1, 4)}


@case
def constants_alone(g: np.random.Generator) -> Case:
    x = P.Input((4,), FLOAT, "x")
    known = P.exp(P.constant(normal(g, 4)))
    return [x], {"z": x + known, "k": known, "x again": x}, {"x": normal(g, 4)}


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", CASES)
def test_program(name: str, target: str) -> None:
    inputs, outputs, feeds = CASES[name](np.random.default_rng(0))
    compare(inputs, outputs, feeds, target)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_the_number_of_threads_changes_no_bit(threads: int) -> None:
    from onward.runtime.executable import Executable
    from tests.compiler.native import compile_arrays

    x = P.Input((64, 300), FLOAT, "x")
    weights = P.constant(normal(np.random.default_rng(1), 300, 200))
    artifact = compile_arrays([x], {"y": P.matmul(x, weights), "s": P.sum(x * x, [0, 1])}, "host")
    feed = normal(np.random.default_rng(2), 64, 300)
    one = Executable(artifact, threads=1).run([feed])
    many = Executable(artifact, threads=threads).run([feed])
    for left, right in zip(one, many):
        np.testing.assert_array_equal(left, right)


@settings(max_examples=25, deadline=None)
@given(
    rows=st.integers(1, 70), inner=st.integers(1, 70), columns=st.integers(1, 70), batch=st.integers(1, 3),
    constant=st.booleans(), symbolic=st.booleans(), target=st.sampled_from(TARGETS),
)  # fmt: skip
def test_matrix_products_of_any_size(rows: int, inner: int, columns: int, batch: int, constant: bool, symbolic: bool, target: str) -> None:
    g = np.random.default_rng(rows * 7919 + inner * 31 + columns)
    x = P.Input((BATCH if symbolic else batch, SEQUENCE if symbolic else rows, inner), FLOAT, "x")
    right = normal(g, inner, columns)
    y: P.Array = P.constant(right) if constant else P.Input((inner, columns), FLOAT, "y")
    inputs = [x] if constant else [x, y]
    z = P.maximum(P.matmul(x, y) + P.constant(normal(g, columns)), 0.0)
    compare(inputs, {"z": z}, {"x": normal(g, batch, rows, inner), "y": right}, target, 1e-5)  # type: ignore[arg-type]


@settings(max_examples=15, deadline=None)
@given(
    channels=st.integers(1, 20), out=st.integers(1, 40), side=st.integers(3, 17), kernel=st.integers(1, 3),
    stride=st.integers(1, 2), pad=st.integers(0, 1), target=st.sampled_from(TARGETS),
)  # fmt: skip
def test_convolutions_of_any_size(channels: int, out: int, side: int, kernel: int, stride: int, pad: int, target: str) -> None:
    g = np.random.default_rng(channels * 101 + out)
    x = P.Input((BATCH, channels, side, side), FLOAT, "x")
    y = P.maximum(convolve(x, g, out, kernel, stride, pad), 0.0)
    compare([x], {"y": y}, {"x": normal(g, 2, channels, side, side)}, target, 1e-5)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("channels", [2, 3, 4, 5, 7])
@pytest.mark.parametrize("kind", [np.float32, np.uint8, np.bool_])
def test_planes_are_woven_together(target: str, channels: int, kind: type) -> None:
    data = np.random.default_rng(channels).integers(0, 2 if kind is np.bool_ else 200, (2, channels, 5, 37)).astype(kind)
    x = P.Input(data.shape, DataType.of(np.dtype(kind)), "x")
    compare([x], {"y": P.transpose(x, [0, 2, 3, 1])}, {"x": data}, target)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("axes", [[0, 1, 2, 3], [1, 3], [2]])
def test_extremes_of_the_same_rows(target: str, axes: list[int]) -> None:
    data = np.random.default_rng(1).standard_normal((2, 20, 3, 21)).astype(np.float32)
    x = P.Input(data.shape, DataType.FLOAT, "x")
    low, high = P.min(x, axes, keepdims=True), P.max(x * 2, axes, keepdims=True)
    compare([x], {"low": low, "high": high, "y": (x - low) / (high - low)}, {"x": data}, target)


@pytest.mark.parametrize("target", TARGETS)
def test_reductions_follow_the_memory(target: str) -> None:
    """The largest number of a convolution's result, which lies with its channels last."""
    data = np.random.default_rng(2).standard_normal((1, 5, 9, 8)).astype(np.float32)
    x = P.Input(data.shape, DataType.FLOAT, "x")
    weights = P.constant(np.random.default_rng(3).standard_normal((5, 24)).astype(np.float32))
    product = P.reduce("sum", (1, 24, 9, 8), (5,), lambda n, m, h, w, c: x[n, c, h, w] * weights[c, m])
    scaled = P.maximum(product, 0.0)
    compare([x], {"y": scaled / P.max(scaled), "sum": P.sum(scaled)}, {"x": data}, target, 1e-5)


def in_groups(x: P.Array, groups: int, generator: np.random.Generator) -> P.Array:
    """A convolution of single elements (kernel 1) in groups of channels."""
    batch, channels, height, width = x.shape
    assert isinstance(channels, int)
    depth = channels // groups
    weights = P.constant(normal(generator, groups, depth, depth))
    apart = P.reshape(x, (batch, groups, depth, height, width))
    shape = (batch, groups, depth, height, width)
    product = P.reduce("sum", shape, (depth,), lambda n, g, o, h, w, c: apart[n, g, c, h, w] * weights[g, c, o])
    return P.reshape(product, x.shape)


@pytest.mark.parametrize("target", TARGETS)
def test_a_product_carries_what_is_added_after_a_transposition(target: str) -> None:
    """A layer with channels last between others with channels first, as in ConvNeXt, and a shortcut around it that is read twice."""
    generator = np.random.default_rng(5)
    x = P.Input((BATCH, 24, 5, SEQUENCE), FLOAT, "x")
    weights, bias = P.constant(normal(generator, 24, 24)), P.constant(normal(generator, 24))
    layer = P.transpose(P.matmul(P.transpose(x, [0, 2, 3, 1]), weights) + bias, [0, 3, 1, 2])
    added = x + layer
    artifact = compare([x], {"added": added, "y": P.max(added, [2])}, {"x": normal(generator, 2, 24, 5, 7)}, target, 1e-5)
    kinds = [kernel.kind for kernel in artifact.kernels]
    assert kinds.count("contraction") == 1 and kinds.count("map") == 0, "the sum is the product's epilogue"


@pytest.mark.parametrize("target", TARGETS)
def test_what_follows_a_reduction_does_so_before_its_axes_are_merged(target: str) -> None:
    """Grouped convolutions carry their bias and activation along, beside operands of every shape; then channels are shuffled."""
    generator = np.random.default_rng(4)
    x = P.Input((BATCH, 24, 9, SEQUENCE), FLOAT, "x")
    bias = P.constant(normal(generator, 24, 1, 1))
    first = P.maximum(in_groups(x, 4, generator) + bias, 0.0)
    shuffled = P.reshape(P.transpose(P.reshape(first, (BATCH, 4, 6, 9, SEQUENCE)), [0, 2, 1, 3, 4]), x.shape)
    second = P.tanh(in_groups(shuffled, 4, generator) + in_groups(x, 4, generator) + x)
    artifact = compare([x], {"y": second}, {"x": normal(generator, 2, 24, 9, 7)}, target, 1e-5)
    kinds = [kernel.kind for kernel in artifact.kernels]
    assert (kinds.count("contraction"), kinds.count("map")) == (3, 2), "three products and copies: the shuffle, the result"


@pytest.mark.parametrize("target", TARGETS)
def test_axes_that_are_merged_for_a_pooling(target: str) -> None:
    """The copy that merges them keeps the channels last, as the pooling reads them and as they are made."""
    generator = np.random.default_rng(5)
    x = P.Input((1, 24, 9, 8), FLOAT, "x")
    y = P.maximum(in_groups(x, 4, generator), 0.0)
    pooled = P.reduce("max", (1, 24, 4, 4), (2, 2), lambda n, c, h, w, i, j: y[n, c, 2 * h + i, 2 * w + j])
    artifact = compare([x], {"y": pooled, "flat": P.reshape(y, (24 * 9, 8))}, {"x": normal(generator, 1, 24, 9, 8)}, target, 1e-5)
    assert "rows" not in [kernel.kind for kernel in artifact.kernels]
