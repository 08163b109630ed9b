"""Modules of PyTorch that onward and onnx2torch make of the same ONNX models: which convert, how exact they are, how fast.

    python benchmarks/torch_modules.py [--models FOLDER] [--nodes] [--seconds 2] [--threads 1]

The nine light networks of the onnx package (with random weights), and the files of FOLDER (tools/export_models.py makes some). Errors are the
greatest difference from onnxruntime, relative to the largest value of an output; times are the least of calls that alternate. `--nodes`
counts the node tests of the onnx package that each passes. onnx2torch must be installed (it asks for torchvision).
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch

from onward.cli.output import console, table
from onward.converters.targets import torch as page
from onward.ir import as_model

sys.path.insert(0, str(Path(__file__).parents[1]))


def by_onward(model: onnx.ModelProto) -> Any:
    return page.convert(as_model(model))


def by_onnx2torch(model: onnx.ModelProto) -> Any:
    from onnx2torch import convert

    newer = onnx.ModelProto.FromString(model.SerializeToString())
    newer.ir_version = max(newer.ir_version, 4)  # initialisers are no inputs: so shapes are inferred, and it asks for the ranks of values
    return convert(onnx.shape_inference.infer_shapes(newer)).eval()


CONVERTERS: dict[str, Callable[[onnx.ModelProto], Any]] = {"onward": by_onward, "onnx2torch": by_onnx2torch}


def models(folder: Path | None) -> Iterator[tuple[str, onnx.ModelProto]]:
    from tests.models.test_light_models import PATHS, with_random_weights

    yield from ((path.stem.removeprefix("light_"), with_random_weights(path)) for path in PATHS)
    for path in sorted(folder.glob("*.onnx")) if folder else ():
        yield path.stem, onnx.load(path)


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
    return max(float(np.abs(ours - theirs).max() / max(np.abs(theirs).max(), 1e-30)) for ours, theirs in zip(results, expected))


def compare(model: onnx.ModelProto, seconds: float) -> list[str]:
    """For each converter its error and time, or why it fails."""
    import onnxruntime

    onnxruntime.set_default_logger_severity(3)
    feeds = feeds_of(model)
    expected = onnxruntime.InferenceSession(model.SerializeToString()).run(None, feeds)
    arguments = [torch.from_numpy(array) for array in feeds.values()]
    cells: dict[str, str] = {}
    modules: dict[str, Any] = {}
    for name, convert in CONVERTERS.items():
        try:
            modules[name] = convert(model)
            results = run(modules[name], arguments)
            cells[name] = f"{error_of(results, expected):.1e}"
        except Exception as problem:
            modules.pop(name, None)
            cells[name] = f"fails: {type(problem).__name__} {str(problem).splitlines()[0][:60] if str(problem) else ''}"
    least = dict.fromkeys(modules, float("inf"))
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        for name, module in modules.items():
            begin = time.perf_counter()
            run(module, arguments)
            least[name] = min(least[name], time.perf_counter() - begin)
    return [cells[name] + (f", {least[name] * 1000:.1f} ms" if name in least else "") for name in CONVERTERS]


def run(module: Any, arguments: Sequence[Any]) -> list[np.ndarray]:
    with torch.no_grad():
        results = module(*arguments)
    return [item.numpy() for item in (results if isinstance(results, (tuple, list)) else (results,))]


def node_tests() -> dict[str, int]:
    """How many of the node tests of the onnx package each converter passes, single outputs and tuples, tolerances of the tests."""
    from onnx.backend.test.loader import load_model_tests
    from tests.converters.targets import suite

    passed = dict.fromkeys(CONVERTERS, 0)
    cases = load_model_tests(kind="node")
    for case in cases:
        for name, convert in CONVERTERS.items():
            try:
                module = convert(case.model)
                for inputs, outputs in case.data_sets:
                    results = run(module, [page.tensor(suite._array(item)) for item in inputs])
                    for ours, theirs in zip(results, outputs, strict=True):
                        suite.compare(ours, suite._array(theirs), case)
                passed[name] += 1
            except Exception:  # counted as not passed
                continue
    return {**passed, "all": len(cases)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path)
    parser.add_argument("--nodes", action="store_true")
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    warnings.simplefilter("ignore")
    rows = table("model", *CONVERTERS, title="greatest difference from onnxruntime, time of a call")
    for name, model in models(options.models):
        rows.add_row(name, *compare(model, options.seconds))
    console.print(rows)
    if options.nodes:
        found = node_tests()
        console.print(", ".join(f"{name}: {count}" for name, count in found.items()) + " node tests")


if __name__ == "__main__":
    main()
