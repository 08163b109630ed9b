"""Complex numbers: functions at ordinary and odd places, and PyTorch's own samples."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("expecttest")

import torch

import onward
from onward.converters.torch.operators.complex_functions import FUNCTIONS
from tests.converters.torch.operator_database import OPERATORS, outcome, samples
from tests.converters.torch.test_modules import Function
from tests.converters.torch.test_operator_database import CONVERTED

REFUSED = {
    "PyTorch does not capture it": ["item"],
    "random numbers": ["normal in_place", "rand_like", "randn", "randn_like", "svd_lowrank", "uniform"],
    "no translation": ["logcumsumexp"],
}  # fmt: skip
"""By reason: operators that are converted for real numbers alone."""

COMPLEX = [
    name for name in CONVERTED
    if torch.complex64 in OPERATORS[name].dtypes and not any(name in names for names in REFUSED.values())
]  # fmt: skip
LEAST_SQUARES = ["linalg.lstsq", "linalg.lstsq grad_oriented"]
"""Where a matrix lacks rank, as one of ones does, rounding settles in LAPACK what the rank is, on each processor for itself: only some of its solutions are the
shortest, as ours are. So these are compared on matrices of full rank."""


def test_all_names_are_known() -> None:
    assert {name for names in REFUSED.values() for name in names} <= set(CONVERTED)
    assert len(COMPLEX) == 357


@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128])
def test_functions(dtype: torch.dtype) -> None:
    """All in one module; 0 is tried where the certificate tries zeros."""
    random = torch.Generator().manual_seed(0)
    x = torch.complex(*(3 * torch.randn(2, 40, generator=random, dtype=torch.float64))).to(dtype)
    onward.convert(Function(lambda x: [getattr(torch, name)(x) for name in FUNCTIONS]), (x,))


def test_powers() -> None:
    x, y = torch.randn(2, 20, dtype=torch.complex64)

    def powers(x: torch.Tensor, y: torch.Tensor) -> Any:
        return x**y, x**2, x**-1, x**0, 2**y, x ** (1 + 2j)

    onward.convert(Function(powers), (x, y))


@pytest.mark.parametrize("name", [name for name in COMPLEX[::20] if name not in LEAST_SQUARES])
def test_some_operators(name: str) -> None:
    assert outcome(OPERATORS[name], torch.complex64, 1) == ""


@pytest.mark.models
@pytest.mark.parametrize("name", [name for name in COMPLEX[1::3] if name not in LEAST_SQUARES])
def test_operators(name: str) -> None:
    assert outcome(OPERATORS[name], torch.complex64, 1) == ""


@pytest.mark.parametrize("name", LEAST_SQUARES)
def test_least_squares(name: str) -> None:
    for module, tensors in samples(OPERATORS[name], torch.complex64, 3):
        session = onward.InferenceSession(onward.convert(module, tensors, dynamic_shapes={}, verify=False))
        feeds = {port.name: torch.view_as_real(item).numpy() for port, item in zip(session.get_inputs(), tensors, strict=True)}
        exact = module(*(item.to(torch.complex128) for item in tensors))[0]
        got = torch.view_as_complex(torch.from_numpy(session.run(None, feeds)[0]))
        torch.testing.assert_close(got.to(exact.dtype), exact, rtol=0, atol=1e-5 * float(exact.abs().max()))
