"""Recurrent layers that TensorFlow has as one operator: its own cells as a Scan, those of cuDNN as LSTM, GRU and RNN of ONNX."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from onward.converters.tensorflow.emitter import Emitter, Tensor, data_type
from onward.converters.tensorflow.registry import operator
from onward.errors import UnsupportedOperator
from onward.ir import TensorType, Value

Step = Callable[[Any, Sequence[Any]], list[Value]]


def _gates(c: Emitter, x: Any, h: Any, weights: Tensor, bias: Tensor, count: int) -> list[Value]:
    """Parts of [x, h] W + b."""
    made = c.op("Add", c.op("MatMul", c.op("Concat", x, h, axis=1), weights), bias)
    return [made] if count == 1 else list(c.op("Split", made, axis=1, num_outputs=count, outputs=count))


def _lstm_step(c: Emitter, op: Any, inputs: Sequence[Tensor], names: str) -> Step:
    """One step: i, cs, f, o, ci, co, h; the letters tell the order of the gates (c is the candidate)."""
    weights, *peepholes, bias = inputs
    looks = bool(op["use_peephole"])
    forget, clip = op.get("forget_bias", 0.0), op["cell_clip"]

    def seen(gate: Value, cell: Any, place: int) -> Value:
        return c.op("Sigmoid", c.op("Add", gate, c.op("Mul", cell, peepholes[place])) if looks else gate)

    def step(x: Any, states: Sequence[Any]) -> list[Value]:
        cell, h = states
        gate = dict(zip(names, _gates(c, x, h, weights, bias, 4), strict=True))
        opened = seen(gate["i"], cell, 0)
        kept = seen(c.op("Add", gate["f"], c.number(forget, bias)), cell, 1)
        candidate = c.op("Tanh", gate["c"])
        after = c.op("Add", c.op("Mul", candidate, opened), c.op("Mul", cell, kept))
        if clip > 0:
            after = c.op("Clip", after, c.number(-clip, bias), c.number(clip, bias))
        shown = seen(gate["o"], after, 2)
        squashed = c.op("Tanh", after)
        return [opened, after, kept, shown, candidate, squashed, c.op("Mul", squashed, shown)]

    return step


@operator("LSTMBlockCell")
def lstm_cell(c: Emitter, op: Any, x: Tensor, cell: Tensor, h: Tensor, *weights: Tensor) -> list[Value]:
    return _lstm_step(c, op, weights, "icfo")(x, (cell, h))


@operator("BlockLSTM", "BlockLSTMV2")
def lstm(c: Emitter, op: Any, length: Tensor, x: Tensor, cell: Tensor, h: Tensor, *weights: Tensor) -> list[Value]:
    """Steps from `length` on are zeros (in TensorFlow the cells and the results; the gates are whatever was in memory)."""
    step = _lstm_step(c, op, weights, "icfo" if op.type == "BlockLSTM" else "ifco")
    with c.inner_graph("step") as body:
        ports = [c.graph.new_value(TensorType(data_type(item.dtype), tuple(item.shape[-2:])), "port") for item in (cell, h, x)]
        body.inputs.extend(ports)
        results = step(ports[2], ports[:2])
        body.outputs.extend(c.op("Identity", item) for item in (results[1], results[6], *results))
    made = c.op("Scan", cell, h, x, body=body, num_scan_inputs=1, outputs=9)[2:]
    steps = c.op("Range", np.array(0), c.squeeze(c.op("Shape", x, start=0, end=1), 0), np.array(1))
    within = c.unsqueeze(c.op("Less", steps, c.cast(length, tf.int64)), 1, 2)
    return [c.op("Where", within, item, c.number(0, x)) for item in made]


@operator("GRUBlockCell")
def gru_cell(c: Emitter, op: Any, x: Tensor, h: Tensor, gates: Tensor, candidates: Tensor, bias: Tensor, candidate_bias: Tensor) -> list[Value]:
    reset, update = (c.op("Sigmoid", gate) for gate in _gates(c, x, h, gates, bias, 2))
    (candidate,) = _gates(c, x, c.op("Mul", h, reset), candidates, candidate_bias, 1)
    candidate = c.op("Tanh", candidate)
    after = c.op("Add", c.op("Mul", update, h), c.op("Mul", c.op("Sub", c.number(1, x), update), candidate))
    return [reset, update, candidate, after]


CUDNN = {"lstm": ("LSTM", [0, 3, 1, 2]), "gru": ("GRU", [1, 0, 2]), "rnn_tanh": ("RNN", [0]), "rnn_relu": ("RNN", [0])}
"""The operator of ONNX, and which of cuDNN's gates (input, forget, candidate, output; reset, update, candidate) comes where in it."""


