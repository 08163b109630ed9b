"""LSTM, GRU and RNN as layers of Keras. Its sequences begin with the batch, and a state has no axis of directions."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from onward import program as P
from onward.converters.targets.keras.layers import LAYERS, numbers, scope
from onward.converters.targets.keras.words import FLOATS
from onward.ir.datatypes import DataType
from onward.operators.native import Call, Native, call_of
from onward.program.array import Array, Compute, RoutineOutput
from onward.program.scalar import Literal

if TYPE_CHECKING:
    from onward.converters.targets.keras.network import Network

KINDS = {"LSTM": ("LSTM", (0, 2, 3, 1)), "GRU": ("GRU", (0, 1, 2)), "RNN": ("SimpleRNN", (0,))}
"""ONNX's operator: Keras's layer, and its gates by their places in ONNX."""

DEFAULTS = {"LSTM": ["sigmoid", "tanh", "tanh"], "GRU": ["sigmoid", "tanh"], "RNN": ["tanh"]}
FUNCTIONS = {"sigmoid", "tanh", "relu", "softsign", "softplus"}
"""Activations that have the same name in Keras, and no parameters."""


@dataclass(frozen=True)
class Cell:
    """A recurrent operator that Keras has as a layer. `data` are the sequences, with the batch first if `batch_first`; `backwards` says that
    they are taken from their end; `options` are arguments, `states` the first states, and `mask` says which steps there are."""

    call: Call
    data: Array
    batch_first: bool
    backwards: bool
    options: tuple[str, ...]
    states: tuple[Array, ...]
    mask: Array | None


def cell_of(call: Call | None) -> Cell | None:
    """None for peepholes, a limit, two activations for one place of Keras's or a bias where Keras has none."""
    if call is None or call.node.op_type not in KINDS:
        return None
    x, w, r, b, lengths, *states = call.inputs
    given, count = call.attributes, 2 if call.node.op_type == "LSTM" else 1
    weights = [numbers(item) for item in (w, r, b)]
    if weights[0] is None or weights[1] is None or (b is not None and weights[2] is None) or x.dtype not in FLOATS:
        return None
    if any(item is not None for item in states[count:]) or given.get("clip") or given.get("input_forget"):
        return None
    functions = _functions(call, weights[0].shape[0])
    if functions is None:
        return None
    first = [item for item in states[:count] if item is not None and not _is_zero(item)]
    if first and (len(first) < count or any(numbers(item) is not None for item in first)):
        return None
    data, batch_first, turned = x, bool(given.get("layout")), reversed_along(x, 0)
    if not batch_first:
        before = call_of(x if turned is None else turned)
        if before is not None and before.node.op_type == "Transpose" and list(before.attributes.get("perm") or ()) == [1, 0, 2]:
            data, batch_first = before.inputs[0], True
        else:
            turned = None
    if turned is not None and (given.get("direction", "forward") != "forward" or lengths is not None):
        return None
    options = [*functions, f"reset_after={bool(given.get('linear_before_reset'))}"] if call.node.op_type == "GRU" else functions
    options += [] if b is not None else ["use_bias=False"]
    options += ["zero_output_for_mask=True"] if lengths is not None else []
    return Cell(call, data, batch_first, turned is not None, tuple(options), tuple(first), None if lengths is None else _mask(x, lengths, given.get("layout")))


def _mask(x: Array, lengths: Array, batch_first: Any) -> Array:
    """Whether a sequence has a step."""
    batch, steps = x.shape[:2] if batch_first else (x.shape[1], x.shape[0])
    return P.compute((batch, steps), lambda item, step: P.cast(lengths[item], DataType.INT64) > P.scalar(step, DataType.INT64))


def reversed_along(array: Array, axis: int) -> Array | None:
    """What a slice takes from the end to the beginning of an axis."""
    call = call_of(array)
    if call is None or call.node.op_type != "Slice" or len(call.inputs) < 5 or array.shape != call.inputs[0].shape:
        return None
    axes, steps = numbers(call.inputs[3]), numbers(call.inputs[4])
    found = axes is not None and steps is not None and axes.tolist() in ([axis], [axis - array.rank]) and steps.tolist() == [-1]
    return call.inputs[0] if found else None


@LAYERS.rule("LSTM", "GRU", "RNN")
def recurrent(call: Call) -> Native | None:
    cell = cell_of(call)
    if cell is None:
        return None
    sources = (cell.data, *cell.states, *([] if cell.mask is None else [call.inputs[4]]))
    return Native(lambda network: _written(network, cell), sources)


