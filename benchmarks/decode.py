"""One token of a language model with a cache of keys and values: bytes of weights a second, beside a plain read of memory.

    python benchmarks/decode.py [--past 128 1023] [--layers 12] [--seconds 10] [--open | --in-place]

The model has the sizes of GPT-2 (12 layers of 768, 12 heads, 50257 words) and random weights, and is written here with the
operators of ONNX. Its caches grow from run to run, or, with --in-place, have room for one more token, which TensorScatter writes
into memory that is bound as input and output. One thread by its own clock, onward and onnxruntime by turns; the plain read is that of peaks.py.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from peaks import BUFFERS, reading_kernel

from models import processor
from onward.cli.measurement import Contestant, load_onward, load_peer, measure, relative_error
from onward.cli.output import console, milliseconds, table
from onward.compiler.artifact import PRECISIONS
from onward.compiler.targets import Target

WIDTH, HEADS, WORDS = 768, 12, 50257


class _Writer:
    """Writes nodes and random weights."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self.random = np.random.default_rng(0)

    def weight(self, *shape: int) -> str:
        name = f"w{len(self.weights)}"
        data = self.random.standard_normal(shape, np.float32) * np.float32(shape[0] ** -0.5)
        self.weights.append(numpy_helper.from_array(data, name))
        return name

    def node(self, kind: str, *inputs: str, outputs: int = 1, **attributes: object) -> list[str]:
        names = [f"v{len(self.nodes)}_{number}" for number in range(outputs)]
        self.nodes.append(helper.make_node(kind, inputs, names, **attributes))
        return names

    def linear(self, x: str, rows: int, columns: int) -> str:
        (product,) = self.node("MatMul", x, self.weight(rows, columns))
        return self.node("Add", product, self.weight(columns))[0]

    def normal(self, x: str) -> str:
        return self.node("LayerNormalization", x, self.weight(WIDTH), self.weight(WIDTH), axis=-1)[0]


def decoder(layers: int, past: int, in_place: bool = False) -> onnx.ModelProto:
    """One token x (1, 1, 768), caches (1, 12, past, 64) -> scores of all words and the new caches.

    Caches that are written in place are as long before as after, and come with the `place` (1) of the token and the `length` (1).
    """
    w, x = _Writer(), "x"
    cache, grown = [1, HEADS, past + in_place, WIDTH // HEADS], [1, HEADS, past + 1, WIDTH // HEADS]
    inputs, outputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, WIDTH])], []
    if in_place:
        inputs += [helper.make_tensor_value_info(name, TensorProto.INT64, [1]) for name in ("place", "length")]
    for layer in range(layers):
        names = [f"past_{kind}_{layer}" for kind in ("key", "value")]
        inputs += [helper.make_tensor_value_info(name, TensorProto.FLOAT, cache) for name in names]
        size = w.node("Constant", value_ints=[WIDTH] * 3)[0]
        parts = w.node("Split", w.linear(w.normal(x), WIDTH, 3 * WIDTH), size, outputs=3, axis=-1)
        mixed, *caches = _attention_in_place(w, parts, names) if in_place else _attention(w, parts, names)
        outputs += [helper.make_tensor_value_info(name, TensorProto.FLOAT, grown) for name in caches]
        x = w.node("Add", x, w.linear(mixed, WIDTH, WIDTH))[0]
        (hidden,) = w.node("Gelu", w.linear(w.normal(x), WIDTH, 4 * WIDTH), approximate="tanh")
        x = w.node("Add", x, w.linear(hidden, 4 * WIDTH, WIDTH))[0]
    (words,) = w.node("MatMul", w.normal(x), w.weight(WIDTH, WORDS))
    outputs.insert(0, helper.make_tensor_value_info(words, TensorProto.FLOAT, [1, 1, WORDS]))
    graph = helper.make_graph(w.nodes, "decoder", inputs, outputs, w.weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 24)], ir_version=11)


def _attention(w: _Writer, parts: list[str], caches: list[str]) -> list[str]:
    return w.node("Attention", *parts, "", *caches, outputs=3, q_num_heads=HEADS, kv_num_heads=HEADS)