class _Parameters:
    """cuDNN's one vector: for each layer and direction the weights of the gates for inputs, then those for states; then all biases in that order."""

    def __init__(self, c: Emitter, flat: Tensor) -> None:
        self.c, self.flat, self.place = c, flat, 0

    def take(self, gates: list[int], *shape: int) -> Value:
        """The next gates, in ONNX's order, along the first axis of a tensor with one direction."""
        count = len(gates) * int(np.prod(shape))
        part = self.c.slice(self.flat, 0, self.place, self.place + count)
        self.place += count
        whole = self.c.reshape(part, [len(gates), *shape])
        chosen = self.c.op("Gather", whole, np.array(gates), axis=0) if len(gates) > 1 else whole
        return self.c.reshape(chosen, [1, len(gates) * shape[0], *shape[1:]])


@operator("CudnnRNN", "CudnnRNNV2", "CudnnRNNV3")
def cudnn(c: Emitter, op: Any, x: Tensor, h: Tensor, cell: Tensor, parameters: Tensor, lengths: Tensor | None = None) -> list[Any]:
    """Stacked layers in one or both directions. The states that training needs beside the results are empty."""
    if op["input_mode"] == "skip_input" or op.get("num_proj", 0):
        raise UnsupportedOperator("layers without weights for their inputs, or with projections")
    kind, gates = CUDNN[op["rnn_mode"]]
    both = 2 if op["direction"] == "bidirectional" else 1
    turned = not op.get("time_major", True)
    layers, units, features = h.shape[1 if turned else 0], h.shape[-1], x.shape[-1]
    if layers is None or units is None or features is None:
        raise UnsupportedOperator("the numbers of layers, units and features are to be known")
    states = [c.transpose(item, [1, 0, 2]) if turned else item.value for item in (h, cell)]
    value = c.transpose(x, [1, 0, 2]) if turned else x.value
    count = layers // both
    source = _Parameters(c, parameters)
    widths = [features] + [both * units] * (count - 1)
    weights = [[(source.take(gates, units, width), source.take(gates, units, units)) for _ in range(both)] for width in widths]
    biases = [[(source.take(gates, units), source.take(gates, units)) for _ in range(both)] for _ in widths]
    options: dict[str, Any] = {"hidden_size": units, "direction": "bidirectional" if both == 2 else "forward"}
    if kind == "GRU":
        options["linear_before_reset"] = 1
    if op["rnn_mode"] == "rnn_relu":
        options["activations"] = ["Relu"] * both
    ends: list[list[Value]] = []
    for place in range(count):
        entries = [c.op("Concat", *items, axis=0) for items in zip(*weights[place])]
        bias = c.op("Concat", *(c.op("Concat", *pair, axis=1) for pair in biases[place]), axis=0)
        start = [c.slice(item, 0, place * both, (place + 1) * both) for item in states[: 1 + (kind == "LSTM")]]
        given = None if lengths is None else c.cast(lengths, tf.int32)
        made = c.op(kind, value, *entries, bias, given, *start, outputs=2 + (kind == "LSTM"), **options)
        value = c.reshape(
            c.transpose(made[0], [0, 2, 1, 3]), c.op("Concat", c.op("Shape", made[0], end=1), c.op("Shape", made[0], start=2, end=3), [both * units], axis=0)
        )
        ends.append(made[1:])
    finals = [c.op("Concat", *items, axis=0) for items in zip(*ends)]
    finals += [states[1]] * (2 - len(finals))
    results = [c.transpose(item, [1, 0, 2]) if turned else item for item in (value, *finals)]
    return [*results, c.number(np.zeros(0), x), c.number(np.zeros(0), tf.int8)][: len(op.outputs)]
