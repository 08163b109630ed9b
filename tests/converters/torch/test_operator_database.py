"""The operators of PyTorch's own database, compared on its samples; those that are refused stand here."""

from __future__ import annotations

import pytest

pytest.importorskip("expecttest")

import torch

from tests.converters.torch.operator_database import OPERATORS, outcome

REFUSED = {
    "PyTorch does not capture it": [
        "jiterator_2inputs_2outputs", "jiterator_4inputs_with_extra_args", "jiterator_binary",
        "jiterator_binary_return_by_ref", "jiterator_unary",
    ],
    "no translation": [
        "hash_tensor", "linalg.ldl_factor", "linalg.ldl_factor_ex", "linalg.ldl_solve", "resize_as_", "sparse.mm reduce", "sparse.sampled_addmm", "tensor_split", "to_sparse",
    ],
    "views of storage that is not laid out densely": ["as_strided partial_views"],
    "antialiasing with factors beside sizes": ["_upsample_bilinear2d_aa"],
    "its numbers are no one's": [
        "empty", "empty_like", "empty_permuted", "empty_strided", "new_empty", "new_empty_strided",
    ],
    "a variant is refused": ["chalf"],
    "boundaries that are not sorted": ["bucketize", "histogram"],
    "what LAPACK leaves of matrices without a factor": ["linalg.cholesky_ex"],
    "of zeros nothing is left but the random numbers that it draws": ["pca_lowrank"],
    "the order of the eigenvalues is free": ["linalg.eig", "linalg.eigvals"],
    "the signs of the vectors are free": ["linalg.eigh"],
}  # fmt: skip
"""By reason: what is not converted, or refused because a sample's result differs."""

CONVERTED = [
    name for name, operator in OPERATORS.items()
    if torch.float32 in operator.dtypes and not any(name in names for names in REFUSED.values())
]  # fmt: skip
SAMPLE = CONVERTED[::13]


def test_all_names_are_known() -> None:
    assert {name for names in REFUSED.values() for name in names} <= set(OPERATORS)
    assert len(CONVERTED) >= 647


@pytest.mark.parametrize("name", SAMPLE)
def test_some_operators(name: str) -> None:
    assert outcome(OPERATORS[name], torch.float32, 1) == ""


WHOLE = [
    (name, dtype) for dtype in (torch.int64, torch.bool) for name in CONVERTED if dtype in OPERATORS[name].dtypes and name != "nn.functional.one_hot"
]  # fmt: skip
"""one_hot of whole numbers reads its number of classes from them."""


@pytest.mark.models
@pytest.mark.parametrize(("name", "dtype"), WHOLE[::4])
def test_operators_of_whole_numbers(name: str, dtype: torch.dtype) -> None:
    assert outcome(OPERATORS[name], dtype, 1) == ""


@pytest.mark.models
@pytest.mark.parametrize("name", CONVERTED)
def test_operators(name: str) -> None:
    assert outcome(OPERATORS[name], torch.float32, 2) == ""
