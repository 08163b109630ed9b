"""RNN."""

from __future__ import annotations

from onward import program as P
from onward.operators.numeric import computed_wide
from onward.operators.recurrent.steps import Layer, States, Step, activation_functions, directions, recurrent
from onward.operators.registry import operator


@operator("RNN")
@computed_wide
def recurrent_network(
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
    output_sequence: int = 0,
) -> tuple[P.Array, ...]:
    """H' = f(x W^T + H R^T + b). ONNX RNN-7, RNN-14 (layout); Elman 1990."""
    count = len(directions(direction))
    functions = activation_functions(activations, ["Tanh"], count, activation_alpha, activation_beta, clip)

    def step_of(layer: Layer, number: int) -> Step:
        (f,) = functions[number]

        def step(current: P.Array, states: States) -> States:
            hidden = layer.hidden(states[0], 0, layer.size)

            def element(n: P.Dimension, unit: P.Dimension) -> P.Scalar:
                return f(layer.biased(current[n, unit] + hidden[n, unit], 0, 1, unit))

            return (P.compute(hidden.shape, element),)

        return step

    return recurrent(x, w, r, b, lengths, [initial_h], layout, direction, step_of)
