"""Sessions: right numbers, clear errors, threads, memory, pickles, the cache."""

from __future__ import annotations

import gc
import json
import multiprocessing
import os
import pickle
import threading
from pathlib import Path

import numpy as np
import pytest
from onnx import numpy_helper, parser

import onward
from onward import ort
from onward.errors import InvalidArgument, InvalidInput, NoSuchFile, Terminated
from onward.runtime import SessionOptions, cache, processor, threads
from tests.shapes import draw, predict, to_model, train

NETWORK = train()
MODEL = to_model(NETWORK)


@pytest.fixture
def session() -> onward.InferenceSession:
    return onward.InferenceSession(MODEL)


def test_numbers_for_several_batch_sizes(session: onward.InferenceSession) -> None:
    for batch in (1, 2, 17, 500, 3):
        images, _ = draw(batch, batch)
        np.testing.assert_allclose(session.run(None, {"image": images})[0], predict(NETWORK, images), atol=2e-6)


@pytest.mark.parametrize(
    "target, lacking", [("avx2", "fma"), ("avxvnni", "avxvnni"), ("avx512", "avx512bw"), ("avx512bf16", "avx512bf16"), ("amx", "amx-tile")]
)
def test_a_processor_that_cannot_run_what_is_asked_for(target: str, lacking: str, monkeypatch: pytest.MonkeyPatch) -> None:
    features = {name: name != lacking for names in processor.NEEDED.values() for name in names}
    monkeypatch.setattr(processor.binding, "get_host_cpu_features", lambda: features)
    with pytest.raises(InvalidArgument, match=rf"ONWARD_CPU={target}.*{lacking}"):
        processor.prepare.__wrapped__(target)


def test_an_empty_batch(session: onward.InferenceSession) -> None:
    assert session.run(None, {"image": np.zeros((0, 1, 12, 12), np.float32)})[0].shape == (0, 4)


@pytest.mark.parametrize(
    "feeds, words",
    [
        ({}, ["image", "missing"]),
        ({"image": np.zeros((1, 1, 12, 12), np.float32), "more": np.zeros(1)}, ["more", "image"]),
        ({"image": np.zeros((1, 1, 12, 12), np.float64)}, ["image", "float64", "float32"]),
        ({"image": np.zeros((1, 12, 12), np.float32)}, ["image", "rank 3", "4"]),
        ({"image": np.zeros((1, 1, 12, 13), np.float32)}, ["image", "13", "axis 3", "12"]),
        ({"image": "text"}, ["image", "str"]),
    ],
)
def test_wrong_feeds(session: onward.InferenceSession, feeds: dict[str, object], words: list[str]) -> None:
    with pytest.raises(InvalidInput) as caught:
        session.run(None, feeds)
    assert all(word in str(caught.value) for word in words), caught.value


def test_layouts_and_byte_orders_are_understood(session: onward.InferenceSession) -> None:
    images, _ = draw(3, 0)
    (expected,) = session.run(None, {"image": images})
    strided = np.repeat(images, 2, 3)[..., ::2]
    for variant in (strided, np.asfortranarray(images), images.astype(">f4"), images.tolist()):
        np.testing.assert_array_equal(session.run(None, {"image": variant})[0], expected)


