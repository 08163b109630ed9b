"""Complex numbers: functions at ordinary and odd places, and PyTorch's own samples."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("expecttest")

import torch

import onward
from onward.converters.torch.operators.complex_functions import FUNCTIONS
from tests.converters.torch.operator_database import OPERATORS, outcome
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


@pytest.mark.parametrize("name", COMPLEX[::20])
def test_some_operators(name: str) -> None:
    assert outcome(OPERATORS[name], torch.complex64, 1) == ""


@pytest.mark.models
@pytest.mark.parametrize("name", COMPLEX[1::3])
def test_operators(name: str) -> None:
    assert outcome(OPERATORS[name], torch.complex64, 1) == ""
