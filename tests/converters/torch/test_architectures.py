"""Architectures of the transformers library: captured with open sizes, converted, compared with PyTorch."""

from __future__ import annotations

import pytest

import onward
from onward.converters.certificate import Certificate
from tests.converters.torch.architectures import CASES, build

MISSING = {"Wav2Vec2": "its normalisation amplifies rounding on constant input"}


@pytest.mark.models
@pytest.mark.parametrize("name", [name for name in CASES if name not in MISSING])
def test_architectures(name: str) -> None:
    module, arguments = build(name)
    certificate = Certificate.of(onward.convert(module, arguments))
    assert certificate is not None
    assert len(certificate.shapes) >= 2
