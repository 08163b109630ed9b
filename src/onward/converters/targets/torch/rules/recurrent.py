"""Recurrent layers. A stack of ONNX nodes that came from one layer of PyTorch, or one node, is one layer."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from onward import program as P
from onward.converters.targets.printing.forms import parameters_of
from onward.converters.targets.torch.modules import numbers
from onward.converters.targets.torch.rules.layers import NEURAL, arguments, dtype_of, extents, is_weight
from onward.converters.targets.torch.rules.registry import rule
from onward.converters.targets.torch.words import whole
from onward.converters.torch.operators.recurrent import GATES
from onward.ir import Node
from onward.operators.native import Call, Native, call_of
from onward.program.array import Array, Compute, Constant, Reshape, RoutineOutput
from onward.program.evaluate import evaluate_body
from onward.program.scalar import Literal, Read

if TYPE_CHECKING:
    from onward.converters.targets.printing.printer import Printer

ACTIVATIONS = {"LSTM": ["Sigmoid", "Tanh", "Tanh"], "GRU": ["Sigmoid", "Tanh"], "RNN": ["Tanh"]}

WEIGHT = re.compile(r"(?P<scope>.*?)\.?weight_ih_l(?P<layer>\d+)")


@dataclass
class Stack:
    """Layers on one another: the calls from the lowest on, and the weights of all of them by PyTorch's names.

    `names` are the variables of the sequence and the last states, once the layer's call is written.
    """

    calls: list[Call]
    weights: dict[str, Array]
    turned: dict[str, tuple[Array, np.ndarray]]
    names: list[str] = field(default_factory=list)

    @property
    def first(self) -> Call:
        return self.calls[0]


@dataclass
class Layer:
    """Writes one layer of a stack: the whole stack when the first of its layers is wanted."""

    stack: Stack
    call: Call

    def __call__(self, printer: Printer) -> tuple[str, ...]:
        sequence, *states = written(printer, self.stack)
        calls, r = self.stack.calls, self.call.inputs[2]
        layer, directions, hidden = calls.index(self.call), r.shape[0], r.shape[2]
        y = f"{sequence}[:, None]" if directions == 1 else f"{sequence}.unflatten(2, ({directions}, {hidden})).transpose(1, 2)"
        if len(calls) > 1:
            states = [f"{state}[{layer * directions}:{(layer + 1) * directions}]" for state in states]
        return (y, *states)[: len(self.call.results)]


@rule("LSTM", "GRU", "RNN")
def recurrent(call: Call) -> Native | None:
    kind, given = call.node.op_type, call.attributes
    x, w, r, b = call.inputs[:4]
    if x.dtype not in NEURAL or not is_weight(w, r, b) or extents(r, 0, 1, 2) is None or extents(w, 2) is None or given.get("layout"):
        return None
    if any(item is not None for item in (call.inputs[4], *call.inputs[7:])) or given.get("clip") or given.get("input_forget"):
        return None
    wanted = [item.lower() for item in given.get("activations") or []][: len(ACTIVATIONS[kind]) * r.shape[0]]
    if wanted and not is_relu(call) and wanted != [item.lower() for item in ACTIVATIONS[kind]] * r.shape[0]:
        return None
    if kind == "GRU" and not given.get("linear_before_reset") or given.get("activation_alpha") or given.get("activation_beta"):
        return None
    stack = stacked(call)
    if stack is None:
        return None
    sources = [stack.first.inputs[0], *(item for layer in stack.calls for item in layer.inputs[5:7] if item is not None and not is_zero(item))]
    return Native(Layer(stack, call), tuple(sources))


def is_relu(call: Call) -> bool:
    """Whether it is an RNN of rectifiers."""
    return call.node.op_type == "RNN" and {item.lower() for item in (call.attributes.get("activations") or ["Tanh"])[: call.inputs[2].shape[0]]} == {"relu"}


def stacked(call: Call) -> Stack | None:
    """The stack that a call is the top of so far: that of the layer below it in PyTorch, with the call added, or one of its own."""
    found = _named(call)
    if found is None:
        derived = any(not isinstance(item, Constant) and parameters_of(item) for item in call.inputs[1:4] if item is not None)
        return None if derived else Stack([call], {}, _turned(call))
    layer, weights = found
    if layer == 0:
        return Stack([call], weights, {})
    below = sequence_of(call.inputs[0])
    if below is None or below.call.node.op_type != call.node.op_type or not _leads_only_to(below.call.node, call.node):
        return None
    if len(below.stack.calls) != layer or below.stack.turned:
        return None
    below.stack.calls.append(call)
    below.stack.weights.update(weights)
    return below.stack


def _named(call: Call) -> tuple[int, dict[str, Array]] | None:
    """The number of the layer, and its weights, if they are parameters by the very names that PyTorch gives them."""
    candidates = {item.label: item for array in call.inputs[1:4] if array is not None for item in parameters_of(array)}
    firsts = [match for label in candidates if (match := WEIGHT.fullmatch(label))]
    if not firsts:
        return None
    layer, scope = int(firsts[0]["layer"]), firsts[0]["scope"]
    weights: dict[str, Array] = {}
    for name, (_, data) in _turned(call, layer).items():
        item = candidates.get(f"{scope}.{name}" if scope else name)
        if item is None or not np.array_equal(item.tensor.numpy(), data):
            return None
        weights[name] = item
    return layer, weights


def _turned(call: Call, layer: int = 0) -> dict[str, tuple[Array, np.ndarray]]:
    """The weights of a node by PyTorch's names, their gates in PyTorch's order."""
    w, r, b = call.inputs[1:4]
    gates = GATES[call.node.op_type]
    order = np.argsort(gates)
    result: dict[str, tuple[Array, np.ndarray]] = {}

    def reordered(data: np.ndarray) -> np.ndarray:
        return np.concatenate([np.split(data, len(gates))[gate] for gate in order])

    for direction in range(r.shape[0]):
        end = f"_l{layer}{'_reverse' if direction else ''}"
        result[f"weight_ih{end}"] = (w, reordered(numbers(w)[direction]))
        result[f"weight_hh{end}"] = (r, reordered(numbers(r)[direction]))
        if b is not None:
            both = np.split(numbers(b)[direction], 2)
            result[f"bias_ih{end}"], result[f"bias_hh{end}"] = (b, reordered(both[0])), (b, reordered(both[1]))
    return result


def _leads_only_to(node: Node, wanted: Node) -> bool:
    """Whether a node's first result is read by another node alone, in whatever shape."""
    pending = [node.outputs[0]]
    while pending:
        value = pending.pop()
        if value.graph is not None and value in value.graph.outputs:
            return False
        for user, _ in value.uses:
            if user.op_type in ("Transpose", "Reshape", "Squeeze"):
                pending.append(user.outputs[0])
            elif user is not wanted:
                return False
    return True


