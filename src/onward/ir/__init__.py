"""The graph of a model and everything it is made of."""

from onward.ir.datatypes import DataType
from onward.ir.expressions import Dimension, Expression, Symbol
from onward.ir.graph import Attribute, Graph, Node, Origin, Value
from onward.ir.io import as_model, load, parse_text, print_text, save
from onward.ir.model import Function, Model
from onward.ir.tensor import Tensor
from onward.ir.types import MapType, OpaqueType, OptionalType, SequenceType, SparseTensorType, TensorType, Type

__all__ = [
    "Attribute", "DataType", "Dimension", "Expression", "Function", "Graph", "MapType", "Model", "Node", "OpaqueType",
    "OptionalType", "Origin", "SequenceType", "SparseTensorType", "Symbol", "Tensor", "TensorType", "Type", "Value",
    "as_model", "load", "parse_text", "print_text", "save",
]  # fmt: skip
