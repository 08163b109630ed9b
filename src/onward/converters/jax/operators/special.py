"""Special functions, computed in double precision; those that JAX writes in others are taken from there."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from jax._src.lax import special

from onward.converters.jax.emitter import Array, Emitter
from onward.converters.jax.registry import composed, primitive
from onward.converters.special_functions import digamma, erfc, erfinv, lgamma, polynomial
from onward.ir import Value

BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510, 43867 / 798, -174611 / 330)
"""Bernoulli's numbers B2, B4 ... B20."""


def in_double(function: Callable[..., Value]) -> Any:
    """The function computed in double precision."""

    def emit(c: Emitter, *arguments: Array, **parameters: Any) -> Value:
        return c.convert(function(c, *(c.convert(item, np.float64) for item in arguments)), c.result.dtype)

    return emit


def _number(c: Emitter, number: float) -> Value:
    return c.number(number, np.float64)


def bessel_i1e(c: Emitter, x: Value) -> Value:
    """exp(-|x|) I1(x) as a mean over the circle: cos(t) exp(|x| (cos(t) - 1)) at equal steps is exact to the last places for
    |x| below 150; beyond it the asymptotic series."""
    size = c.op("Abs", x)
    near = c.op("Min", size, _number(c, 150))
    points = 256
    angles = (np.arange(points) + 0.5) * math.pi / points
    inner = c.op("Mul", c.unsqueeze_last(near), c.array(np.cos(angles) - 1))
    mean = c.op("ReduceMean", c.op("Mul", c.op("Exp", inner), c.array(np.cos(angles))), np.array([-1]), keepdims=0)
    far = c.op("Max", size, _number(c, 20))
    reciprocal = c.op("Reciprocal", far)
    coefficients = [1.0]
    for order in range(1, 16):
        coefficients.append(-coefficients[-1] * (4 - (2 * order - 1) ** 2) / (8 * order))
    series = c.op("Div", polynomial(c, coefficients[::-1], reciprocal), c.op("Sqrt", c.op("Mul", far, _number(c, 2 * math.pi))))
    value = c.where(c.op("Less", size, _number(c, 100)), mean, series)
    return c.where(c.op("Less", x, _number(c, 0)), c.op("Neg", value), value)


def zeta(c: Emitter, x: Value, q: Value) -> Value:
    """Hurwitz's zeta function by the formula of Euler and Maclaurin after ten terms; defined for x > 1, q > 0."""
    total = _number(c, 0)
    negative = c.op("Neg", x)
    for step in range(10):
        total = c.op("Add", total, c.op("Pow", c.op("Add", q, _number(c, step)), negative))
    base = c.op("Add", q, _number(c, 10))
    power = c.op("Pow", base, negative)
    total = c.op("Add", total, c.op("Div", c.op("Mul", power, base), c.op("Sub", x, _number(c, 1))))
    total = c.op("Add", total, c.op("Mul", power, _number(c, 0.5)))
    rising, inverse = x, c.op("Div", power, base)
    square = c.op("Mul", base, base)
    for order, number in enumerate(BERNOULLI, 1):
        term = c.op("Mul", c.op("Mul", rising, inverse), _number(c, number / math.factorial(2 * order)))
        total = c.op("Add", total, term)
        rising = c.op("Mul", rising, c.op("Mul", c.op("Add", x, _number(c, 2 * order - 1)), c.op("Add", x, _number(c, 2 * order))))
        inverse = c.op("Div", inverse, square)
    at_one = c.op("Equal", x, _number(c, 1))
    outside = c.op("Or", c.op("Less", x, _number(c, 1)), c.op("LessOrEqual", q, _number(c, 0)))
    return c.where(at_one, _number(c, math.inf), c.where(outside, _number(c, math.nan), total))


def polygamma(c: Emitter, order: Value, x: Value) -> Value:
    """(-1)^(n+1) n! zeta(n + 1, x); of order 0 digamma."""
    one = _number(c, 1)
    next_order = c.op("Add", order, one)
    size = c.op("Mul", c.op("Exp", lgamma(c, next_order)), zeta(c, next_order, x))
    odd = c.op("Equal", c.op("Mod", order, _number(c, 2), fmod=1), one)
    return c.where(c.op("Equal", order, _number(c, 0)), digamma(c, x), c.where(odd, size, c.op("Neg", size)))


FUNCTIONS: dict[str, Callable[..., Value]] = {
    "erfc": erfc, "erf_inv": erfinv, "lgamma": lgamma, "digamma": digamma, "zeta": zeta, "polygamma": polygamma, "bessel_i1e": bessel_i1e,
}  # fmt: skip
for _name, _function in FUNCTIONS.items():
    primitive(_name)(in_double(_function))

composed("bessel_i0e")(special.bessel_i0e_impl)
for _name, _composition in {
    "igamma": special.igamma_impl, "igammac": special.igammac_impl, "igamma_grad_a": special.igamma_grad_a_impl,
    "regularized_incomplete_beta": special.regularized_incomplete_beta_impl, "random_gamma_grad": special.random_gamma_grad_impl,
}.items():  # fmt: skip
    composed(_name)(special._up_and_broadcast(_composition))
