"""Pages are found by the operators they register, and take what the schemas give."""

from __future__ import annotations

import inspect

import pytest

from onward.operators import all_definitions, find_definition, find_schema
from onward.operators.schema import operator_versions


def test_the_newest_definition_not_above_the_version_is_used() -> None:
    versions = [find_definition("", "Reshape", since) for since in (1, 5, 13, 25)]
    assert [definition.since for definition in versions if definition] == [1, 5, 5, 5]


def test_an_operator_without_a_page_has_no_definition() -> None:
    assert find_definition("", "NoSuchOperator", 1) is None
    assert find_definition("com.example", "Reshape", 1) is None


def test_an_operator_with_a_page_has_it_in_every_version() -> None:
    operators = {(definition.domain, definition.name) for definition in all_definitions()}
    missing = [
        str(version)
        for domain, name in operators
        for version in operator_versions(domain, name)
        if not version.deprecated and find_definition(domain, name, version.since) is None
    ]
    assert not missing


@pytest.mark.parametrize("definition", all_definitions(), ids=lambda d: f"{d.domain}{d.name}-{d.since}")
def test_a_page_fits_the_schemas(definition) -> None:  # type: ignore[no-untyped-def]
    """Every attribute a definition takes exists in a version it holds for, and it takes enough inputs."""
    versions = operator_versions(definition.domain, definition.name)
    if not versions:
        return  # an operator of a domain beyond ONNX
    later = [d.since for d in all_definitions() if (d.domain, d.name) == (definition.domain, definition.name)]
    end = min((since for since in later if since > definition.since), default=10**6)
    own = [version for version in versions if definition.since <= version.since < end]
    current = find_schema(definition.domain, definition.name, definition.since)
    own += [current] if current is not None and current not in own else []
    assert own, "no version of the operator has this definition"
    sharing = [find_schema(d.domain, d.name, 10**6) for d in all_definitions() if d.function is definition.function]
    known = {name for version in (*own, *sharing) if version is not None for name in version.attributes}
    assert definition.attributes <= known
    for version in own:
        if definition.maximum_inputs is not None and version.maximum_inputs < 2**31 - 1:
            assert definition.maximum_inputs >= version.maximum_inputs, version
    assert inspect.getdoc(definition.function), "a page says what its operator does"
