"""Recurrent layers: the weights in ONNX's order of gates, one node for each layer and both directions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from onward.converters.torch.emitter import DATA_TYPES, Emitter, Tensor
from onward.converters.torch.registry import aten, operator
from onward.errors import UnsupportedOperator
from onward.ir import TensorType, Value

GATES = {"LSTM": (0, 3, 1, 2), "GRU": (1, 0, 2), "RNN": (0,)}
"""ONNX's gate k is PyTorch's gate GATES[k]: input, output, forget, cell; update, reset, new."""


@dataclass(frozen=True)
class Layers:
    """How layers stand on one another; `options` are ONNX attributes of every node."""

    onnx: str
    weights: list[Tensor]
    biases: bool
    count: int
    both: bool
    projected: bool = False
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def directions(self) -> int:
        return 2 if self.both else 1

    def of(self, layer: int) -> list[list[Tensor]]:
        """The weights of a layer, for each direction."""
        each = (4 if self.biases else 2) + self.projected
        start = layer * self.directions * each
        return [self.weights[start + place * each : start + (place + 1) * each] for place in range(self.directions)]


def _recurrent(c: Emitter, x: Tensor, states: list[Value], layers: Layers, batch_first: bool) -> list[Value]:
    """The output sequence, then the final states, each (layers * directions, batch, hidden)."""
    batched = x.rank == 3
    value = x.value if batched else c.unsqueeze(x, 1)
    if batched and batch_first:
        value = c.transpose(value, [1, 0, 2])
    if not batched:
        states = [c.unsqueeze(state, 1) for state in states]
    value, *joined = _stacked(c, value, states, layers, None)
    if batched and batch_first:
        value = c.transpose(value, [1, 0, 2])
    if not batched:
        value, joined = c.squeeze(value, 1), [c.squeeze(item, 1) for item in joined]
    return [value, *joined]


def _stacked(c: Emitter, value: Value, states: list[Value], layers: Layers, lengths: Value | None) -> list[Value]:
    """A sequence, time first, through all layers; `lengths` are those of its columns where they differ."""
    finals: list[list[Value]] = [[] for _ in states]
    for layer in range(layers.count):
        span = layer * layers.directions, (layer + 1) * layers.directions
        begin = [c.slice(state, 0, *span) for state in states]
        through = _projected_layer if layers.projected else _layer
        value, ends = through(c, value, begin, layers, layers.of(layer), lengths)
        for kept, end in zip(finals, ends):
            kept.append(end)
    return [value, *(kept[0] if len(kept) == 1 else c.op("Concat", *kept, axis=0) for kept in finals)]


def _layer(c: Emitter, x: Value, begin: list[Value], layers: Layers, own: list[list[Tensor]], lengths: Value | None) -> tuple[Value, list[Value]]:
    gates = GATES[layers.onnx]
    w, r = (_stack(c, [_reordered(c, part[place], gates) for part in own]) for place in (0, 1))
    b = None
    if layers.biases:
        vectors = [c.op("Concat", _reordered(c, part[2], gates), _reordered(c, part[3], gates), axis=0) for part in own]
        b = _stack(c, vectors)
    hidden = own[0][1].shape[1]
    made = c.op(
        layers.onnx, x, w, r, b, lengths, *begin, hidden_size=hidden, direction="bidirectional" if layers.both else "forward",
        outputs=1 + len(begin), **layers.options,
    )  # fmt: skip
    y = made[0]
    if layers.both:
        y = c.op("Transpose", y, perm=[0, 2, 1, 3])
        return c.op("Reshape", y, np.array([0, 0, 2 * hidden])), made[1:]
    return c.squeeze(y, 1), made[1:]


def _projected_layer(c: Emitter, x: Value, begin: list[Value], layers: Layers, own: list[list[Tensor]], lengths: Value | None) -> tuple[Value, list[Value]]:
    """An LSTM whose output is a product with a matrix, which ONNX LSTM lacks: a Scan over the steps for each direction."""
    if lengths is not None:
        raise UnsupportedOperator("LSTM with projections (proj_size) of packed sequences")
    sequences, ends = [], []
    for direction, weights in enumerate(own):
        hidden, cell = (c.slice(state, 0, direction, direction + 1) for state in begin)
        made = _scanned(c, x, c.squeeze(hidden, 0), c.squeeze(cell, 0), weights, layers.biases, direction)
        sequences.append(made[2])
        ends.append(made[:2])
    joined = sequences[0] if len(sequences) == 1 else c.op("Concat", *sequences, axis=-1)
    return joined, [_stack(c, [end[place] for end in ends]) for place in (0, 1)]


def _scanned(c: Emitter, x: Value, hidden: Value, cell: Value, weights: list[Tensor], biases: bool, direction: int) -> list[Value]:
    from onward.converters.torch.graph import give_back

    dtype = weights[0].dtype
    given = c.op("MatMul", x, c.op("Transpose", weights[0], perm=[1, 0]))
    for bias in weights[2:4] if biases else []:
        given = c.op("Add", given, bias)
    recurrent, projection = (c.op("Transpose", item, perm=[1, 0]) for item in (weights[1], weights[-1]))
    with c.inner_graph("step") as inner:
        for name, rank in (("hidden", 2), ("cell", 2), ("given", 2)):
            inner.inputs.append(inner.new_value(TensorType(DATA_TYPES[dtype], (None,) * rank), name))
        h, old, step = inner.inputs
        total = c.op("Add", step, c.op("MatMul", h, recurrent))
        enter, forget, new, leave = c.op("Split", total, axis=-1, num_outputs=4, outputs=4)
        kept = c.op("Mul", c.op("Sigmoid", forget), old)
        state = c.op("Add", kept, c.op("Mul", c.op("Sigmoid", enter), c.op("Tanh", new)))
        seen = c.op("Mul", c.op("Sigmoid", leave), c.op("Tanh", state))
        after = c.op("MatMul", seen, projection)
        give_back(c, [after, state, after])
    return list(c.op(
        "Scan", hidden, cell, given, body=inner, num_scan_inputs=1, scan_input_directions=[direction],
        scan_output_directions=[direction], outputs=3,
    ))  # fmt: skip


def _stack(c: Emitter, values: list[Value]) -> Value:
    raised = [c.unsqueeze(value, 0) for value in values]
    return raised[0] if len(raised) == 1 else c.op("Concat", *raised, axis=0)


def _reordered(c: Emitter, weight: Tensor, gates: tuple[int, ...]) -> Value:
    if gates == (0,):
        return weight.value
    size = weight.shape[0] // len(gates)
    parts = c.op("Split", weight, [size] * len(gates), axis=0, outputs=len(gates))
    return c.op("Concat", *(parts[gate] for gate in gates), axis=0)


def _layers_of(c: Emitter, weights: list[Tensor], biases: bool, count: int, both: bool) -> Layers:
    """What the operator's name says, and its weights."""
    name = c.operator.partition("::")[2].partition(".")[0].removesuffix("_packed")
    if name == "lstm":
        projected = len(weights) == count * (2 if both else 1) * (5 if biases else 3)
        return Layers("LSTM", weights, biases, count, both, projected)
    if name == "gru":
        return Layers("GRU", weights, biases, count, both, options={"linear_before_reset": 1})
    function = "Tanh" if name == "rnn_tanh" else "Relu"
    return Layers("RNN", weights, biases, count, both, options={"activations": [function] * (2 if both else 1)})


