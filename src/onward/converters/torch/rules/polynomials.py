"""Orthogonal polynomials of a degree that is data: closed forms for Chebyshev's, recurrences for the others."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from onward.converters.torch.rules.registry import elementwise, while_true


def _parity(n: Tensor) -> Tensor:
    """-1 for odd numbers, 1 for even ones."""
    return 1 - 2 * torch.remainder(n, 2)


def _quotient(circular: Callable[[Tensor], Tensor], hyperbolic: Callable[[Tensor], Tensor], shift: float, part: float) -> Callable[[Tensor, Tensor], Tensor]:
    """f((n + shift) t) / f(part t) for x = cos t > -1, and the hyperbolic functions beyond 1; part 0 stands for the divisor 1."""

    def value(x: Tensor, n: Tensor) -> Tensor:
        inner, outer = torch.acos(x.clamp(-1, 1)), torch.acosh(x.clamp(min=1))
        if not part:
            return torch.where(x <= 1, circular((n + shift) * inner), hyperbolic((n + shift) * outer))
        within = circular((n + shift) * inner) / circular(part * inner)
        return torch.where(x < 1, within, hyperbolic((n + shift) * outer) / hyperbolic(part * outer))

    return value


FIRST = _quotient(torch.cos, torch.cosh, 0, 0)
SECOND = _quotient(torch.sin, torch.sinh, 1, 1)
THIRD = _quotient(torch.cos, torch.cosh, 0.5, 0.5)
FOURTH = _quotient(torch.sin, torch.sinh, 0.5, 0.5)


def _chebyshev(value: Callable[[Tensor, Tensor], Tensor], mirrored: Callable[[Tensor, Tensor], Tensor], at_one: Callable[[Tensor], Tensor],
               at_minus_one: Callable[[Tensor], Tensor]) -> Callable[[Tensor, Tensor], Tensor]:  # fmt: skip
    """A polynomial by its values at x > 0, those of the polynomial that it is at -x but for the sign, and its sizes at 1 and -1."""

    def found(x: Tensor, n: Tensor) -> Tensor:
        n = torch.trunc(n)
        positive = torch.where(x == 1, at_one(n), value(x.abs(), n))
        negative = torch.where(x == -1, at_minus_one(n), mirrored(x.abs(), n)) * _parity(n)
        return torch.where(n < 0, 0, torch.where(x < 0, negative, torch.where(x.isnan(), torch.where(n == 0, 1, x), positive)))

    return found


for _name, _value, _mirrored, _at_one, _at_minus_one in [
    ("t", FIRST, FIRST, torch.ones_like, torch.ones_like), ("u", SECOND, SECOND, lambda n: n + 1, lambda n: n + 1),
    ("v", THIRD, FOURTH, torch.ones_like, lambda n: 2 * n + 1), ("w", FOURTH, THIRD, lambda n: 2 * n + 1, torch.ones_like),
]:  # fmt: skip
    _polynomial = _chebyshev(_value, _mirrored, _at_one, _at_minus_one)
    elementwise(f"special_chebyshev_polynomial_{_name}")(_polynomial)
    elementwise(f"special_shifted_chebyshev_polynomial_{_name}")(lambda x, n, polynomial=_polynomial: polynomial(2 * x - 1, n))


def _recurrent(first: Callable[[Tensor], Tensor], following: Callable[..., Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
    """1, `first` of x, and from two polynomials before the next: following(x, k, p_k, p_k-1)."""

    def found(x: Tensor, n: Tensor) -> Tensor:
        x, n = torch.broadcast_tensors(x, torch.trunc(n))
        last = torch.cat([n.reshape(-1), n.new_ones(1)]).amax()
        one, q = torch.ones_like(x), first(x)

        def body(k: Tensor, before: Tensor, now: Tensor, value: Tensor, x: Tensor, n: Tensor, last: Tensor) -> list[Tensor]:
            new = following(x, k, now, before)
            return [k + 1, now, new, torch.where(n == k + 1, new, value)]

        start = [last.new_ones(()), one, q, torch.where(n < 1, one, q)]
        value = while_true(lambda k, before, now, value, x, n, last: k < last, body, start, x, n, last)[3]
        return torch.where(n < 0, 0, value)

    return found


elementwise("special_hermite_polynomial_h")(_recurrent(lambda x: 2 * x, lambda x, k, now, before: 2 * x * now - 2 * k * before))
elementwise("special_hermite_polynomial_he")(_recurrent(lambda x: x, lambda x, k, now, before: x * now - k * before))
elementwise("special_laguerre_polynomial_l")(_recurrent(lambda x: 1 - x, lambda x, k, now, before: ((2 * k + 1 - x) * now - k * before) / (k + 1)))
elementwise("special_legendre_polynomial_p")(_recurrent(lambda x: x, lambda x, k, now, before: ((2 * k + 1) * x * now - k * before) / (k + 1)))
