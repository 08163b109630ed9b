"""`onward bench` and `onward profile`: how long a run takes, beside other runtimes, and kernel by kernel."""

from __future__ import annotations

import importlib.util
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from rich.markup import escape

from onward.cli.output import console, milliseconds, size, table
from onward.ir import Model
from onward.ir.expressions import Expression, evaluate
from onward.runtime import InferenceSession, SessionOptions
from onward.runtime.executable import bind_port

Runner = Callable[[], list[np.ndarray]]
PEERS = ("onnxruntime", "openvino")


@dataclass
class Contestant:
    """A runtime with the model loaded, and what was measured."""

    name: str
    run: Runner
    seconds_to_load: float
    seconds: list[float] = field(default_factory=list)

    def quantile(self, share: float) -> float:
        """The time that this share of the runs stays below."""
        return float(np.quantile(self.seconds, share))


def session_options(threads: int, profile: bool = False) -> SessionOptions:
    """Options for that many threads (0: as many as there are cores)."""
    options = SessionOptions()
    options.intra_op_num_threads = threads
    options.enable_profiling = profile
    return options


def load_onward(model: Any, feeds: Mapping[str, np.ndarray], threads: int, precision: str = "float32", name: str = "onward") -> Contestant:
    """This package."""
    started = time.perf_counter()
    session = InferenceSession(model, session_options(threads), precision=precision)
    return Contestant(name, lambda: session.run(None, feeds), time.perf_counter() - started)


def load_peer(name: str, model: Any, feeds: Mapping[str, np.ndarray], threads: int, precision: str = "float32") -> Contestant:
    """Another runtime with the same number of threads, in that precision where it has it: onnxruntime has float32 alone."""
    started = time.perf_counter()
    run = _load_onnxruntime(model, feeds, threads) if name == "onnxruntime" else _load_openvino(model, feeds, threads, precision)
    return Contestant(name, run, time.perf_counter() - started)


def installed_peers() -> list[str]:
    """Those of PEERS that can be imported."""
    return [name for name in PEERS if importlib.util.find_spec(name) is not None]


def _load_onnxruntime(model: Any, feeds: Mapping[str, np.ndarray], threads: int) -> Runner:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(_portable(model), options, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, dict(feeds))


_OPENVINO_PRECISIONS = {"float32": "f32", "bfloat16": "bf16"}


def _load_openvino(model: Any, feeds: Mapping[str, np.ndarray], threads: int, precision: str) -> Runner:
    import openvino

    settings = {"PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": "1", "INFERENCE_PRECISION_HINT": _OPENVINO_PRECISIONS[precision]}
    if threads:
        settings["INFERENCE_NUM_THREADS"] = str(threads)
    core = openvino.Core()
    request = core.compile_model(core.read_model(_portable(model)), "CPU", settings).create_infer_request()

    def run() -> list[np.ndarray]:
        result = request.infer(dict(feeds), share_inputs=True)
        return [result[index] for index in range(len(result))]

    return run


def _portable(model: Any) -> Any:
    """What any runtime loads: a path, or bytes."""
    return model.to_bytes() if isinstance(model, Model) else str(model) if isinstance(model, Path) else model


PAUSE = 0.03
"""Seconds between contestants. The workers of some runtimes spin for a while after a run; on a machine with few cores they
would take the next contestant's (measured on two cores: 2.5 times the time, for whoever comes after such a runtime)."""
TURN = 4
"""Measured runs in a turn; one before them wakes the contestant's own workers."""


def measure(contestants: list[Contestant], seconds: float, at_least: int = 5, clock: Callable[[], float] = time.perf_counter) -> None:
    """Runs the contestants by turns, so that whatever else the machine does meets them all alike.

    Where all run on the calling thread, `time.thread_time` is a clock that stands still while others have the core.
    """
    for contestant in contestants:
        contestant.run()
    deadline = time.perf_counter() + seconds
    while len(contestants[-1].seconds) < at_least or time.perf_counter() < deadline:
        for contestant in contestants:
            time.sleep(PAUSE)
            contestant.run()
            for _ in range(TURN):
                begin = clock()
                contestant.run()
                contestant.seconds.append(clock() - begin)


def relative_error(found: list[np.ndarray], expected: list[np.ndarray]) -> float:
    """The largest relative difference in norm among the outputs."""
    worst = 0.0
    for left, right in zip(found, expected):
        scale = float(np.linalg.norm(np.asarray(right, np.float64).ravel())) or 1.0
        difference = np.asarray(left, np.float64).ravel() - np.asarray(right, np.float64).ravel()
        worst = max(worst, float(np.linalg.norm(difference)) / scale)
    return worst


