"""The real models on onward, onnxruntime and openvino (and PyTorch, if asked), by turns in one process.

    python benchmarks/models.py [--only bert gpt2] [--threads 2] [--seconds 10] [--variant static] [--batch 1] [--precision float32] [--torch eager inductor] [--json FILE]

Every runtime computes in single precision (openvino needs a hint for that) unless --precision says otherwise, with the same number of threads and the
same inputs. Errors are relative, in norm, against PyTorch in double precision. The models are those of
tools/export_models.py and tools/light_models.py, which are run if they are missing. With one thread, times are those of the
calling thread, which stand still while others have the core.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from onward.cli.measurement import Contestant, installed_peers, load_onward, load_peer, measure, relative_error
from onward.cli.output import console, milliseconds, table

ROOT = Path(__file__).parents[1]
DEFAULT_FOLDER = Path(os.environ.get("ONWARD_TEST_MODELS") or ROOT / "build" / "models")
EXPORTED = ("resnet50", "mobilenetv2", "convnext", "vit", "bert", "gpt2", "minilm")
LIGHT = ("densenet121", "inception_v1", "inception_v2", "squeezenet", "shufflenet", "vgg19")
NAMES = (*EXPORTED, *LIGHT)

Arrays = dict[str, np.ndarray]


def references(folder: Path, name: str, batch: int = 1) -> tuple[Arrays, list[np.ndarray]]:
    """The inputs of the fixed sizes, `batch` times beside one another, and the outputs in double precision."""
    with np.load(folder / f"{name}.npz") as archive:
        feeds = {key.split(":")[1]: archive[key] for key in archive if key.startswith("small:") and key.count(":") == 1}
        expected = [archive[key] for key in archive if key.startswith("small:double:")]
    if batch == 1:
        return feeds, expected
    return {key: np.concatenate([array] * batch) for key, array in feeds.items()}, [np.concatenate([array] * batch) for array in expected]


def load_torch(name: str, feeds: Arrays, threads: int, mode: str) -> Contestant:
    """The module that was exported, run eagerly or compiled by inductor, which is given the weights as constants."""
    import torch

    sys.path.insert(0, str(ROOT / "tools"))
    from export_models import MODELS

    torch.set_num_threads(threads)
    begin = time.perf_counter()
    module = MODELS[name].make()
    arguments = [torch.from_numpy(array) for array in feeds.values()]
    if mode == "inductor":
        module = torch.compile(module, options={"freezing": True})
        with torch.inference_mode():
            module(*arguments)

    def run() -> list[np.ndarray]:
        with torch.inference_mode():
            result = module(*arguments)
        return [item.numpy() for item in (result if isinstance(result, tuple) else (result,))]

    return Contestant(f"torch {mode}", run, time.perf_counter() - begin)


def measure_model(arguments: argparse.Namespace, name: str) -> list[dict[str, Any]]:
    """One row for each runtime."""
    path = arguments.models / f"{name}_{arguments.variant}.onnx"
    feeds, expected = references(arguments.models, name, arguments.batch)
    contestants = [load_onward(path, feeds, arguments.threads, arguments.precision)]
    if arguments.precision != "float32":
        contestants.append(load_onward(path, feeds, arguments.threads, name="onward float32"))
    contestants += [load_peer(peer, path, feeds, arguments.threads, arguments.precision) for peer in installed_peers()]
    if name in EXPORTED:
        contestants += [load_torch(name, feeds, arguments.threads, mode) for mode in arguments.torch]
    measure(contestants, arguments.seconds, clock=time.thread_time if arguments.threads == 1 else time.perf_counter)
    return [
        {
            "model": name,
            "variant": arguments.variant,
            "runtime": item.name,
            "least": min(item.seconds),
            "median": item.quantile(0.5),
            "p95": item.quantile(0.95),
            "runs": len(item.seconds),
            "load": item.seconds_to_load,
            "error": relative_error(item.run(), expected),
        }
        for item in contestants
    ]


def processor() -> str:
    """The name of the processor, as the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def show(rows: list[dict[str, Any]], threads: int, batch: int, precision: str) -> None:
    """All models; the last columns are the runtime's time over onward's (above 1: onward is faster), of the medians and
    of the fastest runs, which other work on the machine disturbs least."""
    title = f"{processor()}, {threads} threads, {precision}, batch {batch}"
    printed = table("model", "runtime", "least", "median", "p95", "runs", "error", "median", "least", title=title, left=2)
    own = {row["model"]: row for row in rows if row["runtime"] == "onward"}
    for row in rows:
        is_own = row["runtime"] == "onward"
        ratios = ["" if is_own else f"{row[key] / own[row['model']][key]:.2f}x" for key in ("median", "least")]
        printed.add_row(
            row["model"] if is_own else "", row["runtime"],
            *(milliseconds(row[key]) for key in ("least", "median", "p95")),
            str(row["runs"]), f"{row['error']:.1e}", *ratios,
        )  # fmt: skip
    console.print(printed)


def main() -> None:
    """Measures, prints, and saves if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, default=DEFAULT_FOLDER)
    parser.add_argument("--only", nargs="+", choices=NAMES, default=list(NAMES))
    parser.add_argument("--variant", choices=("static", "dynamic", "legacy"), default="static")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=10.0, help="for each model")
    parser.add_argument("--batch", type=int, default=1, help="more than 1 needs a variant with open sizes")
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32", help="of onward and openvino; the others keep to float32")
    parser.add_argument("--torch", nargs="+", choices=("eager", "inductor"), default=[], help="measure PyTorch too (inductor needs a C++ compiler)")
    parser.add_argument("--json", type=Path, help="save the figures")
    arguments = parser.parse_args()
    if arguments.batch > 1 and arguments.variant == "static":
        parser.error("--batch needs --variant dynamic or legacy: the static models are of batch 1")
    for tool, made in (("export_models", EXPORTED), ("light_models", LIGHT)):
        missing = [name for name in arguments.only if name in made and not (arguments.models / f"{name}_{arguments.variant}.onnx").exists()]
        if missing:
            subprocess.run([sys.executable, ROOT / "tools" / f"{tool}.py", "--output", arguments.models, "--only", *missing], check=True)
    rows = [row for name in arguments.only for row in measure_model(arguments, name)]
    show(rows, arguments.threads, arguments.batch, arguments.precision)
    if arguments.json:
        arguments.json.write_text(
            json.dumps(
                {"processor": processor(), "threads": arguments.threads, "batch": arguments.batch, "precision": arguments.precision, "rows": rows}, indent=1
            )
        )


if __name__ == "__main__":
    main()
