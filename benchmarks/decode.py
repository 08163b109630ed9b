"""One token of a language model with a cache of keys and values: bytes of weights a second, beside a plain read of memory.

    python benchmarks/decode.py [--past 128 1023] [--layers 12] [--seconds 10] [--open]

The model has the sizes of GPT-2 (12 layers of 768, 12 heads, 50257 words) and random weights, and is written here with the
operators of ONNX. One thread by its own clock, onward and onnxruntime by turns; the plain read is that of peaks.py.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from peaks import BUFFERS, reading_kernel

from models import processor
from onward.cli.measurement import load_onward, load_peer, measure, relative_error
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


def decoder(layers: int, past: int) -> onnx.ModelProto:
    """One token x (1, 1, 768), caches (1, 12, past, 64) -> scores of all words and the new caches."""
    w, x = _Writer(), "x"
    cache, grown = [1, HEADS, past, WIDTH // HEADS], [1, HEADS, past + 1, WIDTH // HEADS]
    inputs, outputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, WIDTH])], []
    for layer in range(layers):
        names = [f"past_{kind}_{layer}" for kind in ("key", "value")]
        inputs += [helper.make_tensor_value_info(name, TensorProto.FLOAT, cache) for name in names]
        size = w.node("Constant", value_ints=[WIDTH] * 3)[0]
        parts = w.node("Split", w.linear(w.normal(x), WIDTH, 3 * WIDTH), size, outputs=3, axis=-1)
        heads = {"q_num_heads": HEADS, "kv_num_heads": HEADS}
        mixed, *caches = w.node("Attention", *parts, "", *names, outputs=3, **heads)
        outputs += [helper.make_tensor_value_info(name, TensorProto.FLOAT, grown) for name in caches]
        x = w.node("Add", x, w.linear(mixed, WIDTH, WIDTH))[0]
        (hidden,) = w.node("Gelu", w.linear(w.normal(x), WIDTH, 4 * WIDTH), approximate="tanh")
        x = w.node("Add", x, w.linear(hidden, 4 * WIDTH, WIDTH))[0]
    (words,) = w.node("MatMul", w.normal(x), w.weight(WIDTH, WORDS))
    outputs.insert(0, helper.make_tensor_value_info(words, TensorProto.FLOAT, [1, 1, WORDS]))
    graph = helper.make_graph(w.nodes, "decoder", inputs, outputs, w.weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 23)], ir_version=10)


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
    arguments = parser.parse_args()
    rows = table("past", "runtime", "least", "weights a second", "of a plain read", "beside", title=f"{processor()}, one thread", left=2)
    for past in arguments.past:
        model = decoder(arguments.layers, past)
        amount = sum(len(item.raw_data) for item in model.graph.initializer)
        g = np.random.default_rng(1)
        feeds = {item.name: g.standard_normal([axis.dim_value for axis in item.type.tensor_type.shape.dim], np.float32) for item in model.graph.input}
        if arguments.open:
            open_sizes(model)
        data = model.SerializeToString()
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
