"""Operators: one page each, in the words of the tensor program; and what follows from the pages.

`schema` gives the signature of any ONNX operator in any version, `lower` turns a graph into a tensor program,
`infer` finds the types of all values, `check` lists what is wrong with a model.
"""

from __future__ import annotations

from onward.operators.checker import check
from onward.operators.inference import infer
from onward.operators.lowering import Program, lower, unsupported_operators
from onward.operators.registry import Context, all_definitions, find_definition, operator
from onward.operators.schema import Schema, find_schema, known_domains, newest_ir_version, newest_opset, schema

__all__ = [
    "Context",
    "Program",
    "Schema",
    "all_definitions",
    "check",
    "find_definition",
    "find_schema",
    "infer",
    "known_domains",
    "lower",
    "newest_ir_version",
    "newest_opset",
    "operator",
    "schema",
    "unsupported_operators",
]
