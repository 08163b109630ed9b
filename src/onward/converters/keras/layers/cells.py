"""One step of recurrent layers, for those that ONNX has not whole."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from onward.converters import channels_last
from onward.converters.keras.emitter import Emitter, Tensor
from onward.converters.keras.operations.network import extents, is_first, many
from onward.converters.keras.registry import layer
from onward.converters.keras.walk import Walk
from onward.errors import UnsupportedOperator
from onward.ir import Value


def _step(w: Walk, activation: Any, *terms: Any) -> Any:
    """An activation of a sum."""
    found, *others = terms
    for term in others:
        found = w.c.op("Add", found, term)
    return w.activated(activation, w.c.described(found))


def _parts(c: Emitter, x: Any, count: int, axis: int = -1) -> list[Value]:
    """The gates that stand side by side."""
    parts: list[Value] = c.op("Split", x, axis=axis, num_outputs=count, outputs=count)
    return parts


def _product(c: Emitter, x: Any, kernel: Any, bias: Any) -> Value:
    made: Value = c.op("MatMul", x, kernel)
    return made if bias is None else c.op("Add", made, bias)


@layer("SimpleRNNCell")
def simple_cell(w: Walk, cell: Any, inputs: Tensor, states: Any) -> Any:
    before = states[0] if isinstance(states, (list, tuple)) else states
    after = _step(w, cell.activation, _product(w.c, inputs, cell.kernel, cell.bias), w.c.op("MatMul", before, cell.recurrent_kernel))
    return [after, [after]]


@layer("LSTMCell")
def lstm_cell(w: Walk, cell: Any, inputs: Tensor, states: Sequence[Tensor]) -> Any:
    c = w.c
    gates = c.op("Add", _product(c, inputs, cell.kernel, cell.bias), c.op("MatMul", states[0], cell.recurrent_kernel))
    return _remembered(w, cell, _parts(c, gates, 4), states[1])


def _remembered(w: Walk, cell: Any, gates: Sequence[Value], carried: Tensor) -> Any:
    c = w.c
    start, forget, output = (_step(w, cell.recurrent_activation, gates[place]) for place in (0, 1, 3))
    new = c.op("Mul", start, _step(w, cell.activation, gates[2]))
    carry = c.op("Add", c.op("Mul", forget, carried), new)
    after = c.op("Mul", output, _step(w, cell.activation, carry))
    return [after, [after, carry]]


@layer("GRUCell")
def gru_cell(w: Walk, cell: Any, inputs: Tensor, states: Any) -> Any:
    c = w.c
    before = states[0] if isinstance(states, (list, tuple)) else states
    inner = outer = None
    if cell.use_bias:
        outer = c.tensor(cell.bias).value
        if cell.reset_after:
            outer, inner = (c.squeeze(item, 0) for item in _parts(c, outer, 2, axis=0))
    from_input = _parts(c, _product(c, inputs, cell.kernel, outer), 3)
    if cell.reset_after:
        from_state = _parts(c, _product(c, before, cell.recurrent_kernel, inner), 3)
    else:
        *kernels, last = _parts(c, c.tensor(cell.recurrent_kernel), 3)
        from_state = [c.op("MatMul", before, kernel) for kernel in kernels]
    update, reset = (_step(w, cell.recurrent_activation, from_input[place], from_state[place]) for place in (0, 1))
    proposed = c.op("Mul", reset, from_state[2]) if cell.reset_after else c.op("MatMul", c.op("Mul", reset, before), last)
    new = _step(w, cell.activation, from_input[2], proposed)
    kept = c.op("Mul", update, before)
    after = c.op("Add", kept, c.op("Mul", c.op("Sub", c.number(1, c.described(update).dtype), update), new))
    return [after, [after]]


@layer("StackedRNNCells")
def stacked_cells(w: Walk, owner: Any, inputs: Tensor, states: Sequence[Any]) -> Any:
    found: Any = inputs
    after = []
    for cell, state in zip(owner.cells, states, strict=True):
        made = w.layer(cell, [w.c.described(found), list(state) if isinstance(state, (list, tuple)) else [state]], {})
        if made is None:
            raise UnsupportedOperator("one of its cells has no translation")
        found, new = made[0], made[1]
        after.append(new)
    return [found, after]


@layer("ConvLSTMCell", "ConvLSTM1DCell", "ConvLSTM2DCell", "ConvLSTM3DCell")
def convolutional_cell(w: Walk, cell: Any, inputs: Tensor, states: Sequence[Tensor]) -> Any:
    c, first, count = w.c, is_first(w.c, cell.data_format), inputs.rank - 2
    bias = None if cell.bias is None else c.tensor(cell.bias, inputs.dtype).value
    from_input = channels_last.convolution(
        c, inputs.value, c.array(cell.kernel, inputs.dtype), bias, strides=many(cell.strides, count), dilations=many(cell.dilation_rate, count),
        padding=cell.padding, extents=extents(inputs, first), channels_first=first,
    )  # fmt: skip
    from_state = channels_last.convolution(
        c, states[0].value, c.array(cell.recurrent_kernel, inputs.dtype), None, strides=[1] * count, dilations=[1] * count, padding="same",
        extents=extents(states[0], first), channels_first=first,
    )  # fmt: skip
    return _remembered(w, cell, _parts(c, c.op("Add", from_input, from_state), 4, axis=1 if first else -1), states[1])
