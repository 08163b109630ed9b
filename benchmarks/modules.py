"""What the comparisons of converters from ONNX share: the models, their data, errors, times, and the node tests of the onnx package.

A converter is called with a model's name and the model, and gives a function of arrays in the order of the model's inputs, which gives the arrays of its outputs.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from onward.cli.output import console, table

sys.path.insert(0, str(Path(__file__).parents[1]))

Runner = Callable[[Sequence[np.ndarray]], list[np.ndarray]]
Converter = Callable[[str, onnx.ModelProto], Runner]

LONGEST = 60
"""Letters of a reason that are shown."""


def models(folder: Path | None) -> dict[str, onnx.ModelProto]:
    """The nine light networks with random weights, and the files of a folder."""
    from tools.light_models import PATHS, with_random_weights

    found = {path.stem.removeprefix("light_"): with_random_weights(path) for path in PATHS}
    return found | {path.stem: onnx.load(path) for path in (sorted(folder.glob("*.onnx")) if folder else ())}


def feeds_of(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    """Random numbers for the inputs; open sizes are 2 for the first axis, 16 for others."""
    random = np.random.default_rng(0)
    weights = {item.name for item in model.graph.initializer}
    feeds = {}
    for item in model.graph.input:
        if item.name in weights:
            continue
        kind = item.type.tensor_type
        shape = [size.dim_value or (2 if axis == 0 else 16) for axis, size in enumerate(kind.shape.dim)]
        dtype = onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type)
        feeds[item.name] = random.standard_normal(shape).astype(dtype) if dtype.kind == "f" else np.ones(shape, dtype)
    return feeds


def error_of(results: Sequence[Any], expected: Sequence[np.ndarray]) -> float:
    """The greatest difference, relative to the largest value of an output. Raises ValueError where shapes differ."""
    if [item.shape for item in results] != [item.shape for item in expected]:
        raise ValueError(f"shapes {[item.shape for item in results]}, expected {[item.shape for item in expected]}")
    return max(float(np.abs(ours - theirs).max() / max(np.abs(theirs).max(), 1e-30)) for ours, theirs in zip(results, expected))


def compare(name: str, model: onnx.ModelProto, converters: Mapping[str, Converter], seconds: float) -> list[str]:
    """For each converter its error and time, or why it fails."""
    import onnxruntime

    onnxruntime.set_default_logger_severity(3)
    feeds = feeds_of(model)
    expected = onnxruntime.InferenceSession(model.SerializeToString()).run(None, feeds)
    arguments = list(feeds.values())
    cells: dict[str, str] = {}
    runners: dict[str, Runner] = {}
    for label, convert in converters.items():
        try:
            runners[label] = convert(name, model)
            cells[label] = f"{error_of(runners[label](arguments), expected):.1e}"
        except Exception as problem:
            runners.pop(label, None)
            cells[label] = f"fails: {type(problem).__name__} {str(problem).splitlines()[0][:LONGEST] if str(problem) else ''}"
    least = dict.fromkeys(runners, float("inf"))
    end = time.perf_counter() + seconds
    while runners and time.perf_counter() < end:
        for label, run in runners.items():
            begin = time.perf_counter()
            run(arguments)
            least[label] = min(least[label], time.perf_counter() - begin)
    return [cells[label] + (f", {least[label] * 1000:.1f} ms" if label in least else "") for label in converters]


def node_tests(converters: Mapping[str, Converter], cases: Iterable[Any]) -> dict[str, int]:
    """How many node tests each converter passes with the tolerances of the tests."""
    from tests.converters.targets import suite

    passed = dict.fromkeys(converters, 0)
    for case in cases:
        for label, convert in converters.items():
            try:
                run = convert(case.name, case.model)
                for inputs, outputs in case.data_sets:
                    for ours, theirs in zip(run([suite._array(item) for item in inputs]), outputs, strict=True):
                        suite.compare(ours, suite._array(theirs), case)
                passed[label] += 1
            except Exception:  # counted as not passed
                continue
    return passed


def all_node_tests() -> list[Any]:
    """The node tests of the onnx package."""
    from onnx.backend.test.loader import load_model_tests

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return list(load_model_tests(kind="node"))


def parser(description: str | None) -> argparse.ArgumentParser:
    """The options that all comparisons have."""
    result = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    result.add_argument("--models", type=Path, help="a folder of ONNX files")
    result.add_argument("--nodes", action="store_true", help="count node tests, too")
    result.add_argument("--seconds", type=float, default=2.0, help="of measuring, for each model")
    result.add_argument("--threads", type=int, default=1)
    return result


def show(found: Mapping[str, onnx.ModelProto], converters: Mapping[str, Converter], seconds: float) -> None:
    """A line for each model."""
    rows = table("model", *converters, title="greatest difference from onnxruntime, time of a call")
    for name, model in found.items():
        cells = compare(name, model, converters, seconds)
        rows.add_row(name, *cells)
        console.print(name, *cells)
    console.print(rows)


def show_node_tests(converters: Mapping[str, Converter], cases: Sequence[Any]) -> None:
    """How many of them pass."""
    counts = node_tests(converters, cases)
    console.print(", ".join(f"{name}: {count}" for name, count in counts.items()) + f" of {len(cases)} node tests")
