"""What is paid beside the arithmetic: one call of `run`, of a three-layer network so small that nothing else is left, and one launch of work that
two threads share.

python benchmarks/overhead.py
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable

import numpy as np

import onward
from onward.cli.measurement import installed_peers, load_peer, relative_error
from onward.cli.output import console, table
from onward.compiler.builder import Module
from onward.compiler.context import Slot
from onward.compiler.native import Library, compile_module
from onward.compiler.targets import Target
from onward.compiler.values import I64, POINTER
from onward.ir import DataType, Graph, Model, Node, Tensor, TensorType, Value
from onward.runtime import threads

WIDTH = 8
RUNS = 20_000
LAUNCHES = 1000
TURNS = 10_000


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


def launches() -> Library:
    """void launches(ptr parallel_for, ptr context, ptr work, i64 times): launches `work` so many times, in two shares; void turns(...): such work."""
    target = Target.parse("generic")
    module = Module(target)
    b = module.function("turns", [("data", POINTER), ("begin", I64), ("end", I64)])
    with b.loop(b.arguments[1] * b.constant(I64, TURNS), b.arguments[2] * b.constant(I64, TURNS)) as turn:
        b.store(b.allocate_stack(I64, 1), b.opaque(turn))
    b.ret()
    b = module.function("launches", [("parallel_for", POINTER), ("context", POINTER), ("work", POINTER), ("times", I64)])
    parallel_for, context, work, times = b.arguments
    with b.loop(b.constant(I64, 0), times):
        b.call_pointer(parallel_for, None, [context, work, context, b.constant(I64, 2)])
    b.ret()
    return Library([compile_module(module.text(), target)], ["launches", "turns"])


def fork_join_microseconds() -> tuple[float, float]:
    """What a launch of two equal shares takes on two threads beyond half of what it takes on one: by the least times, and by the medians."""
    library = launches()
    function = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)(library.address("launches"))
    found = {}
    for count in (1, 2):
        context = np.zeros(int(Slot.COUNT), np.int64)
        context[Slot.POOL] = threads.pool_pointer(count)
        times = []
        for _ in range(300):
            begin = time.perf_counter_ns()
            function(threads.support().address("parallel_for"), context.ctypes.data, library.address("turns"), LAUNCHES)
            times.append((time.perf_counter_ns() - begin) / 1000 / LAUNCHES)
        found[count] = np.array([min(times), np.median(times)])
    least, median = found[2] - found[1] / 2
    return float(least), float(median)


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
    console.print("one launch between two threads, beyond its work: {:.2f} us at least, {:.2f} us by medians".format(*fork_join_microseconds()))


if __name__ == "__main__":
    main()
