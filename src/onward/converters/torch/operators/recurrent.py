"""Recurrent layers: the weights in ONNX's order of gates, one node for each layer and both directions."""

from __future__ import annotations

from typing import Any

import numpy as np

from onward.converters.torch.emitter import Emitter, Tensor
from onward.converters.torch.registry import aten
from onward.ir import Value

GATES = {"LSTM": (0, 3, 1, 2), "GRU": (1, 0, 2), "RNN": (0,)}
"""ONNX's gate k is PyTorch's gate GATES[k]: input, output, forget, cell; update, reset, new."""


def _recurrent(
    c: Emitter, onnx: str, x: Tensor, states: list[Value], weights: list[Tensor], biases: bool, layers: int, both: bool,
    batch_first: bool, **options: Any,
) -> list[Value]:  # fmt: skip
    """The output sequence, then the final states, each (layers * directions, batch, hidden)."""
    batched = x.rank == 3
    value = x.value if batched else c.unsqueeze(x, 1)
    if batched and batch_first:
        value = c.transpose(value, [1, 0, 2])
    if not batched:
        states = [c.unsqueeze(state, 1) for state in states]
    directions = 2 if both else 1
    projected = onnx == "LSTM" and len(weights) == layers * directions * (5 if biases else 3)
    each = (4 if biases else 2) + projected
    if projected:
        from onward.errors import UnsupportedOperator

        raise UnsupportedOperator("LSTM with projections (proj_size)")
    finals: list[list[Value]] = [[] for _ in states]
    for layer in range(layers):
        span = slice(layer * directions * each, (layer + 1) * directions * each)
        own = [weights[span][place * each : (place + 1) * each] for place in range(directions)]
        begin = [c.slice(state, 0, layer * directions, (layer + 1) * directions) for state in states]
        value, ends = _layer(c, onnx, value, begin, own, biases, both, options)
        for kept, end in zip(finals, ends):
            kept.append(end)
    joined = [kept[0] if len(kept) == 1 else c.op("Concat", *kept, axis=0) for kept in finals]
    if batched and batch_first:
        value = c.transpose(value, [1, 0, 2])
    if not batched:
        value, joined = c.squeeze(value, 1), [c.squeeze(item, 1) for item in joined]
    return [value, *joined]


def _layer(
    c: Emitter, onnx: str, x: Value, begin: list[Value], own: list[list[Tensor]], biases: bool, both: bool, options: dict[str, Any]
) -> tuple[Value, list[Value]]:
    gates = GATES[onnx]
    w, r = (_joined(c, [_reordered(c, part[place], gates) for part in own]) for place in (0, 1))
    b = None
    if biases:
        vectors = [
            c.op("Concat", _reordered(c, part[2], gates), _reordered(c, part[3], gates), axis=0) for part in own
        ]
        b = _joined(c, vectors)
    hidden = own[0][1].shape[1]
    made = c.op(
        onnx, x, w, r, b, None, *begin, hidden_size=hidden, direction="bidirectional" if both else "forward",
        outputs=1 + len(begin), **options,
    )  # fmt: skip
    y = made[0]
    if both:
        y = c.op("Transpose", y, perm=[0, 2, 1, 3])
        return c.op("Reshape", y, np.array([0, 0, 2 * hidden])), made[1:]
    return c.squeeze(y, 1), made[1:]


def _joined(c: Emitter, parts: list[Value]) -> Value:
    raised = [c.unsqueeze(part, 0) for part in parts]
    return raised[0] if len(raised) == 1 else c.op("Concat", *raised, axis=0)


def _reordered(c: Emitter, weight: Tensor, gates: tuple[int, ...]) -> Value:
    if gates == (0,):
        return weight.value
    size = weight.shape[0] // len(gates)
    parts = c.op("Split", weight, [size] * len(gates), axis=0, outputs=len(gates))
    return c.op("Concat", *(parts[gate] for gate in gates), axis=0)


@aten("lstm.input")
def lstm(
    c: Emitter, x: Tensor, states: list[Tensor], weights: list[Tensor], biases: bool, layers: int, dropout: float, train: bool,
    both: bool, batch_first: bool,
) -> Any:  # fmt: skip
    return _recurrent(c, "LSTM", x, [state.value for state in states], weights, biases, layers, both, batch_first)


@aten("gru.input")
def gru(
    c: Emitter, x: Tensor, state: Tensor, weights: list[Tensor], biases: bool, layers: int, dropout: float, train: bool,
    both: bool, batch_first: bool,
) -> Any:  # fmt: skip
    return _recurrent(c, "GRU", x, [state.value], weights, biases, layers, both, batch_first, linear_before_reset=1)


@aten("rnn_tanh.input", "rnn_relu.input")
def rnn(
    c: Emitter, x: Tensor, state: Tensor, weights: list[Tensor], biases: bool, layers: int, dropout: float, train: bool,
    both: bool, batch_first: bool,
) -> Any:  # fmt: skip
    function = "Tanh" if "tanh" in c.operator else "Relu"
    activations = [function] * (2 if both else 1)
    return _recurrent(c, "RNN", x, [state.value], weights, biases, layers, both, batch_first, activations=activations)
