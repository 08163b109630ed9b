"""Recurrent layers: the cells that ONNX has whole as its operators, all others as a Scan whose step is the cell's own call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from onward.converters.keras.emitter import Emitter, Tensor, numpy_type, onnx_type
from onward.converters.keras.registry import layer
from onward.converters.keras.structure import flatten, mapped, packed
from onward.converters.keras.walk import Walk
from onward.errors import UnsupportedOperator
from onward.ir import Value

ACTIVATIONS: dict[str, tuple[str, float | None, float | None]] = {
    "tanh": ("Tanh", None, None), "sigmoid": ("Sigmoid", None, None), "relu": ("Relu", None, None), "softsign": ("Softsign", None, None),
    "softplus": ("Softplus", None, None), "hard_sigmoid": ("HardSigmoid", 1 / 6, 0.5), "elu": ("Elu", 1.0, None), "linear": ("Affine", 1.0, 0.0),
}  # fmt: skip


def _functions(*functions: Any) -> dict[str, Any] | None:
    """The activations as attributes of a recurrent operator, None if one is not among its own."""
    names = [getattr(function, "__name__", str(function)) for function in functions]  # a function, or its name in a file
    if not all(name in ACTIVATIONS for name in names):
        return None
    chosen = [ACTIVATIONS[name] for name in names]
    alphas, betas = ([0.0 if item[place] is None else item[place] for item in chosen] for place in (1, 2))
    return {"activations": [item[0] for item in chosen], "activation_alpha": alphas, "activation_beta": betas}


def _one_of(w: Walk, owner: Any, sequences: Tensor, states: Any, mask: Any, operator: str, order: list[int], functions: Sequence[Any], **how: Any) -> Any:
    """A recurrent layer as the operator of that name, or step by step where it has a mask or other activations."""
    named = _functions(*functions)
    if mask is not None or named is None:
        return recurrence(w, owner, sequences, states, mask)
    return _recurrent(w, owner, sequences, _states(states), operator, order, {**named, **how})


def _recurrent(w: Walk, owner: Any, sequences: Tensor, states: Any, operator: str, order: list[int], how: dict[str, Any]) -> Any:
    """A recurrent layer; `order` are Keras's gates in the order of ONNX."""
    c, cell = w.c, owner.cell
    gates = len(order)
    kernels = [_gates(c.array(item, owner.compute_dtype), order)[None] for item in (cell.kernel, cell.recurrent_kernel)]
    bias = np.zeros((2, gates * owner.units), numpy_type(owner.compute_dtype))
    if cell.use_bias:
        given = c.array(cell.bias, owner.compute_dtype)
        rows = given.reshape(-1, gates * owner.units)
        bias[: len(rows)] = [_gates(row[None], order)[:, 0] for row in rows]
    x = c.op("Transpose", sequences, perm=[1, 0, 2])
    if owner.go_backwards:
        x = c.op("Slice", x, c.integers([-1]), c.integers([-np.iinfo(np.int64).max]), c.integers([0]), c.integers([-1]))
    initial = [c.unsqueeze(item, 0) for item in states]
    given_states = [None, *initial] if initial else []
    made = c.op(
        operator, x, c.constant(kernels[0], cell.kernel.path), c.constant(kernels[1], cell.recurrent_kernel.path),
        c.constant(bias.reshape(1, -1), f"{cell.path}/bias"), *given_states, outputs=3 if operator == "LSTM" else 2, hidden_size=owner.units, **how,
    )  # fmt: skip
    last = [c.squeeze(item, 0) for item in made[1:]]
    result = c.op("Transpose", c.squeeze(made[0], 1), perm=[1, 0, 2]) if owner.return_sequences else last[0]
    return [result, *last] if owner.return_state else result


def _gates(kernel: np.ndarray, order: list[int]) -> np.ndarray:
    """(inputs, gates * units) -> (gates * units, inputs) with the gates in another order."""
    parts = np.split(kernel, len(order), axis=-1)
    return np.concatenate([parts[place].T for place in order])


def _states(initial_state: Any) -> list[Any]:
    return [] if initial_state is None else list(initial_state) if isinstance(initial_state, (list, tuple)) else [initial_state]


@layer("LSTM")
def lstm(w: Walk, owner: Any, sequences: Tensor, initial_state: Any = None, mask: Any = None) -> Any:
    functions = [owner.recurrent_activation, owner.activation, owner.activation]
    return _one_of(w, owner, sequences, initial_state, mask, "LSTM", [0, 3, 1, 2], functions)


@layer("GRU")
def gru(w: Walk, owner: Any, sequences: Tensor, initial_state: Any = None, mask: Any = None) -> Any:
    functions = [owner.recurrent_activation, owner.activation]
    return _one_of(w, owner, sequences, initial_state, mask, "GRU", [0, 1, 2], functions, linear_before_reset=int(owner.reset_after))


@layer("SimpleRNN")
def simple_rnn(w: Walk, owner: Any, sequences: Tensor, initial_state: Any = None, mask: Any = None) -> Any:
    return _one_of(w, owner, sequences, initial_state, mask, "RNN", [0], [owner.activation])


