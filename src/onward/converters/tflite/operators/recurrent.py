"""Recurrent layers. Their states begin at zero with every run; TFLite's interpreter keeps them until it is told to forget."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from onward.converters.tflite.emitter import Emitter, Node
from onward.converters.tflite.registry import operator
from onward.converters.tflite.tensors import Tensor
from onward.errors import UnsupportedOperator
from onward.ir import TensorType, Value
from onward.ir.datatypes import DataType


@dataclass(frozen=True)
class Gates:
    """An LSTM's parameters, each for the gates input, forget, cell, output. `input` is missing where it is 1 - forget."""

    weights: list[Tensor | None]
    recurrent: list[Tensor | None]
    peepholes: list[Tensor | None]
    biases: list[Tensor | None]
    projection: Tensor | None
    projection_bias: Tensor | None

    @property
    def plain(self) -> bool:
        """Whether ONNX LSTM computes it."""
        return None not in self.weights and self.projection is None

    @property
    def hybrid(self) -> bool:
        """Whether real inputs meet quantised weights."""
        return any(x is not None and x.quantization is not None for x in self.weights)


@operator("UNIDIRECTIONAL_SEQUENCE_LSTM")
def lstm(c: Emitter, node: Node, x: Tensor, *rest: Tensor | None) -> Any:
    o = node.options
    if x.quantization is not None or o.diagonal_recurrent_tensors:
        raise UnsupportedOperator("an LSTM in whole numbers" if x.quantization is not None else "recurrent weights as diagonals")
    given = [*rest, *[None] * (23 - len(rest))]
    gates = Gates(given[0:4], given[4:8], [given[8], given[9], None, given[10]], given[11:15], given[15], given[16])
    if gates.hybrid or any(item is not None for item in given[19:23]):
        raise UnsupportedOperator("an LSTM with quantised weights" if gates.hybrid else "an LSTM whose gates are normalised")
    value = c.value(x) if o.time_major else c.op("Transpose", c.value(x), perm=[1, 0, 2])
    states = [_state(c, item) for item in given[17:19]]
    clipped = o.cell_clip > 0 or o.proj_clip > 0
    through = _plain if gates.plain and not clipped and o.fused_activation_function in ACTIVATIONS else _stepwise
    result = through(c, node, value, gates, states)
    return result if o.time_major else c.op("Transpose", result, perm=[1, 0, 2])


@operator("BIDIRECTIONAL_SEQUENCE_LSTM")
def lstm_both_ways(c: Emitter, node: Node, x: Tensor, *rest: Tensor | None) -> Any:
    """A forward and a backward layer, one after the other along the last axis or each for itself."""
    given = [*rest, *[None] * (47 - len(rest))]
    if x.quantization is not None or any(item is not None for item in given[38:]):
        raise UnsupportedOperator("an LSTM in whole numbers" if x.quantization is not None else "auxiliary inputs")
    if node.options.merge_outputs and not node.options.time_major and x.shape[0] != 1:
        raise UnsupportedOperator(
            "an LSTM both ways with joined results and the batch before the steps: TFLite's kernel takes the states of all rows but the first from wrong places"
        )
    value = _time_first(c, node, x)
    results: list[Value] = []
    for way, state in ((given[:17], given[34:36]), (given[17:34], given[36:38])):
        gates = Gates(way[0:4], way[4:8], [way[8], way[9], None, way[10]], way[11:15], way[15], way[16])
        if gates.hybrid:
            raise UnsupportedOperator("an LSTM with quantised weights")
        through = _plain if gates.plain and not (node.options.cell_clip > 0 or node.options.proj_clip > 0) else _stepwise
        backward = bool(results)
        made = through(c, node, _reversed(c, value) if backward else value, gates, [_state(c, item) for item in state])
        results.append(_reversed(c, made) if backward else made)
    return _both(c, node, results)


RNN = {"TANH": "Tanh", "RELU": "Relu", "NONE": "Affine"}


@operator("UNIDIRECTIONAL_SEQUENCE_RNN")
def rnn(c: Emitter, node: Node, x: Tensor, weights: Tensor, recurrent: Tensor, bias: Tensor, state: Tensor) -> Any:
    made = _recurrence(c, node, _time_first(c, node, x), "forward", weights, recurrent, bias, state)
    return made if node.options.time_major else c.op("Transpose", made, perm=[1, 0, 2])


@operator("BIDIRECTIONAL_SEQUENCE_RNN")
def rnn_both_ways(c: Emitter, node: Node, x: Tensor, *given: Tensor) -> Any:
    if any(item is not None for item in given[8:]):
        raise UnsupportedOperator("auxiliary inputs")
    value = _time_first(c, node, x)
    return _both(c, node, [_recurrence(c, node, value, "forward", *given[0:4]), _recurrence(c, node, value, "reverse", *given[4:8])])


def _recurrence(c: Emitter, node: Node, value: Value, direction: str, weights: Tensor, recurrent: Tensor, bias: Tensor, state: Tensor) -> Value:
    if weights.quantization is not None or node.options.fused_activation_function not in RNN:
        raise UnsupportedOperator("quantised weights, or another activation than TANH and RELU")
    w, r = (c.op("Unsqueeze", c.value(item), [0]) for item in (weights, recurrent))
    zeros = c.array(np.zeros(weights.shape[0], np.float32))
    b = c.op("Unsqueeze", c.op("Concat", c.value(bias), zeros, axis=0), [0])
    begin = _state(c, state)
    made = c.op(
        "RNN", value, w, r, b, None, None if begin is None else c.op("Unsqueeze", begin, [0]), hidden_size=weights.shape[0], direction=direction,
        activations=[RNN[node.options.fused_activation_function]], outputs=1,
    )  # fmt: skip
    return c.op("Squeeze", made, [1])  # type: ignore[no-any-return]


