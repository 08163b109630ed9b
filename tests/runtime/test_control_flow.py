"""If, Loop and Scan as one native function: turns and branches that the run decides."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
from onnx import parser

from onward.errors import IndexOutOfBounds, RunError, Terminated
from onward.runtime import InferenceSession, RunOptions, SessionOptions
from tests.runtime.test_staging import HEADER, compare, floats

SUM = """
sums (int64 n, float[N] x) => (float[N] last) {
  last = Loop(n, , x) <body = b (int64 i, bool c, float[N] s) => (bool d, float[N] t) {
    d = Identity(c) k = CastLike(i, s) u = Add(s, k) t = Sin(u) }>
}"""


def native(text: str, *feeds: dict[str, object]) -> InferenceSession:
    session = compare(text, *feeds)
    assert not session.runs_in_stages
    return session


def test_turns_that_are_fed() -> None:
    native(SUM, *({"n": np.array(n), "x": floats(5)} for n in (3, 0, 1, 40, 1000)))


def test_a_condition_of_the_data() -> None:
    text = """
    halve (float[N] x) => (float[N] last) {
      big = Constant<value_float = 1.0>() top = ReduceMax<keepdims = 0>(x) first = Greater(top, big)
      last = Loop(, first, x) <body = b (int64 i, bool c, float[N] s) => (bool d, float[N] t) {
        half = Constant<value_float = 0.5>() t = Mul(s, half)
        most = ReduceMax<keepdims = 0>(t) d = Greater(most, big) }>
    }"""
    native(text, *({"x": floats(4) * scale} for scale in (0.01, 1, 10, 1e6)))


def test_states_that_change_places() -> None:
    text = """
    fibonacci (int64 n) => (int64 a, int64 b) {
      zero = Constant<value_int = 0>() one = Constant<value_int = 1>()
      a, b = Loop(n, , zero, one) <body = t (int64 i, bool c, int64 p, int64 q) => (bool d, int64 r, int64 s) {
        d = Identity(c) r = Identity(q) s = Add(p, q) }>
    }"""
    native(text, *({"n": np.array(n)} for n in (0, 1, 2, 50)))


def test_collected_values() -> None:
    text = """
    powers (int64 n, float[K] x) => (float[K] last, float[T, K] all) {
      last, all = Loop(n, , x) <body = b (int64 i, bool c, float[K] s) => (bool d, float[K] t, float[K] u) {
        d = Identity(c) t = Mul(s, x) u = Add(t, s) }>
    }"""
    native(text, *({"n": np.array(n), "x": floats(3)} for n in (1, 2, 20, 100)))


def test_collected_until_the_data_ends_it() -> None:
    text = """
    search (float[20] x, float limit) => (float total, float[T] seen) {
      zero = Constant<value_float = 0.0>() n = Constant<value_int = 20>() yes = Constant<value = bool {1}>()
      total, seen = Loop(n, yes, zero) <body = b (int64 i, bool c, float s) => (bool d, float t, float e) {
        e = Gather(x, i) t = Add(s, e) d = Less(t, limit) }>
    }"""
    x = np.abs(floats(20)) + np.float32(0.1)
    native(text, *({"x": x, "limit": np.array(limit, np.float32)} for limit in (0.05, 1, 3, 1e6)))


def test_only_the_branch_that_is_taken_runs() -> None:
    text = """
    pick (bool c, float[4] x, int64[2] i) => (float[2] y) {
      y = If(c) <then_branch = a () => (float[2] u) { u = Gather(x, i) },
                 else_branch = b () => (float[2] v) { z = Constant<value_ints = [0, 1]>() w = Gather(x, z) v = Neg(w) }>
    }"""
    inside, outside = np.array([3, 1]), np.array([3, 7])
    session = native(text, *({"c": np.array(c), "x": floats(4), "i": inside} for c in (True, False)))
    session.run(None, {"c": np.array(False), "x": floats(4), "i": outside})
    with pytest.raises(IndexOutOfBounds, match="index 7"):
        session.run(None, {"c": np.array(True), "x": floats(4), "i": outside})


def test_a_branch_inside_a_loop_inside_a_scan() -> None:
    text = """
    nested (float[B, N] x, int64 n) => (float[N] s, float[B, N] y) {
      zero = Constant<value_float = 0.0>() row = ReduceMax<axes = [0], keepdims = 0>(x) start = Mul(row, zero)
      s, y = Scan<num_scan_inputs = 1, body = step (float[N] h, float[N] e) => (float[N] k, float[N] o) {
        k = Loop(n, , h) <body = turn (int64 i, bool c, float[N] a) => (bool d, float[N] b) {
          d = Identity(c) t = Add(a, e) m = ReduceSum<keepdims = 0>(t) big = Greater(m, zero)
          b = If(big) <then_branch = p () => (float[N] u) { u = Sin(t) }, else_branch = q () => (float[N] v) { v = Cos(t) }>
        }>
        o = Neg(k)
      }>(start, x)
    }"""
    native(text, *({"x": floats(b, 3), "n": np.array(n)} for b, n in ((1, 1), (5, 3), (40, 2))))


@pytest.mark.parametrize("length", [1, 7, 16, 17, 50])
def test_scans_of_all_directions_and_axes(length: int) -> None:
    text = """
    cumulative (double[N, T] x, double[T, N] z) => (double[N] s, double[N, T] y, double[T, N] w) {
      axes = Constant<value_ints = [1]>() start = ReduceSum<keepdims = 0>(x, axes)
      s, y, w = Scan<num_scan_inputs = 2, scan_input_axes = [1, 0], scan_input_directions = [0, 1],
                     scan_output_axes = [1, 0], scan_output_directions = [1, 0],
                     body = step (double[N] h, double[N] e, double[N] f) => (double[N] k, double[N] o, double[N] p) {
        a = Sin(h) b = Mul(e, f) k = Add(a, b) o = Neg(k) p = Identity(e) }>(start, x, z)
    }"""
    native(text, {"x": floats(3, length).astype(np.float64), "z": floats(length, 3).astype(np.float64)})


def test_states_of_changing_size_run_in_stages() -> None:
    text = """
    growing (int64 n, float[N] x) => (float[M] last) {
      last = Loop(n, , x) <body = b (int64 i, bool c, float[K] s) => (bool d, float[L] t) {
        d = Identity(c) t = Concat<axis = 0>(s, s) }>
    }"""
    assert compare(text, *({"n": np.array(n), "x": floats(2)} for n in (0, 1, 4))).runs_in_stages


ENDLESS = """
endless (float[N] x) => (float[N] last) {
  yes = Constant<value = bool {1}>()
  last = Loop(, yes, x) <body = b (int64 i, bool c, float[N] s) => (bool d, float[N] t) { d = Identity(c) t = Sin(s) }>
}"""


def test_a_loop_without_end_is_stopped_at_once() -> None:
    session = InferenceSession(parser.parse_model(HEADER + ENDLESS).SerializeToString())
    assert not session.runs_in_stages
    session.run  # noqa: B018 (compiled before the clock starts)
    options, stopped = RunOptions(), []

    def stop() -> None:
        time.sleep(0.1)
        stopped.append(time.perf_counter())
        options.terminate = True

    thread = threading.Thread(target=stop)
    thread.start()
    with pytest.raises(Terminated):
        session.run(None, {"x": floats(1000)}, options)
    taken = time.perf_counter() - stopped[0]
    thread.join()
    assert taken < 0.5, "a generous bound for a loaded machine; 10 ms is what is asked"


def test_a_limit_of_turns() -> None:
    options = SessionOptions()
    options.add_session_config_entry("onward.loop_limit", "1000")
    for text, feeds in ((ENDLESS, {"x": floats(3)}), (SUM, {"n": np.array(2**60), "x": floats(3)})):
        session = InferenceSession(parser.parse_model(HEADER + text).SerializeToString(), options)
        assert not session.runs_in_stages
        with pytest.raises(RunError, match="1000 turns"):
            session.run(None, feeds)
