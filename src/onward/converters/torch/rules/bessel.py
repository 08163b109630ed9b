"""Bessel's functions and Airy's, by the trapezoidal rule where their integrals make it exact to the last digit, by asymptotic series beyond.

Trefethen and Weideman, The exponentially convergent trapezoidal rule (2014); Abramowitz and Stegun, chapters 9 and 10.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from onward.converters.torch.rules.registry import DOUBLE, elementwise

FAR = 25.0
"""Beyond it the asymptotic series reach double precision."""
TERMS = 22
EULER = 0.5772156649015329


def _angles(count: int) -> Tensor:
    """The middles of equal parts of a half turn."""
    return (torch.arange(count, dtype=DOUBLE) + 0.5) * (math.pi / count)


def _coefficients(order: float) -> list[float]:
    """Of Hankel's asymptotic series."""
    found = [1.0]
    for k in range(1, TERMS):
        found.append(found[-1] * (4 * order * order - (2 * k - 1) ** 2) / (8 * k))
    return found


def _series(coefficients: list[float], x: Tensor) -> Tensor:
    """A polynomial, from the lowest power up."""
    total = torch.full_like(x, coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        total = total * x + coefficient
    return total


def _hankel(x: Tensor, order: float) -> tuple[Tensor, Tensor]:
    """J and Y at x >= FAR."""
    coefficients, square = _coefficients(order), -1 / (x * x)
    p, q = _series(coefficients[::2], square), _series(coefficients[1::2], square) / x
    angle, size = x - (order / 2 + 0.25) * math.pi, torch.sqrt(2 / (math.pi * x))
    cosine, sine = torch.cos(angle), torch.sin(angle)
    return size * (p * cosine - q * sine), size * (p * sine + q * cosine)


def _first_kind(x: Tensor, order: int) -> Tensor:
    """J0 or J1 by Bessel's integral."""
    angles = _angles(32)
    near, far = x.abs().clamp(max=FAR), x.abs().clamp(min=FAR)
    inner = near[..., None] * torch.sin(angles)
    found = torch.sin(inner) * torch.sin(angles) if order else torch.cos(inner)
    sign = torch.sign(x) if order else 1.0
    return sign * torch.where(x.abs() < FAR, found.mean(-1), torch.where(x.isinf(), 0, _hankel(far, order)[0]))


@elementwise("special_bessel_j0")
def j0(x: Tensor) -> Tensor:
    return _first_kind(x, 0) + 0 * x.clamp(-1, 1)


@elementwise("special_bessel_j1")
def j1(x: Tensor) -> Tensor:
    return _first_kind(x, 1) + 0 * x.clamp(-1, 1)


def _second_kind(x: Tensor, order: int) -> Tensor:
    """Y0 or Y1 by Neumann's series of J at all orders, which the integral gives at once; Abramowitz and Stegun 9.1.88."""
    angles = _angles(64)
    near, far = x.clamp(1e-300, FAR), x.clamp(min=FAR)
    inner = near[..., None] * torch.sin(angles)
    waves = torch.sin(inner) if order else torch.cos(inner)
    weights = torch.zeros_like(angles)
    for k in range(1, 33):
        factor = (1 - 2 * (k % 2)) * (order + 2 * k) / (k * (order + k))
        weights = weights + factor * (torch.sin if order else torch.cos)((2 * k + order) * angles)
    regular = (2 / math.pi) * ((torch.log(near / 2) + (EULER - order)) * _first_kind(near, order))
    found = regular - (2 / math.pi) * (waves * weights).mean(-1)
    if order:
        found = found - (2 / math.pi) * _first_kind(near, 0) / near
    found = torch.where(x < FAR, found, torch.where(x.isinf(), 0, _hankel(far, order)[1]))
    return torch.where(x > 0, found, torch.where(x == 0, -math.inf, math.nan))


@elementwise("special_bessel_y0")
def y0(x: Tensor) -> Tensor:
    return _second_kind(x, 0)


@elementwise("special_bessel_y1")
def y1(x: Tensor) -> Tensor:
    return _second_kind(x, 1)


def _modified_first(x: Tensor, order: int) -> Tensor:
    """I0 or I1 of a size, divided by its exponential."""
    angles = _angles(32)
    near, far = x.clamp(max=FAR), x.clamp(min=FAR)
    found = torch.exp(near[..., None] * (torch.cos(angles) - 1))
    if order:
        found = near[..., None] * torch.sin(angles) ** 2 * found
    beyond = _series(_coefficients(order), -1 / far) / torch.sqrt(2 * math.pi * far)
    return torch.where(x < FAR, found.mean(-1), torch.where(x.isnan(), x, beyond))


@elementwise("special_i0e")
def i0e(x: Tensor) -> Tensor:
    return _modified_first(x.abs(), 0)


@elementwise("special_i1e")
def i1e(x: Tensor) -> Tensor:
    return torch.sign(x) * _modified_first(x.abs(), 1)


@elementwise("i0", "special_i0", "special_modified_bessel_i0")
def i0(x: Tensor) -> Tensor:
    return torch.exp(x.abs()) * _modified_first(x.abs(), 0)


@elementwise("special_i1", "special_modified_bessel_i1")
def i1(x: Tensor) -> Tensor:
    return torch.sign(x) * torch.exp(x.abs()) * _modified_first(x.abs(), 1)


def _modified_second(x: Tensor, order: float, nodes: int = 110) -> Tensor:
    """K of an order times exp(x): the integral of exp(-x cosh t) cosh(order t), whose decay is doubly exponential."""
    size = x.clamp(min=1e-8)
    step = 0.7 / torch.sqrt(size.clamp(min=8.0))
    t = step[..., None] * torch.arange(nodes, dtype=DOUBLE)
    halved = torch.where(torch.arange(nodes) == 0, 0.5, 1.0)
    falling = torch.exp(-2 * size[..., None] * torch.sinh(t / 2) ** 2)
    return step * (falling * torch.cosh(order * t) * halved).sum(-1)


def _second_at_all(x: Tensor, order: int) -> Tensor:
    tiny = 1 / x.clamp(min=1e-300) if order else math.log(2) - EULER - torch.log(x.clamp(min=1e-300))
    found = torch.where(x < 1e-8, tiny * torch.exp(x.clamp(max=1.0)), torch.where(x.isinf(), 0, _modified_second(torch.where(x.isinf(), 1, x), order)))
    return torch.where(x > 0, found, torch.where(x == 0, math.inf, math.nan))


for _order in (0, 1):
    elementwise(f"special_scaled_modified_bessel_k{_order}")(lambda x, order=_order: _second_at_all(x, order))
    elementwise(f"special_modified_bessel_k{_order}")(lambda x, order=_order: torch.exp(-x) * _second_at_all(x, order))


@elementwise("special_spherical_bessel_j0")
def spherical(x: Tensor) -> Tensor:
    return torch.where(x == 0, 1, torch.where(x.isinf(), 0, torch.sin(x) / torch.where(x == 0, 1, x)))


@elementwise("special_airy_ai")
def airy(x: Tensor) -> Tensor:
    """The integral along a line through the saddle point, or above it by 1; a wave far to the left."""
    near = x.clamp(min=-10.0)
    height = torch.sqrt(near.clamp(min=1.0))[..., None]
    t = (0.0625 * torch.arange(-110, 111, dtype=DOUBLE)) / torch.sqrt(height)
    real = -height * t * t + height**3 / 3 - near[..., None] * height
    angle = t**3 / 3 + t * (near[..., None] - height * height)
    found = (torch.exp(real) * torch.cos(angle)).sum(-1) * (0.0625 / (2 * math.pi)) / torch.sqrt(height[..., 0])
    far = (-x).clamp(min=10.0)
    phase = (2 / 3) * far**1.5
    coefficients = [1.0]
    for k in range(1, TERMS):
        coefficients.append(coefficients[-1] * (6 * k - 5) * (6 * k - 3) * (6 * k - 1) / (216 * k * (2 * k - 1)))
    square = -1 / (phase * phase)
    even, odd = _series(coefficients[::2], square), _series(coefficients[1::2], square) / phase
    angle = phase - math.pi / 4
    wave = (torch.cos(angle) * even + torch.sin(angle) * odd) / (math.sqrt(math.pi) * far**0.25)
    return torch.where(x.isinf() | x.isnan(), math.nan, torch.where(x < -10.0, wave, found))