def _time_first(c: Emitter, node: Node, x: Tensor) -> Value:
    return c.value(x) if node.options.time_major else c.op("Transpose", c.value(x), perm=[1, 0, 2])  # type: ignore[no-any-return]


def _reversed(c: Emitter, value: Value) -> Value:
    """The steps from the last to the first."""
    return c.op("Slice", value, [-1], [np.iinfo(np.int64).min], [0], [-1])  # type: ignore[no-any-return]


def _both(c: Emitter, node: Node, results: list[Value]) -> list[Value]:
    made = [c.op("Concat", *results, axis=2)] if node.options.merge_outputs else results
    return made if node.options.time_major else [c.op("Transpose", item, perm=[1, 0, 2]) for item in made]


ACTIVATIONS = {"TANH": "Tanh", "RELU": "Relu", "NONE": "Affine"}


def _state(c: Emitter, x: Tensor | None) -> Value | None:
    """A state that is given; None for one that begins at zero."""
    return None if x is None or (x.held is None and x.data is None) else c.value(x)


def _present(items: list[Tensor | None]) -> list[Tensor]:
    return [x for x in items if x is not None]


def _plain(c: Emitter, node: Node, value: Value, gates: Gates, states: list[Value | None]) -> Value:
    def joined(items: list[Tensor | None]) -> Value:
        enter, forget, new, leave = (c.value(x) for x in _present(items))
        return c.op("Unsqueeze", c.op("Concat", enter, leave, forget, new, axis=0), [0])

    hidden = _present(gates.recurrent)[0].shape[1]
    peepholes = _present(gates.peepholes)
    p = c.op("Unsqueeze", c.op("Concat", *(c.value(peepholes[place]) for place in (0, 2, 1)), axis=0), [0]) if peepholes else None
    zeros = c.array(np.zeros(4 * hidden, np.float32))
    b = c.op("Concat", joined(gates.biases), c.op("Unsqueeze", zeros, [0]), axis=1)
    begin = [None if state is None else c.op("Unsqueeze", state, [0]) for state in states]
    name = ACTIVATIONS[node.options.fused_activation_function]
    made = c.op(
        "LSTM", value, joined(gates.weights), joined(gates.recurrent), b, None, *begin, p, hidden_size=hidden,
        activations=["Sigmoid", name, name], outputs=1,
    )  # fmt: skip
    return c.op("Squeeze", made, [1])


def _stepwise(c: Emitter, node: Node, value: Value, gates: Gates, states: list[Value | None]) -> Value:
    """Everything that ONNX LSTM lacks: projections, clipping, an input gate that the forget gate tells."""
    cells = _present(gates.weights)[0].shape[0]
    widths = [_present(gates.recurrent)[0].shape[1], cells]
    batch = c.op("Shape", value, start=1, end=2)
    begin = [c.op("Expand", np.float32(0), c.op("Concat", batch, [width], axis=0)) if state is None else state for state, width in zip(states, widths)]
    with c.inner_graph("step") as graph:
        kind = TensorType(DataType.FLOAT, (None, None))
        graph.inputs.extend(graph.new_value(kind, name) for name in ("hidden", "cell", "input"))
        hidden, cell, step = graph.inputs
        after, kept = _step(c, node, step, hidden, cell, gates)
        graph.outputs.extend(c.op("Identity", item) for item in (after, kept, after))
    return c.op("Scan", *begin, value, body=graph, num_scan_inputs=1, outputs=3)[2]


def _step(c: Emitter, node: Node, x: Value, hidden: Value, cell: Value, gates: Gates) -> tuple[Value, Value]:
    o = node.options

    def gate(place: int, peephole_of: Value, function: str) -> Value:
        w, r = gates.weights[place], gates.recurrent[place]
        assert w is not None and r is not None
        total = c.op("Add", c.op("MatMul", x, c.weights(w, [1, 0])), c.op("MatMul", hidden, c.weights(r, [1, 0])))
        peephole, bias = gates.peepholes[place], gates.biases[place]
        if peephole is not None:
            total = c.op("Add", total, c.op("Mul", peephole_of, c.value(peephole)))
        if bias is not None:
            total = c.op("Add", total, c.value(bias))
        return c.activated(total, function) if function != "LOGISTIC" else c.op("Sigmoid", total)

    forget = gate(1, cell, "LOGISTIC")
    enter = gate(0, cell, "LOGISTIC") if gates.weights[0] is not None else c.op("Sub", np.float32(1), forget)
    new = gate(2, cell, o.fused_activation_function)
    state = c.op("Add", c.op("Mul", forget, cell), c.op("Mul", enter, new))
    if o.cell_clip > 0:
        state = c.op("Clip", state, np.float32(-o.cell_clip), np.float32(o.cell_clip))
    leave = gate(3, state, "LOGISTIC")
    result = c.op("Mul", leave, c.activated(state, o.fused_activation_function))
    if gates.projection is not None:
        result = c.op("MatMul", result, c.weights(gates.projection, [1, 0]))
        if gates.projection_bias is not None:
            result = c.op("Add", result, c.value(gates.projection_bias))
        if o.proj_clip > 0:
            result = c.op("Clip", result, np.float32(-o.proj_clip), np.float32(o.proj_clip))
    return result, state