def _attention_in_place(w: _Writer, parts: list[str], caches: list[str]) -> list[str]:
    apart, together = (w.node("Constant", value_ints=shape)[0] for shape in ([1, HEADS, 1, WIDTH // HEADS], [1, 1, WIDTH]))
    queries, *new = (w.node("Reshape", part, apart)[0] for part in parts)
    written = [w.node("TensorScatter", cache, part, "place", axis=2)[0] for cache, part in zip(caches, new)]
    (mixed,) = w.node("Attention", queries, *written, "", "", "", "length")
    return [w.node("Reshape", mixed, together)[0], *written]


def bound(session: Any, feeds: dict[str, np.ndarray]) -> Callable[[], list[np.ndarray]]:
    """A run of a session of onnxruntime's interface, whose caches are written where they are; gives the scores."""
    caches = {name: array.copy() for name, array in feeds.items() if name.startswith("past")}
    binding = session.io_binding()
    for name, array in {**feeds, **caches}.items():
        binding.bind_cpu_input(name, array)
    first, *others = (output.name for output in session.get_outputs())
    binding.bind_output(first)
    for name, array in zip(others, caches.values()):
        binding.bind_output(name, "cpu", 0, np.float32, array.shape, array.ctypes.data)

    def run() -> list[np.ndarray]:
        session.run_with_iobinding(binding)
        return binding.copy_outputs_to_cpu()[:1]

    return run


def contestants_in_place(data: bytes, feeds: dict[str, np.ndarray], precision: str) -> list[Contestant]:
    """The sessions that write caches in place."""
    import onnxruntime

    import onward.ort

    found = []
    for runtime in (onward.ort, onnxruntime):
        started, options = time.perf_counter(), runtime.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = 1, 3
        if runtime is onward.ort:
            options.add_session_config_entry("onward.precision", precision)
        session = runtime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        found.append(Contestant(runtime.__name__.removesuffix(".ort"), bound(session, feeds), time.perf_counter() - started))
    return found


def open_sizes(model: onnx.ModelProto) -> None:
    """Leaves the number of tokens, and of those before, to the run, as exporters do."""
    for port in (*model.graph.input, *model.graph.output):
        axes = port.type.tensor_type.shape.dim
        if len(axes) == 3:
            axes[1].dim_param = "tokens"
        else:
            axes[2].dim_param = "past" if port.name.startswith("past") else "all"


def reading_rate() -> float:
    """Bytes a second of a plain read of memory, the best of a few."""
    size = BUFFERS["memory"]
    run, least = reading_kernel(Target.parse("host"), size, 1), float("inf")
    for _ in range(8):
        begin = time.thread_time()
        run()
        least = min(least, time.thread_time() - begin)
    return size / least


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--past", nargs="+", type=int, default=[128, 1023])
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--seconds", type=float, default=10.0, help="for each length")
    parser.add_argument("--open", action="store_true", help="with numbers of tokens that only the run knows")
    parser.add_argument("--precision", choices=PRECISIONS, default="float32", help="of onward; shares of a plain read count weights of float32 all the same")
    parser.add_argument("--in-place", action="store_true", help="with caches that are written in place")
    arguments = parser.parse_args()
    rows = table("past", "runtime", "least", "weights a second", "of a plain read", "beside", title=f"{processor()}, one thread", left=2)
    for past in arguments.past:
        model = decoder(arguments.layers, past, arguments.in_place)
        amount = sum(len(item.raw_data) for item in model.graph.initializer)
        g = np.random.default_rng(1)
        feeds = {item.name: g.standard_normal([axis.dim_value for axis in item.type.tensor_type.shape.dim], np.float32) for item in model.graph.input}
        feeds |= {name: np.array([number]) for name, number in (("place", past), ("length", past + 1)) if name in feeds}
        if arguments.open:
            open_sizes(model)
        data = model.SerializeToString()
        if arguments.in_place:
            contestants = contestants_in_place(data, feeds, arguments.precision)
        else:
            contestants = [load_onward(data, feeds, 1, arguments.precision), load_peer("onnxruntime", data, feeds, 1)]
        before = reading_rate()
        measure(contestants, arguments.seconds, clock=time.thread_time)
        rate = max(before, reading_rate())
        own, other = (item.run() for item in contestants)
        console.print(f"past {past}: onnxruntime differs by {relative_error(other, own):.1e}, a plain read takes {rate * 1e-9:.1f} GB/s")
        for item in contestants:
            least = min(item.seconds)
            rows.add_row(
                str(past), item.name, milliseconds(least), f"{amount / least * 1e-9:.1f} GB/s", f"{amount / least / rate:.0%}",
                f"{least / min(contestants[0].seconds):.2f}x",
            )  # fmt: skip
    console.print(rows)


if __name__ == "__main__":
    main()
