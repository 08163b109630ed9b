"""What one call of `run` costs beside the arithmetic: a three-layer network so small that nothing else is left.

python benchmarks/overhead.py
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

import onward
from onward.cli.measurement import installed_peers, load_peer, relative_error
from onward.cli.output import console, table
from onward.ir import DataType, Graph, Model, Node, Tensor, TensorType, Value

WIDTH = 8
RUNS = 20_000


def small_network() -> Model:
    """x (1, 8) -> three linear layers, with rectifiers between."""
    generator = np.random.default_rng(0)
    graph = Graph("small")
    value = Value("x", TensorType(DataType.FLOAT, (1, WIDTH)))
    graph.inputs.append(value)
    for number in range(3):
        weights = graph.add_initializer(Tensor.of(generator.standard_normal((WIDTH, WIDTH)).astype(np.float32), f"w{number}"))
        bias = graph.add_initializer(Tensor.of(generator.standard_normal(WIDTH).astype(np.float32), f"b{number}"))
        node = Node("Gemm", [value, weights, bias], [graph.new_value(hint=f"y{number}")], name=f"layer{number}")
        value = graph.append(node).outputs[0]
        if number < 2:
            node = Node("Relu", [value], [graph.new_value(hint=f"z{number}")], name=f"rectifier{number}")
            value = graph.append(node).outputs[0]
    value.type = TensorType(DataType.FLOAT, (1, WIDTH))
    graph.outputs.append(value)
    return Model(graph, {"": 21})


def median_microseconds(run: Callable[[], object]) -> float:
    """The median over many calls."""
    for _ in range(1000):
        run()
    times = np.empty(RUNS)
    for index in range(RUNS):
        begin = time.perf_counter_ns()
        run()
        times[index] = time.perf_counter_ns() - begin
    return float(np.median(times)) / 1000


def main() -> None:
    """Prints a table."""
    model = small_network()
    feeds = {"x": np.random.default_rng(1).standard_normal((1, WIDTH), dtype=np.float32)}
    options = onward.ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = onward.InferenceSession(model, options)
    expected = session.run(None, feeds)
    rows = table("runtime", "one run, median", "difference", title="three layers of 8 by 8, one thread")
    rows.add_row("onward", f"{median_microseconds(lambda: session.run(None, feeds)):.2f} us", "")
    for name in installed_peers():
        peer = load_peer(name, model, feeds, 1)
        rows.add_row(name, f"{median_microseconds(peer.run):.2f} us", f"{relative_error(peer.run(), expected):.1e}")
    console.print(rows)


if __name__ == "__main__":
    main()
