"""The characters of texts: one row a text, filled up with empty text.

No standard operator takes text apart at any character; Tokenizer of com.microsoft does.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from onward.converters.tensorflow.emitter import Emitter, Tensor
from onward.converters.text_hashes import BEYOND
from onward.ir import TensorType, Value
from onward.ir.datatypes import DataType


def characters(c: Emitter, x: Any) -> Value:
    """(texts, characters) of a tensor of any shape."""
    return c.op("Tokenizer", c.reshape(x, [-1]), domain="com.microsoft", separators=[""], mark=0, mincharnum=1, pad_value="")  # type: ignore[no-any-return]


def widths(c: Emitter, letters: Value, unit: str) -> Value:
    """How much each counts: one, or the number of its bytes in UTF-8."""
    total = c.op("Cast", c.op("Not", c.op("Equal", letters, np.array("", object))), to=7)
    for pattern in BEYOND if unit == "BYTE" else ():
        more = c.op("Not", c.op("RegexFullMatch", letters, pattern=pattern))
        total = c.op("Add", total, c.op("Cast", more, to=7))
    return total  # type: ignore[no-any-return]


def kept(c: Emitter, letters: Value, test: Value, like: Tensor) -> Value:
    """The texts of those for which the test holds, in the shape of the tensor that they came from."""
    return c.reshape(joined(c, c.op("Where", test, letters, np.array("", object))), c.shape(like))


def joined(c: Emitter, pieces: Value, separator: str = "", test: Value | None = None) -> Value:
    """(rows, pieces) as one text a row; with a test those pieces that are there, which come first, have the separator between."""
    if separator:
        places = c.op("Range", np.array(0), c.squeeze(c.op("Shape", pieces, start=1), 0), np.array(1))
        behind = c.op("Greater", places, np.array(0))
        behind = behind if test is None else c.op("And", behind, test)
        pieces = c.op("Where", behind, c.op("StringConcat", np.array(separator, object), pieces), pieces)
    empty = c.op("Expand", np.array("", object), c.op("Shape", pieces, end=1))
    with c.inner_graph("join") as body:
        ports = [c.graph.new_value(TensorType(DataType.STRING, (None,)), name) for name in ("text", "piece")]
        body.inputs.extend(ports)
        body.outputs.append(c.op("StringConcat", *ports))
    return c.op("Scan", empty, pieces, body=body, num_scan_inputs=1, scan_input_axes=[1])  # type: ignore[no-any-return]
