"""Random numbers: shapes, data types and distributions are the same, the numbers are not."""

from __future__ import annotations

from typing import Any

import numpy as np

from onward.converters.tflite.emitter import Emitter, Node
from onward.converters.tflite.registry import operator
from onward.converters.tflite.tensors import Tensor

RANDOM = {"RandomUniformLike", "RandomNormalLike"}
"""Operators of ONNX by which a model draws."""


@operator("RANDOM_UNIFORM", "RANDOM_STANDARD_NORMAL")
def drawn(c: Emitter, node: Node, shape: Tensor) -> Any:
    frame = c.op("Expand", np.float32(0), c.long(shape))
    return c.op("RandomUniformLike" if node.name == "RANDOM_UNIFORM" else "RandomNormalLike", frame)


@operator("MULTINOMIAL")
def multinomial(c: Emitter, node: Node, logits: Tensor, count: Tensor) -> Any:
    """The greatest of the logits plus Gumbel noise, as often as is asked for."""
    number = int(c.known(count, "the number of samples").reshape(-1)[0])
    frame = c.op("Expand", c.op("Unsqueeze", c.value(logits), [1]), [1, number, 1])
    noise = c.op("Neg", c.op("Log", c.op("Neg", c.op("Log", c.op("RandomUniformLike", frame, low=1e-7, high=1.0)))))
    return c.cast(c.op("ArgMax", c.op("Add", frame, noise), axis=-1, keepdims=0), node.outputs[0].dtype)
