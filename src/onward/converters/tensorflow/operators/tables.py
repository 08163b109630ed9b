"""Lookup tables, which become LabelEncoder, and reading of variables by row."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from onward.converters.tensorflow.emitter import Resource, Tensor, as_array, data_type
from onward.converters.tensorflow.operators.control_flow import variable_of
from onward.converters.tensorflow.operators.indexing import gathered
from onward.converters.tensorflow.registry import structure
from onward.errors import UnsupportedOperator
from onward.ir.tensor import Tensor as Constant

ENCODED = {tf.string: "strings", tf.int64: "int64s", tf.float32: "floats"}


def _content(handle: Any, keys: tf.DType, values: tf.DType) -> tuple[np.ndarray, np.ndarray]:
    found = tf.raw_ops.LookupTableExportV2(table_handle=handle, Tkeys=keys, Tvalues=values)
    return found[0].numpy(), found[1].numpy()


def _between(dtype: tf.DType) -> tf.DType:
    """The type in which LabelEncoder has keys or values of a type."""
    return dtype if dtype in ENCODED else tf.int64 if dtype.is_integer else tf.float32


@structure("HashTable", "HashTableV2", "MutableHashTable", "MutableHashTableV2")
def table(w: Any, op: Any) -> list[Any]:
    """The table of this name, which was filled when the graph was read."""
    kind = getattr(tf.raw_ops, op.type.removesuffix("V2") + "V2")
    name = op["shared_name"] or op.name
    return [Resource(kind(key_dtype=op["key_dtype"], value_dtype=op["value_dtype"], container=op["container"], shared_name=name), op.name)]


@structure("LookupTableFind", "LookupTableFindV2")
def find(w: Any, op: Any, table: Resource, keys: Tensor, default: Tensor) -> list[Any]:
    c = w.c
    found, values = _content(table.handle, op["Tin"], op["Tout"])
    if tf.float64 in (op["Tin"], op["Tout"]):
        raise UnsupportedOperator("tables of double precision")
    source, target = _between(op["Tin"]), _between(op["Tout"])
    otherwise = c.known(default, "the default of a table")
    if otherwise.size != 1 or values.ndim > 1:
        raise UnsupportedOperator("a table of vectors")
    if len(found) == 0:
        made = c.op("Expand", otherwise.reshape(()), c.shape(keys))
        return [w.tensor(made, op["Tout"], keys.shadow.shape)]
    ours = as_array(found), as_array(values)
    if source == tf.string:
        c.vocabulary += list(ours[0][:50])
    kinds = [data_type(kind).numpy for kind in (source, target)]
    made = c.op(
        "LabelEncoder", c.cast(keys, source), domain="ai.onnx.ml",
        keys_tensor=Constant.of(ours[0].astype(kinds[0])), values_tensor=Constant.of(ours[1].astype(kinds[1])),
        default_tensor=Constant.of(otherwise.reshape(1).astype(kinds[1])),
    )  # fmt: skip
    return [w.tensor(made if target == op["Tout"] else c.cast(made, op["Tout"]), op["Tout"], keys.shadow.shape)]


@structure("LookupTableSize", "LookupTableSizeV2")
def size(w: Any, op: Any, table: Resource) -> list[Any]:
    return [w.constant(np.asarray(tf.raw_ops.LookupTableSizeV2(table_handle=table.handle).numpy()), tf.int64)]


@structure("ResourceGather")
def resource_gather(w: Any, op: Any, variable: Resource, indices: Tensor) -> list[Any]:
    whole = variable_of(w, variable, op["dtype"])
    batched = int(op.get("batch_dims", 0))
    made = gathered(w.c, whole, indices, 0 + batched, batched)
    shape = indices.shadow.shape.concatenate(whole.shadow.shape[1 + batched :])
    return [w.tensor(made, op["dtype"], shape)]


@structure("ResourceGatherNd")
def resource_gather_nd(w: Any, op: Any, variable: Resource, indices: Tensor) -> list[Any]:
    whole = variable_of(w, variable, op["dtype"])
    depth = indices.shape[-1]
    if depth is None:
        raise UnsupportedOperator("the depth of the indices is open")
    made = w.c.op("GatherND", whole, w.c.cast(indices, tf.int64))
    return [w.tensor(made, op["dtype"], indices.shadow.shape[:-1].concatenate(whole.shadow.shape[depth:]))]
