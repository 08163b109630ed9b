"""Special functions that ONNX lacks, as series of ONNX operators in double precision, for the converters of frameworks that have them.

`c` writes the graph: `c.op(name, *values, **attributes)`, and `c.array(array)` for constants.
"""

from __future__ import annotations

import math
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

GILES = (
    (-0.000200214257, 0.000100950558, 0.00134934322, -0.00367342844, 0.00573950773, -0.0076224613, 0.00943887047, 1.00167406,
     2.83297682),
    (2.81022636e-08, 3.43273939e-07, -3.5233877e-06, -4.39150654e-06, 0.00021858087, -0.00125372503, -0.00417768164, 0.246640727,
     1.50140941),
)  # fmt: skip
"""Giles, Approximating the erfinv function (2010): the tail, the middle; Newton's steps after it give double precision."""


def _number(c: Writer, number: float) -> Value:
    return c.array(np.array(number, np.float64))


def polynomial(c: Writer, coefficients: tuple[float, ...], x: Value) -> Value:
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
    """The inverse of erf: Giles's approximation and two steps of Newton."""
    one = _number(c, 1)
    logarithm = c.op("Neg", c.op("Log", c.op("Mul", c.op("Sub", one, x), c.op("Add", one, x))))
    tail = polynomial(c, GILES[0], c.op("Sub", c.op("Sqrt", logarithm), _number(c, 3)))
    middle = polynomial(c, GILES[1], c.op("Sub", logarithm, _number(c, 2.5)))
    guess = c.op("Mul", c.op("Where", c.op("Less", logarithm, _number(c, 5)), middle, tail), x)
    for _ in range(2):
        slope = c.op("Mul", _number(c, 2 / math.sqrt(math.pi)), c.op("Exp", c.op("Neg", c.op("Mul", guess, guess))))
        guess = c.op("Sub", guess, c.op("Div", c.op("Sub", c.op("Erf", guess), x), slope))
    at_end = c.op("Equal", c.op("Abs", x), one)
    return c.op("Where", at_end, c.op("Mul", x, _number(c, math.inf)), guess)


def lgamma_positive(c: Writer, x: Value) -> Value:
    """log of gamma for x >= 0.5."""
    below = c.op("Sub", x, _number(c, 1))
    series = _number(c, LANCZOS[0])
    for place, coefficient in enumerate(LANCZOS[1:], 1):
        series = c.op("Add", series, c.op("Div", _number(c, coefficient), c.op("Add", below, _number(c, place))))
    base = c.op("Add", below, _number(c, 7.5))
    power = c.op("Mul", c.op("Add", below, _number(c, 0.5)), c.op("Sub", c.op("Log", base), _number(c, 1)))
    offset = c.op("Sub", c.op("Log", series), _number(c, 7 - 0.5 * math.log(2 * math.pi)))
    return c.op("Add", power, offset)


def lgamma(c: Writer, x: Value) -> Value:
    """log of the absolute gamma function, reflected below one half: log(pi / |sin(pi x)|) - lgamma(1 - x)."""
    low = c.op("Less", x, _number(c, 0.5))
    upper = lgamma_positive(c, c.op("Where", low, c.op("Sub", _number(c, 1), x), x))
    sine = c.op("Abs", c.op("Sin", c.op("Mul", _number(c, math.pi), c.op("Sub", x, c.op("Floor", x)))))
    reflected = c.op("Sub", c.op("Log", c.op("Div", _number(c, math.pi), sine)), upper)
    return c.op("Where", low, reflected, upper)


def digamma(c: Writer, x: Value) -> Value:
    """The slope of lgamma: the asymptotic series from x + 8 on; reflected below zero."""
    low = c.op("Less", x, _number(c, 0))
    positive = c.op("Where", low, c.op("Sub", _number(c, 1), x), x)
    total = _number(c, 0)
    for step in range(8):
        total = c.op("Sub", total, c.op("Reciprocal", c.op("Add", positive, _number(c, step))))
    far = c.op("Add", positive, _number(c, 8))
    square = c.op("Reciprocal", c.op("Mul", far, far))
    bernoulli = (1 / 12, -691 / 32760, 1 / 132, -1 / 240, 1 / 252, -1 / 120, 1 / 12, 0.0)
    series = polynomial(c, bernoulli, square)
    upper = c.op("Add", total, c.op("Sub", c.op("Sub", c.op("Log", far), c.op("Div", _number(c, 0.5), far)), series))
    angle = c.op("Mul", _number(c, math.pi), c.op("Sub", x, c.op("Floor", x)))
    reflected = c.op("Sub", upper, c.op("Div", _number(c, math.pi), c.op("Tan", angle)))
    return c.op("Where", low, reflected, upper)
