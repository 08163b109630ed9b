"""Special functions, computed in double precision; those that JAX writes in others are taken from there."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from jax._src.lax import special

from onward.converters.jax.emitter import Array, Emitter
from onward.converters.jax.registry import composed, primitive
from onward.ir import Value

LANCZOS = (
    0.99999999999980993, 676.5203681218851, -1259.1392167224028, 771.32342877765313, -176.61502916214059,
    12.507343278686905, -0.13857109526572012, 9.9843695780195716e-6, 1.5056327351493116e-7,
)  # fmt: skip
"""Coefficients of Lanczos's approximation of the gamma function for g = 7 (Godfrey)."""

BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510, 43867 / 798, -174611 / 330)
"""Bernoulli's numbers B2, B4 ... B20."""


def in_double(function: Callable[..., Value]) -> Any:
    """The function computed in double precision."""

    def emit(c: Emitter, *arguments: Array, **parameters: Any) -> Value:
        return c.convert(function(c, *(c.convert(item, np.float64) for item in arguments)), c.result.dtype)

    return emit


def _number(c: Emitter, number: float) -> Value:
    return c.number(number, np.float64)


def _polynomial(c: Emitter, coefficients: Sequence[float], x: Value) -> Value:
    """From the highest power down."""
    total = _number(c, coefficients[0])
    for coefficient in coefficients[1:]:
        total = c.op("Add", c.op("Mul", total, x), _number(c, coefficient))
    return total


def erfc(c: Emitter, x: Value) -> Value:
    """1 - erf(x) for small x; for large x a continued fraction of 60 terms times exp(-x^2)."""
    size = c.op("Abs", x)
    safe = c.op("Max", size, _number(c, 0.5))
    fraction = safe
    for term in range(60, 0, -1):
        fraction = c.op("Add", safe, c.op("Div", _number(c, term / 2), fraction))
    decay = c.op("Exp", c.op("Neg", c.op("Mul", safe, safe)))
    tail = c.op("Div", c.op("Div", decay, fraction), _number(c, math.sqrt(math.pi)))
    two_sided = c.where(c.op("Less", x, _number(c, 0)), c.op("Sub", _number(c, 2), tail), tail)
    near = c.op("Sub", _number(c, 1), c.op("Erf", x))
    return c.where(c.op("LessOrEqual", size, _number(c, 2.0)), near, two_sided)


def erf_inverse(c: Emitter, x: Value) -> Value:
    """A guess by Winitzki's formula, then Newton's steps on the complement, whose relative error stays small near 1."""
    size = c.op("Abs", x)
    rest = c.op("Sub", _number(c, 1), size)
    inside = c.op("And", c.op("Less", size, _number(c, 1)), c.op("Greater", size, _number(c, 1e-8)))
    safe = c.where(inside, size, _number(c, 0.5))
    away = c.where(inside, rest, _number(c, 0.5))
    logarithm = c.op("Log", c.op("Mul", away, c.op("Add", _number(c, 1), safe)))
    a = 0.147
    first = c.op("Add", _number(c, 2 / (math.pi * a)), c.op("Mul", logarithm, _number(c, 0.5)))
    root = c.op("Sqrt", c.op("Sub", c.op("Mul", first, first), c.op("Div", logarithm, _number(c, a))))
    guess = c.op("Sqrt", c.op("Sub", root, first))
    for _ in range(4):
        error = c.op("Sub", erfc(c, guess), away)
        slope = c.op("Mul", _number(c, 2 / math.sqrt(math.pi)), c.op("Exp", c.op("Neg", c.op("Mul", guess, guess))))
        step = c.op("Div", error, slope)
        halley = c.op("Add", _number(c, 1), c.op("Mul", guess, step))
        guess = c.op("Add", guess, c.op("Div", step, halley))
    linear = c.op("Mul", size, _number(c, math.sqrt(math.pi) / 2))
    value = c.where(inside, guess, c.where(c.op("Equal", size, _number(c, 1)), _number(c, math.inf), linear))
    value = c.where(c.op("Greater", size, _number(c, 1)), _number(c, math.nan), value)
    signed = c.where(c.op("Less", x, _number(c, 0)), c.op("Neg", value), value)
    return c.where(c.op("IsNaN", x), x, signed)


