"""Tables and variables: what the file puts into them before the first run is constant for all that read them."""

from __future__ import annotations

from typing import Any

import numpy as np

from onward.converters.tflite.emitter import Emitter, Node
from onward.converters.tflite.registry import operator
from onward.converters.tflite.tensors import Laid, Tensor
from onward.errors import UnsupportedOperator


@operator("CALL_ONCE")
def call_once(c: Emitter, node: Node) -> list[Laid]:
    """The first run fills variables and tables."""
    walk = c.walk
    walk.filling = True
    walk.run(node.options.init_subgraph_index, [])
    walk.filling = False
    return []


@operator("HASHTABLE")
def table(c: Emitter, node: Node) -> Any:
    return _handle(c, node, ("table", node.options.table_id))


@operator("VAR_HANDLE")
def variable(c: Emitter, node: Node) -> Any:
    return _handle(c, node, ("variable", node.options.container, node.options.shared_name))


def _handle(c: Emitter, node: Node, handle: Any) -> Any:
    node.outputs[0].handle = handle
    return c.array(np.array(0, np.int32))  # nobody reads it


@operator("HASHTABLE_IMPORT", "ASSIGN_VARIABLE")
def filled(c: Emitter, node: Node, handle: Tensor, *content: Tensor) -> list[Laid]:
    if not c.walk.filling:
        raise UnsupportedOperator("a run writes into it: a model has no state")
    if node.name == "HASHTABLE_IMPORT":
        for item in content:
            c.known(item, "what fills a table")
    c.walk.resources[handle.handle] = content
    return []


def _content(c: Emitter, handle: Tensor) -> Any:
    found = c.walk.resources.get(handle.handle)
    if found is None:
        raise UnsupportedOperator("nothing fills it before the first run")
    return found


@operator("READ_VARIABLE")
def read(c: Emitter, node: Node, handle: Tensor) -> Any:
    return c.value(_content(c, handle)[0])


@operator("HASHTABLE_SIZE")
def count(c: Emitter, node: Node, handle: Tensor) -> Any:
    return c.array(np.array([_content(c, handle)[0].data.size], np.int64))


@operator("HASHTABLE_FIND")
def looked_up(c: Emitter, node: Node, handle: Tensor, keys: Tensor, default: Tensor) -> Any:
    known, values = (item.data.reshape(-1) for item in _content(c, handle))
    otherwise = c.known(default, "the default of a table").reshape(-1)[0]
    kind = {True: "string", False: "int64"}
    of = kind[keys.type == "STRING"], kind[values.dtype == object]
    return c.op(
        "LabelEncoder", c.value(keys), domain="ai.onnx.ml",
        **{f"keys_{of[0]}s": known.tolist(), f"values_{of[1]}s": values.tolist(), f"default_{of[1]}": otherwise if of[1] == "string" else int(otherwise)},
    )  # fmt: skip
