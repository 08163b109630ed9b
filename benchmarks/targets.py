"""The real models through each target: which convert, how exact the result is, how long it takes, and a call beside onward and onnxruntime.

    python benchmarks/targets.py [--only bert light_vgg19] [--targets torch keras] [--variant dynamic] [--seconds 3] [--threads 1] [--json FILE]

The models are the six of transformers at full size with random weights (tools/export_models.py, which is run if they are missing) and the nine light
networks of the onnx package. Every conversion is verified as `onward.convert` does it; the error is the greatest difference from onward's own runtime in all data
that the proof tries, relative to the largest value of an output. A call is the target's own compiled one: a jitted function of JAX, a function of TensorFlow,
`predict_on_batch` of Keras. Each conversion has a process of its own; with `--threads` cores where the system lets a process choose them.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import json
import multiprocessing
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.models import DEFAULT_FOLDER, processor, references  # noqa: E402

from onward.cli.measurement import Contestant, Runner, load_onward, load_peer, measure  # noqa: E402
from onward.cli.output import console, milliseconds, table  # noqa: E402
from onward.errors import OnwardError  # noqa: E402
from onward.ir import Model, as_model, load  # noqa: E402

EXPORTED = ("resnet50", "mobilenetv2", "convnext", "vit", "bert", "gpt2")
LIGHT = tuple(
    f"light_{name}" for name in ("bvlc_alexnet", "densenet121", "inception_v1", "inception_v2", "resnet50", "shufflenet", "squeezenet", "vgg19", "zfnet512")
)
NAMES = (*EXPORTED, *LIGHT)
TARGETS = ("torch", "tensorflow", "keras", "jax", "numpy")

Arrays = dict[str, np.ndarray]


def model_of(name: str, folder: Path, variant: str) -> tuple[Model, Arrays]:
    """A model and data that it is measured with."""
    if name in EXPORTED:
        return load(folder / f"{name}_{variant}.onnx"), references(folder, name)[0]
    from tools.light_models import FOLDER, random_input, with_random_weights

    network = with_random_weights(FOLDER / f"{name}.onnx")
    return as_model(network.SerializeToString()), random_input(network)


def caller(target: str, result: Any, arrays: Sequence[np.ndarray]) -> Runner:
    """A call of a target's object as its users make it when it should be fast."""
    if target == "numpy":
        return lambda: _listed(result(*arrays))
    if target == "torch":
        import torch

        tensors = [torch.from_numpy(item) for item in arrays]

        def run() -> list[np.ndarray]:
            with torch.inference_mode():
                return _listed(result(*tensors))

        return run
    if target == "tensorflow":
        import tensorflow as tf

        constants = [tf.constant(item) for item in arrays]
        return lambda: _listed(result(*constants))
    if target == "keras":
        given = arrays[0] if len(arrays) == 1 else list(arrays)
        return lambda: _listed(result.predict_on_batch(given))
    import jax

    function, parameters = jax.jit(result.function), result.parameters
    inputs = [jax.numpy.asarray(item) for item in arrays]
    return lambda: _listed(function(parameters, *inputs))


def _listed(results: Any) -> list[np.ndarray]:
    return [np.asarray(item) for item in (results if isinstance(results, (tuple, list)) else (results,))]


def cell(name: str, target: str, folder: Path, variant: str, seconds: float, threads: int) -> dict[str, Any]:
    """One model through one target: figures, or why there are none."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow"}
    warnings.simplefilter("ignore")
    from onward.converters import targets
    from onward.converters.targets.proof import prove

    row: dict[str, Any] = {"model": name, "target": target, "variant": variant, "threads": threads}
    model, feeds = model_of(name, folder, variant)
    try:
        importlib.import_module(target)  # which is no part of the conversion
        if target == "torch":
            importlib.import_module("torch").set_num_threads(threads)
        begin = time.perf_counter()
        subject = targets.subject_of(model, target, {})
        row["convert"] = time.perf_counter() - begin
        certificate = prove(subject, targets.TARGETS[target], {}, None, None, None)
        row["verify"] = time.perf_counter() - begin - row["convert"]
    except OnwardError as problem:
        return row | {"reason": f"{type(problem).__name__}: {problem}"}
    row |= {"error": max(item["relative"] for item in certificate["differences"].values()), "notes": certificate["notes"]}
    contestants = [Contestant(target, caller(target, subject.result, list(feeds.values())), 0.0)]
    contestants += [load_onward(model, feeds, threads), load_peer("onnxruntime", model, feeds, threads)]
    gc.collect()
    measure(contestants, seconds, at_least=1)
    return row | {item.name if item.name != target else "call": min(item.seconds) for item in contestants}


def cells(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """All of them, one process after another."""
    for name in options.only:
        for target in options.targets:
            with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
                try:
                    yield pool.submit(cell, name, target, options.models, options.variant, options.seconds, options.threads).result()
                except BrokenProcessPool:
                    yield {"model": name, "target": target, "reason": "the process was ended"}


def show(rows: Sequence[dict[str, Any]], threads: int) -> None:
    """A line for each model and target."""
    title = f"{processor()}, {threads} threads; greatest difference, seconds to convert and to verify, time of a call"
    printed = table("model", "target", "error", "convert", "verify", "call", "onward", "onnxruntime", title=title, left=2)
    for row in rows:
        if "reason" in row:
            printed.add_row(row["model"], row["target"], row["reason"][:60])
            continue
        times = [milliseconds(row[key]) for key in ("call", "onward", "onnxruntime")]
        printed.add_row(row["model"], row["target"], f"{row['error']:.1e}", f"{row['convert']:.1f} s", f"{row['verify']:.1f} s", *times)
    console.print(printed)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, default=DEFAULT_FOLDER)
    parser.add_argument("--only", nargs="+", choices=NAMES, default=list(NAMES))
    parser.add_argument("--targets", nargs="+", choices=TARGETS, default=list(TARGETS[:-1]), help="by default all but numpy")
    parser.add_argument("--variant", choices=("static", "dynamic", "legacy"), default="dynamic", help="which export of the models of transformers")
    parser.add_argument("--seconds", type=float, default=3.0, help="of measuring, for each")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path, help="save the figures")
    options = parser.parse_args()
    missing = [name for name in options.only if name in EXPORTED and not (options.models / f"{name}_{options.variant}.onnx").exists()]
    if missing:
        subprocess.run([sys.executable, ROOT / "tools" / "export_models.py", "--output", options.models, "--only", *missing], check=True)
    rows = []
    for row in cells(options):
        rows.append(row)
        console.print(row)
        if options.json:
            options.json.write_text(json.dumps(rows, indent=1))
    show(rows, options.threads)


if __name__ == "__main__":
    main()
