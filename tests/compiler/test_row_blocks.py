"""Products whose left operand is made of another product row by row, in blocks of rows: attention in its many forms."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from onward import program as P
from onward.compiler.artifact import Artifact, CompileOptions
from onward.compiler.driver import compile_program
from onward.compiler.roots import RootFinder
from onward.compiler.row_blocks import find_row_blocks
from onward.ir.datatypes import DataType
from onward.ir.expressions import Symbol
from onward.operators.lowering import Program
from onward.runtime.executable import Executable
from tests.compiler.native import TARGETS

Change = Callable[[P.Array, P.Array], P.Array]
"""(scores, mask) -> scores"""


def added(scores: P.Array, mask: P.Array) -> P.Array:
    return scores + mask


def boolean(scores: P.Array, mask: P.Array) -> P.Array:
    return P.where(mask > 0.0, scores, P.constant(np.float32(-np.inf)))


def causal(scores: P.Array, mask: P.Array) -> P.Array:
    def element(b: P.Dimension, h: P.Dimension, s: P.Dimension, t: P.Dimension) -> P.Scalar:
        return P.where(P.less_equal(P.scalar(t), P.scalar(s + 2)), scores[b, h, s, t] * 0.5, -1e9)

    return P.compute(scores.shape, element)


def capped(scores: P.Array, mask: P.Array) -> P.Array:
    return P.tanh(scores) * 3.0 + mask


def plain(scores: P.Array, mask: P.Array) -> P.Array:
    return scores


CHANGES: dict[str, Change] = {"plain": plain, "added": added, "boolean": boolean, "causal": causal, "capped": capped}


def attention(q: P.Array, k: P.Array, v: P.Array, mask: P.Array, change: Change) -> P.Array:
    """softmax(changed q k^T) v as exporters write it."""
    scores = change(P.matmul(q, P.transpose(k, [0, 1, 3, 2])), mask)
    powers = P.exp(scores - P.max(scores, [-1], keepdims=True))
    return P.matmul(powers / P.sum(powers, [-1], keepdims=True), v)


def arrays(batch: int, heads: int, rows: int, keys: int, size: int, wide: int, seed: int) -> dict[str, np.ndarray]:
    g = np.random.default_rng(seed)
    shapes = {"q": (batch, heads, rows, size), "k": (batch, heads, keys, size), "v": (batch, heads, keys, wide), "m": (1, 1, rows, keys)}
    return {name: g.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}


def run(inputs: list[P.Input], output: P.Array, feeds: dict[str, np.ndarray], target: str, threads: int = 2) -> tuple[np.ndarray, Artifact]:
    artifact = compile_program(Program("test", tuple(inputs), {"y": output}, {}), CompileOptions(target=target))
    return Executable(artifact, threads=threads).run([feeds[item.label] for item in inputs])[0], artifact


def kinds(artifact: Artifact) -> list[str]:
    return [kernel.kind for kernel in artifact.kernels]


def check(got: np.ndarray, output: P.Array, inputs: list[P.Input], feeds: dict[str, np.ndarray]) -> None:
    """Against the same program in double precision, or nearly: the evaluator's sums are NumPy's."""
    (want,) = P.evaluate([output], {item: feeds[item.label] for item in inputs})
    assert got.shape == want.shape
    np.testing.assert_allclose(got, want, rtol=2e-4, atol=2e-6)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("rows, keys, size, wide", [(70, 33, 8, 8), (7, 130, 5, 19), (1, 17, 64, 64), (129, 1, 16, 3), (65, 65, 1, 1)])
def test_known_sizes(target: str, change: str, rows: int, keys: int, size: int, wide: int) -> None:
    feeds = arrays(2, 3, rows, keys, size, wide, rows)
    if change == "boolean":
        feeds["m"][..., 0] = 1.0  # no row is wholly masked: softmax as written would be NaN
    inputs = [P.Input(item.shape, DataType.FLOAT, name) for name, item in feeds.items()]
    output = attention(*inputs, CHANGES[change])
    got, artifact = run(inputs, output, feeds, target)
    if rows > 1 and keys > 1:
        assert kinds(artifact).count("blocks") == 1 and "contraction" not in kinds(artifact)
    check(got, output, inputs, feeds)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("rows, keys", [(0, 5), (1, 1), (1, 40), (31, 33), (32, 64), (100, 7), (5, 0)])
def test_open_sizes(target: str, rows: int, keys: int) -> None:
    feeds = arrays(2, 2, rows, keys, 8, 8, rows + keys)
    b, s, t = Symbol("b"), Symbol("s"), Symbol("t")
    shapes = {"q": (b, 2, s, 8), "k": (b, 2, t, 8), "v": (b, 2, t, 8), "m": (1, 1, s, t)}
    inputs = [P.Input(shape, DataType.FLOAT, name) for name, shape in shapes.items()]
    output = attention(*inputs, added)
    got, artifact = run(inputs, output, feeds, target)
    assert "blocks" in kinds(artifact)
    check(got, output, inputs, feeds)


@pytest.mark.parametrize("rows", [50, 300])
def test_any_number_of_threads_gives_the_same_numbers_as_one_row_at_a_time(rows: int) -> None:
    feeds = arrays(1, 5, rows, 90, 24, 24, 3)
    inputs = [P.Input(item.shape, DataType.FLOAT, name) for name, item in feeds.items()]
    output = attention(*inputs, added)
    results = [run(inputs, output, feeds, "host", threads)[0] for threads in (1, 2, 3, 7)]
    # The scores are an output of this one, so that nothing is done in blocks.
    whole = added(P.matmul(inputs[0], P.transpose(inputs[1], [0, 1, 3, 2])), inputs[3])
    powers = P.exp(whole - P.max(whole, [-1], keepdims=True))
    apart = P.matmul(powers / P.sum(powers, [-1], keepdims=True), inputs[2])
    artifact = compile_program(Program("test", tuple(inputs), {"y": apart, "scores": whole}, {}), CompileOptions(target="host"))
    assert "blocks" not in kinds(artifact)
    results.append(Executable(artifact, threads=2).run([feeds[item.label] for item in inputs])[0])
    for other in results[1:]:
        np.testing.assert_array_equal(results[0], other)


def test_not_a_number_stays_in_its_row() -> None:
    feeds = arrays(1, 2, 40, 50, 16, 16, 5)
    feeds["q"][0, 1, 17, 3] = np.nan
    feeds["m"][0, 0, 30] = -np.inf
    inputs = [P.Input(item.shape, DataType.FLOAT, name) for name, item in feeds.items()]
    got, artifact = run(inputs, attention(*inputs, added), feeds, "host")
    assert "blocks" in kinds(artifact)
    wrong = np.isnan(got)
    assert wrong[0, 1, 17].all() and wrong[0, :, 30].all()
    assert wrong.sum() == 16 * 3


Hide = Callable[[P.Scalar, P.Dimension, P.Dimension], P.Scalar]
"""(score, row, column) -> minus infinity for columns that the row does not see"""

NOTHING = float("-inf")
HIDING: dict[str, Hide] = {
    "its own": lambda e, s, t: P.where(P.less_equal(P.scalar(t), P.scalar(s)), e, NOTHING),
    "those before": lambda e, s, t: P.where(P.less(P.scalar(t), P.scalar(s)), e, NOTHING),
    "not those after": lambda e, s, t: P.where(P.scalar(t) > P.scalar(s + 3), NOTHING, e),
    "from further on": lambda e, s, t: P.where(P.scalar(s) + 90 >= P.scalar(t), e, NOTHING),
    "and not the fifth": lambda e, s, t: P.where(P.scalar(t) == 5, NOTHING, P.where(P.less_equal(P.scalar(t), P.scalar(s)), e, NOTHING)),
}


def masked(scores: P.Array, hide: Hide) -> P.Array:
    return P.compute(scores.shape, lambda b, h, s, t: hide(scores[b, h, s, t] * 0.5, s, t))


def reaches(output: P.Array) -> list[bool]:
    """Whether blocks leave out what their rows do not see."""
    finder = RootFinder([output])
    return [blocks.reach is not None for blocks in find_row_blocks(finder, finder.find())]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(
    "hide, rows, keys, known",
    [*((hide, 150, 150, True) for hide in HIDING), ("its own", 300, 70, True), ("its own", 70, 200, False), ("those before", 1, 9, False)],
)
def test_columns_that_no_row_of_a_block_sees(target: str, hide: str, rows: int, keys: int, known: bool) -> None:
    """They are left out; 0 times what is no number stays no number, and a row that sees nothing is no number, as without blocks."""
    feeds = arrays(2, 1, rows, keys, 8, 20, rows)
    feeds["v"][0, 0, keys - 1, 3], feeds["v"][1, 0, keys // 2, 5] = np.inf, np.nan
    feeds["q"][0, 0, rows // 8, 0] = np.nan
    s, t = (rows, keys) if known else (Symbol("s"), Symbol("t"))
    shapes = {"q": (2, 1, s, 8), "k": (2, 1, t, 8), "v": (2, 1, t, 20), "m": (1, 1, s, t)}
    inputs = [P.Input(shape, DataType.FLOAT, name) for name, shape in shapes.items()]
    output = attention(*inputs, lambda scores, mask: masked(scores, HIDING[hide]))
    assert reaches(output) == [True]
    got, artifact = run(inputs, output, feeds, target)
    assert "blocks" in kinds(artifact)
    check(got, output, inputs, feeds)


def test_a_sum_over_more_columns_than_the_weights() -> None:
    """Rows that are scaled by a sum over columns which the weights do not see: no columns are left out."""
    feeds = arrays(1, 1, 150, 150, 8, 8, 0)
    inputs = [P.Input(item.shape, DataType.FLOAT, name) for name, item in feeds.items()]
    q, k, v, mask = inputs
    scores = P.matmul(q, P.transpose(k, [0, 1, 3, 2]))
    own, further = (masked(scores, HIDING[hide]) for hide in ("its own", "from further on"))
    powers, more = (P.exp(item - P.max(item, [-1], keepdims=True)) for item in (own, further))
    output = P.matmul(powers / P.sum(more, [-1], keepdims=True), v)
    assert reaches(output) == [False]
    got, _ = run(inputs, output, feeds, TARGETS[0])
    check(got, output, inputs, feeds)


@pytest.mark.parametrize("change", ["finite", "data", "first"])
def test_columns_that_may_count_stay(change: str) -> None:
    """What is hidden by a finite number may count, and so may what data hide; columns before a row are read all the same."""
    changes: dict[str, Change] = {
        "finite": causal,
        "data": boolean,
        "first": lambda scores, mask: masked(scores, lambda e, s, t: P.where(P.less_equal(P.scalar(s), P.scalar(t)), e, NOTHING)),
    }
    inputs = [P.Input(item.shape, DataType.FLOAT, name) for name, item in arrays(1, 1, 100, 100, 8, 8, 0).items()]
    assert reaches(attention(*inputs, changes[change])) == [False]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("packed", [False, True])
def test_many_rows(target: str, packed: bool) -> None:
    """Keys and values are laid out in panels once for all blocks of a head, wherever they lie; weights that are infinite or no number stay what they are."""
    feeds = arrays(1, 3, 300, 210, 16, 37, 12)
    feeds["m"][..., 0] = -np.inf
    feeds["m"][0, 0, 7] = -np.inf
    feeds["m"][0, 0, 8, 3] = np.inf
    feeds["v"][0, 1, 4, 5] = np.inf
    inputs = [P.Input(item.shape, DataType.FLOAT, name) for name, item in feeds.items()]
    q, k, v, m = inputs
    if packed:  # (positions, heads * size), as a layer leaves them
        feeds["k"], feeds["v"] = (np.ascontiguousarray(feeds[name][0].transpose(1, 0, 2).reshape(210, -1)) for name in "kv")
        inputs[1:3] = [P.Input(feeds[name].shape, DataType.FLOAT, name) for name in "kv"]
        k, v = (P.transpose(P.reshape(item, (1, 210, 3, item.shape[1] // 3)), [0, 2, 1, 3]) for item in inputs[1:3])
    output = attention(q, k, v, m, added)
    got, artifact = run(inputs, output, feeds, target)
    assert kinds(artifact).count("map") >= 2
    check(got, output, inputs, feeds)


def test_powers_that_are_not_shifted() -> None:
    """They may be great, so that weights are scaled before they are multiplied."""
    feeds = arrays(1, 1, 40, 50, 1, 8, 3)
    feeds["q"], feeds["k"], feeds["v"] = np.full_like(feeds["q"], 8.0), np.full_like(feeds["k"], 10.5), feeds["v"] * np.float32(1e4)
    inputs = [P.Input(feeds[name].shape, DataType.FLOAT, name) for name in "qkv"]
    q, k, v = inputs
    powers = P.exp(P.matmul(q, P.transpose(k, [0, 1, 3, 2])))
    output = P.matmul(powers / P.sum(powers, [-1], keepdims=True), v)
    got, _ = run(inputs, output, feeds, TARGETS[0])
    assert np.isfinite(got).all()
    np.testing.assert_allclose(got[0, 0], np.broadcast_to(feeds["v"][0, 0].mean(0), (40, 8)), rtol=1e-3, atol=10.0)


def test_heads_that_share_keys() -> None:
    g = np.random.default_rng(6)
    feeds = {
        "q": g.standard_normal((2, 6, 45, 8)).astype(np.float32),
        "k": g.standard_normal((2, 2, 37, 8)).astype(np.float32),
        "v": g.standard_normal((2, 2, 37, 8)).astype(np.float32),
        "m": g.standard_normal((2, 6, 45, 37)).astype(np.float32),
    }
    inputs = [P.Input(item.shape, DataType.FLOAT, name) for name, item in feeds.items()]
    from onward.operators.attention.attention import mix, scores

    q, k, v, m = inputs
    values = scores(q, k, 0.3) + m
    powers = P.exp(values - P.max(values, [-1], keepdims=True))
    output = mix(powers / P.sum(powers, [-1], keepdims=True), v)
    got, artifact = run(inputs, output, feeds, "host")
    assert "blocks" in kinds(artifact)
    check(got, output, inputs, feeds)


def test_layers_of_a_network_are_no_blocks() -> None:
    """Weights are read once for all rows."""
    g = np.random.default_rng(7)
    x = P.Input((40, 32), DataType.FLOAT, "x")
    hidden = P.matmul(x, P.constant(g.standard_normal((32, 64)).astype(np.float32)))
    normal = hidden / P.sum(hidden * hidden, [-1], keepdims=True)
    output = P.matmul(normal, P.constant(g.standard_normal((64, 16)).astype(np.float32)))
    feeds = {"x": g.standard_normal((40, 32)).astype(np.float32)}
    got, artifact = run([x], output, feeds, "host")
    assert kinds(artifact).count("contraction") == 2
    check(got, output, [x], feeds)


def test_scores_that_something_else_reads_are_stored() -> None:
    feeds = arrays(1, 2, 20, 30, 8, 8, 9)
    inputs = [P.Input(item.shape, DataType.FLOAT, name) for name, item in feeds.items()]
    weights = attention(*inputs, added)
    q, k = inputs[:2]
    raw = P.matmul(q, P.transpose(k, [0, 1, 3, 2]))
    program = Program("test", tuple(inputs), {"y": weights, "raw": P.sum(raw, [0])}, {})
    artifact = compile_program(program, CompileOptions(target="host"))
    got = Executable(artifact, threads=2).run([feeds[item.label] for item in inputs])
    want = P.evaluate(list(program.outputs.values()), {item: feeds[item.label] for item in inputs})
    for ours, theirs in zip(got, want):
        np.testing.assert_allclose(ours, theirs, rtol=2e-4, atol=2e-6)


def test_one_after_another() -> None:
    """The result of one is scores to the next: each array is computed once, in one of them."""
    feeds = arrays(1, 2, 20, 30, 8, 24, 10)
    inputs = [P.Input(item.shape, DataType.FLOAT, name) for name, item in feeds.items()]
    first = attention(*inputs, added)
    powers = P.exp(first - P.max(first, [-1], keepdims=True))
    weights = powers / P.sum(powers, [-1], keepdims=True)
    w = P.Input((1, 2, 24, 5), DataType.FLOAT, "w")
    feeds["w"] = np.random.default_rng(11).standard_normal((1, 2, 24, 5)).astype(np.float32)
    output = P.matmul(weights, w)
    got, artifact = run([*inputs, w], output, feeds, "host")
    assert "blocks" in kinds(artifact)
    check(got, output, [*inputs, w], feeds)