@LAYERS.rule("Squeeze")
def state(call: Call) -> Native | None:
    """The last state without the axis of directions, which Keras's layer gives."""
    x, axes = call.inputs
    return _part(x) if x is not None and _place(x) > 0 and _squeezed(axes) == [0] else None


@LAYERS.rule("Transpose")
def sequence(call: Call) -> Native | None:
    """The sequence with the batch first and without the axis of directions, which Keras's layer gives."""
    before = call_of(call.inputs[0]) if call.inputs[0] is not None else None
    if before is None or before.node.op_type != "Squeeze" or list(call.attributes.get("perm") or ()) != [1, 0, 2]:
        return None
    x, axes = before.inputs
    return _part(x) if x is not None and _place(x) == 0 and _squeezed(axes) == [1] else None


def _place(array: Array) -> int:
    """Which result it is of a recurrent operator of one direction with the steps first, else -1."""
    call = call_of(array)
    if call is None or call.node.op_type not in KINDS or call.attributes.get("layout") or call.attributes.get("direction") == "bidirectional":
        return -1
    return list(array.routine.results).index(array) if isinstance(array, RoutineOutput) else -1


def _squeezed(axes: Array | None) -> list[int] | None:
    known = numbers(axes)
    return None if known is None else known.tolist()


def _part(array: Array) -> Native:
    def write(network: Network) -> str:
        network.array(array)
        call = call_of(array)
        assert call is not None
        return network.parts[call.node, _place(array)]

    return Native(write, (array,))


def _functions(call: Call, directions: int) -> list[str] | None:
    """The activations as arguments of Keras's layer, if it has them."""
    default = DEFAULTS[call.node.op_type]
    names = [name.lower() for name in call.attributes.get("activations") or default * directions][: len(default) * directions]
    one = names[: len(default)]
    if names != one * directions or not set(names) <= FUNCTIONS or one[1:] != one[1:2] * len(one[1:]):
        return None
    arguments = [f"activation={one[-1]!r}"] if one[-1] != "tanh" else []
    return arguments + ([f"recurrent_activation={one[0]!r}"] if len(one) > 1 and one[0] != "sigmoid" else [])


def _is_zero(array: Array) -> bool:
    known, before = numbers(array), call_of(array)
    if known is not None:
        return not known.any()
    if before is not None and before.node.op_type == "Expand":
        start = numbers(before.inputs[0])
        return start is not None and not start.any()
    return isinstance(array, Compute) and isinstance(array.body, Literal) and array.body.value == 0


def _weights(call: Call, direction: int) -> list[np.ndarray]:
    """Kernel, recurrent kernel and bias as Keras has them."""
    w, r, b = (numbers(item) for item in call.inputs[1:4])
    order = KINDS[call.node.op_type][1]

    def gates(data: np.ndarray) -> np.ndarray:
        parts = np.split(data, len(order))
        return np.concatenate([parts[place] for place in order])

    assert w is not None and r is not None
    found = [gates(w[direction]).T, gates(r[direction]).T]
    if b is not None:
        inner, outer = (gates(item) for item in np.split(b[direction], 2))
        separate = call.node.op_type == "GRU" and call.attributes.get("linear_before_reset")
        found.append(np.stack([inner, outer]) if separate else inner + outer)
    return found


def _layer(network: Network, cell: Cell, *options: str) -> str:
    """The text that makes a layer of one direction, but for its end."""
    r = cell.call.inputs[2]
    dtype = [f"dtype={network.words.dtype(r.dtype)}"] if r.dtype != DataType.FLOAT else []
    return f"layers.{KINDS[cell.call.node.op_type][0]}({', '.join([str(int(r.shape[-1])), *cell.options, *options, *dtype])})"