@dataclass
class InOrder:
    """Writes the outputs of a layer as the layer gives them: (steps, batch, directions * hidden)."""

    layer: Layer

    def __call__(self, printer: Printer) -> tuple[str, ...]:
        return (written(printer, self.layer.stack)[0],)


def sequence_of(array: Array | None) -> Layer | None:
    """The recurrent layer whose outputs an array has in PyTorch's order."""
    base = _viewed(array)
    if array is None or not isinstance(base, RoutineOutput) or base.position:
        return None
    writer = base.routine.attributes.get("write")
    if isinstance(writer, InOrder):
        return writer.layer if base is array else None
    if not isinstance(writer, Layer) or base is array or array.rank != 3:
        return None
    steps, directions, batch, hidden = base.shape
    if array.shape != (steps, batch, directions * hidden):
        return None
    sizes = [extent if isinstance(extent, int) else 3 + axis for axis, extent in enumerate(base.shape)]
    example = np.arange(np.prod(sizes)).reshape(sizes).astype(base.dtype.numpy)
    (seen,) = evaluate_body([array], {}, {base: example}, {})
    return writer if np.array_equal(seen, _in_order(example)) else None


def _viewed(array: Any) -> Any:
    """What an array is another shape or order of."""
    while isinstance(array, Reshape) or isinstance(array, Compute) and isinstance(array.body, Read):
        array = array.source if isinstance(array, Reshape) else array.body.array  # type: ignore[attr-defined]
    return array


