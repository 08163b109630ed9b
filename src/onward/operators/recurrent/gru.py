"""GRU."""

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
    recurrent,
)
from onward.operators.registry import operator

UPDATE, RESET, CANDIDATE, GATES = 0, 1, 2, 3


@operator("GRU")
@computed_wide
def gated_recurrent_unit(
    x: P.Array,
    w: P.Array,
    r: P.Array,
    b: P.Array | None = None,
    lengths: P.Array | None = None,
    initial_h: P.Array | None = None,
    *,
    activation_alpha: list[float] | None = None,
    activation_beta: list[float] | None = None,
    activations: list[str] | None = None,
    clip: float | None = None,
    direction: str = "forward",
    hidden_size: int | None = None,
    layout: int = 0,
    linear_before_reset: int = 0,
    output_sequence: int = 0,
) -> tuple[P.Array, ...]:
    """H' = (1 - z) h + z H with an update gate z, a reset gate and a candidate h. ONNX GRU-7, -14; Cho et al. 2014.

    With `linear_before_reset` the reset gate works after the product with the recurrent weights, as in cuDNN.
    """
    count = len(directions(direction))
    functions = activation_functions(activations, ["Sigmoid", "Tanh"], count, activation_alpha, activation_beta, clip)

    def step_of(layer: Layer, number: int) -> Step:
        return _Step(layer, functions[number], bool(linear_before_reset))

    return recurrent(x, w, r, b, lengths, [initial_h], layout, direction, step_of)


class _Step:
    def __init__(self, layer: Layer, functions: list[Activation], linear_before_reset: bool) -> None:
        self.layer = layer
        self.f, self.g = functions
        self.linear_before_reset = linear_before_reset

    def __call__(self, current: P.Array, states: States) -> States:
        (state,), layer, size = states, self.layer, self.layer.size
        gates = layer.hidden(state, 0, 2 * size)

        def gate(number: int, n: P.Dimension, unit: P.Dimension) -> P.Scalar:
            place = number * size + unit
            return self.f(layer.biased(current[n, place] + gates[n, place], number, GATES, unit))

        if self.linear_before_reset:
            hidden = layer.hidden(state, 2 * size, size)
        else:
            reset = P.compute(state.shape, lambda n, unit: gate(RESET, n, unit) * state[n, unit])
            hidden = layer.hidden(reset, 2 * size, size)

        def candidate(n: P.Dimension, unit: P.Dimension) -> P.Scalar:
            own, recurrent = (layer.one_bias(CANDIDATE, GATES, unit, which) for which in (False, True))
            product = hidden[n, unit] + recurrent
            if self.linear_before_reset:
                product = gate(RESET, n, unit) * product
            return self.g(current[n, 2 * size + unit] + own + product)

        def element(n: P.Dimension, unit: P.Dimension) -> P.Scalar:
            update = gate(UPDATE, n, unit)
            return (1.0 - update) * candidate(n, unit) + update * state[n, unit]

        return (P.compute(state.shape, element),)