def _written(network: Network, cell: Cell) -> tuple[str, ...]:
    """Writes the layer's call, and gives its results in ONNX's order of axes."""
    call = cell.call
    w, r, _ = call.inputs[1:4]
    directions, units = int(r.shape[0]), int(r.shape[-1])
    both, reverse, last = directions == 2, call.attributes.get("direction") == "reverse", bool(call.attributes.get("layout"))
    weights = [item for direction in range(directions) for item in _weights(call, direction)]
    text = _layer(network, cell, "return_sequences=True", "return_state=True", *(["go_backwards=True"] if reverse or cell.backwards else []))
    kind, _, options = text.removesuffix(")").partition("(")
    if both:
        kind, options = "layers.Bidirectional", text
    begin = [f"{network.array(item)}[{':, ' if last else ''}{number}]" for number in range(directions) for item in cell.states]
    inputs = network.array(cell.data)
    inputs = inputs if cell.batch_first else f"ops.transpose({inputs}, axes=(1, 0, 2))"
    inputs += f", mask={network.array(cell.mask)}" if cell.mask is not None else ""
    inputs += f", initial_state=[{', '.join(begin)}]" if begin else ""
    text = network.layer(kind, [options], _scope([call], w), inputs, weights, r.dtype if both else DataType.FLOAT, call.inputs[1:4])
    count = 2 if call.node.op_type == "LSTM" else 1
    names = [network.names.fresh("sequence"), *(network.names.fresh(name) for _ in range(directions) for name in ("hidden", "cell")[:count])]
    network.write(f"{', '.join(names)} = {text}")
    sequence = f"ops.flip({names[0]}, axis=1)" if reverse else names[0]
    network.parts.update({(call.node, place): text for place, text in enumerate([sequence, *names[1:]])} if not both and not last else {})
    if both:
        parts = f"ops.stack([{sequence}[:, :, :{units}], {sequence}[:, :, {units}:]], axis=2)"
        results = [parts if last else f"ops.transpose({parts}, axes=(1, 2, 0, 3))"]
    else:
        results = [f"ops.expand_dims({sequence if last else f'ops.transpose({sequence}, axes=(1, 0, 2))'}, {2 if last else 1})"]
    for place in range(count):
        results.append(f"ops.stack([{', '.join(names[1 + place :: count])}], axis={int(last)})")
    return tuple(results[: len(call.results)])


# -- two directions -----------------------------------------------------------------------------------------------------------
MODES = {"Concat": "concat", "Add": "sum", "Mul": "mul"}


def bidirectional(call: Call) -> Native | None:
    """Two layers of one direction each, whose results are put together and are read nowhere else."""
    if len(call.inputs) != 2 or any(item is None or item.rank < 2 for item in call.inputs):
        return None
    if call.node.op_type == "Concat" and call.attributes["axis"] % call.results[0].rank != call.results[0].rank - 1:
        return None
    forward, backward = _result_of(call.inputs[0], False), _result_of(call.inputs[1], True)
    if forward is None or backward is None or forward[1] != backward[1]:
        return None
    (first, place), (second, _) = forward, backward
    alike = first.call.node.op_type == second.call.node.op_type and first.options == second.options and first.data is second.data
    if not alike or first.backwards or not second.backwards or first.states or second.states or first.mask is not None:
        return None
    calls = [first.call, second.call]
    if any(a is not None and a.shape != b.shape for a, b in zip(first.call.inputs[1:4], second.call.inputs[1:4])):
        return None

    def write(network: Network) -> str:
        mode = [] if call.node.op_type == "Concat" else [f"merge_mode={MODES[call.node.op_type]!r}"]
        options = ["return_sequences=True"] if place == 0 else []
        inner = re.search(r"(?:^|[./])forward_(\w+)[./]", first.call.inputs[1].label)
        options += [f"name={inner[1]!r}"] if inner else []
        weights = [item for one in calls for item in _weights(one, 0)]
        arrays = [item for one in calls for item in one.inputs[1:4]]
        text = network.array(first.data)
        return network.layer(
            "layers.Bidirectional", [_layer(network, first, *options), *mode], _scope(calls, arrays[0]), text, weights, arrays[0].dtype, arrays
        )

    return Native(write, (first.data,))


def _result_of(array: Array, backwards: bool) -> tuple[Cell, int] | None:
    """The cell of one direction that gives a sequence or a last state, as Keras has it, and which result that is."""
    turned = reversed_along(array, 1) if array.rank == 3 else None
    if (turned is not None) != (backwards and array.rank == 3):
        return None
    chain, item = [array], turned if turned is not None else array
    while (call := call_of(item)) is not None and call.node.op_type in ("Transpose", "Squeeze"):
        chain, item = [*chain, item], call.inputs[0]
    place, cell = _place(item), cell_of(call)
    if cell is None or not cell.batch_first or place != (0 if array.rank == 3 else 1):
        return None
    used = [value for part in dict.fromkeys([*chain, item]) for value in call_of(part).node.outputs]  # type: ignore[union-attr]
    return (cell, place) if sum(len(value.uses) for value in used) == len(set(map(id, chain)) | {id(item)}) else None


def _scope(calls: Sequence[Call], kernel: Any) -> str:
    """The name of the layer that the kernels lie in: Keras calls the parts of its own `lstm_cell` and `forward_lstm`."""
    parts = scope(kernel, calls[0]).replace("/", ".").split(".")
    parts = parts[:-1] if len(parts) > 1 and parts[-1].endswith("_cell") else parts
    return ".".join(parts[:-1] if len(calls) > 1 and len(parts) > 1 and parts[-1].startswith("forward_") else parts)
