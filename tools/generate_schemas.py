"""Writes src/onward/operators/schemas.txt: the signature of every ONNX operator in every version, as data.

The source is the operator registry of the installed `onnx` package. Only facts are kept (names, versions, types,
arities, defaults), no sentence of documentation. Run it after a new ONNX release:

    python tools/generate_schemas.py

The first line of the file is a JSON object with what all operators share: the type names, the sets of types, and the
IR version that each opset version needs. Every further line is `domain name [versions...]`, newest version first, so
that a reader parses only the operators it needs and a diff shows what a release changed.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import onnx
from onnx import defs, helper

TARGET = Path(__file__).resolve().parent.parent / "src" / "onward" / "operators" / "schemas.txt"

OPTIONS = {
    defs.OpSchema.FormalParameterOption.Single: 0,
    defs.OpSchema.FormalParameterOption.Optional: 1,
    defs.OpSchema.FormalParameterOption.Variadic: 2,
}


class TypeSets:
    """Numbers the sets of type names, of which there are far fewer than uses."""

    def __init__(self) -> None:
        self.names: dict[str, int] = {}
        self.sets: dict[tuple[int, ...], int] = {}

    def number(self, names: list[str]) -> int:
        """The number of the set of the given type names."""
        key = tuple(sorted(self.names.setdefault(name, len(self.names)) for name in names))
        return self.sets.setdefault(key, len(self.sets))


def plain_default(attribute: defs.OpSchema.Attribute) -> Any:
    """The default value of an attribute as JSON data, or None where there is none."""
    proto = attribute.default_value
    if proto is None or proto.type == onnx.AttributeProto.UNDEFINED or proto.type == onnx.AttributeProto.TENSOR:
        return None  # the only tensor defaults are empty placeholders of ai.onnx.ml
    value = helper.get_attribute_value(proto)
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, (int, float, str)):
        return value
    return [item.decode() if isinstance(item, bytes) else item for item in value]


def attribute_row(attribute: defs.OpSchema.Attribute) -> list[Any]:
    """[name, type, required, default]"""
    return [attribute.name, attribute.type.name, int(attribute.required), plain_default(attribute)]


def parameter_row(parameter: defs.OpSchema.FormalParameter) -> list[Any]:
    """[name, type string, option, homogeneous, minimum arity]"""
    return [
        parameter.name,
        parameter.type_str,
        OPTIONS[parameter.option],
        int(parameter.is_homogeneous),
        parameter.min_arity,
    ]


def schema_row(schema: defs.OpSchema, types: TypeSets) -> list[Any]:
    """One version of one operator."""
    flags = int(schema.deprecated) | int(schema.has_function or schema.has_context_dependent_function) << 1
    return [
        schema.since_version,
        flags,
        [parameter_row(parameter) for parameter in schema.inputs],
        [parameter_row(parameter) for parameter in schema.outputs],
        [schema.min_input, schema.max_input, schema.min_output, schema.max_output],
        [attribute_row(schema.attributes[name]) for name in sorted(schema.attributes)],
        {item.type_param_str: types.number(list(item.allowed_type_strs)) for item in schema.type_constraints},
    ]


def main() -> None:
    """Writes the file."""
    types = TypeSets()
    operators: dict[tuple[str, str], list[list[Any]]] = {}
    for schema in sorted(defs.get_all_schemas_with_history(), key=lambda s: (s.domain, s.name, -s.since_version)):
        operators.setdefault((schema.domain, schema.name), []).append(schema_row(schema, types))
    ir_versions = [
        ["" if domain == "ai.onnx" else domain, opset, ir_version]
        for (domain, opset), ir_version in helper.OP_SET_ID_VERSION_MAP.items()
    ]
    header = {
        "types": list(types.names),
        "sets": [list(key) for key in types.sets],
        "ir_versions": ir_versions,
        "newest_ir_version": int(onnx.IR_VERSION),
    }
    lines = [json.dumps(header, separators=(",", ":"))]
    for (domain, name), versions in operators.items():
        lines.append(f"{domain or 'ai.onnx'} {name} {json.dumps(versions, separators=(',', ':'))}")
    TARGET.write_text("\n".join(lines) + "\n")
    versions = sum(map(len, operators.values()))
    print(f"{TARGET}: {len(operators)} operators, {versions} versions, {TARGET.stat().st_size} bytes")


if __name__ == "__main__":
    main()
