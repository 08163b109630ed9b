"""The signatures of all ONNX operators in all versions.

The data (written by tools/generate_schemas.py) is parsed operator by operator, on first use.
"""

from __future__ import annotations

import difflib
import functools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from importlib import resources
from types import MappingProxyType
from typing import Any

from onward.errors import UnsupportedOperator
from onward.ir import MapType, OptionalType, SequenceType, SparseTensorType, TensorType

FILES = ("schemas.txt", "schemas_microsoft.txt")
"""The operators of the standard, and those that onnxruntime adds."""


class ParameterOption(IntEnum):
    """How often a parameter may occur."""

    SINGLE = 0
    OPTIONAL = 1
    VARIADIC = 2


@dataclass(frozen=True, slots=True)
class ParameterSchema:
    """One input or output. `type` is a type string such as tensor(float), or the name of a type variable."""

    name: str
    type: str
    option: ParameterOption
    homogeneous: bool
    minimum_arity: int


@dataclass(frozen=True, slots=True)
class AttributeSchema:
    """One attribute. `type` is FLOAT, INT, TENSOR, ... or its plural; `default` is None where there is none."""

    name: str
    type: str
    required: bool
    default: Any


@dataclass(frozen=True, slots=True)
class Schema:
    """The signature of one version of an operator."""

    domain: str
    name: str
    since: int
    deprecated: bool
    has_function: bool
    inputs: tuple[ParameterSchema, ...]
    outputs: tuple[ParameterSchema, ...]
    minimum_inputs: int
    maximum_inputs: int
    minimum_outputs: int
    maximum_outputs: int
    attributes: Mapping[str, AttributeSchema]
    constraints: Mapping[str, frozenset[str]]

    def input(self, index: int) -> ParameterSchema:
        """The parameter that input number `index` belongs to; the last one, if variadic, takes all that follow."""
        return self.inputs[min(index, len(self.inputs) - 1)]

    def output(self, index: int) -> ParameterSchema:
        """The parameter that output number `index` belongs to."""
        return self.outputs[min(index, len(self.outputs) - 1)]

    def allowed_types(self, parameter: ParameterSchema) -> frozenset[str]:
        """The type strings that a parameter accepts."""
        return self.constraints.get(parameter.type, frozenset((parameter.type,)))

    def __str__(self) -> str:
        return f"{self.domain + '.' if self.domain else ''}{self.name}-{self.since}"


def schema(domain: str, name: str, opset: int) -> Schema:
    """The signature of operator `name` that holds in version `opset` of `domain`.

    Raises UnsupportedOperator when the domain has no such operator, or not yet in that version.
    """
    found = find_schema(domain, name, opset)
    if found is None:
        raise UnsupportedOperator(why_unknown(domain, name, opset))
    return found


def find_schema(domain: str, name: str, opset: int) -> Schema | None:
    """As `schema`, but None where there is none."""
    return next((item for item in operator_versions(domain, name) if item.since <= opset), None)


def why_unknown(domain: str, name: str, opset: int) -> str:
    """Why version `opset` of `domain` has no operator `name`, and what may have been meant."""
    versions = operator_versions(domain, name)
    shown = f"{domain or 'ai.onnx'}.{name}"
    if versions:
        return f"operator {shown} exists since version {versions[-1].since}, but the model imports version {opset}"
    close = difflib.get_close_matches(name, list(operator_names(domain)), 1)
    return f"there is no operator {shown}" + (f"; did you mean {close[0]}?" if close else "")


@functools.cache
def operator_versions(domain: str, name: str) -> tuple[Schema, ...]:
    """All versions of an operator, newest first; empty for an unknown one."""
    found = _data()[1].get((domain or "ai.onnx", name))
    if found is None:
        return ()
    line, sets = found
    return tuple(_schema("" if domain == "ai.onnx" else domain, name, row, sets) for row in json.loads(line))


