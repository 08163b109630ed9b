"""LSTM."""

from __future__ import annotations

from onward import program as P
from onward.operators.numeric import computed_wide
from onward.operators.recurrent.steps import (
    Activation,
    Layer,
    States,
    Step,
    activation_functions,
    directions,
    part,
    recurrent,
)
from onward.operators.registry import operator

INPUT, OUTPUT, FORGET, CELL, GATES = 0, 1, 2, 3, 4


@operator("LSTM")
@computed_wide
def long_short_term_memory(
    x: P.Array,
    w: P.Array,
    r: P.Array,
    b: P.Array | None = None,
    lengths: P.Array | None = None,
    initial_h: P.Array | None = None,
    initial_c: P.Array | None = None,
    peepholes: P.Array | None = None,
    *,
    activation_alpha: list[float] | None = None,
    activation_beta: list[float] | None = None,
    activations: list[str] | None = None,
    clip: float | None = None,
    direction: str = "forward",
    hidden_size: int | None = None,
    input_forget: int = 0,
    layout: int = 0,
    output_sequence: int = 0,
) -> tuple[P.Array, ...]:
    """C' = f C + i c, H' = o h(C'), with gates that may also see the cell. ONNX LSTM-7, -14; Hochreiter 1997, Gers 2002.

    peepholes (D, 3 H) for the input, output and forget gate. With `input_forget` f = 1 - i.
    """
    count = len(directions(direction))
    default = ["Sigmoid", "Tanh", "Tanh"]
    functions = activation_functions(activations, default, count, activation_alpha, activation_beta, clip)

    def step_of(layer: Layer, number: int) -> Step:
        own = None if peepholes is None else part(peepholes, number)
        return _Step(layer, functions[number], own, bool(input_forget))

    return recurrent(x, w, r, b, lengths, [initial_h, initial_c], layout, direction, step_of)


class _Step:
    def __init__(self, layer: Layer, functions: list[Activation], peepholes: P.Array | None, input_forget: bool) -> None:
        self.layer, self.peepholes = layer, peepholes
        self.f, self.g, self.h = functions
        self.input_forget = input_forget

    def __call__(self, current: P.Array, states: States) -> States:
        (state, cell), size = states, self.layer.size
        hidden = self.layer.hidden(state, 0, GATES * size)

        def gate(number: int, n: P.Dimension, unit: P.Dimension, seen: P.Scalar | None) -> P.Scalar:
            place = number * size + unit
            total = self.layer.biased(current[n, place] + hidden[n, place], number, GATES, unit)
            if self.peepholes is not None and seen is not None:
                total = total + self.peepholes[place] * seen
            return total

        def next_cell(n: P.Dimension, unit: P.Dimension) -> P.Scalar:
            old = cell[n, unit]
            entering = self.f(gate(INPUT, n, unit, old))
            kept = 1.0 - entering if self.input_forget else self.f(gate(FORGET, n, unit, old))
            return kept * old + entering * self.g(gate(CELL, n, unit, None))

        following = P.compute(cell.shape, next_cell)

        def element(n: P.Dimension, unit: P.Dimension) -> P.Scalar:
            new = following[n, unit]
            return self.f(gate(OUTPUT, n, unit, new)) * self.h(new)

        return P.compute(state.shape, element), following
