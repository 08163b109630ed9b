"""`onward demo`: a model trained on the spot goes the whole way, and its answers are checked."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from rich.table import Table

import onward
from onward.cli import digits
from onward.cli.measurement import relative_error
from onward.cli.output import console, milliseconds, size, table
from onward.compiler.artifact import CompileOptions
from onward.compiler.driver import compile_model
from onward.passes.rewrite import Report
from onward.runtime import InferenceSession

TOLERANCE = 1e-5
LEAST_ACCURACY = 0.9
Result = TypeVar("Result")


@dataclass
class Steps:
    """A table of what was done, and how long it took."""

    rows: Table

    def do(self, name: str, work: Callable[[], Result], describe: Callable[[Result], str]) -> Result:
        """Does a step and writes its row."""
        with console.status(name):
            begin = time.perf_counter()
            result = work()
            seconds = time.perf_counter() - begin
        self.rows.add_row(name, describe(result), milliseconds(seconds))
        return result


def run_demo() -> bool:
    """Trains, saves, loads, checks, optimises, compiles, runs and compares. Returns whether everything was right."""
    generator = np.random.default_rng(7)
    steps = Steps(table("step", "what happened", "time", left=2))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "digits.onnx"
        network, session = _all_the_way(steps, path, generator)
        pictures, labels = digits.make_pictures(2000, generator)
        expected = steps.do("NumPy", lambda: network.probabilities(pictures), lambda _: "2000 pictures in double precision")
        found = steps.do("run", lambda: session.run(None, {"pictures": pictures})[0], lambda _: "2000 pictures, one native call")
        single = [session.run(None, {"pictures": pictures[index : index + 1]})[0] for index in range(100)]
    seconds = _time_of_one(session, pictures[:1])
    steps.rows.add_row("run", "one picture, the same code", milliseconds(seconds))
    console.print(steps.rows)
    return _verdict(found, np.concatenate(single), expected, labels)


def _all_the_way(steps: Steps, path: Path, generator: np.random.Generator) -> tuple[digits.Network, InferenceSession]:
    network, losses = steps.do("train", lambda: digits.train(generator), lambda made: f"in NumPy; loss {made[1][0]:.2f} -> {np.mean(made[1][-20:]):.2f}")
    steps.do("save", lambda: onward.save(digits.as_onnx(network), path), lambda _: f"{path.name}, {size(path.stat().st_size)}")
    model = steps.do("load", lambda: onward.load(path), lambda made: f"{len(made.graph.nodes)} nodes, memory-mapped")
    steps.do("check", lambda: onward.check(model), lambda _: "names, versions, types, shapes: nothing wrong")
    report = Report()
    optimised = steps.do(
        "optimise", lambda: onward.optimize(model, report=report),
        lambda made: f"{report.nodes_before} -> {len(made.graph.nodes)} nodes; " + ", ".join(report.fired),
    )  # fmt: skip
    steps.do(
        "compile", lambda: compile_model(optimised, CompileOptions(optimize=False)),
        lambda made: f"{len(made.kernels)} kernels for {made.target}, {size(sum(map(len, made.objects)))} of machine code",
    )  # fmt: skip
    session = steps.do("session", lambda: InferenceSession(path), lambda _: "onward.InferenceSession(path)")
    return network, session


def _time_of_one(session: InferenceSession, picture: np.ndarray, runs: int = 300) -> float:
    """The median time of a run."""
    times = []
    for _ in range(runs):
        begin = time.perf_counter()
        session.run(None, {"pictures": picture})
        times.append(time.perf_counter() - begin)
    return float(np.median(times))


def _verdict(found: np.ndarray, single: np.ndarray, expected: np.ndarray, labels: np.ndarray) -> bool:
    error = relative_error([found], [expected])
    error_of_single = relative_error([single], [expected[: len(single)]])
    accuracy = float((found.argmax(1) == labels).mean())
    console.print(f"relative error against NumPy in double precision: {error:.1e} (one by one: {error_of_single:.1e})")
    console.print(f"digits read correctly: {accuracy:.1%} of {len(labels)} unseen pictures")
    right = max(error, error_of_single) <= TOLERANCE and accuracy >= LEAST_ACCURACY
    if right:
        console.print(f"[bold green]OK[/]: the numbers are right (tolerance {TOLERANCE:.0e})")
    else:
        console.print(f"[bold red]WRONG[/]: expected an error up to {TOLERANCE:.0e} and {LEAST_ACCURACY:.0%} read correctly")
    return right
