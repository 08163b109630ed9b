"""Bessel's functions in the words that PyTorch and JAX share: `xp` is `torch` or `jax.numpy`, numbers are of double precision.

By the trapezoidal rule where their integrals make it exact to the last digit, by asymptotic series beyond. Trefethen and Weideman, The exponentially
convergent trapezoidal rule (2014); Abramowitz and Stegun, chapters 9 and 10.
"""

from __future__ import annotations

import math
from typing import Any

FAR = 25.0
"""Beyond it the asymptotic series reach double precision."""
TERMS = 22
EULER = 0.5772156649015329


def _angles(xp: Any, count: int) -> Any:
    """The middles of equal parts of a half turn."""
    return (xp.arange(count, dtype=xp.float64) + 0.5) * (math.pi / count)


def _coefficients(order: float) -> list[float]:
    """Of Hankel's asymptotic series."""
    found = [1.0]
    for k in range(1, TERMS):
        found.append(found[-1] * (4 * order * order - (2 * k - 1) ** 2) / (8 * k))
    return found


def series(xp: Any, coefficients: list[float], x: Any) -> Any:
    """A polynomial, from the lowest power up."""
    total = xp.full_like(x, coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        total = total * x + coefficient
    return total


def _hankel(xp: Any, x: Any, order: float) -> tuple[Any, Any]:
    """J and Y at x >= FAR."""
    coefficients, square = _coefficients(order), -1 / (x * x)
    p, q = series(xp, coefficients[::2], square), series(xp, coefficients[1::2], square) / x
    angle, size = x - (order / 2 + 0.25) * math.pi, xp.sqrt(2 / (math.pi * x))
    cosine, sine = xp.cos(angle), xp.sin(angle)
    return size * (p * cosine - q * sine), size * (p * sine + q * cosine)


def _first_kind(xp: Any, x: Any, order: int) -> Any:
    """J0 or J1 by Bessel's integral."""
    angles = _angles(xp, 32)
    near, far = xp.clip(abs(x), None, FAR), xp.clip(abs(x), FAR, None)
    inner = near[..., None] * xp.sin(angles)
    found = xp.sin(inner) * xp.sin(angles) if order else xp.cos(inner)
    sign = xp.sign(x) if order else 1.0
    return sign * xp.where(abs(x) < FAR, found.mean(-1), xp.where(xp.isinf(x), 0, _hankel(xp, far, order)[0]))


def j0(xp: Any, x: Any) -> Any:
    """J0."""
    return _first_kind(xp, x, 0) + 0 * xp.clip(x, -1, 1)


def j1(xp: Any, x: Any) -> Any:
    """J1."""
    return _first_kind(xp, x, 1) + 0 * xp.clip(x, -1, 1)


def _second_kind(xp: Any, x: Any, order: int) -> Any:
    """Y0 or Y1 by Neumann's series of J at all orders, which the integral gives at once; Abramowitz and Stegun 9.1.88."""
    angles = _angles(xp, 64)
    near, far = xp.clip(x, 1e-300, FAR), xp.clip(x, FAR, None)
    inner = near[..., None] * xp.sin(angles)
    waves = xp.sin(inner) if order else xp.cos(inner)
    weights = xp.zeros_like(angles)
    for k in range(1, 33):
        factor = (1 - 2 * (k % 2)) * (order + 2 * k) / (k * (order + k))
        weights = weights + factor * (xp.sin if order else xp.cos)((2 * k + order) * angles)
    regular = (2 / math.pi) * ((xp.log(near / 2) + (EULER - order)) * _first_kind(xp, near, order))
    found = regular - (2 / math.pi) * (waves * weights).mean(-1)
    if order:
        found = found - (2 / math.pi) * _first_kind(xp, near, 0) / near
    found = xp.where(x < FAR, found, xp.where(xp.isinf(x), 0, _hankel(xp, far, order)[1]))
    return xp.where(x > 0, found, xp.where(x == 0, -math.inf, math.nan))


def y0(xp: Any, x: Any) -> Any:
    """Y0."""
    return _second_kind(xp, x, 0)


def y1(xp: Any, x: Any) -> Any:
    """Y1."""
    return _second_kind(xp, x, 1)


def _modified_first(xp: Any, x: Any, order: int) -> Any:
    """I0 or I1 of a size, divided by its exponential."""
    angles = _angles(xp, 32)
    near, far = xp.clip(x, None, FAR), xp.clip(x, FAR, None)
    found = xp.exp(near[..., None] * (xp.cos(angles) - 1))
    if order:
        found = near[..., None] * xp.sin(angles) ** 2 * found
    beyond = series(xp, _coefficients(order), -1 / far) / xp.sqrt(2 * math.pi * far)
    return xp.where(x < FAR, found.mean(-1), xp.where(xp.isnan(x), x, beyond))


def i0e(xp: Any, x: Any) -> Any:
    """I0 times exp(-|x|)."""
    return _modified_first(xp, abs(x), 0)


def i1e(xp: Any, x: Any) -> Any:
    """I1 times exp(-|x|)."""
    return xp.sign(x) * _modified_first(xp, abs(x), 1)


def i0(xp: Any, x: Any) -> Any:
    """I0."""
    return xp.exp(abs(x)) * _modified_first(xp, abs(x), 0)


def i1(xp: Any, x: Any) -> Any:
    """I1."""
    return xp.sign(x) * xp.exp(abs(x)) * _modified_first(xp, abs(x), 1)


def _modified_second(xp: Any, x: Any, order: float, nodes: int = 110) -> Any:
    """K of an order times exp(x): the integral of exp(-x cosh t) cosh(order t), whose decay is doubly exponential."""
    size = xp.clip(x, 1e-8, None)
    step = 0.7 / xp.sqrt(xp.clip(size, 8.0, None))
    t = step[..., None] * xp.arange(nodes, dtype=xp.float64)
    halved = xp.where(xp.arange(nodes) == 0, 0.5, 1.0)
    falling = xp.exp(-2 * size[..., None] * xp.sinh(t / 2) ** 2)
    return step * (falling * xp.cosh(order * t) * halved).sum(-1)


def scaled_k(xp: Any, x: Any, order: int) -> Any:
    """K0 or K1 times exp(x)."""
    tiny = 1 / xp.clip(x, 1e-300, None) if order else math.log(2) - EULER - xp.log(xp.clip(x, 1e-300, None))
    found = xp.where(x < 1e-8, tiny * xp.exp(xp.clip(x, None, 1.0)), xp.where(xp.isinf(x), 0, _modified_second(xp, xp.where(xp.isinf(x), 1, x), order)))
    return xp.where(x > 0, found, xp.where(x == 0, math.inf, math.nan))


def k(xp: Any, x: Any, order: int) -> Any:
    """K0 or K1."""
    return xp.exp(-x) * scaled_k(xp, x, order)
