"""ZipMap, DictVectorizer and CastMap: maps are Python dictionaries, which exist outside of compiled code alone."""

from __future__ import annotations

from typing import Any

import numpy as np

from onward import program as P
from onward.errors import InvalidArgument
from onward.ir.datatypes import DataType
from onward.ir.types import MapType, TensorType
from onward.operators.arguments import NotConstant
from onward.operators.registry import Context, operator

CASTS = {"TO_FLOAT": DataType.FLOAT, "TO_INT64": DataType.INT64, "TO_STRING": DataType.STRING}


@operator("ZipMap", domain="ai.onnx.ml")
def zip_map(x: P.Array, *, classlabels_int64s: list[int] | None = None, classlabels_strings: list[str] | None = None) -> list[dict[Any, float]]:
    """A map from labels to numbers for each row of x (N, classes); one map for a vector. ONNX ZipMap-1."""
    labels: list[Any] = list(classlabels_strings or classlabels_int64s or [])
    if x.known is None:
        raise NotConstant("maps are made of numbers that are known", [x])
    rows = x.known.reshape(1, -1) if x.rank == 1 else x.known
    if not labels or rows.ndim != 2 or rows.shape[1] != len(labels):
        raise InvalidArgument(f"ZipMap has {len(labels)} labels for {x}")
    return [dict(zip(labels, row.tolist())) for row in rows]


@operator("DictVectorizer", domain="ai.onnx.ml")
def dict_vectorizer(
    x: dict[Any, Any],
    *,
    int64_vocabulary: list[int] | None = None,
    string_vocabulary: list[str] | None = None,
    context: Context,
) -> P.Array:
    """The values of the keys in a vocabulary, 0 for those the map lacks, (1, keys). ONNX DictVectorizer-1."""
    if not isinstance(x, dict):
        raise InvalidArgument(f"DictVectorizer takes a map, got {x}")
    keys: list[Any] = list(string_vocabulary or int64_vocabulary or [])
    kind = _value_type(context, list(x.values()))
    nothing = "" if kind == DataType.STRING else 0
    return P.constant(np.array([[x.get(key, nothing) for key in keys]], kind.numpy))


def _value_type(context: Context, values: list[Any]) -> DataType:
    """As the input declares it; otherwise as the values show."""
    source = context.node.inputs[0]
    declared = source.type if source is not None else None
    if isinstance(declared, MapType) and isinstance(declared.value, TensorType):
        return declared.value.dtype
    if any(isinstance(item, str) for item in values):
        return DataType.STRING
    is_whole = values and all(isinstance(item, (int, np.integer)) for item in values)
    return DataType.INT64 if is_whole else DataType.FLOAT


@operator("CastMap", domain="ai.onnx.ml")
def cast_map(x: dict[int, Any], *, cast_to: str = "TO_FLOAT", map_form: str = "DENSE", max_map: int = 1) -> P.Array:
    """The values of a map in the order of its keys, (1, count); SPARSE puts them where the keys say. ONNX CastMap-1."""
    if not isinstance(x, dict):
        raise InvalidArgument(f"CastMap takes a map, got {x}")
    if cast_to not in CASTS or map_form not in ("DENSE", "SPARSE"):
        raise InvalidArgument(f"CastMap has no cast_to '{cast_to}' or no map_form '{map_form}'")
    kind = CASTS[cast_to]
    convert: Any = str if kind == DataType.STRING else kind.numpy.type
    items = {key: convert(float(x[key]) if kind != DataType.STRING and isinstance(x[key], str) else x[key]) for key in sorted(x)}
    if map_form == "DENSE":
        return P.constant(np.array([list(items.values())], kind.numpy))
    row = np.full((1, max_map), "" if kind == DataType.STRING else 0, kind.numpy)
    for key, value in items.items():
        if 0 <= key < max_map:
            row[0, key] = value
    return P.constant(row)
