"""What opening a large model costs: time and memory, beside onnx.

    python benchmarks/open_model.py [--megabytes 435]

The model is a stack of matrix products whose random weights are inline or in a file beside it. Each figure comes from a
process of its own and is the median of five; the file is in the system's cache. Memory is what the process has more of
(resident) after opening.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from onward.cli.output import console, milliseconds, table
from onward.ir import DataType, Graph, Model, Node, Symbol, Tensor, TensorType, Value, save

SIDE = 1024
REPEATS = 5
PROBE = """
import sys, time
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096
{preparation}
before, begin = resident(), time.perf_counter()
model = {opening}
elapsed = time.perf_counter() - begin
print(elapsed, resident() - before)
"""
RUNTIMES = {
    "onward.load": ("import onward.ir", "onward.ir.load(sys.argv[1])"),
    "onnx.load": ("import onnx", "onnx.load(sys.argv[1])"),
}


def stack_of_products(megabytes: int) -> Model:
    """A model of about that size, with random weights."""
    generator = np.random.default_rng(0)
    graph = Graph("stack")
    value = Value("x", TensorType(DataType.FLOAT, (Symbol("batch"), SIDE)))
    graph.inputs.append(value)
    for layer in range(megabytes * 1_000_000 // (4 * SIDE * SIDE)):
        weight = graph.add_initializer(Tensor.of(generator.random((SIDE, SIDE), np.float32), f"weight{layer}"))
        product = graph.append(Node("MatMul", [value, weight], [graph.new_value(hint="product")], name=f"product{layer}"))
        value = graph.append(Node("Relu", product.outputs, [graph.new_value(hint="y")], name=f"relu{layer}")).outputs[0]
    value.type = TensorType(DataType.FLOAT, (Symbol("batch"), SIDE))
    graph.outputs.append(value)
    return Model(graph, {"": 18}, 9)


def probe(runtime: str, path: Path) -> tuple[float, float]:
    """Median seconds and bytes of opening a file."""
    preparation, opening = RUNTIMES[runtime]
    script = PROBE.format(preparation=preparation, opening=opening)
    results = [tuple(map(float, subprocess.run([sys.executable, "-c", script, path], check=True, capture_output=True).stdout.split())) for _ in range(REPEATS)]
    return statistics.median(result[0] for result in results), statistics.median(result[1] for result in results)


def main() -> None:
    """Makes the files, opens them, and prints the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--megabytes", type=int, default=435)
    options = parser.parse_args()
    rows = table("weights", "opened by", "time", "resident memory", title=f"opening a model of {options.megabytes} MB")
    with tempfile.TemporaryDirectory() as folder:
        model = stack_of_products(options.megabytes)
        save(model, Path(folder) / "inline.onnx")
        save(model, Path(folder) / "external.onnx", external_data="external.weights")
        for kind in ("inline", "external"):
            for runtime in RUNTIMES:
                seconds, memory = probe(runtime, Path(folder) / f"{kind}.onnx")
                rows.add_row(kind, runtime, milliseconds(seconds), f"+{memory / 1e6:.1f} MB")
    console.print(rows)


if __name__ == "__main__":
    main()