@aten("lstm.input", "gru.input", "rnn_tanh.input", "rnn_relu.input")
@operator("onward::lstm", "onward::gru", "onward::rnn_tanh", "onward::rnn_relu")
def recurrent(
    c: Emitter, x: Tensor, states: Any, weights: list[Tensor], biases: bool, count: int, dropout: float, train: bool, both: bool,
    batch_first: bool,
) -> Any:  # fmt: skip
    begin = [state.value for state in (states if isinstance(states, list) else [states])]
    return _recurrent(c, x, begin, _layers_of(c, weights, biases, count, both), batch_first)


@operator("onward::lstm_packed", "onward::gru_packed", "onward::rnn_tanh_packed", "onward::rnn_relu_packed")
def packed_recurrent(
    c: Emitter, x: Tensor, batch_sizes: Tensor, states: Any, weights: list[Tensor], biases: bool, count: int, dropout: float,
    train: bool, both: bool,
) -> Any:  # fmt: skip
    """Columns of several lengths: ONNX takes the lengths, and the padded sequence."""
    begin = [state.value for state in (states if isinstance(states, list) else [states])]
    steps = c.op("Shape", batch_sizes)
    value = c.op("Reshape", x, c.op("Concat", steps, c.sizes([-1, c.size(x, 1)]), axis=0))
    lengths = _lengths(c, batch_sizes, c.op("Shape", value, start=1, end=2))
    layers = _layers_of(c, weights, biases, count, both)
    made = _stacked(c, value, begin, layers, c.convert(lengths, torch.int32))
    return [c.op("Reshape", made[0], np.array([-1, weights[1].shape[1] * layers.directions])), *made[1:]]


