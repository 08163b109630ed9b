"""Special functions that ONNX lacks, as series of ONNX operators in double precision, for the converters of frameworks that have them.

`c` writes the graph: `c.op(name, *values, **attributes)`, and `c.array(array)` for constants.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from onward.ir import Value


class Writer(Protocol):
    """What the functions need of a graph under construction."""

    def op(self, operator: str, *inputs: Any, outputs: int = 1, domain: str = "", **attributes: Any) -> Any: ...

    def array(self, array: np.ndarray, /) -> Value: ...


LANCZOS = (
    0.99999999999980993, 676.5203681218851, -1259.1392167224028, 771.32342877765313, -176.61502916214059,
    12.507343278686905, -0.13857109526572012, 9.9843695780195716e-6, 1.5056327351493116e-7,
)  # fmt: skip
"""Coefficients of Lanczos's approximation of the gamma function for g = 7 (Godfrey)."""


def _number(c: Writer, number: float) -> Value:
    return c.array(np.array(number, np.float64))


def polynomial(c: Writer, coefficients: Sequence[float], x: Value) -> Value:
    """From the highest power down."""
    total = _number(c, coefficients[0])
    for coefficient in coefficients[1:]:
        total = c.op("Add", c.op("Mul", total, x), _number(c, coefficient))
    return total


def erfc(c: Writer, x: Value) -> Value:
    """1 - erf(x), by that for small x; for large x a continued fraction of 60 terms times exp(-x^2)."""
    size = c.op("Abs", x)
    safe = c.op("Max", size, _number(c, 0.5))
    fraction = safe
    for term in range(60, 0, -1):
        fraction = c.op("Add", safe, c.op("Div", _number(c, term / 2), fraction))
    decay = c.op("Exp", c.op("Neg", c.op("Mul", safe, safe)))
    tail = c.op("Div", c.op("Div", decay, fraction), _number(c, math.sqrt(math.pi)))
    two_sided = c.op("Where", c.op("Less", x, _number(c, 0)), c.op("Sub", _number(c, 2), tail), tail)
    near = c.op("Sub", _number(c, 1), c.op("Erf", x))
    return c.op("Where", c.op("LessOrEqual", size, _number(c, 2.0)), near, two_sided)


def erfinv(c: Writer, x: Value) -> Value:
    """A guess by Winitzki's formula, then Newton's steps on the complement, whose relative error stays small near 1."""
    size = c.op("Abs", x)
    rest = c.op("Sub", _number(c, 1), size)
    inside = c.op("And", c.op("Less", size, _number(c, 1)), c.op("Greater", size, _number(c, 1e-8)))
    safe = c.op("Where", inside, size, _number(c, 0.5))
    away = c.op("Where", inside, rest, _number(c, 0.5))
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
    value = c.op("Where", inside, guess, c.op("Where", c.op("Equal", size, _number(c, 1)), _number(c, math.inf), linear))
    value = c.op("Where", c.op("Greater", size, _number(c, 1)), _number(c, math.nan), value)
    signed = c.op("Where", c.op("Less", x, _number(c, 0)), c.op("Neg", value), value)
    return c.op("Where", c.op("IsNaN", x), x, signed)


def lgamma_positive(c: Writer, x: Value) -> Value:
    """log of gamma for x >= 0.5."""
    below = c.op("Sub", x, _number(c, 1))
    series = _number(c, LANCZOS[0])
    for place, coefficient in enumerate(LANCZOS[1:], 1):
        series = c.op("Add", series, c.op("Div", _number(c, coefficient), c.op("Add", below, _number(c, place))))
    base = c.op("Add", below, _number(c, 7.5))
    power = c.op("Mul", c.op("Add", below, _number(c, 0.5)), c.op("Sub", c.op("Log", base), _number(c, 1)))
    offset = c.op("Sub", c.op("Log", series), _number(c, 7 - 0.5 * math.log(2 * math.pi) - 1))
    return c.op("Add", power, c.op("Sub", offset, _number(c, 1)))


def _sine(c: Writer, x: Value) -> Value:
    """sin(pi x) of the part behind the point, at most one half away from 0."""
    part = c.op("Sub", x, c.op("Floor", x))
    part = c.op("Min", part, c.op("Sub", _number(c, 1), part))
    return c.op("Sin", c.op("Mul", _number(c, math.pi), part))


def lgamma(c: Writer, x: Value) -> Value:
    """Reflected below one half: log(pi / |sin(pi x)|) - lgamma(1 - x)."""
    infinite = c.op("IsInf", x)
    x_ = c.op("Where", infinite, _number(c, 1), x)
    low = c.op("Less", x_, _number(c, 0.5))
    upper = lgamma_positive(c, c.op("Where", low, c.op("Sub", _number(c, 1), x_), x_))
    sine = _sine(c, x_)
    pole = c.op("Equal", sine, _number(c, 0))
    safe = c.op("Where", pole, _number(c, 1), sine)
    reflected = c.op("Sub", c.op("Log", c.op("Div", _number(c, math.pi), safe)), upper)
    reflected = c.op("Where", pole, _number(c, math.inf), reflected)
    return c.op("Where", infinite, _number(c, math.inf), c.op("Where", low, reflected, upper))


def digamma(c: Writer, x: Value) -> Value:
    """The asymptotic series from x + 8 on; reflected below zero."""
    low = c.op("Less", x, _number(c, 0.5))
    positive = c.op("Where", low, c.op("Sub", _number(c, 1), x), x)
    total = _number(c, 0)
    for step in range(8):
        total = c.op("Sub", total, c.op("Reciprocal", c.op("Add", positive, _number(c, step))))
    far = c.op("Add", positive, _number(c, 8))
    square = c.op("Reciprocal", c.op("Mul", far, far))
    bernoulli = (1 / 12, -691 / 32760, 1 / 132, -1 / 240, 1 / 252, -1 / 120, 1 / 12, 0.0)
    series = polynomial(c, bernoulli, square)
    upper = c.op("Add", total, c.op("Sub", c.op("Sub", c.op("Log", far), c.op("Div", _number(c, 0.5), far)), series))
    part = c.op("Sub", x, c.op("Floor", x))
    angle = c.op("Mul", _number(c, math.pi), c.op("Where", c.op("Greater", part, _number(c, 0.5)), c.op("Sub", part, _number(c, 1)), part))
    tangent = c.op("Tan", angle)
    pole = c.op("And", c.op("Equal", part, _number(c, 0)), low)
    reflected = c.op("Sub", upper, c.op("Div", _number(c, math.pi), c.op("Where", pole, _number(c, 1), tangent)))
    reflected = c.op("Where", pole, _number(c, math.nan), reflected)
    at_zero = c.op("Equal", x, _number(c, 0))
    from_below = c.op("Where", at_zero, c.op("Neg", c.op("Reciprocal", x)), reflected)
    return c.op("Where", low, from_below, upper)