def _lgamma_positive(c: Emitter, x: Value) -> Value:
    """log of gamma for x >= 0.5."""
    below = c.op("Sub", x, _number(c, 1))
    series = _number(c, LANCZOS[0])
    for place, coefficient in enumerate(LANCZOS[1:], 1):
        series = c.op("Add", series, c.op("Div", _number(c, coefficient), c.op("Add", below, _number(c, place))))
    base = c.op("Add", below, _number(c, 7.5))
    power = c.op("Mul", c.op("Add", below, _number(c, 0.5)), c.op("Sub", c.op("Log", base), _number(c, 1)))
    offset = c.op("Sub", c.op("Log", series), _number(c, 7 - 0.5 * math.log(2 * math.pi) - 1))
    return c.op("Add", power, c.op("Sub", offset, _number(c, 1)))


def _sine(c: Emitter, x: Value) -> Value:
    """sin(pi x) of the part behind the point, at most one half away from 0."""
    part = c.op("Sub", x, c.op("Floor", x))
    part = c.op("Min", part, c.op("Sub", _number(c, 1), part))
    return c.op("Sin", c.op("Mul", _number(c, math.pi), part))


def lgamma(c: Emitter, x: Value) -> Value:
    """Reflected below one half: log(pi / |sin(pi x)|) - lgamma(1 - x)."""
    infinite = c.op("IsInf", x)
    x_ = c.where(infinite, _number(c, 1), x)
    low = c.op("Less", x_, _number(c, 0.5))
    upper = _lgamma_positive(c, c.where(low, c.op("Sub", _number(c, 1), x_), x_))
    sine = _sine(c, x_)
    pole = c.op("Equal", sine, _number(c, 0))
    safe = c.where(pole, _number(c, 1), sine)
    reflected = c.op("Sub", c.op("Log", c.op("Div", _number(c, math.pi), safe)), upper)
    reflected = c.where(pole, _number(c, math.inf), reflected)
    return c.where(infinite, _number(c, math.inf), c.where(low, reflected, upper))


def digamma(c: Emitter, x: Value) -> Value:
    """The asymptotic series from x + 8 on; reflected below zero."""
    low = c.op("Less", x, _number(c, 0.5))
    positive = c.where(low, c.op("Sub", _number(c, 1), x), x)
    total = _number(c, 0)
    for step in range(8):
        total = c.op("Sub", total, c.op("Reciprocal", c.op("Add", positive, _number(c, step))))
    far = c.op("Add", positive, _number(c, 8))
    square = c.op("Reciprocal", c.op("Mul", far, far))
    bernoulli = (1 / 12, -691 / 32760, 1 / 132, -1 / 240, 1 / 252, -1 / 120, 1 / 12, 0.0)
    series = _polynomial(c, bernoulli, square)
    upper = c.op("Add", total, c.op("Sub", c.op("Sub", c.op("Log", far), c.op("Div", _number(c, 0.5), far)), series))
    part = c.op("Sub", x, c.op("Floor", x))
    angle = c.op("Mul", _number(c, math.pi), c.where(c.op("Greater", part, _number(c, 0.5)), c.op("Sub", part, _number(c, 1)), part))
    tangent = c.op("Tan", angle)
    pole = c.op("And", c.op("Equal", part, _number(c, 0)), low)
    reflected = c.op("Sub", upper, c.op("Div", _number(c, math.pi), c.where(pole, _number(c, 1), tangent)))
    reflected = c.where(pole, _number(c, math.nan), reflected)
    at_zero = c.op("Equal", x, _number(c, 0))
    from_below = c.where(at_zero, c.op("Neg", c.op("Reciprocal", x)), reflected)
    return c.where(low, from_below, upper)


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
    series = c.op("Div", _polynomial(c, coefficients[::-1], reciprocal), c.op("Sqrt", c.op("Mul", far, _number(c, 2 * math.pi))))
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
    "erfc": erfc, "erf_inv": erf_inverse, "lgamma": lgamma, "digamma": digamma, "zeta": zeta, "polygamma": polygamma, "bessel_i1e": bessel_i1e,
}  # fmt: skip
for _name, _function in FUNCTIONS.items():
    primitive(_name)(in_double(_function))

composed("bessel_i0e")(special.bessel_i0e_impl)
for _name, _composition in {
    "igamma": special.igamma_impl, "igammac": special.igammac_impl, "igamma_grad_a": special.igamma_grad_a_impl,
    "regularized_incomplete_beta": special.regularized_incomplete_beta_impl, "random_gamma_grad": special.random_gamma_grad_impl,
}.items():  # fmt: skip
    composed(_name)(special._up_and_broadcast(_composition))

