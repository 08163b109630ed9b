"""Text."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from onward.converters.tensorflow.emitter import Emitter, Tensor
from onward.converters.tensorflow.registry import operator
from onward.errors import UnsupportedOperator
from onward.ir import Value

ASCII = "the case of letters outside ASCII changes too, unlike in TensorFlow: only ASCII was compared"


@operator("StringLower", "StringUpper")
def case(c: Emitter, op: Any, x: Tensor) -> Value:
    """StringNormalizer takes vectors. Without an encoding TensorFlow changes only the letters of ASCII, ONNX all."""
    if op["encoding"] != "utf-8" and ASCII not in c.notes:
        c.notes.append(ASCII)
    flat = c.op("StringNormalizer", c.reshape(x, [-1]), case_change_action=op.type.removeprefix("String").upper())
    return c.reshape(flat, c.shape(x))


@operator("StringJoin")
def join(c: Emitter, op: Any, *items: Tensor) -> Value:
    made = items[0].value
    for item in items[1:]:
        if op["separator"]:
            made = c.op("StringConcat", made, np.array(op["separator"], object))
        made = c.op("StringConcat", made, item)
    return made


@operator("StaticRegexFullMatch", "RegexFullMatch")
def full_match(c: Emitter, op: Any, x: Tensor, pattern: Tensor | None = None) -> Value:
    text = op["pattern"] if pattern is None else str(c.known(pattern, "the pattern"))
    return c.op("RegexFullMatch", x, pattern=text)


@operator("AsString")
def as_string(c: Emitter, op: Any, x: Tensor) -> Value:
    if not (x.dtype.is_integer or x.dtype == tf.bool) or op["width"] > 0 or op["fill"]:
        raise UnsupportedOperator("of real numbers, or with a width: ONNX leaves their form open")
    if x.dtype == tf.bool:
        return c.op("Where", x, np.array("true", object), np.array("false", object))
    return c.op("Cast", x, to=8)


@operator("StringToNumber")
def to_number(c: Emitter, op: Any, x: Tensor) -> Value:
    return c.cast(x, op.dtype)