def _lengths(c: Emitter, batch_sizes: Tensor, rows: Value) -> Value:
    """The length of every column from the number of columns that reach each step."""
    columns = c.op("Range", np.array(0), c.squeeze(rows, 0), np.array(1))
    reached = c.op("Less", c.unsqueeze(columns, 0), c.unsqueeze(batch_sizes, 1))
    return c.op("ReduceSum", c.convert(reached, torch.int64), [0], keepdims=0)


@operator("onward::pack")
def pack(c: Emitter, x: Tensor, lengths: Tensor, batch_first: bool) -> Any:
    longest = c.op("ReduceMax", lengths, [0], keepdims=1)
    order = [1, 0, *range(2, x.rank)] if batch_first else list(range(x.rank))
    value = c.op("Slice", c.transpose(x, order), [0], longest, [0])
    steps = c.op("Range", np.array(0), c.squeeze(longest, 0), np.array(1))
    longer = c.op("Greater", c.unsqueeze(lengths, 0), c.unsqueeze(steps, 1))
    batch_sizes = c.op("ReduceSum", c.convert(longer, torch.int64), [1], keepdims=0)
    return [c.op("Reshape", value, c.sizes([-1, *(c.size(x, axis) for axis in range(2, x.rank))])), batch_sizes]


@operator("onward::unpack")
def unpack(c: Emitter, x: Tensor, batch_sizes: Tensor, batch_first: bool, filling: float, length: Any) -> Any:
    inner = [c.size(x, axis) for axis in range(1, x.rank)]
    shape = c.op("Concat", c.op("Shape", batch_sizes), c.sizes([-1, *inner]), axis=0)
    value = c.op("Reshape", x, shape)
    rows = c.op("Shape", value, start=1, end=2)
    lengths = _lengths(c, batch_sizes, rows)
    reached = c.op("Less", c.unsqueeze(c.op("Range", np.array(0), c.op("Squeeze", c.op("Shape", batch_sizes)), np.array(1)), 1),
                   c.unsqueeze(lengths, 0))  # fmt: skip
    value = c.op("Where", c.unsqueeze(reached, *range(2, x.rank + 1)), value, c.number(filling, x.dtype))
    missing = c.op("Sub", c.sizes([length]), c.op("Shape", batch_sizes))
    value = c.op("Pad", value, c.op("Concat", np.array([0]), missing, axis=0), c.number(filling, x.dtype), np.array([0]))
    return [c.transpose(value, [1, 0, *range(2, x.rank + 1)]) if batch_first else value, lengths]
