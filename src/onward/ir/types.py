"""The types of values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Union

from onward.ir.datatypes import DataType
from onward.ir.expressions import Dimension

ShapeLike = tuple[Union[Dimension, None], ...]


@dataclass(frozen=True)
class TensorType:
    """A tensor of a dtype; `shape` is None for unknown rank, a None dimension is unknown."""

    dtype: DataType
    shape: ShapeLike | None = None
    denotation: str = ""
    dimension_denotations: tuple[str, ...] = ()


@dataclass(frozen=True)
class SparseTensorType:
    """A sparse tensor (COO)."""

    dtype: DataType
    shape: ShapeLike | None = None


@dataclass(frozen=True)
class SequenceType:
    """A sequence of values of one type."""

    element: Type | None


@dataclass(frozen=True)
class OptionalType:
    """A value or nothing."""

    element: Type | None


@dataclass(frozen=True)
class MapType:
    """A map from keys of an integer or string dtype to values."""

    key: DataType
    value: Type | None


@dataclass(frozen=True)
class OpaqueType:
    """A type known by name alone."""

    domain: str = ""
    name: str = ""


Type = Union[TensorType, SparseTensorType, SequenceType, OptionalType, MapType, OpaqueType]
