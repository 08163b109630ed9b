"""Models that are no single native function: text, sequences, values that shape others, control flow on the host."""

from __future__ import annotations

import threading
import time

import numpy as np
import onnxruntime
import pytest
from onnx import parser

from onward.errors import InvalidInput, OnwardError, RunError, Terminated, UnsupportedOperator
from onward.runtime import InferenceSession, RunOptions, SessionOptions

HEADER = '<ir_version: 9, opset_import: ["" : 17]>\n'
GENERATOR = np.random.default_rng(5)


def compare(text: str, *feeds: dict[str, object]) -> InferenceSession:
    """The session of a model in text, after runs that agree with onnxruntime."""
    data = parser.parse_model(HEADER + text).SerializeToString()
    ours, theirs = InferenceSession(data), onnxruntime.InferenceSession(data)
    for item in feeds:
        for left, right in zip(ours.run(None, item), theirs.run(None, item), strict=True):
            same(left, right)
    return ours


def same(left: object, right: object) -> None:
    if isinstance(right, list):
        assert isinstance(left, list) and len(left) == len(right)
        for first, second in zip(left, right):
            same(first, second)
    elif right is None:
        assert left is None
    else:
        left, right = np.asarray(left), np.asarray(right)
        assert left.dtype == right.dtype and left.shape == right.shape
        if right.dtype == object:
            assert left.tolist() == right.tolist()
        else:
            np.testing.assert_allclose(left, right, rtol=1e-6, atol=1e-7)


def floats(*shape: int) -> np.ndarray:
    return GENERATOR.standard_normal(shape).astype(np.float32)


def test_axes_that_are_fed() -> None:
    text = "sums (float[N, M] x, int64[K] axes) => (float[A] y) { s = ReduceSum<keepdims = 0>(x, axes) y = Relu(s) }"
    x = floats(3, 4)
    session = compare(text, *({"x": x, "axes": np.array([axis])} for axis in (0, 1, -1, 0)))
    assert session.runs_in_stages


def test_more_values_than_are_compiled_for() -> None:
    text = "slices (float[N] x, int64[1] axis, int64[K] pads) => (float[A, B] y) { u = Unsqueeze(x, axis) y = Add(u, u) }"
    x = floats(5)
    for axis in (0, 1, -1, -2):
        compare(text, {"x": x, "axis": np.array([axis]), "pads": np.array([0])})
    session = compare("s (int64[K] order, int64 n) => (int64[M] y) { s = SplitToSequence(order, n) y = SequenceAt(s, n) }",
                      *({"order": np.arange(100), "n": np.array(n)} for n in range(1, 10)))  # fmt: skip
    assert session.runs_in_stages


def test_axes_that_are_computed() -> None:
    text = """sums (float[N, M] x, int64[1] a) => (float[A] y) {
        one = Constant<value = int64[1] {1}>() axes = Sub(one, a) z = Exp(x) s = ReduceSum<keepdims = 0>(z, axes) y = Sqrt(s) }"""
    compare(text, *({"x": floats(3, 4), "a": np.array([axis])} for axis in (0, 1)))


def test_text_moves_through_a_graph() -> None:
    text = """words (string[N] x, int64[K] places, float[N, 2] z) => (string[K] y, int64[1] count, float[N, 2] w) {
        y = Gather(x, places) count = Shape(y) w = Mul(z, z) }"""
    words = np.array(["a", "bc", "käse"], object)
    compare(text, {"x": words, "places": np.array([2, 0, 2, 1]), "z": floats(3, 2)})


def test_text_of_every_kind_is_taken() -> None:
    data = parser.parse_model(HEADER + "w (string[N] x) => (string[N] y) { y = Identity(x) }").SerializeToString()
    session = InferenceSession(data)
    for words in (["a", "b"], np.array(["a", "b"]), np.array([b"a", b"b"]), np.array(["a", "b"], object)):
        (result,) = session.run(None, {"x": words})
        assert result.dtype == object and result.tolist() == ["a", "b"]
    with pytest.raises(InvalidInput, match="expected text"):
        session.run(None, {"x": np.zeros(2)})


def test_a_loop_that_collects_a_sequence() -> None:
    body = """e = SequenceEmpty() c = Constant<value = bool {1}>()
        s = Loop<body = b(int64 i, bool ci, seq(float[B]) a) => (bool co, seq(float[B]) o)
                 { co = Identity(ci) f = Cast<to = 1>(i) v = Add(x, f) o = SequenceInsert(a, v) }>(n, c, e)"""
    feeds = [{"x": floats(3), "n": np.array(n)} for n in (4, 1, 9)]
    compare("g (float[N] x, int64 n) => (float[A] y) { " + body + " y = ConcatFromSequence<axis = 0>(s) }", *feeds)
    compare("g (float[N] x, int64 n) => (seq(float[A]) s) { " + body + "}", *feeds, {"x": floats(2), "n": np.array(0)})


