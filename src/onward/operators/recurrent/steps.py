"""What RNN, GRU and LSTM share: directions, sequence lengths, activations, and the walk over the time steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from onward import program as P
from onward.errors import InvalidArgument
from onward.ir.datatypes import DataType
from onward.ir.expressions import Dimension

States = tuple[P.Array, ...]
Step = Callable[[P.Array, States], States]
"""(this step's inputs (B, gates * H), states) -> the next states; the first state is what the layer gives out"""


@dataclass(frozen=True)
class Layer:
    """The weights of one direction: w (gates * H, I), r (gates * H, H), b (2 * gates * H) or None."""

    x: P.Array
    w: P.Array
    r: P.Array
    b: P.Array | None

    @property
    def size(self) -> Dimension:
        """The number of hidden units."""
        return self.r.shape[1]

    def inputs(self) -> P.Array:
        """x w^T for all steps at once, (T, B, gates * H), without biases."""
        x, w = self.x, self.w
        shape = (*x.shape[:2], w.shape[0])
        return P.reduce("sum", shape, (x.shape[2],), lambda t, n, gate, k: x[t, n, k] * w[gate, k])

    def hidden(self, state: P.Array, first: Dimension, count: Dimension) -> P.Array:
        """state r^T for `count` rows of r from `first` on, (B, count)."""
        r = self.r
        shape = (state.shape[0], count)
        return P.reduce("sum", shape, (self.size,), lambda n, gate, k: state[n, k] * r[first + gate, k])

    def biased(self, total: P.Scalar, gate: int, gates: int, unit: Dimension) -> P.Scalar:
        """The sum with both biases of one unit of a gate added, if there are any."""
        return total if self.b is None else total + (self.one_bias(gate, gates, unit, False) + self.one_bias(gate, gates, unit, True))

    def one_bias(self, gate: int, gates: int, unit: Dimension, recurrent: bool) -> P.Scalar:
        """The bias of one unit of a gate: that of the inputs, or the recurrent one."""
        if self.b is None:
            return P.scalar(0.0, self.x.dtype)
        return self.b[(gate + (gates if recurrent else 0)) * self.size + unit]


def directions(direction: str) -> list[bool]:
    """Whether each direction of a layer runs backwards. Raises InvalidArgument for an unknown name.

    "foward" is the default that the schema of GRU-1 gives.
    """
    found = {"forward": [False], "foward": [False], "reverse": [True], "bidirectional": [False, True]}.get(direction)
    if found is None:
        raise InvalidArgument(f"direction is forward, reverse or bidirectional, got '{direction}'")
    return found


def recurrent(
    x: P.Array,
    w: P.Array,
    r: P.Array,
    b: P.Array | None,
    lengths: P.Array | None,
    states: Sequence[P.Array | None],
    layout: int,
    direction: str,
    step_of: Callable[[Layer, int], Step],
) -> tuple[P.Array, ...]:
    """All outputs of a layer, (T, D, B, H), and the last states, (D, B, H); the batch comes first when `layout` says so.

    x (T, B, I), w (D, gates * H, I), r (D, gates * H, H), b (D, 2 * gates * H), states (D, B, H).
    `step_of(layer, number)` gives the step of a direction.
    """
    if layout:
        x = P.transpose(x, [1, 0, 2])
        states = [None if state is None else P.transpose(state, [1, 0, 2]) for state in states]
    outputs, last = [], []
    for number, backwards in enumerate(directions(direction)):
        layer = Layer(x, part(w, number), part(r, number), None if b is None else part(b, number))
        first = tuple(_initial(state, number, layer) for state in states)
        output, final = _walk(step_of(layer, number), layer.inputs(), first, backwards, lengths)
        outputs.append(output)
        last.append(final)
    results = [_stacked(outputs, 1), *(_stacked(items, 0) for items in zip(*last))]
    if layout:
        results = [P.transpose(item, [2, 0, 1, 3] if item.rank == 4 else [1, 0, 2]) for item in results]
    return tuple(results)


def part(array: P.Array, direction: int) -> P.Array:
    """The part of a parameter that belongs to one direction: its first axis."""
    return P.compute(array.shape[1:], lambda *i: array[(direction, *i)])


def _walk(step: Step, inputs: P.Array, states: States, backwards: bool, lengths: P.Array | None) -> tuple[P.Array, States]:
    """All outputs, (T, B, H), and the last states. Beyond the end of a sequence states stay and outputs are zero."""

    def bounded(time: P.Scalar, before: Sequence[P.Array], slices: Sequence[P.Array]) -> tuple[Sequence[P.Array], Sequence[P.Array]]:
        following = step(slices[0], tuple(before))
        if lengths is None:
            return following, [following[0]]
        kept = [_where_running(time, lengths, new, old) for new, old in zip(following, before)]
        return kept, [_where_running(time, lengths, following[0], None)]

    last, (outputs,) = P.recurrence(bounded, states, [inputs], inputs.shape[0], backwards=backwards)
    return outputs, last


def _where_running(time: P.Scalar, lengths: P.Array, new: P.Array, old: P.Array | None) -> P.Array:
    def element(n: Dimension, unit: Dimension) -> P.Scalar:
        other = P.scalar(0.0, new.dtype) if old is None else old[n, unit]
        return P.where(P.cast(lengths[n], DataType.INT64) > time, new[n, unit], other)

    return P.compute(new.shape, element)


def _initial(state: P.Array | None, number: int, layer: Layer) -> P.Array:
    """The given state of a direction (B, H), or zeros."""
    shape = (layer.x.shape[1], layer.size)
    if state is None:
        return P.full(shape, 0.0, layer.x.dtype)
    return P.compute(shape, lambda n, unit: state[number, n, unit])


def _stacked(parts: Sequence[P.Array], axis: int) -> P.Array:
    """The directions side by side on an axis of their own."""
    return P.concatenate([P.expand_axes(item, [axis]) for item in parts], axis)


# -- activations ------------------------------------------------------------------------------------------------------
Activation = Callable[[P.Scalar], P.Scalar]

_DEFAULTS = {
    "affine": (1.0, 0.0),
    "elu": (1.0,),
    "hardsigmoid": (0.2, 0.5),
    "leakyrelu": (0.01,),
    "scaledtanh": (1.0, 1.0),
    "thresholdedrelu": (1.0,),
}
"""The parameters (alpha, beta) of those activations that have any. ONNX LSTM-14."""

_FUNCTIONS: dict[str, Callable[..., P.Scalar]] = {
    "affine": lambda e, a, b: a * e + b,
    "elu": lambda e, a: P.where(e < 0.0, a * P.expm1(e), e),
    "hardsigmoid": lambda e, a, b: P.maximum(P.minimum(a * e + b, 1.0), 0.0),
    "leakyrelu": lambda e, a: P.where(e < 0.0, a * e, e),
    "relu": lambda e: P.maximum(e, 0.0),
    "scaledtanh": lambda e, a, b: a * P.tanh(b * e),
    "sigmoid": P.sigmoid,
    "softplus": lambda e: P.maximum(e, 0.0) + P.log1p(P.exp(-abs(e))),
    "softsign": lambda e: e / (1.0 + abs(e)),
    "tanh": P.tanh,
    "thresholdedrelu": lambda e, a: P.where(e > a, e, 0.0),
}


def activation_functions(
    names: Sequence[str] | None,
    default: Sequence[str],
    count: int,
    alphas: Sequence[float] | None,
    betas: Sequence[float] | None,
    clip: float | None,
) -> list[list[Activation]]:
    """For each of `count` directions the activations, which limit their argument to [-clip, clip] first.

    `alphas` and `betas` are for those that take them, in order. Raises InvalidArgument for an unknown name.
    """
    wanted = [name.lower() for name in names or list(default) * count]
    given = [iter(alphas or []), iter(betas or [])]
    functions = []
    for name in wanted:
        if name not in _FUNCTIONS:
            raise InvalidArgument(f"no activation '{name}'; known are {', '.join(_FUNCTIONS)}")
        parameters = [next(values, value) for values, value in zip(given, _DEFAULTS.get(name, ()))]
        functions.append(_activation(_FUNCTIONS[name], parameters, clip))
    size = len(default)
    if len(functions) < size * count:  # RNN names two by default, for one direction too
        raise InvalidArgument(f"{len(functions)} activations for {count} directions of {size} each")
    return [functions[size * direction : size * (direction + 1)] for direction in range(count)]


def _activation(function: Callable[..., P.Scalar], parameters: Sequence[float], clip: float | None) -> Activation:
    if not clip:
        return lambda e: function(e, *parameters)
    return lambda e: function(P.maximum(P.minimum(e, clip), -clip), *parameters)