def test_many_threads_share_a_session(session: onward.InferenceSession) -> None:
    images, _ = draw(40, 0)
    (expected,) = session.run(None, {"image": images})
    wrong: list[str] = []

    def work() -> None:
        for _ in range(50):
            if not np.array_equal(session.run(None, {"image": images})[0], expected):
                wrong.append("different")

    workers = [threading.Thread(target=work) for _ in range(6)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong


def test_one_thread_makes_no_thread() -> None:
    before = threading.active_count()
    session = onward.InferenceSession(MODEL, SessionOptions(intra_op_num_threads=1))
    session.run(None, {"image": draw(300, 0)[0]})
    assert threading.active_count() == before
    assert threads.pool_pointer(1) == 0


def test_idle_threads_use_no_processor(session: onward.InferenceSession) -> None:
    import time

    session.run(None, {"image": draw(300, 0)[0]})
    time.sleep(0.1)
    before = time.process_time()
    time.sleep(0.5)
    assert time.process_time() - before < 0.1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_runs() -> None:
    session = onward.InferenceSession(MODEL, SessionOptions(intra_op_num_threads=2))
    images, _ = draw(300, 0)
    (expected,) = session.run(None, {"image": images})
    context = multiprocessing.get_context("fork")
    queue = context.Queue()

    def child() -> None:
        queue.put(bool(np.array_equal(session.run(None, {"image": images})[0], expected)))

    process = context.Process(target=child)
    process.start()
    assert queue.get(timeout=60)
    process.join(timeout=60)
    assert process.exitcode == 0


def test_pickle(session: onward.InferenceSession) -> None:
    images, _ = draw(3, 0)
    copy = pickle.loads(pickle.dumps(session))
    np.testing.assert_array_equal(copy.run(None, {"image": images})[0], session.run(None, {"image": images})[0])


def test_memory_is_given_back() -> None:
    import resource

    images, _ = draw(8, 0)
    for turn in range(120):
        onward.InferenceSession(MODEL).run(None, {"image": images})
        if turn == 40:
            gc.collect()
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    gc.collect()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 40_000


def test_a_run_can_be_refused_by_its_options(session: onward.InferenceSession) -> None:
    from onward.runtime import RunOptions

    options = RunOptions()
    options.terminate = True
    with pytest.raises(Terminated):
        session.run(None, {"image": draw(1, 0)[0]}, options)


def test_a_long_run_stops_within_milliseconds() -> None:
    import time

    from onward.runtime import RunOptions

    session = onward.InferenceSession(MODEL)
    images = np.zeros((300_000, 1, 12, 12), np.float32)
    session.run(None, {"image": images})
    options = RunOptions()
    timer = threading.Timer(0.02, lambda: setattr(options, "terminate", True))
    timer.start()
    begin = time.perf_counter()
    with pytest.raises(Terminated):
        while time.perf_counter() - begin < 30:
            session.run(None, {"image": images}, options)
    assert time.perf_counter() - begin < 5


def test_an_initialiser_that_is_an_input_can_be_fed() -> None:
    model = MODEL.copy()
    bias = model.graph.initializers["second_bias"]
    model.graph.inputs.append(bias)
    session = onward.InferenceSession(model)
    assert [item.name for item in session.get_overridable_initializers()] == ["second_bias"]
    images, _ = draw(3, 0)
    np.testing.assert_allclose(session.run(None, {"image": images})[0], predict(NETWORK, images), atol=2e-6)
    other = {**NETWORK, "second_bias": NETWORK["second_bias"] + np.float32([3, 0, 0, 0])}
    fed = session.run(None, {"image": images, "second_bias": other["second_bias"]})[0]
    np.testing.assert_allclose(fed, predict(other, images), atol=2e-6)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(NoSuchFile, match="nothing.onnx"):
        onward.InferenceSession(tmp_path / "nothing.onnx")


def test_profiles_are_chrome_traces(tmp_path: Path) -> None:
    options = SessionOptions(enable_profiling=True, profile_file_prefix=str(tmp_path / "profile"))
    session = onward.InferenceSession(MODEL, options)
    session.run(None, {"image": draw(2, 0)[0]})
    events = json.loads(Path(session.end_profiling()).read_text())
    assert {"model_run"} < {event["name"] for event in events}
    assert all(event["ph"] == "X" and event["dur"] >= 0 for event in events)


def test_the_cache_is_used_repaired_and_optional(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONWARD_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "model.onnx"
    onward.save(MODEL, path)
    images, _ = draw(3, 0)
    (expected,) = onward.InferenceSession(path).run(None, {"image": images})
    (entry,) = [item for item in (tmp_path / "cache").iterdir() if item.name != "files"]
    stamp = (entry / "code.bin").stat().st_mtime_ns
    np.testing.assert_array_equal(onward.InferenceSession(path).run(None, {"image": images})[0], expected)
    assert (entry / "code.bin").stat().st_mtime_ns == stamp
    (entry / "code.bin").write_bytes(b"damaged")
    np.testing.assert_array_equal(onward.InferenceSession(path).run(None, {"image": images})[0], expected)
    assert (entry / "code.bin").stat().st_size > 100
    monkeypatch.setenv("ONWARD_CACHE", "off")
    assert cache.folder() is None
    np.testing.assert_array_equal(onward.InferenceSession(path).run(None, {"image": images})[0], expected)


def test_the_cache_keeps_its_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONWARD_CACHE", str(tmp_path))
    monkeypatch.setenv("ONWARD_CACHE_SIZE", "1")
    onward.InferenceSession(MODEL)
    options = SessionOptions()
    options.add_free_dimension_override_by_name("batch", 3)
    session = onward.InferenceSession(MODEL, options)
    assert session.get_inputs()[0].shape == [3, 1, 12, 12]
    assert len([item for item in tmp_path.iterdir() if item.name != "files"]) == 1


def few_rows() -> tuple[bytes, np.ndarray, np.ndarray]:
    """A product of one row with a matrix, the row, and the exact result."""
    g = np.random.default_rng(0)
    row, matrix = g.standard_normal((1, 300), np.float32), g.standard_normal((300, 100), np.float32)
    text = '<ir_version: 9, opset_import: ["" : 17]> g (float[1,300] x) => (float[1,100] y) <float[300,100] w> { y = MatMul(x, w) }'
    model = parser.parse_model(text)
    model.graph.ClearField("initializer")
    model.graph.initializer.append(numpy_helper.from_array(matrix, "w"))
    return model.SerializeToString(), row, row.astype(np.float64) @ matrix


def error_of(session: onward.InferenceSession, row: np.ndarray, exact: np.ndarray) -> float:
    """Relative, in norm."""
    return float(np.linalg.norm(session.run(None, {"x": row})[0] - exact) / np.linalg.norm(exact))


def test_products_may_be_rounded_on_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By an argument or a configuration entry, and not from the cache's entry of the exact model, nor the other way round."""
    monkeypatch.setenv("ONWARD_CACHE", str(tmp_path))
    model, row, exact = few_rows()
    options = SessionOptions()
    options.add_session_config_entry("onward.precision", "bfloat16")
    for _ in range(2):
        exactly = onward.InferenceSession(model)
        assert error_of(exactly, row, exact) < 1e-6
        rounded = onward.InferenceSession(model, precision="bfloat16")
        for session in (rounded, onward.InferenceSession(model, options), pickle.loads(pickle.dumps(rounded))):
            assert 1e-4 < error_of(session, row, exact) < 2**-8
        assert error_of(onward.InferenceSession(model, options, precision="float32"), row, exact) < 1e-6
    assert options.get_session_config_entry("onward.precision") == "bfloat16"
    assert len([item for item in tmp_path.iterdir() if item.name != "files"]) == 2


@pytest.mark.parametrize("name", ["float16", "BFLOAT16", ""])
def test_another_precision_is_refused(name: str) -> None:
    model, *_ = few_rows()
    options = ort.SessionOptions()
    options.add_session_config_entry("onward.precision", name)
    with pytest.raises(InvalidArgument, match=f"onward.precision is '{name}', expected float32 or bfloat16"):
        onward.InferenceSession(model, precision=name)
    with pytest.raises(ort.InvalidArgument, match="expected float32 or bfloat16"):
        ort.InferenceSession(model, options)