@layer("RNN", "ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D")
def recurrence(w: Walk, owner: Any, sequences: Tensor, initial_state: Any = None, mask: Any = None) -> Any:
    """Any cell. A step that is masked keeps the states, and gives zeros or what the step before gave."""
    c, cell = w.c, owner.cell
    zeros = list(owner.get_initial_state(batch_size=1))
    if initial_state is None:
        batch = c.op("Slice", c.op("Shape", sequences), c.integers([0]), c.integers([1]))
        initial_state = mapped(lambda item: _repeated(c, item, batch), zeros)
    states = [c.tensor(item, cell.compute_dtype) for item in flatten(initial_state)]
    steps = [_time_first(c, sequences)]
    if mask is not None:
        steps.append(_time_first(c, c.tensor(mask, "bool")))
    with c.inner_graph("step") as body:
        before = [_port(c, "state", item.dtype, item.shape) for item in states]
        (x, *hidden) = [
            _port(c, "step", item.dtype, (item.shape[0], *item.shape[2:])) for item in (sequences, *([c.tensor(mask, "bool")] if mask is not None else []))
        ]
        made = w.layer(cell, [x, packed(zeros, before)], {})
        if made is None:
            raise UnsupportedOperator("its cell has no translation")
        output, after = c.described(made[0]), [c.described(item) for item in flatten(made[1])]
        if hidden:
            last = before[len(before) - len(flatten(zeros[-1]))] if len(zeros) > 1 and isinstance(zeros[-1], (list, tuple)) else before[0]
            kept = c.number(0, output.dtype) if owner.zero_output_for_mask else last
            after = [Tensor(_chosen(c, hidden[0], new, old), old.dtype, old.shape) for new, old in zip(after, before)]
            output = Tensor(_chosen(c, hidden[0], output, kept), output.dtype, output.shape)
        body.outputs.extend(c.op("Identity", item) for item in (*after, output))
    way = [int(owner.go_backwards)] * len(steps)
    results = c.op("Scan", *states, *steps, body=body, num_scan_inputs=len(steps), scan_input_directions=way, outputs=len(states) + 1)
    stacked, rank = results[-1], output.rank + 1
    if owner.return_sequences:
        result = c.op("Transpose", stacked, perm=[1, 0, *range(2, rank)])
    else:
        result = c.op("Gather", stacked, c.number(-1, "int64"), axis=0)
    return [result, *results[:-1]] if owner.return_state else result


def _repeated(c: Emitter, row: Any, batch: Value) -> Tensor:
    """A state of one row for each of a batch."""
    first = c.array(row)
    shape = c.op("Concat", batch, c.integers(first.shape[1:]), axis=0)
    return Tensor(c.op("Expand", c.constant(first), shape), str(first.dtype), (None, *first.shape[1:]))


def _time_first(c: Emitter, x: Tensor) -> Value:
    value: Value = c.op("Transpose", x, perm=[1, 0, *range(2, x.rank)])
    return value


def _port(c: Emitter, name: str, dtype: str, shape: Sequence[int | None]) -> Tensor:
    """An input of the inner graph."""
    fresh = c.graph.fresh_name(name)
    extents = [f"{fresh}_{axis}" if extent is None else extent for axis, extent in enumerate(shape)]
    return Tensor(c.input(fresh, onnx_type(dtype), extents), dtype, tuple(shape))


def _chosen(c: Emitter, mask: Tensor, then: Any, otherwise: Any) -> Value:
    """By rows of the batch."""
    more = range(mask.rank, then.rank)
    value: Value = c.op("Where", c.unsqueeze(mask, *more) if more else mask, then, otherwise)
    return value


@layer("Bidirectional")
def bidirectional(w: Walk, owner: Any, sequences: Tensor, initial_state: Any = None, mask: Any = None) -> Any:
    c, states = w.c, _states(initial_state)
    half = len(states) // 2
    ways = []
    for inner, given in ((owner.forward_layer, states[:half]), (owner.backward_layer, states[half:])):
        made = w.layer(inner, [sequences], {"initial_state": given or None, "mask": mask})
        ways.append(list(made) if isinstance(made, (list, tuple)) else [made])
    if any(item is None for way in ways for item in way):
        raise UnsupportedOperator("one of its layers has no translation")
    forward, backward = ways[0][0], ways[1][0]
    if owner.return_sequences:
        backward = c.op("Slice", backward, c.integers([-1]), c.integers([-np.iinfo(np.int64).max]), c.integers([1]), c.integers([-1]))
    result: Any = [forward, backward]
    if owner.merge_mode == "concat":
        result = c.op("Concat", forward, backward, axis=-1)
    elif owner.merge_mode in ("sum", "ave"):
        result = c.op("Add", forward, backward)
        result = c.op("Mul", result, c.number(0.5, owner.compute_dtype)) if owner.merge_mode == "ave" else result
    elif owner.merge_mode == "mul":
        result = c.op("Mul", forward, backward)
    merged = result if isinstance(result, list) else [result]
    states = [*ways[0][1:], *ways[1][1:]] if owner.return_state else []
    return [*merged, *states] if len(merged) + len(states) > 1 else merged[0]


@layer("TimeDistributed")
def time_distributed(w: Walk, owner: Any, inputs: Tensor, mask: Any = None) -> Any:
    c = w.c
    if mask is not None and owner.layer._call_has_mask_arg:
        raise UnsupportedOperator("a mask")
    head = c.op("Slice", c.op("Shape", inputs), c.integers([0]), c.integers([2]))
    rest = [-1 if extent is None else extent for extent in inputs.shape[2:]]
    if -1 in rest:
        raise UnsupportedOperator("open sizes beside batch and time")
    folded = Tensor(c.reshape(inputs, [-1, *rest]), inputs.dtype, (None, *inputs.shape[2:]))
    inner = w.layer(owner.layer, [folded], {})
    rest = [-1 if extent is None else extent for extent in c.described(inner).shape[1:]]
    return c.op("Reshape", inner, c.op("Concat", head, c.integers(rest), axis=0))
