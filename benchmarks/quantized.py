"""8-bit models, as onnxruntime's quantiser writes them, on onward and onnxruntime, beside the float models they come from.

    python benchmarks/quantized.py [--only bert] [--forms qdq dynamic] [--threads 1] [--seconds 10] [--json FILE]

Forms: `qdq` has QuantizeLinear and DequantizeLinear around float operators (int8 activations and weights, the quantiser's
default), `qlinear` has operators on integers (uint8 activations, int8 weights, which is what onnxruntime runs best on x86),
`dynamic` quantises activations while it runs. Weights have a scale per channel, but for `dynamic`. Ranges come from three
random inputs, of which one is measured. Times are those of the calling thread where it is the only one. The runtimes take turns in one process; errors are relative, in norm, against
PyTorch in double precision: those of the integers themselves, alike for every runtime.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from models import DEFAULT_FOLDER, ROOT, Arrays, processor, references
from onward.cli.measurement import Contestant, load_onward, load_peer, measure, relative_error
from onward.cli.output import console, milliseconds, table

MODELS = {"resnet50": ("qdq", "qlinear"), "mobilenetv2": ("qdq", "qlinear"), "bert": ("qdq", "dynamic")}
"""The models and the forms that are measured of each."""
CALIBRATIONS = 3


def calibration(feeds: Arrays) -> Any:
    """The measured input and others like it, for the quantiser."""
    from onnxruntime.quantization import CalibrationDataReader

    generator = np.random.default_rng(0)

    def another(array: np.ndarray) -> np.ndarray:
        if array.dtype.kind == "f":
            return generator.standard_normal(array.shape).astype(array.dtype)
        return generator.permutation(array.reshape(-1)).reshape(array.shape)

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.left = [feeds, *({name: another(item) for name, item in feeds.items()} for _ in range(CALIBRATIONS - 1))]

        def get_next(self) -> Arrays | None:
            return self.left.pop() if self.left else None

    return Reader()


def quantize(source: Path, target: Path, form: str, feeds: Arrays) -> None:
    """Writes the 8-bit form of a model."""
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_dynamic, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    logging.getLogger().setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(sys.stderr):
        prepared = Path(folder) / "prepared.onnx"
        quant_pre_process(source, prepared, skip_symbolic_shape=True)
        if form == "dynamic":
            quantize_dynamic(prepared, target)
            return
        quantize_static(
            prepared, target, calibration(feeds), per_channel=True,
            quant_format=QuantFormat.QDQ if form == "qdq" else QuantFormat.QOperator,
            activation_type=QuantType.QInt8 if form == "qdq" else QuantType.QUInt8,
        )  # fmt: skip


def contestants(arguments: argparse.Namespace, name: str) -> Iterator[tuple[str, Contestant]]:
    """(form, runtime), the float model first."""
    source = arguments.models / f"{name}_static.onnx"
    feeds, _ = references(arguments.models, name)
    for form in ("float32", *MODELS[name]):
        if form != "float32" and form not in arguments.forms:
            continue
        path = source if form == "float32" else arguments.models / f"{name}_int8_{form}.onnx"
        if not path.exists():
            quantize(source, path, form, feeds)
        yield form, load_onward(path, feeds, arguments.threads)
        yield form, load_peer("onnxruntime", path, feeds, arguments.threads)


def measure_model(arguments: argparse.Namespace, name: str) -> list[dict[str, Any]]:
    """One row for each form and runtime."""
    _, expected = references(arguments.models, name)
    pairs = list(contestants(arguments, name))
    clock = time.thread_time if arguments.threads == 1 else time.perf_counter
    measure([item for _, item in pairs], arguments.seconds, clock=clock)
    return [
        {
            "model": name,
            "form": form,
            "runtime": item.name,
            "least": min(item.seconds),
            "median": item.quantile(0.5),
            "p95": item.quantile(0.95),
            "runs": len(item.seconds),
            "error": relative_error(item.run(), expected),
        }
        for form, item in pairs
    ]


def show(rows: list[dict[str, Any]], threads: int) -> None:
    """Times over onward's with the same model (above 1: onward is faster), and over onward's own with floats."""
    title = f"{processor()}, {threads} threads, batch 1; ratios of the fastest runs"
    printed = table("model", "form", "runtime", "least", "median", "error", "beside onward", "beside float32", title=title, left=3)
    least = {(row["model"], row["form"], row["runtime"]): row["least"] for row in rows}
    for row in rows:
        own = row["runtime"] == "onward"
        beside = "" if own else f"{row['least'] / least[row['model'], row['form'], 'onward']:.2f}x"
        floats = f"{least[row['model'], 'float32', row['runtime']] / row['least']:.2f}x" if row["form"] != "float32" else ""
        printed.add_row(
            row["model"], row["form"], row["runtime"], milliseconds(row["least"]), milliseconds(row["median"]),
            f"{row['error']:.1e}", beside, floats,
        )  # fmt: skip
    console.print(printed)


def main() -> None:
    """Measures, prints, and saves if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, default=DEFAULT_FOLDER)
    parser.add_argument("--only", nargs="+", choices=list(MODELS), default=list(MODELS))
    parser.add_argument("--forms", nargs="+", choices=("qdq", "qlinear", "dynamic"), default=["qdq", "qlinear", "dynamic"])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=10.0, help="for each model")
    parser.add_argument("--json", type=Path, help="save the figures")
    arguments = parser.parse_args()
    if not all((arguments.models / f"{name}_static.onnx").exists() for name in arguments.only):
        tool = ROOT / "tools" / "export_models.py"
        subprocess.run([sys.executable, tool, "--output", arguments.models, "--only", *arguments.only], check=True)
    rows = [row for name in arguments.only for row in measure_model(arguments, name)]
    show(rows, arguments.threads)
    if arguments.json:
        arguments.json.write_text(json.dumps({"processor": processor(), "threads": arguments.threads, "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
