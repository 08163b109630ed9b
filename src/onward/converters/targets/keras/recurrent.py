"""LSTM, GRU and RNN as layers of Keras. Its sequences begin with the batch, and a state has no axis of directions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from onward.converters.targets.keras.layers import LAYERS, is_float, numbers, scope
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


@LAYERS.rule("LSTM", "GRU", "RNN")
def recurrent(call: Call) -> Native | None:
    """Unless it has peepholes, lengths, a limit, two activations for one place of Keras's or a bias where Keras has none."""
    x, w, r, b, lengths, *states = call.inputs
    given, count = call.attributes, 2 if call.node.op_type == "LSTM" else 1
    weights = [numbers(item) for item in (w, r, b)]
    if weights[0] is None or weights[1] is None or (b is not None and weights[2] is None) or not is_float(call):
        return None
    if lengths is not None or any(item is not None for item in states[count:]) or given.get("clip") or given.get("input_forget"):
        return None
    functions = _functions(call, weights[0].shape[0])
    if functions is None:
        return None
    first = [item for item in states[:count] if item is not None and not _is_zero(item)]
    if first and (len(first) < count or any(numbers(item) is not None for item in first)):
        return None
    before = call_of(x)
    turned = before is not None and before.node.op_type == "Transpose" and list(before.attributes.get("perm") or ()) == [1, 0, 2]
    data: Any = before.inputs[0] if turned and before is not None and not given.get("layout") else x
    arguments = [*functions, f"reset_after={bool(given.get('linear_before_reset'))}"] if call.node.op_type == "GRU" else functions

    def write(network: Network) -> tuple[str, ...]:
        text = network.array(data)
        if data is x and not given.get("layout"):
            text = f"ops.transpose({text}, axes=(1, 0, 2))"
        return _written(network, call, text, arguments, first)

    return Native(write, (data, *first))


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


def _written(network: Network, call: Call, data: str, arguments: Sequence[str], states: Sequence[Array]) -> tuple[str, ...]:
    """Writes the layer's call, and gives its results in ONNX's order of axes."""
    w, r, b = call.inputs[1:4]
    assert w is not None and r is not None
    directions, units, dtype = r.shape[0], int(r.shape[-1]), w.dtype
    both, reverse, last = directions == 2, call.attributes.get("direction") == "reverse", bool(call.attributes.get("layout"))
    options = [str(units), *arguments, *([] if b is not None else ["use_bias=False"]), "return_sequences=True", "return_state=True"]
    options += [f"dtype={network.words.dtype(dtype)}"] if dtype != DataType.FLOAT else []
    weights = [item for direction in range(int(directions)) for item in _weights(call, direction)]
    kind = f"layers.{KINDS[call.node.op_type][0]}"
    if both:
        kind, options = "layers.Bidirectional", [f"{kind}({', '.join(options)})"]
    elif reverse:
        options.append("go_backwards=True")
    begin = [f"{network.array(item)}[{':, ' if last else ''}{number}]" for number in range(int(directions)) for item in states]
    inputs = f"{data}, initial_state=[{', '.join(begin)}]" if begin else data
    text = network.layer(kind, options, scope(w, call), inputs, weights, dtype, call.inputs[1:4])
    count = 2 if call.node.op_type == "LSTM" else 1
    names = [network.names.fresh("sequence"), *(network.names.fresh(name) for _ in range(int(directions)) for name in ("hidden", "cell")[:count])]
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
