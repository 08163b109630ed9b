"""Writes src/onward/operators/schemas*.txt: the signature of every ONNX operator in every version, as data.

The source of `schemas.txt` is the operator registry of the installed `onnx` package; that of `schemas_microsoft.txt`
(domain com.microsoft, and what onnxruntime adds to the default domain) the one of `onnxruntime`. Only facts are kept (names, versions, types,
arities, defaults), no sentence of documentation. Run it after a new ONNX release:

    python tools/generate_schemas.py

The first line of a file is a JSON object with what all operators share: the type names, the sets of types, and the
IR version that each opset version needs. Every further line is `domain name [versions...]`, newest version first, so
that a reader parses only the operators it needs and a diff shows what a release changed.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import onnx
from onnx import defs, helper

FOLDER = Path(__file__).resolve().parent.parent / "src" / "onward" / "operators"
DEFAULT_DOMAIN_EXTRAS = (
    "Affine", "Crop", "ImageScaler", "ParametricSoftplus", "ScaledTanh", "SimplifiedLayerNormalization",
)  # fmt: skip
"""What onnxruntime adds to the default domain and runs on the CPU."""

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


def microsoft_row(schema: Any, types: TypeSets) -> list[Any]:
    """One version of one operator as onnxruntime tells it."""
    options = {"Single": 0, "Optional": 1, "Variadic": 2}

    def parameter(item: Any) -> list[Any]:
        return [item.name, item.typeStr, options[item.option.name], int(item.isHomogeneous), 1]

    def attribute(item: Any) -> list[Any]:
        proto = onnx.AttributeProto.FromString(item._default_value) if item._default_value else None
        default = None if proto is None or not proto.type else helper.get_attribute_value(proto)
        default = default.decode() if isinstance(default, bytes) else list(default) if isinstance(default, tuple) else default
        return [item.name, item.type.name, int(item.required), default]

    return [
        schema.since_version,
        int(schema.deprecated),
        [parameter(item) for item in schema.inputs],
        [parameter(item) for item in schema.outputs],
        [schema.min_input, schema.max_input, schema.min_output, schema.max_output],
        [attribute(schema.attributes[name]) for name in sorted(schema.attributes)],
        {item.type_param_str: types.number(list(item.allowed_type_strs)) for item in schema.type_constraints},
    ]


def write(name: str, header: dict[str, Any], types: TypeSets, operators: dict[tuple[str, str], list[list[Any]]]) -> None:
    """Writes one file."""
    shared = {"types": list(types.names), "sets": [list(key) for key in types.sets], **header}
    lines = [json.dumps(shared, separators=(",", ":"))]
    for (domain, operator), versions in operators.items():
        lines.append(f"{domain or 'ai.onnx'} {operator} {json.dumps(versions, separators=(',', ':'))}")
    (FOLDER / name).write_text("\n".join(lines) + "\n")
    print(f"{name}: {len(operators)} operators, {sum(map(len, operators.values()))} versions")


def main() -> None:
    """Writes the files."""
    from onnxruntime.capi.onnxruntime_pybind11_state import get_all_operator_schema

    types = TypeSets()
    operators: dict[tuple[str, str], list[list[Any]]] = {}
    for schema in sorted(defs.get_all_schemas_with_history(), key=lambda s: (s.domain, s.name, -s.since_version)):
        operators.setdefault((schema.domain, schema.name), []).append(schema_row(schema, types))
    ir_versions = [["" if domain == "ai.onnx" else domain, opset, ir_version] for (domain, opset), ir_version in helper.OP_SET_ID_VERSION_MAP.items()]
    write("schemas.txt", {"ir_versions": ir_versions, "newest_ir_version": int(onnx.IR_VERSION)}, types, operators)
    types, operators = TypeSets(), {}
    for schema in sorted(get_all_operator_schema(), key=lambda s: (s.domain, s.name, -s.since_version)):
        if schema.domain == "com.microsoft" or schema.domain == "" and schema.name in DEFAULT_DOMAIN_EXTRAS:
            operators.setdefault((schema.domain, schema.name), []).append(microsoft_row(schema, types))
    write("schemas_microsoft.txt", {}, types, operators)


if __name__ == "__main__":
    main()
