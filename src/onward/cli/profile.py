"""`onward profile`: where the time of a run goes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from onward.cli.console import bytes_text, console, table, time_text
from onward.cli.running import make_feeds, make_session
from onward.compiler.artifact import KernelInfo
from onward.ir.expressions import Dimension, evaluate


def profile_model(
    model: Path, inputs: Sequence[str], sizes: Sequence[str], threads: int, runs: int, trace: Path | None, top: int
) -> None:
    """Prints a table of the kernels by time and optionally writes a Chrome trace of the last run."""
    session = make_session(model, threads, profile=True)
    feeds = make_feeds(session, inputs, sizes, 0)
    arrays = [np.ascontiguousarray(feeds[port.name]) for port in session.artifact.inputs]
    spent = []
    stamps: list[tuple[int, int]] = []
    for _ in range(runs + 2):
        stamps = []
        session.executable.run(arrays, profile=stamps)
        spent.append([end - begin for begin, end in stamps])
    mean = np.mean(spent[2:], axis=0) * 1e-9
    plan = session.executable.plan(arrays)
    known = dict(zip(session.artifact.symbols, plan.sizes))
    kernels = session.artifact.kernels
    total = float(mean.sum())
    rows = table(
        f"{model.name}: {time_text(total)} in {len(kernels)} kernels", "time", "share", "GFLOP/s", "bytes", "kind", "nodes",
        right=(0, 1, 2, 3),
    )  # fmt: skip
    for index in np.argsort(-mean)[:top]:
        kernel, seconds = kernels[index], float(mean[index])
        rate = _number(kernel.flops, known) / seconds / 1e9 if seconds else 0.0
        rows.add_row(
            time_text(seconds), f"{100 * seconds / total:.1f} %", f"{rate:.1f}", bytes_text(_number(kernel.bytes, known)),
            kernel.kind, _nodes(kernel),
        )  # fmt: skip
    console.print(rows)
    if trace is not None:
        trace.write_text(json.dumps(_events(kernels, stamps)))
        console.print(f"trace written to {trace}; open it in chrome://tracing or ui.perfetto.dev")


def _number(dimension: Dimension, known: dict[str, int]) -> float:
    try:
        return float(evaluate(dimension, known))
    except KeyError:
        return 0.0


def _nodes(kernel: KernelInfo) -> str:
    shown = ", ".join(kernel.origins[:3])
    return (shown + (f" and {len(kernel.origins) - 3} more" if len(kernel.origins) > 3 else "")).replace("[", "\\[")


def _events(kernels: Sequence[KernelInfo], stamps: Sequence[tuple[int, int]]) -> list[dict[str, object]]:
    first = stamps[0][0] if stamps else 0
    return [
        {
            "name": kernel.name, "cat": kernel.kind, "ph": "X", "pid": 0, "tid": 0, "ts": (begin - first) / 1000,
            "dur": (end - begin) / 1000, "args": {"origins": list(kernel.origins)},
        }
        for kernel, (begin, end) in zip(kernels, stamps)
    ]  # fmt: skip
