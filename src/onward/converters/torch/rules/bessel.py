"""Bessel's functions, which `converters/bessel.py` says, and Airy's."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from onward.converters import bessel
from onward.converters.torch.rules.registry import DOUBLE, elementwise

NAMES = {
    "special_bessel_j0": bessel.j0, "special_bessel_j1": bessel.j1, "special_bessel_y0": bessel.y0, "special_bessel_y1": bessel.y1,
    "special_i0e": bessel.i0e, "special_i1e": bessel.i1e, "i0": bessel.i0, "special_i0": bessel.i0, "special_modified_bessel_i0": bessel.i0,
    "special_i1": bessel.i1, "special_modified_bessel_i1": bessel.i1,
}  # fmt: skip

for _name, _function in NAMES.items():
    elementwise(_name)(lambda x, function=_function: function(torch, x))
for _order in (0, 1):
    elementwise(f"special_scaled_modified_bessel_k{_order}")(lambda x, order=_order: bessel.scaled_k(torch, x, order))
    elementwise(f"special_modified_bessel_k{_order}")(lambda x, order=_order: bessel.k(torch, x, order))


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
    for k in range(1, bessel.TERMS):
        coefficients.append(coefficients[-1] * (6 * k - 5) * (6 * k - 3) * (6 * k - 1) / (216 * k * (2 * k - 1)))
    square = -1 / (phase * phase)
    even, odd = bessel.series(torch, coefficients[::2], square), bessel.series(torch, coefficients[1::2], square) / phase
    angle = phase - math.pi / 4
    wave = (torch.cos(angle) * even + torch.sin(angle) * odd) / (math.sqrt(math.pi) * far**0.25)
    return torch.where(x.isinf() | x.isnan(), math.nan, torch.where(x < -10.0, wave, found))
