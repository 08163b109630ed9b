"""Functions of statistics: polygamma and zeta, incomplete gamma functions, tails of the normal distribution."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from onward.converters.torch.rules.registry import elementwise, rule, while_true

BERNOULLI = [1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510, 43867 / 798, -174611 / 330]
"""B_2, B_4 ..."""


@elementwise("special_zeta")
def zeta(s: Tensor, q: Tensor) -> Tensor:
    """Hurwitz's zeta function by Euler and Maclaurin's formula, after as many terms as lead all arguments beyond 10."""
    s, q = torch.broadcast_tensors(s, q)
    pole = (q <= 0) & (q == torch.floor(q))
    usable = (s > 1) & ~pole & ~((q <= 0) & (s != torch.floor(s)))
    power, start = torch.where(usable, s, 2), torch.where(usable, q, 1)
    least = torch.cat([start.reshape(-1), start.new_ones(1)]).amin()

    def body(count: Tensor, total: Tensor, power: Tensor, start: Tensor, least: Tensor) -> list[Tensor]:
        return [count + 1, total + (start + count) ** -power]

    states = [start.new_zeros(()), torch.zeros_like(start)]
    count, total = while_true(lambda count, total, power, start, least: least + count < 10, body, states, power, start, least)
    far = start + count
    decay = far**-power
    total = total + far * decay / (power - 1) + decay / 2
    factor = power * decay / far
    for place, number in enumerate(BERNOULLI, 1):
        total = total + number / math.factorial(2 * place) * factor
        factor = factor * (power + 2 * place - 1) * (power + 2 * place) / (far * far)
    return torch.where(usable, total, torch.where((s == 1) | ((s > 1) & pole), math.inf, math.nan))


@rule("polygamma", "special_polygamma")
def polygamma(n: int, x: Tensor) -> Tensor:
    if n == 0:
        return torch.digamma(x)
    dtype = x.dtype if x.dtype.is_floating_point else torch.get_default_dtype()
    return ((-1.0) ** (n + 1) * math.factorial(n) * torch.special.zeta(float(n + 1), x.to(torch.float64))).to(dtype)


@elementwise("special_erfcx")
def erfcx(x: Tensor) -> Tensor:
    """exp(x^2) erfc(x): beyond 2 by a continued fraction."""
    size = x.abs().clamp(min=2.0)
    fraction = size
    for term in range(60, 0, -1):
        fraction = size + term / 2 / fraction
    tail = 1 / (fraction * math.sqrt(math.pi))
    near = x.clamp(-2, 2)
    return torch.where(x > 2, tail, torch.where(x < -2, 2 * torch.exp(x * x) - tail, torch.exp(near * near) * torch.special.erfc(near)))


@elementwise("special_log_ndtr")
def log_ndtr(x: Tensor) -> Tensor:
    t = x * math.sqrt(0.5)
    left = t.clamp(max=-0.7)
    below = torch.log(erfcx(-left) / 2) - left * left
    return torch.where(x < -1, below, torch.log1p(-torch.special.erfc(t.clamp(min=-0.75)) / 2))


@elementwise("special_ndtri")
def ndtri(p: Tensor) -> Tensor:
    """A guess (Abramowitz and Stegun 26.2.23), then Halley's steps on the smaller tail."""
    tail = torch.minimum(p, 1 - p)
    inside = tail > 0
    small = torch.where(inside, tail, 0.25)
    t = torch.sqrt(-2 * torch.log(small))
    z = -(t - (2.515517 + t * (0.802853 + t * 0.010328)) / (1 + t * (1.432788 + t * (0.189269 + t * 0.001308))))
    for _ in range(3):
        error = (torch.special.erfc(z * -math.sqrt(0.5)) / 2 - small) * math.sqrt(2 * math.pi) * torch.exp(z * z / 2)
        z = z - error / (1 + z * error / 2)
    z = torch.where(inside, z, torch.where(tail == 0, -math.inf, math.nan))
    return torch.where(p > 0.5, -z, z)