def show_bench(contestants: list[Contestant]) -> None:
    """A table of the contestants, the first as the measure of the others."""
    first = contestants[0]
    expected = first.run()
    rows = table("runtime", "load", "median", "p95", "runs", "beside onward", "difference")
    for item in contestants:
        same = item is first
        rows.add_row(
            item.name, milliseconds(item.seconds_to_load), milliseconds(item.quantile(0.5)), milliseconds(item.quantile(0.95)),
            str(len(item.seconds)), "" if same else f"{item.quantile(0.5) / first.quantile(0.5):.2f}x",
            "" if same else f"{relative_error(item.run(), expected):.1e}",
        )  # fmt: skip
    console.print(rows)


# -- profiles ---------------------------------------------------------------------------------------------------------
@dataclass
class KernelTimes:
    """One launch of a kernel: the median of its times, and what it does."""

    name: str
    kind: str
    origins: tuple[str, ...]
    seconds: float
    flops: int
    bytes: int


def profile_kernels(session: InferenceSession, feeds: Mapping[str, np.ndarray], runs: int) -> list[KernelTimes]:
    """Medians over some runs of a session that was made with profiling enabled."""
    arrays = [feeds[port.name] for port in session.artifact.inputs]
    session.executable.run(arrays)
    records = []
    for _ in range(runs):
        record: list[tuple[int, int]] = []
        session.executable.run(arrays, profile=record)
        records.append([end - begin for begin, end in record])
    medians = np.median(np.array(records, np.float64).reshape(runs, -1), axis=0) * 1e-9
    sizes: dict[str, int] = {}
    for port, array in zip(session.artifact.inputs, arrays):
        bind_port(port, array.shape, sizes)
    return [
        KernelTimes(kernel.name, kernel.kind, kernel.origins, float(seconds), _known(kernel.flops, sizes), _known(kernel.bytes, sizes))
        for kernel, seconds in zip(session.artifact.kernels, medians)
    ]


def _known(amount: Any, sizes: Mapping[str, int]) -> int:
    """An amount for these sizes; 0 where it depends on what only the run reveals."""
    if isinstance(amount, Expression):
        return evaluate(amount, sizes) if amount.symbols <= sizes.keys() else 0
    return int(amount)


def show_profile(kernels: list[KernelTimes], most: int) -> None:
    """The kernels that take longest, and the sums by kind."""
    total = sum(item.seconds for item in kernels) or 1e-12
    rows = table("nodes", "kind", "time", "share", "GFLOP/s", "GB/s", "bytes", title="kernels by time", left=2)
    for item in sorted(kernels, key=lambda kernel: -kernel.seconds)[:most]:
        seconds = max(item.seconds, 1e-9)
        rows.add_row(
            escape(_shortened(item.origins) or item.name), item.kind, milliseconds(item.seconds), f"{item.seconds / total:.1%}",
            f"{item.flops / seconds * 1e-9:.1f}", f"{item.bytes / seconds * 1e-9:.1f}", size(item.bytes),
        )  # fmt: skip
    console.print(rows)
    kinds = table("kind", "kernels", "time", "share", "GFLOP/s", title="by kind")
    for kind in sorted({item.kind for item in kernels}, key=lambda k: -sum(i.seconds for i in kernels if i.kind == k)):
        members = [item for item in kernels if item.kind == kind]
        seconds = max(sum(item.seconds for item in members), 1e-9)
        rate = sum(item.flops for item in members) / seconds * 1e-9
        kinds.add_row(kind, str(len(members)), milliseconds(seconds), f"{seconds / total:.1%}", f"{rate:.1f}")
    console.print(kinds)
    console.print(f"{len(kernels)} kernels, {milliseconds(total)} within them")


def _shortened(origins: tuple[str, ...], most: int = 3) -> str:
    more = f" + {len(origins) - most} more" if len(origins) > most else ""
    return ", ".join(origins[:most]) + more


def write_trace(kernels: list[KernelTimes], path: Path) -> None:
    """A trace of one run for chrome://tracing or ui.perfetto.dev."""
    events, at = [], 0.0
    for item in kernels:
        arguments = {"nodes": list(item.origins), "kernel": item.name, "flops": item.flops, "bytes": item.bytes}
        label = item.origins[-1] if item.origins else item.name
        events.append({"name": label, "cat": item.kind, "ph": "X", "ts": at * 1e6, "dur": item.seconds * 1e6, "pid": 0, "tid": 0, "args": arguments})
        at += item.seconds
    path.write_text(json.dumps({"traceEvents": events, "displayTimeUnit": "ns"}))
