"""How much memory a model takes, beside other runtimes: at most while it is loaded and run, and afterwards.

    python benchmarks/memory.py [--only resnet50 gpt2]

Each figure comes from a process of its own, which loads the model, runs it three times with two threads and looks at what the system
says of it (resident memory, /proc/self/status, so Linux alone). What the process had when the runtime was imported is taken off, and shown. "Cold"
compiles the model, "warm" finds it in the disk cache. Pages that are mapped from files count, though the system may take them back;
for our own sessions the weights' file is what is mapped. The last column is what a session is to stay below: 1.1 times the weights as the
model has them and what activations need at once.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from onward.cli.measurement import installed_peers
from onward.cli.output import console, table
from onward.ir import load

ROOT = Path(__file__).parents[1]
DEFAULT_FOLDER = Path(os.environ.get("ONWARD_TEST_MODELS") or ROOT / "build" / "models")
NAMES = ("resnet50", "mobilenetv2", "convnext", "vit", "bert", "gpt2", "minilm", "densenet121", "vgg19")
RUNS = 3
THREADS = 2
ALLOWED = 1.1
MEBI = 1 << 20

SCRIPT = """
import json, sys
import numpy as np

def status(*names):
    with open("/proc/self/status") as file:
        lines = dict(line.split(":") for line in file)
    return [int(lines[name].split()[0]) << 10 for name in names]

runtime, path, data, threads, runs = *sys.argv[1:4], *map(int, sys.argv[4:])
with np.load(data) as saved:
    feeds = {name.split(":")[1]: saved[name] for name in saved if name.startswith("small:") and name.count(":") == 1}
arena = 0
if runtime == "onnxruntime":
    import onnxruntime
    imported, = status("VmRSS")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    run = lambda: session.run(None, feeds)
elif runtime == "openvino":
    import openvino
    imported, = status("VmRSS")
    settings = {"PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": "1", "INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": str(threads)}
    core = openvino.Core()
    request = core.compile_model(core.read_model(path), "CPU", settings).create_infer_request()
    run = lambda: request.infer(feeds, share_inputs=True)
else:
    import onward
    onward.InferenceSession
    imported, = status("VmRSS")
    options = onward.ort.SessionOptions()
    options.intra_op_num_threads = threads
    session = onward.InferenceSession(path, options)
    arena = session.artifact.arena_bytes
    run = lambda: session.run(None, feeds)
for _ in range(runs):
    run()
held, most = status("VmRSS", "VmHWM")
print(json.dumps([imported, held, most, arena]))
"""


@dataclass(frozen=True)
class Memory:
    """Bytes of a process: what importing took, what it holds in the end, the most it held, and the arena of our own sessions."""

    imported: int
    held: int
    most: int
    arena: int

    def __str__(self) -> str:
        return f"{(self.most - self.imported) / MEBI:.0f} / {(self.held - self.imported) / MEBI:.0f}"


def memory_of(runtime: str, path: Path, data: Path, cache: str) -> Memory:
    """What a process takes that loads a model and runs it."""
    command = [sys.executable, "-c", SCRIPT, runtime, str(path), str(data), str(THREADS), str(RUNS)]
    done = subprocess.run(command, env={**os.environ, "ONWARD_CACHE": cache}, stdout=subprocess.PIPE, text=True, check=True)
    return Memory(*json.loads(done.stdout.splitlines()[-1]))


def weights_of(path: Path) -> int:
    """Bytes of a model's weights."""
    return sum(value.tensor.nbytes for value in load(path).graph.initializers.values() if value.tensor is not None)


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, default=DEFAULT_FOLDER)
    parser.add_argument("--only", nargs="+", choices=NAMES, default=list(NAMES))
    arguments = parser.parse_args()
    peers = installed_peers()
    title = "MiB beyond what the imported runtime takes: at most / after three runs"
    rows = table("model", "cold", "warm", *peers, f"{ALLOWED} x (weights + activations)", title=title)
    imports: dict[str, int] = {}
    for name in arguments.only:
        path, data = arguments.models / f"{name}_static.onnx", arguments.models / f"{name}.npz"
        with tempfile.TemporaryDirectory() as cache:
            found = {kind: memory_of("onward", path, data, cache) for kind in ("cold", "warm")}
        found |= {peer: memory_of(peer, path, data, "off") for peer in peers}
        imports = {"onward" if kind in ("cold", "warm") else kind: memory.imported for kind, memory in found.items()}
        rows.add_row(name, *map(str, found.values()), f"{ALLOWED * (weights_of(path) + found['warm'].arena) / MEBI:.0f}")
    console.print(rows)
    console.print("imported: " + ", ".join(f"{name} {size / MEBI:.0f}" for name, size in imports.items()))


if __name__ == "__main__":
    main()
