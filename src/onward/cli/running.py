"""`onward run` and `onward bench`."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from onward.cli.console import console, table, time_text
from onward.errors import InvalidArgument
from onward.format.wire import decode
from onward.ir.datatypes import DataType
from onward.ir.expressions import Expression, evaluate
from onward.ir.serialization import read_tensor
from onward.runtime import InferenceSession, SessionOptions

DEFAULT_SIZE = 1


def make_session(model: Path, threads: int, *, profile: bool = False) -> InferenceSession:
    """A session with the options of the command line."""
    options = SessionOptions(intra_op_num_threads=threads, enable_profiling=profile)
    return InferenceSession(model, options)


def make_feeds(session: InferenceSession, inputs: Sequence[str], sizes: Sequence[str], seed: int) -> dict[str, np.ndarray]:
    """Inputs from files, random where none is given. Raises InvalidArgument for what cannot be read."""
    feeds: dict[str, np.ndarray] = {}
    for item in inputs:
        name, _, file = item.partition("=")
        if file:
            feeds[name] = _read_array(Path(file))
        elif item.endswith(".npz"):
            with np.load(item) as arrays:
                feeds.update({key: arrays[key] for key in arrays.files})
        else:
            raise InvalidArgument(f"--input {item}: expected an .npz file or name=FILE")
    chosen = {name: int(number) for name, _, number in (item.partition("=") for item in sizes)}
    generator = np.random.default_rng(seed)
    for port in session.artifact.inputs:
        if port.name not in feeds:
            names = {s for extent in port.shape if isinstance(extent, Expression) for s in extent.symbols}
            known = {name: chosen.get(name, DEFAULT_SIZE) for name in names}
            feeds[port.name] = random_array(generator, port.dtype, [evaluate(extent, known) for extent in port.shape])
    return feeds


def random_array(generator: np.random.Generator, dtype: DataType, shape: Sequence[int]) -> np.ndarray:
    """Normal numbers for floats, small numbers for integers (which are often indices)."""
    if dtype.is_float:
        return generator.standard_normal(shape).astype(dtype.numpy)
    return generator.integers(0, 2, shape).astype(dtype.numpy)


def _read_array(path: Path) -> np.ndarray:
    if not path.is_file():
        raise InvalidArgument(f"there is no file '{path}'")
    if path.suffix == ".pb":
        return read_tensor(decode("TensorProto", path.read_bytes())).numpy()
    loaded = np.load(path)
    if not isinstance(loaded, np.ndarray):
        raise InvalidArgument(f"'{path}' holds several arrays; expected one")
    return loaded


def run_model(model: Path, inputs: Sequence[str], output: Path | None, sizes: Sequence[str], threads: int, seed: int) -> None:
    """Runs once and prints a line for each output."""
    session = make_session(model, threads)
    feeds = make_feeds(session, inputs, sizes, seed)
    begin = time.perf_counter()
    results = session.run(None, feeds)
    elapsed = time.perf_counter() - begin
    names = [port.name for port in session.get_outputs()]
    rows = table(f"one run: {time_text(elapsed)}", "output", "dtype", "shape", "mean", "least", "greatest")
    for name, result in zip(names, results):
        rows.add_row(name, str(result.dtype), str(result.shape).replace("[", "\\["), *_statistics(result))
    console.print(rows)
    if output is not None:
        np.savez(output, **dict(zip(names, results)))
        console.print(f"written to {output}")


def _statistics(array: np.ndarray) -> list[str]:
    if array.size == 0 or array.dtype.kind not in "fiu":
        return ["", "", ""]
    wide = array.astype(np.float64)
    return [f"{wide.mean():.6g}", f"{wide.min():.6g}", f"{wide.max():.6g}"]


# -- bench ------------------------------------------------------------------------------------------------------------
Runner = Callable[[], Sequence[np.ndarray]]


def bench_model(
    model: Path, inputs: Sequence[str], sizes: Sequence[str], threads: int, runs: int, peers: bool
) -> None:
    """Prints median and 95th percentile of the latency, ours and the peers', run in turns."""
    session = make_session(model, threads)
    feeds = make_feeds(session, inputs, sizes, 0)
    count = session.executable.threads
    runners: dict[str, Runner] = {"onward": lambda: session.run(None, feeds)}
    if peers:
        runners.update(find_peers(model, feeds, count))
    times, results = measure(runners, runs)
    rows = table(f"{model.name}, {count} threads, {runs} runs in turns", "", "median", "95 %", "ratio", "difference", right=(1, 2, 3, 4))
    ours = float(np.median(times["onward"]))
    for name, spent in times.items():
        ratio = f"{np.median(spent) / ours:.2f}x"
        rows.add_row(
            name, time_text(float(np.median(spent))), time_text(float(np.percentile(spent, 95))), ratio,
            "" if name == "onward" else f"{relative_error(results['onward'], results[name]):.1e}",
        )  # fmt: skip
    console.print(rows)
    console.print("ratio: the peer's median over ours; difference: relative, in norm, between the outputs")


def measure(runners: Mapping[str, Runner], runs: int) -> tuple[dict[str, list[float]], dict[str, Sequence[np.ndarray]]]:
    """Seconds of each run. The runners take turns in short bursts, so that none keeps its threads spinning into the
    next one's time and all see the same machine."""
    results = {name: runner() for name, runner in runners.items()}
    for runner in runners.values():
        for _ in range(3):
            runner()
    times: dict[str, list[float]] = {name: [] for name in runners}
    burst = max(1, min(10, runs // 5))
    while min(map(len, times.values())) < runs:
        for name, runner in runners.items():
            time.sleep(0.02)
            runner()
            for _ in range(burst):
                begin = time.perf_counter()
                runner()
                times[name].append(time.perf_counter() - begin)
    return times, results


def relative_error(left: Sequence[np.ndarray], right: Sequence[np.ndarray]) -> float:
    """The largest relative difference in norm over the outputs."""
    worst = 0.0
    for one, other in zip(left, right):
        reference = np.asarray(other, np.float64)
        norm = float(np.linalg.norm(reference)) or 1.0
        worst = max(worst, float(np.linalg.norm(np.asarray(one, np.float64) - reference)) / norm)
    return worst


def find_peers(model: Path, feeds: Mapping[str, np.ndarray], threads: int) -> dict[str, Runner]:
    """Runners of the peers that are installed, with their settings for latency and full float32 accuracy."""
    found: dict[str, Runner] = {}
    if importlib.util.find_spec("onnxruntime"):
        found["onnxruntime"] = _onnxruntime(model, feeds, threads)
    if importlib.util.find_spec("openvino"):
        found["openvino"] = _openvino(model, feeds, threads)
    return found


def _onnxruntime(model: Path, feeds: Mapping[str, np.ndarray], threads: int) -> Runner:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, dict(feeds))


def _openvino(model: Path, feeds: Mapping[str, np.ndarray], threads: int) -> Runner:
    import openvino

    core = openvino.Core()
    settings: dict[str, Any] = {
        "INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": 1,
        "INFERENCE_NUM_THREADS": threads,
    }  # fmt: skip
    compiled = core.compile_model(str(model), "CPU", settings)
    request = compiled.create_infer_request()

    def run() -> Sequence[np.ndarray]:
        results = request.infer(dict(feeds))
        return [results[output] for output in compiled.outputs]

    return run