def _incomplete(a: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """The lower and the upper regularised incomplete gamma function of a > 0, x > 0: a series below a + 1, a continued fraction above."""
    a, x = torch.broadcast_tensors(a, x)
    usable = (a > 0) & (x > 0) & ~a.isinf() & ~x.isinf()
    a, x = torch.where(usable, a, 1), torch.where(usable, x, 1)
    above = x > a + 1
    scale = torch.exp(a * torch.log(x) - x - torch.lgamma(a))
    low, high = torch.where(above, 1, x), torch.where(above, x, a + 2)

    def series(n: Tensor, term: Tensor, total: Tensor, a: Tensor, low: Tensor) -> list[Tensor]:
        term = term * low / (a + n)
        return [n + 1, term, total + term]

    def unfinished(n: Tensor, term: Tensor, total: Tensor, a: Tensor, low: Tensor) -> Tensor:
        return (n < 10_000) & (term > total * 1e-17).any()

    first = 1 / a
    lower = scale * while_true(unfinished, series, [a.new_ones(()), first, first], a, low)[2]

    # Lentz's form: the fraction is the product of the quotients that it changes by.
    def fraction(n: Tensor, c: Tensor, d: Tensor, value: Tensor, change: Tensor, a: Tensor, high: Tensor) -> list[Tensor]:
        numerator, step = -n * (n - a), high + 2 * n + 1 - a
        d, c = 1 / (numerator * d + step), step + numerator / c
        return [n + 1, c, d, value * (c * d), (c * d - 1).abs()]

    def open_still(n: Tensor, c: Tensor, d: Tensor, value: Tensor, change: Tensor, a: Tensor, high: Tensor) -> Tensor:
        return (n < 10_000) & (change > 1e-16).any()

    begin = 1 / (high + 1 - a)
    states = [a.new_ones(()), torch.full_like(a, 1e300), begin, begin, torch.ones_like(a)]
    upper = scale * while_true(open_still, fraction, states, a, high)[3]
    return torch.where(above, 1 - upper, lower), torch.where(above, upper, 1 - lower)


def _at_edges(value: Tensor, a: Tensor, x: Tensor, zero: float, one: float) -> Tensor:
    """Where an argument is 0 or infinite; `zero` and `one` are the function's values at its ends."""
    value = torch.where(a.isinf(), torch.where(x.isinf(), math.nan, zero), torch.where(x.isinf(), one, value))
    value = torch.where(x == 0, torch.where(a == 0, math.nan, zero), torch.where(a == 0, one, value))
    return torch.where((a < 0) | (x < 0) | a.isnan() | x.isnan(), math.nan, value)


@elementwise("igamma", "special_gammainc")
def igamma(a: Tensor, x: Tensor) -> Tensor:
    return _at_edges(_incomplete(a, x)[0], a, x, 0.0, 1.0)


@elementwise("igammac", "special_gammaincc")
def igammac(a: Tensor, x: Tensor) -> Tensor:
    return _at_edges(_incomplete(a, x)[1], a, x, 1.0, 0.0)


def powers_of_two(x: Tensor) -> tuple[Tensor, Tensor]:
    """For finite numbers other than 0: the power of two not above their size, and its exponent, whatever a logarithm rounds to."""
    size = x.abs().to(torch.float64)
    # Numbers of double precision below the normal ones are scaled into them.
    small = size < 2.0**-1000
    size = torch.where(small, size * 2.0**200, size)
    exponent = torch.floor(torch.log2(size))
    exponent = torch.where(torch.exp2(exponent) > size, exponent - 1, exponent)
    exponent = torch.where(torch.exp2(exponent + 1) <= size, exponent + 1, exponent)
    return size / torch.exp2(exponent), torch.where(small, exponent - 200, exponent)


@rule("frexp")
def frexp(x: Tensor) -> Any:
    plain = ~(x.isinf() | x.isnan() | (x == 0))
    scaled, exponent = powers_of_two(torch.where(plain, x, 1))
    mantissa = torch.where(plain, torch.sign(x) * (scaled / 2).to(x.dtype), x)
    return mantissa, torch.where(plain, exponent + 1, 0).to(torch.int32)


@rule("nextafter")
def nextafter(x: Tensor, y: Tensor) -> Tensor:
    """One unit of the last place further: below a power of two units are half as large."""
    x, y = torch.broadcast_tensors(x, y)
    bits = torch.finfo(x.dtype)
    least = bits.smallest_normal * bits.eps
    largest = torch.where(x.isinf(), bits.max, x.abs())
    plain = largest > 0
    scaled, exponent = powers_of_two(torch.where(plain, largest, 1))
    inwards = (x > y) == (x > 0)
    exponent = torch.where(inwards & (scaled == 1), exponent - 1, exponent)
    unit = torch.exp2(exponent.clamp(min=math.log2(bits.smallest_normal)) + math.log2(bits.eps))
    unit = torch.where(plain, unit, least)
    moved = (x.to(torch.float64) + torch.where(y > x, unit, -unit)).to(x.dtype)
    moved = torch.where(x.isinf(), torch.sign(x) * bits.max, moved)
    return torch.where(x.isnan() | y.isnan(), math.nan, torch.where(x == y, y, moved))
