"""Architectures of the transformers library: captured with open sizes, converted, compared with PyTorch."""

from __future__ import annotations

import os

import pytest

import onward
from onward.converters.certificate import Certificate
from tests.converters.torch.architectures import CASES, build


@pytest.mark.models
@pytest.mark.parametrize("name", list(CASES)[:: 1 if os.environ.get("ONWARD_TEST_ALL") else 2])
def test_architectures(name: str) -> None:
    module, arguments = build(name)
    certificate = Certificate.of(onward.convert(module, arguments))
    assert certificate is not None
    assert len(certificate.shapes) >= 2


@pytest.mark.models
def test_selective_scans_have_open_numbers_of_tokens() -> None:
    model = onward.convert(*build("Mamba"))
    assert [str(value.shape) for value in model.graph.inputs] == ["(batch, input_ids_1)"]
