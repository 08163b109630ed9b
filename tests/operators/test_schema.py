"""The schema data against the registry of the onnx package it was made from."""

from __future__ import annotations

import onnx
import pytest
from onnx import defs

from onward.errors import UnsupportedOperator
from onward.operators import find_schema, newest_opset, schema
from onward.operators.schema import (
    known_domains,
    minimum_ir_version,
    newest_ir_version,
    operator_names,
    operator_versions,
)

ALL = defs.get_all_schemas_with_history()


OUTSIDE_THE_STANDARD = {
    *(("", name, since) for name in ("Affine", "Crop", "ImageScaler", "ParametricSoftplus", "ScaledTanh") for since in (1, 10)),
    ("", "SimplifiedLayerNormalization", 1),
}
"""What onnxruntime still runs in the standard's domain although no version of the standard has it any more."""


def test_every_operator_and_version_is_there() -> None:
    expected = {(item.domain, item.name, item.since_version) for item in ALL}
    found = {
        (version.domain, version.name, version.since)
        for domain in known_domains() - {"com.microsoft"}
        for name in operator_names(domain)
        for version in operator_versions(domain, name)
    }
    assert found - expected == OUTSIDE_THE_STANDARD
    assert expected <= found


def test_the_signatures_agree() -> None:
    for item in ALL:
        ours = schema(item.domain, item.name, item.since_version)
        assert (ours.minimum_inputs, ours.maximum_inputs) == (item.min_input, item.max_input), ours
        assert (ours.minimum_outputs, ours.maximum_outputs) == (item.min_output, item.max_output), ours
        assert [p.name for p in ours.inputs] == [p.name for p in item.inputs], ours
        assert [p.type for p in ours.outputs] == [p.type_str for p in item.outputs], ours
        assert ours.deprecated == item.deprecated, ours
        assert {a.name: (a.type, a.required) for a in ours.attributes.values()} == {name: (a.type.name, a.required) for name, a in item.attributes.items()}, (
            ours
        )
        assert {name: set(types) for name, types in ours.constraints.items()} == {c.type_param_str: set(c.allowed_type_strs) for c in item.type_constraints}, (
            ours
        )


def test_a_version_holds_until_the_next() -> None:
    assert [schema("", "Softmax", opset).since for opset in (1, 10, 11, 12, 13, 28)] == [1, 1, 11, 11, 13, 13]
    assert schema("ai.onnx", "Conv", 17) == schema("", "Conv", 17)


def test_defaults_are_plain_values() -> None:
    attributes = schema("", "Resize", 19).attributes
    assert attributes["cubic_coeff_a"].default == -0.75
    assert attributes["mode"].default == "nearest"
    assert attributes["axes"].default is None
    assert schema("", "Concat", 13).attributes["axis"].required


@pytest.mark.parametrize(
    ("name", "opset", "words"),
    [("Convv", 17, "did you mean Conv?"), ("Gelu", 17, "since version 20"), ("Zzzz", 17, "there is no operator")],
)
def test_unknown_operators_are_explained(name: str, opset: int, words: str) -> None:
    assert find_schema("", name, opset) is None
    with pytest.raises(UnsupportedOperator, match="ai.onnx"):
        schema("", name, opset)
    with pytest.raises(UnsupportedOperator) as error:
        schema("", name, opset)
    assert words in str(error.value)


def test_versions_of_the_format() -> None:
    assert newest_opset("") == defs.onnx_opset_version()
    assert newest_ir_version() == onnx.IR_VERSION
    assert minimum_ir_version("", 21) == 10
    assert minimum_ir_version("", 1000) is None