def _in_order(sequence: np.ndarray) -> np.ndarray:
    steps, directions, batch, hidden = sequence.shape
    return sequence.transpose(0, 2, 1, 3).reshape(steps, batch, directions * hidden)


def is_zero(array: Array) -> bool:
    """Whether all of an array is 0, whatever its shape."""
    array = _viewed(array)
    if isinstance(array, Compute) and isinstance(array.body, Literal):
        return array.body.value == 0
    before = call_of(array)
    if before is not None and before.node.op_type == "Expand":
        return is_zero(before.inputs[0])  # type: ignore[arg-type]
    return not isinstance(array, P.Parameter) and isinstance(array, Constant) and not array.tensor.numpy().any()


def written(printer: Printer, stack: Stack) -> list[str]:
    """The variables of the sequence and the last states, after the call of the layer."""
    if stack.names:
        return stack.names
    call, count = stack.first, len(stack.calls)
    x, w, r, b = call.inputs[:4]
    assert x is not None and w is not None and r is not None
    kind, reverse = call.node.op_type, call.attributes["direction"] == "reverse"
    layer = arguments(
        w.shape[2], r.shape[2], num_layers=count if count > 1 else None, bias=None if b is not None else "False",
        bidirectional="True" if r.shape[0] == 2 else None, nonlinearity="'relu'" if is_relu(call) else None, dtype=dtype_of(x),
    )  # fmt: skip
    path = printer.words.modules.layer(call, f"nn.{kind}({layer})", stack.weights, stack.turned)  # type: ignore[attr-defined]
    text = f"{whole(printer.array(x))}.flip(0)" if reverse else printer.array(x)
    begin = _states(printer, stack)
    given = "" if not begin else f", ({', '.join(begin)})" if kind == "LSTM" else f", {begin[0]}"
    stack.names = [printer.names.fresh(name) for name in ("sequence", "hidden", "cell")[: 3 if kind == "LSTM" else 2]]
    states = f"({', '.join(stack.names[1:])})" if kind == "LSTM" else stack.names[1]
    printer.write(f"{stack.names[0]}, {states} = {path}({text}{given})")
    if reverse:
        stack.names[0] = f"{stack.names[0]}.flip(0)"
    return stack.names


def _states(printer: Printer, stack: Stack) -> list[str]:
    """The first states of all layers, nothing where they are zero."""
    places = (5, 6) if stack.first.node.op_type == "LSTM" else (5,)
    given = [[call.inputs[place] for call in stack.calls] for place in places]
    if all(item is None or is_zero(item) for items in given for item in items):
        return []
    x = stack.first.inputs[0]
    assert x is not None
    texts = []
    for items in given:
        parts = []
        for call, state in zip(stack.calls, items):
            r = call.inputs[2]
            assert r is not None
            shape = ", ".join(printer.extent(extent) for extent in (r.shape[0], x.shape[1], r.shape[2]))
            parts.append(printer.array(state) if state is not None else f"{whole(printer.array(x))}.new_zeros({shape})")
        texts.append(parts[0] if len(parts) == 1 else f"torch.cat([{', '.join(parts)}])")
    return texts


@rule("Squeeze")
def squeeze(call: Call) -> Native | None:
    return in_order(call)


def in_order(call: Call) -> Native | None:
    """The outputs of a recurrent layer as the layer gives them, if that is what a change of shape makes of them."""
    layer = sequence_of(call.results[0])
    return None if layer is None else Native(InOrder(layer), (_viewed(call.results[0]),))