def test_a_loop_whose_state_grows() -> None:
    text = """g (float[N] x, int64 n) => (float[A] y, float[n, N] z) { c = Constant<value = bool {1}>()
        y, z = Loop<body = b(int64 i, bool ci, float[B] a) => (bool co, float[D] o, float[E] twice)
                 { co = Identity(ci) o = Concat<axis = 0>(a, x) twice = Add(x, x) }>(n, c, x) }"""
    compare(text, {"x": floats(3), "n": np.array(4)}, {"x": floats(1), "n": np.array(2)})


def test_branches_of_different_shapes() -> None:
    text = """g (float[N] x, bool c) => (float[A] y) { z = Mul(x, x)
        y = If<then_branch = t() => (float[B] o) { o = Concat<axis = 0>(x, z) },
               else_branch = e() => (float[C] p) { p = Sqrt(z) }>(c) }"""
    compare(text, *({"x": floats(size), "c": np.array(flag)} for size in (3, 1, 0) for flag in (True, False)))


def test_sequences_and_optional_values_at_the_boundary() -> None:
    text = "g (seq(float[N]) s, int64 p) => (float[M] y, int64 n, seq(float[K]) t) { y = SequenceAt(s, p) n = SequenceLength(s) t = SequenceErase(s, p) }"
    items = [floats(2), floats(5), floats(1)]
    session = compare(text, *({"s": items, "p": np.array(p)} for p in (0, 1, -1)))
    assert [item.type for item in session.get_inputs()] == ["seq(tensor(float))", "tensor(int64)"]
    with pytest.raises(InvalidInput, match="expected a list"):
        session.run(None, {"s": items[0], "p": np.array(0)})
    with pytest.raises(OnwardError, match="position 3"):
        session.run(None, {"s": items, "p": np.array(3)})


def test_sizes_that_broadcast_only_in_some_runs() -> None:
    text = "g (float[N, M] x, float[K, L] y) => (float[A, B] z) { s = Add(x, y) z = Exp(s) }"
    shapes = [((3, 4), (3, 4)), ((3, 4), (1, 4)), ((1, 4), (3, 1)), ((0, 4), (1, 4)), ((1, 1), (2, 2))]
    compare(text, *({"x": floats(*left), "y": floats(*right)} for left, right in shapes))
    data = parser.parse_model(HEADER + text).SerializeToString()
    with pytest.raises(InvalidInput):
        InferenceSession(data).run(None, {"x": floats(3, 4), "y": floats(2, 4)})


ENDLESS = """g (float[N] x) => (float[A] y) { m = Constant<value_strings = ["a"]>() c = Constant<value = bool {1}>()
    y, w = Loop<body = b(int64 i, bool ci, float[B] a, string[C] v) => (bool co, float[D] o, string[C] u)
             { co = Identity(ci) o = Add(a, x) u = Identity(v) }>(, c, x, m) }"""


def test_a_loop_without_end_can_be_stopped() -> None:
    session = InferenceSession(parser.parse_model(HEADER + ENDLESS).SerializeToString())
    options, times = RunOptions(), []

    def stop() -> None:
        times.append(time.perf_counter())
        options.terminate = True

    timer = threading.Timer(0.3, stop)
    timer.start()
    with pytest.raises(Terminated):
        session.run(None, {"x": floats(3)}, options)
    assert time.perf_counter() - times[0] < 1.0  # milliseconds on a machine without other work


def test_a_loop_without_end_has_a_limit_on_request() -> None:
    options = SessionOptions()
    options.add_session_config_entry("onward.loop_limit", "100")
    session = InferenceSession(parser.parse_model(HEADER + ENDLESS).SerializeToString(), options)
    with pytest.raises(RunError, match="more than 100 turns"):
        session.run(None, {"x": floats(3)})


def test_what_no_page_defines_is_refused_at_once() -> None:
    text = '<ir_version: 9, opset_import: ["" : 17, "com.nobody" : 1]> g (string[N] x) => (string[N] y) { y = com.nobody.Magic(x) }'
    with pytest.raises(UnsupportedOperator, match="Magic"):
        InferenceSession(parser.parse_model(text).SerializeToString())
