"""Adagrad, Adam and Momentum: one step of an optimiser for any number of tensors."""

from __future__ import annotations

from collections.abc import Callable

from onward import program as P
from onward.errors import InvalidArgument
from onward.operators.numeric import only_element
from onward.operators.registry import operator

DOMAIN = "ai.onnx.preview.training"
Update = Callable[..., tuple[P.Scalar, ...]]


@operator("Adagrad", domain=DOMAIN)
def adagrad(
    rate: P.Array,
    time: P.Array,
    *tensors: P.Array,
    decay_factor: float = 0.0,
    epsilon: float = 0.0,
    norm_coefficient: float = 0.0,
) -> tuple[P.Array, ...]:
    """(x, gradient, h) to (x', h'). ONNX Adagrad-1; Duchi, Hazan and Singer 2011."""
    r, t = _scalars(rate, time)

    def update(x: P.Scalar, gradient: P.Scalar, h: P.Scalar) -> tuple[P.Scalar, ...]:
        g = norm_coefficient * x + gradient
        squares = h + g * g
        return x - P.cast(r / (1.0 + P.cast(t, r.dtype) * decay_factor), x.dtype) * g / (P.sqrt(squares) + epsilon), squares

    return _updated(tensors, 3, 2, update)


@operator("Adam", domain=DOMAIN)
def adam(
    rate: P.Array,
    time: P.Array,
    *tensors: P.Array,
    alpha: float = 0.9,
    beta: float = 0.999,
    epsilon: float = 0.0,
    norm_coefficient: float = 0.0,
    norm_coefficient_post: float = 0.0,
) -> tuple[P.Array, ...]:
    """(x, gradient, v, h) to (x', v', h'). ONNX Adam-1; Kingma and Ba 2015."""
    r, t = _scalars(rate, time)

    def update(x: P.Scalar, gradient: P.Scalar, v: P.Scalar, h: P.Scalar) -> tuple[P.Scalar, ...]:
        g = norm_coefficient * x + gradient
        momentum = alpha * v + (1 - alpha) * g
        squares = beta * h + (1 - beta) * (g * g)
        steps = P.cast(t, x.dtype)
        base = [P.scalar(number, x.dtype) for number in (alpha, beta)]
        correction = P.sqrt(1.0 - P.power(base[1], steps)) / (1.0 - P.power(base[0], steps))
        adjusted = P.cast(r, x.dtype) * P.where(t > 0, correction, 1.0)
        new = x - adjusted * (momentum / (P.sqrt(squares) + epsilon))
        return (1 - norm_coefficient_post) * new, momentum, squares

    return _updated(tensors, 4, 3, update)


@operator("Momentum", domain=DOMAIN)
def momentum_step(
    rate: P.Array,
    time: P.Array,
    *tensors: P.Array,
    alpha: float,
    beta: float,
    mode: str,
    norm_coefficient: float,
) -> tuple[P.Array, ...]:
    """(x, gradient, v) to (x', v'). ONNX Momentum-1; mode 'standard', or 'nesterov' after Sutskever et al. 2013."""
    if mode not in ("standard", "nesterov"):
        raise InvalidArgument(f"Momentum has the modes 'standard' and 'nesterov', got '{mode}'")
    r, t = _scalars(rate, time)

    def update(x: P.Scalar, gradient: P.Scalar, v: P.Scalar) -> tuple[P.Scalar, ...]:
        g = norm_coefficient * x + gradient
        weight = P.where(t > 0, P.scalar(beta, x.dtype), P.scalar(1.0, x.dtype))
        momentum = alpha * v + weight * g
        direction = g + alpha * momentum if mode == "nesterov" else momentum
        return x - P.cast(r, x.dtype) * direction, momentum

    return _updated(tensors, 3, 2, update)


def _scalars(rate: P.Array, time: P.Array) -> tuple[P.Scalar, P.Scalar]:
    return only_element(rate), only_element(time)


def _updated(tensors: tuple[P.Array, ...], taken: int, given: int, update: Update) -> tuple[P.Array, ...]:
    """The inputs come as all first members, then all second ones, ...; so do the outputs."""
    if len(tensors) % taken:
        raise InvalidArgument(f"{len(tensors)} tensors do not come in groups of {taken}")
    count = len(tensors) // taken
    results = []
    for member in range(given):
        for number in range(count):
            group = tensors[number::count]
            results.append(P.elementwise(lambda *elements, member=member: update(*elements)[member], *group))
    return tuple(results)
