"""Every operator of the standard, in every version, for every type of its schema."""

from __future__ import annotations

import pytest

from tests.operators.coverage import operators, outcomes


@pytest.mark.parametrize(("domain", "name"), sorted(operators()), ids=lambda item: item or "onnx")
def test_an_operator_in_all_versions_and_types(domain: str, name: str) -> None:
    found = list(outcomes(domain, name))
    bad = [item for item in found if not item.passed and not item.excused]
    assert not bad, "\n".join(f"version {item.version}, {item.variable} = {item.type}: {item.how} {item.problem}" for item in bad)
    assert any(item.passed for item in found)