def operator_names(domain: str = "") -> Iterator[str]:
    """The names of all operators of a domain, in alphabetical order."""
    return (name for found, name in _data()[1] if found == (domain or "ai.onnx"))


def known_domains() -> frozenset[str]:
    """The domains whose operators are known; the default one is the empty string."""
    return frozenset("" if domain == "ai.onnx" else domain for domain, _ in _data()[1]) | {"ai.onnx.training"}


@functools.cache
def newest_opset(domain: str = "") -> int:
    """The newest version of a standard domain that the data knows."""
    return max((opset for found, opset, _ in _data()[0]["ir_versions"] if found == domain), default=1)


@functools.cache
def minimum_ir_version(domain: str, opset: int) -> int | None:
    """The IR version in which version `opset` of a standard domain appeared, or None where it is not a released one."""
    rows = _data()[0]["ir_versions"]
    return next((ir_version for found, version, ir_version in rows if (found, version) == (domain, opset)), None)


def newest_ir_version() -> int:
    """The newest IR version of the file format that the data knows."""
    return int(_data()[0]["newest_ir_version"])


_TypeSets = list[frozenset[str]]


@functools.cache
def _data() -> tuple[dict[str, Any], dict[tuple[str, str], tuple[str, _TypeSets]]]:
    """What all operators of the standard share, and for each operator its line and the type sets that it refers to."""
    shared: dict[str, Any] = {}
    lines: dict[tuple[str, str], tuple[str, _TypeSets]] = {}
    for name in FILES:
        first, *rest = resources.files("onward.operators").joinpath(name).read_text().splitlines()
        header = json.loads(first)
        sets = [frozenset(header["types"][number] for number in numbers) for numbers in header["sets"]]
        shared = {**header, **shared}
        for line in rest:
            domain, operator, versions = line.split(" ", 2)
            lines[domain, operator] = versions, sets
    return shared, lines


def _schema(domain: str, name: str, row: list[Any], sets: _TypeSets) -> Schema:
    since, flags, inputs, outputs, counts, attributes, constraints = row
    minimum_inputs, maximum_inputs, minimum_outputs, maximum_outputs = counts
    return Schema(
        domain=domain,
        name=name,
        since=since,
        deprecated=bool(flags & 1),
        has_function=bool(flags & 2),
        inputs=tuple(_parameter(item) for item in inputs),
        outputs=tuple(_parameter(item) for item in outputs),
        minimum_inputs=minimum_inputs,
        maximum_inputs=maximum_inputs,
        minimum_outputs=minimum_outputs,
        maximum_outputs=maximum_outputs,
        attributes=MappingProxyType({item[0]: AttributeSchema(item[0], item[1], bool(item[2]), item[3]) for item in attributes}),
        constraints=MappingProxyType({variable: sets[number] for variable, number in constraints.items()}),
    )


def _parameter(row: list[Any]) -> ParameterSchema:
    name, type_string, option, homogeneous, minimum_arity = row
    return ParameterSchema(name, type_string, ParameterOption(option), bool(homogeneous), minimum_arity)


def type_string(kind: Any) -> str | None:
    """A type as the schemas write it, such as tensor(float) or seq(tensor(int64)); None where it is not known."""
    match kind:
        case TensorType():
            return f"tensor({kind.dtype.name.lower()})" if kind.dtype else None
        case SparseTensorType():
            return f"sparse_tensor({kind.dtype.name.lower()})"
        case SequenceType() | OptionalType():
            inner = type_string(kind.element)
            outer = "seq" if isinstance(kind, SequenceType) else "optional"
            return f"{outer}({inner})" if inner else None
        case MapType():
            inner = type_string(kind.value)
            return f"map({kind.key.name.lower()}, {_without_tensor(inner)})" if inner else None
    return None


def _without_tensor(text: str) -> str:
    return text.removeprefix("tensor(").removesuffix(")") if text.startswith("tensor(") else text
